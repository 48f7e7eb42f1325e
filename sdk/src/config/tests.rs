//! Configurations as programs have them: from real files, and over time.

use super::*;
use crate::wire::Code;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fs, path::Path as FilePath};
use tempfile::TempDir;
use tokio::time::timeout;

/// How long what happens soon may take on a busy machine.
const SOON: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Limits {
    items: u32,
    #[serde(default)]
    name: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Settings {
    limits: Limits,
    patience: Option<String>,
}

fn variables(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder can be made")
}

fn write(folder: &TempDir, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).expect("the file can be written");
    path
}

/// What the next good value is.
async fn next<T: Clone>(receiver: &mut watch::Receiver<T>) -> T {
    timeout(SOON, receiver.changed()).await.expect("it changes soon").expect("the configuration lives");
    receiver.borrow_and_update().clone()
}

/// Waits until something is wrong with what `key` begins with, or nothing is any more.
async fn until_problem(config: &Config, key: &str, wanted: bool) -> String {
    let found = async {
        loop {
            let problems = config.problems();
            let found = problems.iter().find(|(what, _)| what.starts_with(key));
            match (found, wanted) {
                (Some((_, problem)), true) => return problem.clone(),
                (None, false) => return String::new(),
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    timeout(SOON, found).await.expect("it is told soon")
}

#[tokio::test]
async fn a_later_source_wins_whatever_the_order_of_the_calls() {
    let folder = folder();
    let first =
        write(&folder, "first.toml", "a = 2\nb = 2\nc = 2\nd = 2\nwhen = 2026-01-02\n[limits]\nitems = 2\n");
    let second =
        write(&folder, "second.yaml", "# comment\nb: 3\nlimits:\n  name: yes-no\n  list: [a, 1e3, on]\n");
    let third = write(&folder, "third.json", r#"{"c": 4, "hosts": {"a.example": {"port": 1}}}"#);
    let config = Config::for_service("shop")
        .args(["run", "--set", "d=6", "--verbose", "--set=limits.items=7", "--set", "text=a=b"])
        .variables(
            "SHOP_",
            variables(&[("SHOP_D", "5"), ("SHOP_C", "5"), ("SHOP_HOSTS_A_EXAMPLE_PORT", "8")]),
        )
        .file(&first)
        .file(&second)
        .file(&third)
        .file(folder.path().join("none.toml"))
        .defaults(serde_json::json!({"a": 1, "b": 1, "z": 1}))
        .start()
        .await
        .expect("all of it is good");
    let expected = serde_json::json!({
        "z": 1, "a": 2, "b": 3, "c": 5, "d": 6, "text": "a=b", "when": "2026-01-02",
        "limits": {"items": 7, "name": "yes-no", "list": ["a", 1e3, "on"]},
        "hosts": {"a.example": {"port": 8}},
    });
    assert_eq!(config.get::<Value>("").expect("it is JSON"), Some(expected));
    assert_eq!(config.int(r"hosts.a\.example.port"), Ok(Some(8)));
    let origin = config.origin("c").expect("a path").expect("it is there");
    assert_eq!((origin.source, origin.place.as_str()), (Source::Environment, "SHOP_C"));
    assert_eq!(origin.shadowed, [format!("file {}", third.display()), format!("file {}", first.display())]);
    let report = config.report();
    let items = report["values"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|value| value["path"] == "shop.limits.items");
    assert_eq!(items.expect("it is reported")["place"], "--set limits.items");
}

#[tokio::test]
async fn what_can_not_be_understood_keeps_a_program_from_starting() {
    let folder = folder();
    for (name, text, wrong) in [
        ("a.toml", "a = 1\nb = = 2\n", "line 2"),
        ("a.json", "{\"a\": 1,}", "line 1"),
        ("a.yaml", "a: [1\nb: 2\n", "line"),
        ("b.yaml", "- 1\n- 2\n", "no names"),
        ("a.ini", "a=1", ".toml, .json"),
    ] {
        let fault = Config::for_service("shop").file(write(&folder, name, text)).start().await;
        let fault = fault.expect_err("it can't be read");
        let all = format!("{fault} {:?}", fault.help);
        assert!(fault.code == Code::Usage && all.contains(name) && all.contains(wrong), "{all}");
    }
    let none = folder.path().join("none.toml");
    let fault = Config::for_service("shop").required_file(none).start().await.expect_err("it is not there");
    assert_eq!(fault.code, Code::NotFound);
    for name in ["empty.toml", "empty.yaml", "empty.yml"] {
        for text in ["", "# nothing yet\n"] {
            let config = Config::for_service("shop").required_file(write(&folder, name, text)).start().await;
            assert_eq!(config.expect("it says nothing").get::<Value>(""), Ok(None), "{name}");
        }
    }
    for builder in [
        Config::for_service("shop").flags([("a..b", "1")]),
        Config::for_service("shop").args(["--set", "a"]),
        Config::for_service("shop").defaults(1),
        Config::for_service("shop").require_mesh(SOON),
    ] {
        assert_eq!(builder.start().await.expect_err("it makes no sense").code, Code::Usage);
    }
}

#[tokio::test]
async fn a_changed_file_counts_and_one_that_is_broken_does_not() {
    let folder = folder();
    let path = write(&folder, "shop.toml", "[limits]\nitems = 1\n");
    let config = Config::for_service("shop").file(&path).start().await.expect("all of it is good");
    let mut limits = config.watch::<Limits>("limits").expect("it is there");
    assert_eq!(limits.borrow_and_update().items, 1);
    // As an editor does that writes another file and renames it.
    let replace = |text: &str| {
        let new = write(&folder, "shop.toml.new", text);
        fs::rename(new, &path).expect("it can be renamed");
    };
    replace("[limits]\nitems = 2\n");
    assert_eq!(next(&mut limits).await.items, 2);
    fs::write(&path, "[limits]\nitems = = 3\n").expect("it can be written");
    assert!(until_problem(&config, "file", true).await.contains("line 2"));
    assert_eq!((limits.borrow().items, config.int("limits.items")), (2, Ok(Some(2))));
    // It can be read again, but is not what is watched: what is watched stays.
    replace("[limits]\nitems = -4\n");
    let problem = until_problem(&config, "watched", true).await;
    assert!(problem.contains("limits.items") && problem.contains("shop.toml"), "{problem}");
    assert!(config.problems().keys().all(|what| !what.starts_with("file")));
    assert_eq!((limits.borrow().items, config.int("limits.items")), (2, Ok(Some(-4))));
    replace("[limits]\nitems = 5\n");
    assert_eq!(next(&mut limits).await.items, 5);
    until_problem(&config, "watched", false).await;
    // A file that comes and goes.
    fs::remove_file(&path).expect("it can be removed");
    until_problem(&config, "watched", true).await;
    assert_eq!((limits.borrow().items, config.exists("limits")), (5, Ok(false)));
    replace("[limits]\nitems = 6\n");
    assert_eq!(next(&mut limits).await.items, 6);
    drop(config);
    assert!(timeout(SOON, limits.changed()).await.expect("it ends").is_err());
}

#[tokio::test]
async fn a_value_that_is_not_there_is_what_a_type_is_without() {
    let config = Config::for_service("shop").start().await.expect("nothing is wrong with nothing");
    assert_eq!(*config.watch::<Option<u32>>("a").expect("it may be without").borrow(), None);
    #[derive(Deserialize)]
    #[serde(default)]
    struct Defaulted {
        items: u32,
    }
    impl Default for Defaulted {
        fn default() -> Self {
            Defaulted { items: 9 }
        }
    }
    assert_eq!(config.watch::<Defaulted>("a").expect("it has defaults").borrow().items, 9);
    assert_eq!(config.watch::<u32>("a").expect_err("it has none").code, Code::NotFound);
    assert_eq!(config.get::<Value>(""), Ok(None));
}

#[tokio::test]
async fn a_schema_tells_what_variables_mean() {
    let vars = variables(&[("SHOP_LIMITS_ITEMS", "3"), ("SHOP_LIMITS_NAME", "42"), ("SHOP_PATIENCE", "5")]);
    let config = Config::for_service("shop").schema::<Settings>().variables("SHOP_", vars);
    let config = config.start().await.expect("all of it is good");
    let settings = config.get::<Settings>("").expect("it fits").expect("it is there");
    assert_eq!(settings.limits, Limits { items: 3, name: "42".to_owned() });
    assert_eq!(settings.patience.as_deref(), Some("5"));
}

#[tokio::test]
async fn a_number_in_a_variable_is_one_whatever_lies_below_it() {
    let folder = folder();
    let file = write(&folder, "shop.toml", "[limits]\nitems = \"many\"\nname = 7\n");
    for (name, fits) in [("OTHER", false), ("LIMITS_ITEMS", true)] {
        let vars = variables(&[(&format!("SHOP_{name}"), "30"), ("SHOP_LIMITS_NAME", "8")]);
        let config = Config::for_service("shop").file(&file).variables("SHOP_", vars);
        let config = config.start().await.expect("it starts");
        let limits = config.get::<Limits>("limits");
        match fits {
            true => {
                let wanted = Limits { items: 30, name: "8".to_owned() };
                assert_eq!(limits, Ok(Some(wanted)));
            }
            false => assert!(limits.expect_err("it is a text").message.contains("shop.toml")),
        }
    }
}

#[tokio::test]
async fn variables_that_could_mean_two_things_are_told() {
    let config = Config::for_service("shop")
        .defaults(serde_json::json!({"a": {"b_c": 1}, "a_b": {"c": 1}}))
        .variables("SHOP_", variables(&[("SHOP_A_B_C", "2")]))
        .start()
        .await
        .expect("it starts nevertheless");
    assert!(config.problems()["environment SHOP_A_B_C"].contains("__"));
    assert_eq!(config.int("a.b_c"), Ok(Some(1)));
}

#[tokio::test]
async fn secrets_are_in_no_print_of_anything() {
    let builder = Config::for_service("shop").secret("db.password").flags([("db.password", "hunter2")]);
    let config = builder.start().await.expect("all of it is good");
    let shown = format!("{config:?} {:?} {} {}", config.snapshot(), config.snapshot(), config.report());
    assert!(!shown.contains("hunter2") && shown.contains("[secret]"), "{shown}");
    assert_eq!(config.string("db.password"), Ok(Some("hunter2".to_owned())));
    assert!(!format!("{:?}", config.int("db.password")).contains("hunter2"));
}

#[tokio::test]
async fn a_mesh_that_is_away_is_done_without_unless_it_is_required() {
    let address = crate::client::Address::Unix(FilePath::new("/nowhere/node.sock").to_owned());
    let channel = tonic::transport::Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
    let node = crate::Node::over(address, channel).with_timeout(Duration::from_millis(200));
    let builder = || Config::for_service("shop").defaults(serde_json::json!({"a": 1})).mesh(&node);
    let config = builder().start().await.expect("it starts without");
    assert_eq!((config.int("a"), config.snapshot().version()), (Ok(Some(1)), 0));
    assert!(config.problems()["mesh"].contains("trying again"));
    let fault = builder().require_mesh(Duration::from_millis(300)).start().await.expect_err("it is required");
    assert_eq!(fault.code, Code::Unavailable);
}
