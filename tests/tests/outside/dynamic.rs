//! Services as commands: what is typed, by the schema that the service tells.

use crate::http::clerk;
use micro_tests::{Cluster, CommandLine, Greeter, until};
use serde_json::{Value, json};
use std::time::Duration;

/// A node with the built greeter and with a clerk, who tells what he was given.
async fn office() -> anyhow::Result<(Cluster, Greeter, clerk::Running)> {
    let cluster = Cluster::of(1).await?;
    let greeter = Greeter::start(cluster.root(), &cluster.members[0], false)?;
    let clerk = clerk::serve(&cluster, 0, "default", 64).await?;
    let cli = cluster.cli(0)?;
    until("helloworld attached", Duration::from_secs(20), async || cli.ok(&["services", "helloworld"]).await)
        .await?;
    Ok((cluster, greeter, clerk))
}

/// What the clerk says that he was given, without what he was not.
async fn given(cli: &CommandLine, words: &[&str]) -> anyhow::Result<Value> {
    let mut answer = cli.json(words).await?;
    if let Some(members) = answer.as_object_mut() {
        members.retain(|_, value| !value.is_null() && *value != json!([]));
    }
    Ok(answer)
}

#[tokio::test]
async fn a_service_is_a_command_whose_flags_are_its_fields() -> anyhow::Result<()> {
    let (cluster, _greeter, _clerk) = office().await?;
    let cli = cluster.cli(0)?;
    for words in [
        &["helloworld", "call", "--name=Jane"][..],
        &["helloworld", "--name", "Jane"],
        &["helloworld", "Greeter.Call", "--name=Jane"],
        &["helloworld", "greeter", "call", "--name=Jane"],
        &["helloworld", "call", "{\"name\":\"John\"}", "--name=Jane"],
        &["--timeout", "20s", "--namespace=default", "helloworld", "call", "--name=Jane"],
        &["call", "helloworld", "call", "--name=Jane"],
        &["call", "helloworld", "greeter.Call", "--name", "Jane", "--retries", "1", "--trace"],
        &["call", "helloworld", "call", "--", "--name=Jane"],
        &["call", "helloworld", "Greeter.call", "{\"name\":\"John\"}", "--name=Jane"],
    ] {
        assert_eq!(cli.json(words).await?, json!({"msg": "Hello Jane"}), "{words:?}");
    }
    let document = cli.json(&["-o", "json", "helloworld", "call", "--name=Jane"]).await?;
    assert_eq!(
        (&document["schema"], &document["item"]["body"]["msg"]),
        (&"micro-node/call/v1".into(), &"Hello Jane".into())
    );
    for (fields, expected) in [
        (&["--id=7", "--name=7", "--share=0.5"][..], json!({"id": 7, "name": "7", "share": 0.5})),
        (&["--open", "--age", "3"], json!({"open": true, "age": 3})),
        (&["--open=false", "--tags=a", "--tags=b=c"], json!({"open": false, "tags": ["a", "b=c"]})),
        (&["--place.zip=10115"], json!({"place": {"zip": 10115}})),
        (&["--place_zip=10115"], json!({"place": {"zip": 10115}})),
        (&["--place={\"zip\":1}", "--name=-"], json!({"place": {"zip": 1}, "name": "-"})),
        (&["--namespace=x"][..0], json!({})),
    ] {
        let words: Vec<&str> = ["clerk", "echo"].iter().chain(fields).copied().collect();
        assert_eq!(given(&cli, &words).await?, expected, "{words:?}");
    }
    assert_eq!(given(&cli, &["clerk"]).await?, json!({"by": "call"}));
    assert_eq!(given(&cli, &["clerk", "open-orders"]).await?, json!({"by": "open"}));
    Ok(())
}

#[tokio::test]
async fn a_service_explains_itself_and_what_does_not_fit() -> anyhow::Result<()> {
    let (cluster, _greeter, _clerk) = office().await?;
    let cli = cluster.cli(0)?;
    for (words, parts) in [
        (
            &["helloworld", "--help"][..],
            &["Endpoints:\n  call ", "Says hello.", "micro-node helloworld ENDPOINT"][..],
        ),
        (
            &["helloworld", "call", "--help"],
            &["Says hello.", "--name=TEXT  Their name. [required]", "The greeting."],
        ),
        (&["clerk", "-h"], &["  echo", "Tells what it was given.", "  open_orders"]),
        (&["clerk", "echo", "-h"], &["--place.zip=INTEGER", "Its number.", "--open[=false]", "--tags=LIST"]),
    ] {
        let text = cli.ok(words).await?;
        for part in parts {
            assert!(text.contains(part), "{words:?} does not say {part:?}:\n{text}");
        }
    }
    for (words, code, parts) in [
        (
            &["helloworld", "cal"][..],
            5,
            &["has no endpoint \"cal\"", "did you mean `micro-node helloworld call`?"][..],
        ),
        (&["helloworld", "call", "--nam=x"], 2, &["has no field \"nam\"", "did you mean `--name`?"]),
        (&["helloworld", "call"], 2, &["name"]),
        (
            &["clerk", "echo", "--age=old"],
            2,
            &["the field \"age\" is an integer, not \"old\"", "clerk echo --help"],
        ),
        (&["clerk", "echo", "--place.zip=x"], 2, &["the field \"place.zip\" is an integer, not \"x\""]),
        (&["clerk", "echo", "--age"], 2, &["the field \"age\" has no value"]),
        (&["clerk", "echo", "--open", "no"], 2, &["unexpected argument \"no\""]),
        (&["clerk", "echo", "-o", "json"], 2, &["micro-node -o … clerk echo"]),
        (
            &["call", "clerk", "echo", "--place.zip=x"],
            2,
            &["the field \"place.zip\" is an integer, not \"x\""],
        ),
        (&["call", "clerk", "ecko", "--age=1"], 5, &["did you mean"]),
        (&["call", "clerk", "echo", "--retrys=1"], 2, &["has no field \"retrys\"", "micro-node call --help"]),
        (&["clerk", "a", "b", "c"], 2, &["unexpected argument \"c\""]),
        (&["clerk", "refuse", "--code=conflict"], 6, &["as asked for", "ask for something else"]),
        (&["helloword", "call"], 5, &["no command is called \"helloword\"", "did you mean `helloworld`?"]),
        (&["stauts"], 5, &["did you mean `status`?"]),
        (&["--namespace=other", "helloworld", "call"], 5, &["in namespace other"]),
        (&["No_Service"], 2, &["no command is called \"No_Service\", and no service can be"]),
    ] {
        let outcome = cli.run(words).await?;
        assert_eq!((outcome.code, outcome.stdout.as_str()), (code, ""), "{words:?}: {}", outcome.stderr);
        for part in parts {
            assert!(outcome.stderr.contains(part), "{words:?} does not say {part:?}: {}", outcome.stderr);
        }
    }
    Ok(())
}

#[tokio::test]
async fn without_a_node_a_service_is_as_unreachable_as_anything() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let nobody = format!("unix:{}", home.path().join("nobody.sock").display());
    let cli = CommandLine::new(Some(nobody), home.path())?;
    let status = cli.run(&["status"]).await?;
    let service = cli.run(&["helloworld", "call", "--name=Jane"]).await?;
    assert_eq!((service.code, &service.stderr), (3, &status.stderr));
    let slip = cli.run(&["stauts"]).await?;
    assert!(slip.code == 3 && slip.stderr.contains("did you mean `micro-node status`?"), "{}", slip.stderr);
    Ok(())
}
