//! Meshes under names, the namespace that is meant, and the formats of answers.

use anyhow::ensure;
use micro_tests::{Cluster, CommandLine};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

/// A command line that is told nowhere where the node is.
fn person(cluster: &Cluster) -> anyhow::Result<CommandLine> {
    let home = cluster.root().join("person");
    fs::create_dir_all(&home)?;
    CommandLine::new(None, &home)
}

/// Runs words that must end with `code` and say `part`.
async fn refused(cli: &CommandLine, words: &[&str], code: i32, part: &str) -> anyhow::Result<()> {
    let outcome = cli.run(words).await?;
    ensure!(outcome.code == code && outcome.stderr.contains(part), "{words:?}: {outcome:?}");
    Ok(())
}

#[tokio::test]
async fn a_mesh_has_a_name_and_commands_mean_it_until_another_is_meant() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let (cli, address) = (person(&cluster)?, cluster.members[0].address());
    assert_eq!(cli.ok(&["env", "-o", "name"]).await?, "local");
    assert_eq!(cli.ok(&["env", "get"]).await?, "local");
    cli.ok(&["env", "add", "here", &address]).await?;
    let added =
        cli.json(&["env", "add", "acme", &address, "--namespace", "acme", "-o", "json"]).await?["item"]
            .take();
    assert_eq!((&added["name"], &added["namespace"]), (&"acme".into(), &"acme".into()), "{added}");
    cli.ok(&["-t", "here", "store", "write", "greeting", "hello"]).await?;
    refused(&cli, &["-t", "acme", "store", "read", "greeting"], 5, "greeting").await?;
    refused(&cli, &["env", "add", "here", &address], 6, "there already").await?;

    let set = cli.json(&["env", "set", "here", "-o", "json"]).await?["item"].take();
    assert_eq!((&set["name"], &set["current"]), (&"here".into(), &true.into()), "{set}");
    assert_eq!(cli.ok(&["store", "read", "greeting"]).await?, "hello");
    assert_eq!(cli.ok(&["env", "get"]).await?, "here");
    assert_eq!(cli.ok(&["env", "get", "here"]).await?, address);
    let list = cli.ok(&["env"]).await?;
    assert!(list.lines().any(|line| line.starts_with("*  here")), "{list}");
    cli.ok(&["env", "set", "acme"]).await?;
    assert_eq!(cli.ok(&["user", "namespace"]).await?, "acme");
    assert_eq!(cli.ok(&["--namespace", "default", "store", "read", "greeting"]).await?, "hello");
    cli.ok(&["env", "-"]).await?;
    assert_eq!(cli.ok(&["env", "get"]).await?, "here");
    cli.ok(&["env", "-"]).await?;
    assert_eq!(cli.ok(&["env", "get"]).await?, "acme");

    cli.ok(&["user", "namespace", "set", "default"]).await?;
    assert_eq!(cli.ok(&["store", "read", "greeting"]).await?, "hello");
    refused(&cli, &["env", "del", "acme"], 6, "the one that commands mean").await?;
    cli.ok(&["env", "set", "here"]).await?;
    let gone = cli.json(&["env", "del", "acme", "-o", "json"]).await?;
    assert_eq!(gone["item"]["deleted"], true, "{gone}");
    refused(&cli, &["env", "-"], 5, "no other environment").await?;
    refused(&cli, &["-t", "acme", "status"], 5, "no environment is called \"acme\"").await?;
    refused(&cli, &["-t", "here", "--address", &address, "status"], 2, "both say where to go").await?;
    // What is meant is gone, because a person took it out: that can be mended.
    let file = cluster.root().join("person/.config/micro-node/config.toml");
    fs::write(&file, "target = \"gone\"\n")?;
    refused(&cli, &["status"], 5, "config.toml says to use it").await?;
    cli.ok(&["env", "set", "local"]).await?;
    fs::write(&file, "target = 7\n")?;
    refused(&cli, &["status"], 2, "config.toml line 1").await?;
    refused(&cli, &["env"], 2, "config.toml line 1").await?;
    cli.ok(&["version"]).await?;
    Ok(())
}

