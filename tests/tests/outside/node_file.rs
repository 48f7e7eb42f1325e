//! The file with a node's settings: what it says, and what goes before it. What is wrong in files is in
//! `tests/corpus/config/node_files.txt`.

use anyhow::{Context, ensure};
use micro_tests::{CommandLine, program, until};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

const SOON: Duration = Duration::from_secs(60);

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `micro-node start`, with nothing set but these variables.
fn start(home: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<Command> {
    let mut command = Command::new(program("micro-node")?);
    command.env_clear().env("HOME", home).env("NO_COLOR", "1").envs(variables.iter().copied());
    command.arg("start").args(arguments).current_dir(home).stdin(Stdio::null());
    Ok(command)
}

/// The settings that `start --check` shows, each as its value, its source and its place.
fn checked(
    home: &Path,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> anyhow::Result<impl Fn(&str) -> Value> {
    let output = start(home, &[arguments, &["--check", "-o", "json"]].concat(), variables)?.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout)?;
    let items = told["items"].as_array().context("it has settings")?.clone();
    Ok(move |name: &str| {
        let setting = items.iter().find(|setting| setting["name"] == name);
        setting.map_or(Value::Null, |setting| json!([setting["value"], setting["source"], setting["place"]]))
    })
}

#[tokio::test]
async fn a_file_alone_starts_a_node_that_says_where_its_settings_are_from() -> anyhow::Result<()> {
    let home = tempfile::Builder::new().prefix("micro-node-").tempdir_in("/tmp")?;
    let file = home.path().join("settings/node.toml");
    fs::create_dir_all(file.parent().context("it has a folder")?)?;
    let text = "[node]\nname = \"alone\"\ndata_dir = \"../data\"\nsocket = \"../node.sock\"\nready_file = \"../ready.json\"\n\
                [place]\nzone = \"z1\"\n[mesh]\nlisten = \"127.0.0.1:0\"\n[api]\nlisten = \"127.0.0.1:0\"\n\
                [proxy]\nlisten = \"127.0.0.1:0\"\n";
    fs::write(&file, text)?;
    let shown = file.display().to_string();
    let log = fs::File::create(home.path().join("log"))?;
    let node = start(home.path(), &[], &[("MICRO_NODE_CONFIG", &shown)])?
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn();
    let _node = Running(node?);
    until("it is ready", SOON, async || {
        ensure!(home.path().join("ready.json").exists(), "{}", fs::read_to_string(home.path().join("log"))?);
        Ok(())
    })
    .await?;
    let socket = format!("unix:{}", home.path().join("node.sock").display());
    let cli = CommandLine::new(Some(socket), home.path())?;
    let view = cli.json(&["config", "view", "-o", "json"]).await?;
    let settings = view["items"].as_array().context("it has settings")?;
    let told = |name: &str| settings.iter().find(|setting| setting["name"] == name);
    let name = json!({"name": "name", "value": "alone", "source": "file", "place": format!("{shown}:2")});
    assert_eq!(told("name"), Some(&name));
    let zone = json!({"name": "zone", "value": "z1", "source": "file", "place": format!("{shown}:7")});
    assert_eq!(told("zone"), Some(&zone));
    let config =
        json!({"name": "config", "value": shown, "source": "environment", "place": "MICRO_NODE_CONFIG"});
    assert_eq!(told("config"), Some(&config));
    assert!(home.path().join("data").is_dir(), "paths begin where the file is");
    let log = fs::read_to_string(home.path().join("log"))?;
    ensure!(log.contains(&shown), "{log}");
    Ok(())
}

#[tokio::test]
async fn a_flag_goes_before_a_variable_before_the_file_before_what_is_usual() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let file = home.path().join("node.toml");
    fs::write(&file, "[limits]\nlogin = 3\n[log]\nfilter = \"warn\"\n")?;
    let shown = file.display().to_string();
    let (config, flag) = (["--config", &shown], ["--limit-login", "1"]);
    let variable = [("MICRO_NODE_LIMIT_LOGIN", "2")];
    let words = [&config[..], &flag].concat();
    let told = checked(home.path(), &words, &variable)?("limit-login");
    assert_eq!(told, json!(["1", "flag", "--limit-login"]));
    let told = checked(home.path(), &config, &variable)?("limit-login");
    assert_eq!(told, json!(["2", "environment", "MICRO_NODE_LIMIT_LOGIN"]));
    let told = checked(home.path(), &config, &[])?("limit-login");
    assert_eq!(told, json!(["3", "file", format!("{shown}:2")]));
    let told = checked(home.path(), &["--config", "/dev/null"], &[])?("limit-login");
    assert_eq!(told, json!([null, "default", ""]));

    // What is logged is said in more ways.
    let all = [&config[..], &["--log", "error", "-v"]].concat();
    let told = checked(home.path(), &all, &[("MICRO_NODE_LOG", "info"), ("RUST_LOG", "debug")])?("log");
    assert_eq!(told, json!(["error", "flag", "--log"]));
    let variables = [("MICRO_NODE_LOG", "info"), ("RUST_LOG", "debug")];
    assert_eq!(
        checked(home.path(), &config, &variables)?("log"),
        json!(["info", "environment", "MICRO_NODE_LOG"])
    );
    assert_eq!(
        checked(home.path(), &config, &variables[1..])?("log"),
        json!(["debug", "environment", "RUST_LOG"])
    );
    let loud = [&config[..], &["-v"]].concat();
    assert_eq!(checked(home.path(), &loud, &[])?("log"), json!(["info,micro=debug", "flag", "-v"]));
    assert_eq!(checked(home.path(), &config, &[])?("log"), json!(["warn", "file", format!("{shown}:4")]));

    // An empty variable says nothing, and a file in the current folder is not taken by itself.
    let told = checked(home.path(), &[], &[("MICRO_NODE_CONFIG", "")])?;
    ensure!(told("config")[0] != json!(shown), "{}", told("config"));
    Ok(())
}

#[tokio::test]
async fn the_schema_of_the_file_says_what_each_key_is_and_takes_what_the_node_takes() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let schema = CommandLine::new(None, home.path())?.json(&["schema", "config"]).await?;
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let validator = jsonschema::draft202012::new(&schema)?;
    let good = json!({
        "node": {"name": "alpha"}, "mesh": {"voters": 5, "join": ["a:1"]},
        "limits": {"login": "off", "account": 7}, "audit": {"extent": "all"},
    });
    assert!(validator.is_valid(&good), "{schema}");
    for bad in [
        json!({"node": {"nmae": "alpha"}}),
        json!({"mesh": {"voters": 4}}),
        json!({"limits": {"login": 0}}),
        json!({"limits": {"login": null}}),
        json!({"mesh": 7}),
        json!({"audit": {"extent": "some"}}),
    ] {
        assert!(!validator.is_valid(&bad), "{bad}");
    }
    Ok(())
}
