//! What `micro-node schema` tells, and what is printed line by line. That each document is of its shape is checked
//! wherever a command is run.

use anyhow::{Context, ensure};
use micro_tests::{Cluster, CommandLine, Shapes};
use std::fs;

#[tokio::test]
async fn a_shape_is_shown_by_either_name_and_another_is_told_what_was_meant() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let cli = CommandLine::new(None, home.path())?;
    let schema = cli.json(&["schema", "status"]).await?;
    assert_eq!(schema["$id"], "micro-node/status/v1");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema, cli.json(&["schema", "micro-node/status/v1", "-o", "json"]).await?);
    let outcome = cli.run(&["schema", "stauts", "-o", "json"]).await?;
    ensure!(outcome.code == 5 && outcome.stderr.contains("`micro-node schema status`"), "{outcome:?}");
    let listed = cli.ok(&["schema"]).await?;
    ensure!(listed.contains("\nmember ") && listed.contains("cluster remove, drain"), "{listed}");
    let names = cli.ok(&["schema", "-o", "name"]).await?;
    assert_eq!(names.lines().count(), Shapes::told().await?.schemas().len());
    Ok(())
}

#[tokio::test]
async fn what_goes_on_is_of_its_shape_line_by_line() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let (cli, shapes) = (cluster.cli(0)?, Shapes::told().await?);
    let file = cluster.root().join("bytes");
    fs::write(&file, b"\xff\x00")?;
    cli.ok(&["store", "write", "a", "1", "--meta", "by=me", "--expiry", "1h"]).await?;
    cli.ok(&["store", "write", "b", &format!("@{}", file.display())]).await?;
    cli.ok(&["store", "delete", "b"]).await?;
    cli.ok(&["config", "set", "shop", "{\"open\":true,\"name\":null}"]).await?;
    let node = cluster.client(0).await?;
    let lead = node.election("scheduler").campaign("host-7").await?;
    let lease = cli.json(&["store", "lease", "grant", "1h", "-o", "json"]).await?;
    let number = lease["item"]["lease"].to_string();
    let kept = cli.json(&["store", "lease", "keep-alive", &number, "--once", "-o", "json"]).await?;
    ensure!(kept["item"]["lease"] == lease["item"]["lease"], "{kept}");
    ensure!(kept["item"]["ttl_ms"] == 3_600_000, "{kept}");
    let words: [(&str, &[&str], &str); 5] = [
        ("store-watch", &["store", "watch", "--from", "1", "--limit", "3"], "value_base64"),
        ("store-export", &["store", "export"], "\"by\":\"me\""),
        ("election-lead", &["election", "scheduler", "--observe", "--limit", "1"], "host-7"),
        ("audit-entry", &["audit", "list"], "verdict"),
        ("status", &["status"], "alpha"),
    ];
    for (name, words, part) in words {
        for format in ["json", "jsonl"] {
            if format == "json" && name == "audit-entry" {
                continue;
            }
            let text = cli.ok(&[words, &["-o", format]].concat()).await?;
            ensure!(text.contains(part), "{words:?}: {text}");
            for line in text.lines() {
                shapes.is_of(&format!("micro-node/{name}/v1"), &serde_json::from_str(line)?).context(name)?;
            }
        }
    }
    lead.resign().await?;
    // What is watched from now on has to change meanwhile.
    let changes = async {
        for open in ["false", "true"].into_iter().cycle() {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            cli.ok(&["config", "set", "shop.open", open]).await?;
        }
        anyhow::Ok(())
    };
    let words = ["config", "watch", "shop", "--limit", "1", "-o", "jsonl"];
    let line = tokio::select! {
        line = cli.ok(&words) => line?,
        changed = changes => return changed,
    };
    shapes.is_of("micro-node/config-watch/v1", &serde_json::from_str(&line)?)
}
