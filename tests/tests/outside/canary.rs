//! Secrets that are written once and then looked for everywhere: in what nodes log at their most talkative, in errors,
//! documents and metrics, in what others see of processes, in the audit log, and in all that lies on disks.

use crate::http::clerk;
use anyhow::{Context, ensure};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use micro_tests::{Cluster, CommandLine, Outcome, Plan, get, get_as, post, send};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// What stands in front of the base64 of a join token.
const TOKEN_PREFIX: &str = "mnt1.";
/// The end of a join token: 32 bytes that nobody may know, and four that tell a mistake.
const TOKEN_SECRET: usize = 32;
const TOKEN_CHECKSUM: usize = 4;

/// A secret, in the forms that it may be found in.
struct Canary {
    name: &'static str,
    forms: Vec<Vec<u8>>,
    /// Files below the data directories that may hold it.
    rests: &'static [&'static str],
}

impl Canary {
    /// A text that is not found by chance.
    fn text(name: &'static str, text: &str, rests: &'static [&'static str]) -> Self {
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        // Base64 of what it is a part of: from each of three places on, without the ends that its neighbours change.
        let shifted = (0..3).map(|shift| {
            let text = STANDARD.encode([&b"xx"[..shift], text.as_bytes()].concat());
            text.as_bytes()[4..text.len() - 4].to_vec()
        });
        let forms = [text.as_bytes().to_vec(), hex.into_bytes()].into_iter().chain(shifted).collect();
        Canary { name, forms, rests }
    }

    fn is_in(&self, bytes: &[u8]) -> bool {
        self.forms.iter().any(|form| bytes.windows(form.len()).any(|window| window == form))
    }
}

/// All files below a folder.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(files(&path)?),
            false => found.push(path),
        }
    }
    Ok(found)
}

/// What was seen, and where.
#[derive(Default)]
struct Sightings {
    places: Vec<(String, Vec<u8>)>,
}

impl Sightings {
    fn add(&mut self, place: &str, bytes: impl Into<Vec<u8>>) {
        self.places.push((place.to_owned(), bytes.into()));
    }

    /// What a command has said, as far as it is not data that was asked for.
    fn command(&mut self, place: &str, outcome: Outcome) {
        self.add(place, outcome.stdout + &outcome.stderr);
    }

    /// The places where a canary is.
    fn of(&self, canaries: &[Canary]) -> Vec<String> {
        let pairs = canaries.iter().flat_map(|canary| self.places.iter().map(move |place| (canary, place)));
        let seen = pairs.filter(|(canary, (_, bytes))| canary.is_in(bytes));
        seen.map(|(canary, (place, _))| format!("the {} is in {place}", canary.name)).collect()
    }
}

/// A file with a secret, for who takes it as `@FILE`.
fn secret_file(cluster: &Cluster, name: &str, text: &str) -> anyhow::Result<String> {
    let path = cluster.root().join(name);
    fs::write(&path, text)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(format!("@{}", path.display()))
}

