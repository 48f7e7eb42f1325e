//! What files say, and what is said of those that are wrong.

use super::*;
use std::{fs, os::unix::fs::PermissionsExt};

fn parse(text: &str) -> Result<Vec<Said>, Fault> {
    Text { path: Path::new("/etc/x/node.toml"), text }.parse()
}

/// What a good text says, each as `FLAG VALUES PLACE`.
fn told(text: &str) -> Vec<String> {
    let said = parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
    let line = |said: Said| format!("{} {} {}", said.flag, said.values.join(","), said.place);
    said.into_iter().map(line).collect()
}

#[test]
fn every_key_is_what_its_flag_would_be_given() {
    let text = r#"
[node]
name = "alpha"
data_dir = "data"
door_threads = 0
[mesh]
listen = "0.0.0.0:8443"
advertise = "a:1,b:2"
gateway = true
link_timeout = "3s"
cost_per_gb = ["a:b=0.09", "a:c=1"]
join = ["a:1", "b:2"]
join_token_file = "token"
voters = 5
[api]
tls_cert = "/c.pem"
tls_key = "/k.pem"
[limits]
unknown = "off"
account = 7
[log]
filter = "warn,micro=debug"
"#;
    assert_eq!(
        told(text),
        [
            "name alpha /etc/x/node.toml:3",
            "data-dir /etc/x/data /etc/x/node.toml:4",
            "door-threads 0 /etc/x/node.toml:5",
            "mesh-listen 0.0.0.0:8443 /etc/x/node.toml:7",
            "advertise a:1,b:2 /etc/x/node.toml:8",
            "gateway true /etc/x/node.toml:9",
            "link-timeout 3s /etc/x/node.toml:10",
            "cost-per-gb a:b=0.09,a:c=1 /etc/x/node.toml:11",
            "join a:1,b:2 /etc/x/node.toml:12",
            "join-token @/etc/x/token /etc/x/node.toml:13",
            "voters 5 /etc/x/node.toml:14",
            "api-tls-cert /c.pem /etc/x/node.toml:16",
            "api-tls-key /k.pem /etc/x/node.toml:17",
            "limit-unknown off /etc/x/node.toml:19",
            "limit-account 7 /etc/x/node.toml:20",
            "log warn,micro=debug /etc/x/node.toml:22",
        ]
    );
    assert_eq!(
        told("mesh.voters = 3\nplace = {zone = \"z\"}"),
        ["zone z /etc/x/node.toml:2", "voters 3 /etc/x/node.toml:1"]
    );
    assert!(told("").is_empty() && told("# nothing\n[node]\n").is_empty());
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_what_was_meant() {
    for (text, place, part) in [
        ("[node]\nnmae = \"a\"", "2:1", "[node] has no key \"nmae\" | did you mean name?"),
        ("[nodes]\n", "1:2", "no section \"nodes\" | did you mean [node]?"),
        ("limit-unknown = 3", "1:1", "no section \"limit-unknown\" | did you mean unknown in [limits]?"),
        ("[node]\nzone = \"z\"", "2:1", "| did you mean zone in [place]?"),
        ("[mesh]\njoin_token = \"x\"", "2:1", "| did you mean join_token_file in [mesh]?"),
        ("[log]\ncolour = true", "2:1", "| [log] takes filter, format"),
        ("weather = 1", "1:1", "| the file takes node, place, mesh"),
        ("mesh = 7", "1:1", "mesh is a section: [mesh], and below it listen, advertise"),
        ("[[mesh]]\nvoters = 3", "1:3", "mesh is a section"),
        (
            "[mesh]\nlisten = 8443",
            "2:10",
            "mesh.listen: invalid type: integer `8443`, expected an address as",
        ),
        ("[mesh]\nlisten = \"8443\"", "2:10", "mesh.listen: write it as IP:PORT"),
        ("[mesh]\njoin = \"a:1\"", "2:8", "mesh.join: invalid type: string \"a:1\", expected a sequence"),
        ("[mesh]\njoin = [\"a:1\",\n  \"b\"]", "3:3", "mesh.join: "),
        ("[mesh]\nvoters = 4", "2:10", "mesh.voters: it is one of 3, 5"),
        ("[mesh]\nvoters = \"3\"", "2:10", "mesh.voters: invalid type: string \"3\", expected 3 or 5"),
        ("[mesh]\ncertificate_life = \"9s\"", "2:20", "10s to 2160h"),
        ("[proxy]\nlisten = \"0.0.0.0:80\"", "2:10", "would let other hosts in"),
        (
            "[dns]\nlisten = \"on\"",
            "2:10",
            "dns.listen: write it as IP:PORT, or as [IP]:PORT for IPv6; or off",
        ),
        ("[api]\ntls_cert = \"a\"", "2:1", "api.tls_cert needs tls_key"),
        ("[limits]\nlogin = 0", "2:9", "limits.login: it takes a number above 0, or off"),
        ("[limits]\nlogin = true", "2:9", "expected a number above 0, or \"off\""),
        ("[limits]\nlogin = 1.5", "2:9", "floating point `1.5`"),
        ("[audit]\nextent = \"some\"", "2:10", "audit.extent: it is one of changes, all, off"),
        ("[audit]\nfiles = 1", "2:9", "it takes 2 to 10000"),
        ("[node]\ndata_dir = \"~/d\"", "2:12", "only a shell knows what ~ is"),
        ("[log]\nfilter = \"=x=\"", "2:10", "log.filter: "),
        ("[node]\nname = \"a\"\nname = \"b\"", "3:1", "duplicate key"),
        ("[node]\nä = 1", "2:1", ""),
        ("[node\n", "1:6", ""),
        ("[place]\ncloud = \"ä\" zone = 1", "2:13", ""),
    ] {
        let fault = parse(text).expect_err(text);
        let said = format!("{} | {}", fault.message, fault.help.first().expect("it helps"));
        assert_eq!(fault.code, Code::Usage);
        assert!(said.starts_with(&format!("/etc/x/node.toml:{place}: ")), "{text}: {said}");
        assert!(said.contains(part), "{text}: {said}");
    }
}

#[test]
fn a_file_that_nobody_named_is_taken_only_if_nobody_else_could_write_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [own, host] = ["own.toml", "host.toml"].map(|name| folder.path().join(name));
    let first = || first([own.clone(), host.clone()].into_iter());
    assert_eq!(first().expect("there is none"), None);
    fs::write(&host, "").expect("room");
    assert_eq!(first().expect("it is good"), Some(host.clone()));
    fs::write(&own, "").expect("room");
    assert_eq!(first().expect("it is good"), Some(own.clone()));
    fs::set_permissions(&own, fs::Permissions::from_mode(0o646)).expect("it is ours");
    let Err(Failure::Fault(fault)) = first() else { panic!("everybody can write it") };
    assert!(fault.message.contains("own.toml is not taken"), "{fault}");
    let Err(Failure::Fault(fault)) = choose(Some(&own)) else { panic!("everybody can write it") };
    assert!(fault.help[0].starts_with("take that from them: chmod o-w /"), "{fault}");
    assert_eq!(choose(Some(&host)).expect("nobody can write it"), Some(host));
}

#[test]
fn what_is_no_text_and_what_is_too_large_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("node.toml");
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("room");
        read(&path).expect_err("it is no file of settings").message
    };
    assert!(refused(b"[node]\nname = \"\xff\"").contains("node.toml:2:9: it is no text"));
    assert!(refused(&vec![b'#'; (1 << 20) + 1]).contains("more than 1048576 bytes"));
    assert!(read(folder.path()).is_err() && read(Path::new("/nowhere/node.toml")).is_err());
}

#[test]
fn a_token_in_the_place_of_its_file_is_not_repeated() {
    // A token is told by how it is read; what can't be one is taken for a path.
    assert_eq!(told("[mesh]\njoin_token_file = \"@t\""), ["join-token @/etc/x/t /etc/x/node.toml:2"]);
}