#[tokio::test]
async fn the_namespace_is_that_of_the_login() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let (admin, cli) = (cluster.cli(0)?, person(&cluster)?);
    let secret = cluster.root().join("secret");
    fs::write(&secret, "correct horse battery staple")?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
    let source = format!("@{}", secret.display());
    admin.ok(&["--namespace", "acme", "auth", "create", "account", "jane", "--secret", &source]).await?;
    let proxy = cluster.members[0].at().proxy.to_string();
    cli.ok(&["env", "add", "port", &proxy]).await?;
    cli.ok(&["env", "set", "port"]).await?;
    assert_eq!(cli.ok(&["user", "namespace"]).await?, "default");
    cli.ok(&["login", "jane", "--password", &source, "--namespace", "acme"]).await?;
    assert_eq!(cli.ok(&["user", "namespace"]).await?, "acme");
    assert_eq!(cli.ok(&["--namespace", "other", "user", "namespace"]).await?, "other");
    // Another login says for itself where it is.
    refused(&cli, &["login", "jane", "--password", &source], 4, "").await?;
    let ended = cli.json(&["logout", "-o", "json"]).await?;
    assert_eq!(ended["item"]["account"], "jane", "{ended}");
    assert_eq!(cli.ok(&["user", "namespace"]).await?, "default");
    Ok(())
}

#[tokio::test]
async fn what_is_listed_is_listed_as_yaml_and_as_names() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let cli = cluster.cli(0)?;
    for (key, value) in [("a", "1"), ("b", "{\"name\":\"x\"}")] {
        cli.ok(&["store", "write", key, value]).await?;
    }
    cli.ok(&["config", "set", "shop", "{\"open\":true,\"limit\":7}"]).await?;
    for (words, names) in [
        (&["store", "list"][..], "a\nb"),
        (&["config", "list"], "shop.limit\nshop.open"),
        (&["status"], "alpha"),
        (&["cluster", "members"], "alpha"),
        (&["services"], ""),
        (&["env"], "local"),
    ] {
        let with = |format| [words, &["-o", format]].concat();
        assert_eq!(cli.ok(&with("name")).await?, names, "{words:?}");
        let (yaml, json) = (cli.ok(&with("yaml")).await?, cli.json(&with("json")).await?);
        let first = format!("schema: {}", json["schema"].as_str().unwrap_or_default());
        ensure!(yaml.lines().any(|line| line == first), "{words:?}: {yaml}");
    }
    // What was asked for is done, so its answer is shown.
    let whole = cli.ok(&["auth", "check", "service:a:b", "-o", "name"]).await?;
    ensure!(whole.starts_with("{\"item\":{\"granted\":true"), "{whole}");
    Ok(())
}

#[tokio::test]
async fn every_command_has_a_manual_page_and_a_line_in_the_list() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let cli = CommandLine::new(None, home.path())?;
    let pages = home.path().join("man1");
    let written = cli.json(&["man", "--dir", &pages.display().to_string(), "-o", "json"]).await?;
    ensure!(written["item"]["pages"].as_u64() > Some(60), "{written}");
    let tree = cli.json(&["help", "--all", "--json"]).await?;
    assert_eq!(tree["schema"], "micro-node/commands/v1");
    assert_eq!(tree, cli.json(&["help", "--all", "-o", "json"]).await?);
    let count = check_pages(&tree["item"], "micro-node", &pages)?;
    ensure!(count > 60, "only {count} commands have a page");
    let text = cli.ok(&["help", "store", "write"]).await?;
    ensure!(text.contains("Usage: micro-node store write"), "{text}");
    assert_eq!(text, cli.ok(&["store", "write", "--help"]).await?);
    Ok(())
}

/// That a command and all below it have a page with their names; how many they are.
fn check_pages(item: &serde_json::Value, name: &str, pages: &Path) -> anyhow::Result<usize> {
    let page = fs::read_to_string(pages.join(format!("{name}.1")))?;
    ensure!(page.contains(".SH SYNOPSIS"), "{name}: {page}");
    let mut count = 1;
    for below in item["commands"].as_array().into_iter().flatten() {
        let word = below["name"].as_str().unwrap_or_default();
        if word != "-" && word != "help" {
            count += check_pages(below, &format!("{name}-{word}"), pages)?;
        }
    }
    Ok(count)
}
