//! The shape of files and their names.

use super::tree::{assert_none, files, root, shown, text};
use std::{collections::BTreeSet, fs, path::Path};

/// Beyond this a file holds more than one noun.
const LINES_MAX: usize = 450;

/// rustfmt wraps code at 110; comments may run a little further. Lines with a text in quotes are left alone: breaking a
/// message makes it hard to search for.
const COLUMNS_MAX: usize = 120;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 8] = ["util", "utils", "helper", "helpers", "manager", "common", "misc", "stuff"];

/// What a newcomer sees first. A new entry needs a reason better than "it had to go somewhere".
const TOP_LEVEL: [&str; 19] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "actors",
    "clippy.toml",
    "consensus",
    "deny.toml",
    "dev",
    "mesh",
    "node",
    "rustfmt.toml",
    "sdk",
    "simulation",
    "storage",
    "tests",
];

#[test]
fn the_top_level_is_the_agreed_one() {
    let found: BTreeSet<String> = fs::read_dir(root())
        .expect("the workspace can be read")
        .map(|entry| entry.expect("a readable entry").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && name != "target")
        .collect();
    let agreed: BTreeSet<String> = TOP_LEVEL.map(String::from).into();
    let surplus: Vec<_> = found.difference(&agreed).cloned().collect();
    let missing: Vec<_> = agreed.difference(&found).cloned().collect();
    assert_none("not on the list of the top level", &surplus);
    assert_none("missing from the top level", &missing);
}

#[test]
fn a_file_is_one_noun_long() {
    let mut findings = Vec::new();
    for file in files(root(), "rs") {
        let lines = text(&file).lines().count();
        if lines > LINES_MAX {
            findings.push(format!("{}: {lines} lines", shown(&file)));
        }
    }
    assert_none("split where a second noun appears", &findings);
}

#[test]
fn lines_fit_a_window() {
    let mut findings = Vec::new();
    for file in files(root(), "rs") {
        for (number, line) in text(&file).lines().enumerate() {
            let columns = line.chars().count();
            if columns > COLUMNS_MAX && !line.contains('"') {
                findings.push(format!("{}:{}: {columns} columns", shown(&file), number + 1));
            }
        }
    }
    assert_none("break the line", &findings);
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not find itself.
    let leftovers = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        "#[ignore",
    ];
    let mut findings = Vec::new();
    for file in files(root(), "rs").iter().filter(|file| !file.ends_with("tidy/sources.rs")) {
        for (number, line) in text(file).lines().enumerate() {
            if leftovers.iter().any(|leftover| line.contains(leftover)) {
                findings.push(format!("{}:{}: {}", shown(file), number + 1, line.trim()));
            }
        }
    }
    assert_none("finish it, or take it out", &findings);
}

#[test]
fn names_say_what_is_inside() {
    let mut findings = Vec::new();
    for file in files(root(), "rs") {
        let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let folder = file.parent().map(stem).unwrap_or_default();
        if [stem(&file), folder].iter().any(|name| EMPTY_NAMES.contains(&name.as_str())) {
            findings.push(shown(&file));
        }
    }
    assert_none("name it for what it really is", &findings);
}

#[test]
fn a_module_with_parts_is_a_whole_folder() {
    let mut findings = Vec::new();
    for file in files(root(), "rs") {
        if file.with_extension("").is_dir() {
            findings.push(shown(&file));
        }
    }
    assert_none("move it to mod.rs in the folder beside it", &findings);
}