/// Does all that somebody could do with secrets, good and bad, and takes down what is said.
async fn use_them(cluster: &Cluster, seen: &mut Sightings) -> anyhow::Result<String> {
    let cli = cluster.cli(0)?;
    let at = cluster.members[0].at();
    let password = secret_file(cluster, "password", "canary-password-7Qk2")?;
    let wrong = secret_file(cluster, "wrong", "canary-wrong-9Zp4")?;
    let setting = secret_file(cluster, "setting", "canary-setting-3Wd8")?;
    for (place, arguments) in [
        ("auth create", &["auth", "create", "account", "jane", "--secret", &password][..]),
        ("auth list", &["auth", "list", "accounts", "-o", "json"]),
        ("config set", &["config", "set", "shop.key", &setting, "--secret"]),
        ("config get", &["config", "get", "shop"]),
        ("config get as json", &["config", "get", "shop.key", "-o", "json"]),
        ("config history", &["config", "history", "shop", "-o", "json"]),
        ("config export", &["config", "export"]),
        ("config list", &["config", "list", "-o", "json"]),
        (
            "config schema set",
            &["config", "schema", "set", "shop", r#"{"properties":{"key":{"type":"integer"}}}"#],
        ),
        ("a refused config set", &["config", "set", "shop.key", &setting, "--secret"]),
        ("a refused config set", &["config", "set", "shop.key", &wrong, "--secret"]),
        ("the settings", &["config", "view", "-o", "json"]),
        ("the status", &["status", "-o", "json"]),
        ("a conflict", &["store", "write", "secret", "canary-record-5Mh1", "--if-version", "77"]),
        ("the audit log", &["audit", "list"]),
    ] {
        seen.command(place, cli.run(arguments).await?);
    }
    let elsewhere = CommandLine::new(Some(at.proxy.to_string()), &cluster.root().join("elsewhere"))?;
    for secret in [&password, &wrong] {
        seen.command("a login", elsewhere.run(&["login", "jane", "--password", secret]).await?);
    }
    cli.ok(&["store", "write", "secret", "canary-record-5Mh1"]).await?;
    cli.ok(&["blob", "put", "secret", &secret_file(cluster, "blob", "canary-blob-6Tn3")?]).await?;

    let token = cluster.client(0).await?.create_token(std::time::Duration::from_secs(600)).await?;
    let token = token.token.expose().to_owned();
    // A token with one letter changed is no token; one of another mesh is refused by this one.
    let stale = secret_file(cluster, "token", &format!("{}AAAA", &token[..token.len() - 4]))?;
    // Not where a node of this host would live.
    let data = cluster.root().join("refused").display().to_string();
    let start = ["start", "--data-dir", &data, "--join", &at.mesh.to_string(), "--join-token", &stale];
    let alone = CommandLine::new(None, cluster.root())?;
    seen.command("a refused start", alone.run(&start).await?);

    let admin = fs::read_to_string(&at.admin_secret_file)?;
    for (place, bearer) in [
        ("wrong", "canary-wrong-9Zp4"),
        ("almost right", &admin.trim()[1..]),
        ("dotted", "canary-wrong-9Zp4.b.c"),
    ] {
        for path in ["/-/v1/store/read?key=secret", "/clerk/echo", "/metrics"] {
            let answer = get_as(at.api, path, bearer).await?;
            seen.add(&format!("the answer to a {place} token at {path}"), answer.headers + &answer.body);
        }
    }
    let login = r#"{"account":"jane","secret":"canary-wrong-9Zp4"}"#;
    for (path, body) in [
        ("/-/v1/auth/login", login),
        ("/-/v1/auth/login", r#"{"account":"jane","secret":{"canary-wrong-9Zp4":1}}"#),
        ("/-/v1/auth/login", r#"{"account":"jane","secret":"canary-wrong-9Zp4"#),
        ("/-/v1/auth/refresh", r#"{"refresh":"canary-wrong-9Zp4"}"#),
    ] {
        let answer = post(at.api, path, body).await?;
        seen.add(&format!("the answer of {path}"), answer.headers + &answer.body);
    }
    // Secrets where none belongs: what the door logs of a request says nothing of it.
    let request = "GET /clerk/echo?token=canary-wrong-9Zp4 HTTP/1.0\r\nhost: 127.0.0.1\r\ncookie: canary-wrong-9Zp4\r\n\
                   proxy-authorization: Basic canary-wrong-9Zp4\r\n\r\n";
    ensure!(send(at.api, request.as_bytes()).await?.status == 200, "it is let in");
    for path in ["/metrics", "/openapi.json", "/health", "/ready"] {
        seen.add(path, get(at.api, path).await?.body);
    }
    Ok(token)
}

/// What others see of the nodes: what they say, their processes, and the audit log.
fn look(cluster: &Cluster, seen: &mut Sightings) -> anyhow::Result<()> {
    for member in &cluster.members {
        let process = format!("/proc/{}", member.at().pid);
        seen.add(&format!("the log of {}", member.name()), fs::read(member.log())?);
        for file in ["cmdline", "environ"] {
            seen.add(&format!("{file} of {}", member.name()), fs::read(format!("{process}/{file}"))?);
        }
        for file in files(&member.data_dir().join("audit"))? {
            seen.add(&format!("{} of {}", file.display(), member.name()), fs::read(&file)?);
        }
    }
    Ok(())
}

/// The places on disks where canaries are that should not be there, and files that others could read.
fn at_rest(cluster: &Cluster, canaries: &[Canary]) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    for member in &cluster.members {
        let data = member.data_dir();
        for file in files(&data)? {
            let bytes = fs::read(&file)?;
            let shown = file.strip_prefix(&data)?.display().to_string();
            let allowed = |canary: &Canary| canary.rests.iter().any(|rest| shown.starts_with(rest));
            for canary in canaries.iter().filter(|canary| !allowed(canary) && canary.is_in(&bytes)) {
                findings.push(format!("the {} is in {shown} of {}", canary.name, member.name()));
            }
            let mode = fs::metadata(&file)?.permissions().mode() & 0o077;
            if shown.starts_with("files/") {
                ensure!(mode == 0, "others may read {shown}: {mode:o}");
            }
        }
        let mode = fs::metadata(&data)?.permissions().mode() & 0o077;
        ensure!(mode == 0, "others may look into the data directory: {mode:o}");
    }
    Ok(findings)
}

#[tokio::test]
async fn no_secret_is_seen_where_it_does_not_belong() -> anyhow::Result<()> {
    let extra = vec!["-vv".to_owned(), "--audit".to_owned(), "all".to_owned()];
    let mut cluster = Cluster::start(Plan { size: 2, extra, ..Plan::default() }, &mut |_| ()).await?;
    let _clerk = clerk::serve(&cluster, 0, "default", 8).await?;
    let mut seen = Sightings::default();
    let token = use_them(&cluster, &mut seen).await?;
    look(&cluster, &mut seen)?;

    let admin = fs::read_to_string(&cluster.members[0].at().admin_secret_file)?;
    let body = URL_SAFE_NO_PAD.decode(token.strip_prefix(TOKEN_PREFIX).context("it begins otherwise")?)?;
    let end = body.len() - TOKEN_CHECKSUM;
    let canaries = [
        Canary::text("password", "canary-password-7Qk2", &[]),
        Canary::text("wrong secret", "canary-wrong-9Zp4", &[]),
        Canary::text("setting", "canary-setting-3Wd8", &[]),
        Canary::text("admin secret", admin.trim(), &["files/admin.secret"]),
        Canary {
            name: "join token",
            forms: vec![body[end - TOKEN_SECRET..end].to_vec(), token.into_bytes()],
            rests: &[],
        },
        // What people write into records and blobs lies on disks as it is.
        Canary::text("record", "canary-record-5Mh1", &["raft", "state", "snapshots"]),
        Canary::text("blob", "canary-blob-6Tn3", &["blobs"]),
    ];
    let findings = seen.of(&canaries);
    ensure!(findings.is_empty(), "{}", findings.join("\n"));
    ensure!(
        seen.places.iter().any(|(_, bytes)| bytes.len() > 100_000),
        "the logs say much: that was looked at"
    );

    // What is on the disks is whole once the nodes have ended.
    let backup = cluster.root().join("backup");
    cluster.cli(0)?.ok(&["cluster", "backup", &backup.display().to_string()]).await?;
    cluster.stop().await?;
    let findings = at_rest(&cluster, &canaries)?;
    ensure!(findings.is_empty(), "{}", findings.join("\n"));
    let mut copies = Sightings::default();
    copies.add("a backup", fs::read(&backup)?);
    let findings = copies.of(&canaries[..5]);
    ensure!(findings.is_empty(), "{}", findings.join("\n"));
    // And it would have been found.
    let blobs = files(&cluster.members[0].data_dir().join("blobs"))?;
    let found = blobs.iter().any(|file| fs::read(file).is_ok_and(|bytes| canaries[6].is_in(&bytes)));
    ensure!(found, "a blob is a file as it was put");
    Ok(())
}
