//! The bans and version floors of deny.toml, read over Cargo.lock.

use super::tree::{assert_none, root, toml};

type Version = (u64, u64, u64);

/// One entry of `[[bans.deny]]`: a whole crate, or all its versions below a floor.
struct Ban {
    name: String,
    floor: Option<Version>,
}

impl Ban {
    fn parse(text: &str) -> Self {
        let Some((name, rule)) = text.split_once(':') else { return Ban { name: text.into(), floor: None } };
        let floor = rule.strip_prefix('<').and_then(version);
        assert!(floor.is_some(), "deny.toml: {text:?} must read name or name:<1.2.3");
        Ban { name: name.into(), floor }
    }

    fn hits(&self, name: &str, found: Version) -> bool {
        self.name == name && self.floor.is_none_or(|floor| found < floor)
    }
}

/// The three numbers of a version. A pre-release counts as its release: floors are far from any.
fn version(text: &str) -> Option<Version> {
    let text = text.split(['-', '+']).next()?;
    let mut numbers = text.split('.').map(str::parse);
    let version = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
    numbers.next().is_none().then_some(version)
}

#[test]
fn nothing_banned_or_below_its_floor_is_locked() {
    let deny = toml(&root().join("deny.toml"));
    let bans: Vec<Ban> = deny["bans"]["deny"]
        .as_array()
        .expect("deny.toml has bans")
        .iter()
        .map(|ban| Ban::parse(ban["crate"].as_str().expect("a ban names a crate")))
        .collect();
    assert!(bans.len() >= 12, "the list of floors and bans has shrunk");

    let lock = toml(&root().join("Cargo.lock"));
    let mut findings = Vec::new();
    for package in lock["package"].as_array().expect("Cargo.lock lists packages") {
        let (name, text) =
            (package["name"].as_str().expect("a name"), package["version"].as_str().expect("a version"));
        let found = version(text).unwrap_or_else(|| panic!("{name} {text} is no version"));
        if bans.iter().any(|ban| ban.hits(name, found)) {
            findings.push(format!("{name} {text}"));
        }
    }
    assert_none("deny.toml forbids", &findings);
}

#[test]
fn every_ban_says_why() {
    let deny = toml(&root().join("deny.toml"));
    for ban in deny["bans"]["deny"].as_array().expect("deny.toml has bans") {
        assert!(ban.get("reason").is_some(), "{ban} has no reason");
    }
}

#[test]
fn a_floor_hits_what_lies_below_it_and_nothing_else() {
    let ban = Ban::parse("quinn-proto:<0.11.14");
    assert!(ban.hits("quinn-proto", version("0.11.13").unwrap()));
    assert!(ban.hits("quinn-proto", version("0.9.20").unwrap()));
    assert!(!ban.hits("quinn-proto", version("0.11.14").unwrap()));
    assert!(!ban.hits("quinn-proto", version("1.0.0-rc.1+build").unwrap()));
    assert!(!ban.hits("quinn", version("0.11.13").unwrap()));
    assert!(Ban::parse("rsa").hits("rsa", version("9.9.9").unwrap()));
}
