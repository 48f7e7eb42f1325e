//! Who may know whom.

use super::tree::{assert_none, files, root, shown, toml};
use std::collections::BTreeMap;

/// Our crates, each with those of ours that it may depend on. What is not listed here is not allowed, so a new crate
/// starts with a line in this table.
const DIRECTION: [(&str, &[&str]); 12] = [
    ("micro-sdk-macros", &[]),
    ("micro-sdk", &["micro-sdk-macros"]),
    ("helloworld", &["micro-sdk"]),
    ("shop", &["micro-sdk"]),
    ("micro-storage", &["micro-sdk"]),
    ("micro-mesh", &["micro-sdk"]),
    ("base2histogram", &[]),
    ("micro-consensus", &["micro-sdk", "micro-storage", "micro-mesh"]),
    ("micro-actors", &["micro-sdk", "micro-storage", "micro-mesh", "micro-consensus"]),
    ("micro-node", &["micro-sdk", "micro-storage", "micro-mesh", "micro-consensus", "micro-actors"]),
    (
        "micro-simulation",
        &["micro-sdk", "micro-storage", "micro-mesh", "micro-consensus", "micro-actors", "micro-node"],
    ),
    ("micro-tests", &["micro-sdk"]),
];

/// Crates that only their owner may name, so that each can be replaced by touching one crate. The simulation stands in
/// for quinn's socket and so has to name its trait.
const OWNERS: [(&str, &[&str]); 7] = [
    ("openraft", &["micro-consensus"]),
    ("openraft-rt-tokio", &["micro-consensus"]),
    ("chitchat", &["micro-mesh"]),
    ("quinn", &["micro-mesh", "micro-simulation"]),
    ("ractor", &["micro-actors"]),
    ("rocksdb", &["micro-storage"]),
    ("bincode", &["micro-sdk", "micro-storage", "micro-mesh", "micro-consensus", "micro-actors"]),
];

/// The dependencies of every member, of all kinds, by crate name.
fn members() -> BTreeMap<String, Vec<String>> {
    let mut members = BTreeMap::new();
    for manifest in files(root(), "toml").into_iter().filter(|path| path.ends_with("Cargo.toml")) {
        let table = toml(&manifest);
        let Some(package) = table.get("package") else { continue };
        let name = package["name"].as_str().expect("a package has a name").to_owned();
        let lints = table.get("lints").and_then(|lints| lints.get("workspace"));
        assert_eq!(
            lints,
            Some(&toml::Value::Boolean(true)),
            "{} must take the workspace's lints",
            shown(&manifest)
        );
        let mut needs = Vec::new();
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(dependencies) = table.get(kind).and_then(toml::Value::as_table) else { continue };
            needs.extend(dependencies.keys().cloned());
        }
        members.insert(name, needs);
    }
    members
}

#[test]
fn dependencies_point_one_way() {
    let direction = BTreeMap::from(DIRECTION);
    let mut findings = Vec::new();
    for (member, needs) in members() {
        let Some(allowed) = direction.get(member.as_str()) else {
            findings.push(format!("{member} has no line in the table"));
            continue;
        };
        for need in needs.iter().filter(|need| direction.contains_key(need.as_str())) {
            if !allowed.contains(&need.as_str()) {
                findings.push(format!("{member} must not know {need}"));
            }
        }
    }
    assert_none("sdk <- storage, mesh <- consensus <- actors <- node <- simulation", &findings);
}

#[test]
fn each_engine_is_named_by_its_owner_only() {
    let owners = BTreeMap::from(OWNERS);
    let mut findings = Vec::new();
    for (member, needs) in members() {
        for need in needs {
            if owners.get(need.as_str()).is_some_and(|owners| !owners.contains(&member.as_str())) {
                findings.push(format!("{member} names {need}"));
            }
        }
    }
    assert_none("an engine stays inside the crate that owns it", &findings);
}

#[test]
fn every_dependency_has_its_version_in_the_workspace_manifest() {
    let mut findings = Vec::new();
    for manifest in files(root(), "toml").into_iter().filter(|path| path.ends_with("Cargo.toml")) {
        let table = toml(&manifest);
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(dependencies) = table.get(kind).and_then(toml::Value::as_table) else { continue };
            for (name, value) in dependencies {
                if value.get("workspace") != Some(&toml::Value::Boolean(true)) {
                    findings.push(format!("{}: {name}", shown(&manifest)));
                }
            }
        }
    }
    assert_none("write `name.workspace = true`, so that there is one version of each", &findings);
}
