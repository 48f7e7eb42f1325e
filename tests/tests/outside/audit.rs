//! The audit log: who asked for what, in files that show when they were changed.

use crate::doors::ask;
use anyhow::{Context, ensure};
use micro_sdk::client::{AuditEntry, AuditQuery, NewAccount, NewRule, NodeAudit};
use micro_tests::{Cluster, Outcome, Plan, get, get_as, post, until};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tonic::transport::Endpoint;

/// What was told is on the disk within a second; more for a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(10);

async fn cluster(extra: &[&str]) -> anyhow::Result<Cluster> {
    let extra = extra.iter().map(|argument| (*argument).to_owned()).collect();
    Cluster::start(Plan { size: 1, extra, ..Plan::default() }, &mut |_| ()).await
}

/// The files of the first node's log, oldest first.
fn files(cluster: &Cluster) -> anyhow::Result<Vec<PathBuf>> {
    let directory = cluster.members[0].data_dir().join("audit");
    let files = fs::read_dir(directory)?.map(|file| Ok(file?.path())).collect::<anyhow::Result<Vec<_>>>();
    files.map(|mut files| {
        files.sort();
        files
    })
}

/// The entries as they lie there.
fn written(cluster: &Cluster) -> anyhow::Result<Vec<Value>> {
    let mut entries = Vec::new();
    for file in files(cluster)? {
        for line in fs::read_to_string(&file)?.lines() {
            entries.push(serde_json::from_str(line).with_context(|| line.to_owned())?);
        }
    }
    Ok(entries)
}

/// Reads the log of the first node without that node.
async fn verify(cluster: &Cluster) -> anyhow::Result<Outcome> {
    let data = cluster.members[0].data_dir();
    cluster.cli(0)?.run(&["audit", "verify", "--data-dir", &data.display().to_string()]).await
}

async fn listed(cluster: &Cluster, query: AuditQuery) -> anyhow::Result<Vec<AuditEntry>> {
    let mut entries = cluster.client(0).await?.audit(query).await?;
    let mut listed = Vec::new();
    while let Some(entry) = entries.next().await? {
        listed.push(entry);
    }
    Ok(listed)
}

/// Waits for an entry that shows all of this.
async fn shown(cluster: &Cluster, fields: &[(&str, &str)]) -> anyhow::Result<Value> {
    until(&format!("an entry with {fields:?}"), PATIENCE, async || {
        let entries = written(cluster)?;
        let found = entries.iter().find(|entry| fields.iter().all(|(name, value)| entry[*name] == **value));
        found.cloned().with_context(|| format!("not among {entries:?}"))
    })
    .await
}

#[tokio::test]
async fn what_was_refused_and_what_was_changed_is_listed_and_what_is_secret_is_not() -> anyhow::Result<()> {
    let cluster = cluster(&[]).await?;
    let (admin, at) = (cluster.client(0).await?, cluster.members[0].at().clone());
    let created = admin.auth().create_account("jane", NewAccount::default()).await?;
    let secret = created.secret.context("a secret was made")?;
    let login = admin.auth().login("jane", &secret).await?;
    let wrong = "not-what-it-is-0123456789".to_owned();
    ensure!(admin.auth().login("jane", &wrong.clone().into()).await.is_err(), "the secret is wrong");
    let rule = NewRule { scope: "*".to_owned(), resource: "store:x/*:read".to_owned(), ..NewRule::default() };
    admin.auth().create_rule("some", rule).await?;
    admin.create_token(Duration::from_secs(60)).await?;
    admin.config().set("shop.open", true).await?;
    let channel = Endpoint::from_shared(format!("http://{}", at.proxy))?.connect().await?;
    let token = login.access.expose();
    ensure!(ask(&channel, "/micro.v1.Node/Status", Some(token)).await?.is_err(), "no rule grants it");
    ensure!(ask(&channel, "/micro.v1.Node/Drain", Some("a-bad-token")).await?.is_err(), "it is none");
    ensure!(
        get_as(at.api, "/shop/secret-in-the-path", "another-bad-token").await?.status == 401,
        "it is none"
    );
    ensure!(post(at.api, "/-/v1/store/read", "{}").await?.status == 401, "nobody is asked who they are");

    for fields in [
        &[
            ("resource", "auth:accounts:write"),
            ("verdict", "allowed"),
            ("caller", "admin"),
            ("door", "socket"),
        ][..],
        &[("action", "login"), ("verdict", "allowed"), ("account", "default/jane")],
        &[("action", "login"), ("verdict", "denied"), ("account", "default/jane")],
        &[("resource", "auth:rules:write"), ("verdict", "allowed")],
        &[("resource", "network:tokens:write"), ("verdict", "allowed")],
        &[("resource", "config:shop.open:write"), ("verdict", "allowed")],
        &[
            ("resource", "network:status:read"),
            ("verdict", "denied"),
            ("account", "default/jane"),
            ("door", "proxy"),
        ],
        &[
            ("resource", "/micro.v1.Node/Drain"),
            ("action", "enter"),
            ("verdict", "denied"),
            ("door", "proxy"),
        ],
        &[("resource", "/shop"), ("action", "enter"), ("verdict", "denied"), ("door", "api")],
        &[
            ("resource", "/-/v1/store/read"),
            ("action", "enter"),
            ("verdict", "denied"),
            ("caller", "anonymous"),
        ],
    ] {
        let entry = shown(&cluster, fields).await?;
        let peer = entry["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:"));
        ensure!(peer == (entry["door"] != "socket"), "{entry}");
        ensure!(entry["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{entry}");
    }
    let traced = shown(&cluster, &[("resource", "/shop")]).await?;
    ensure!(traced["trace"].as_str().is_some_and(|trace| trace.len() == 32), "{traced}");
    ensure!(admin.store().get("k").await?.is_none(), "it is there to be read");
    ensure!(
        !written(&cluster)?.iter().any(|entry| entry["resource"] == "store:default/default:read"),
        "a read"
    );

    let denied = listed(&cluster, AuditQuery { denied: true, ..AuditQuery::default() }).await?;
    ensure!(denied.len() >= 5 && denied.iter().all(|entry| entry.verdict == "denied"), "{denied:?}");
    let jane = AuditQuery { account: Some("jane".to_owned()), limit: Some(2), ..AuditQuery::default() };
    let jane = listed(&cluster, jane).await?;
    ensure!(jane.len() == 2 && jane.iter().all(|entry| entry.account == "default/jane"), "{jane:?}");
    let outcome = cluster.cli(0)?.run(&["audit", "list", "-n", "1"]).await?;
    ensure!(outcome.code == 0 && outcome.stderr.contains("the log of"), "{outcome:?}");
    let text = cluster.cli(0)?.ok(&["audit", "list", "--denied", "--since", "1h"]).await?;
    ensure!(
        text.contains("DENIED") && text.contains("jane") && text.contains("network:status:read"),
        "{text}"
    );
    let over_http = format!("authorization: Bearer {}", fs::read_to_string(&at.admin_secret_file)?.trim());
    let request = format!("GET /-/v1/audit/verify HTTP/1.0\r\nhost: {}\r\n{over_http}\r\n\r\n", at.api);
    let answer = micro_tests::send(at.api, request.as_bytes()).await?;
    ensure!(answer.status == 200 && answer.json()?["nodes"][0]["found"]["head"].is_string(), "{answer:?}");

    let all: String = files(&cluster)?.iter().map(fs::read_to_string).collect::<Result<_, _>>()?;
    for secret in [secret.expose(), &wrong, token, "a-bad-token", "another-bad-token", "secret-in-the-path"] {
        ensure!(!all.contains(secret), "{secret} is in the log");
    }
    for file in files(&cluster)? {
        ensure!(fs::metadata(&file)?.permissions().mode() & 0o777 == 0o600, "{}", file.display());
    }
    let metrics = get(at.api, "/metrics").await?.body;
    ensure!(metrics.contains("micro_node_audit_dropped_total 0"), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn calls_and_reads_are_kept_only_where_that_is_asked_for() -> anyhow::Result<()> {
    for (extent, reads, changes) in [("all", true, true), ("off", false, false)] {
        let mut cluster = cluster(&["--audit", extent]).await?;
        let admin = cluster.client(0).await?;
        admin.store().get("k").await?;
        admin.config().set("a", 1).await?;
        ensure!(cluster.members[0].stop().await? == 0, "it ends well");
        let entries = written(&cluster)?;
        let has = |resource: &str| entries.iter().any(|entry| entry["resource"] == resource);
        ensure!(has("store:default/default:read") == reads, "{extent}: {entries:?}");
        ensure!(has("config:a:write") == changes, "{extent}: {entries:?}");
        // That nothing is kept is kept.
        ensure!(entries[0]["event"] == "started" && entries[0]["action"] == extent, "{entries:?}");
        ensure!(verify(&cluster).await?.code == 0, "{extent}");
    }
    Ok(())
}

#[tokio::test]
async fn a_kill_leaves_a_log_that_verifies_and_goes_on() -> anyhow::Result<()> {
    let mut cluster = cluster(&[]).await?;
    let mut head = None;
    for round in 0..5 {
        let client = cluster.client(0).await?;
        let busy = tokio::spawn(async move {
            for number in 0.. {
                // It ends with the node.
                if client.config().set("a", number).await.is_err() {
                    return;
                }
            }
        });
        let wanted = round * 10;
        until("changes were kept", PATIENCE, async || {
            let changes = written(&cluster).unwrap_or_default().len();
            ensure!(changes > wanted, "{changes} so far");
            Ok(())
        })
        .await?;
        cluster.members[0].kill().await?;
        busy.await?;
        let found = verify(&cluster).await?;
        ensure!(found.code == 0, "{found:?}");
        let data = cluster.members[0].data_dir().display().to_string();
        let told = cluster.cli(0)?.json(&["audit", "verify", "--data-dir", &data, "-o", "json"]).await?;
        let end = told["items"][0]["head"].as_str().context("it has a last entry")?.to_owned();
        if let Some(head) = head.replace(end) {
            let kept = ["audit", "verify", "--data-dir", &data, "--head", &head];
            ensure!(cluster.cli(0)?.run(&kept).await?.code == 0, "what was the end once is there still");
        }
        cluster.members[0].start(&[]).await?;
    }
    let found = cluster.client(0).await?.verify_audit(None, None).await?;
    ensure!(found.iter().all(NodeAudit::is_sound), "the node says so too: {found:?}");
    let starts = written(&cluster)?.iter().filter(|entry| entry["event"] == "started").count();
    ensure!(starts == 6, "{starts} starts");
    // The last bytes of a line that was being written are no break, and told.
    cluster.members[0].stop().await?;
    let last = files(&cluster)?.pop().context("there is one")?;
    fs::write(&last, [fs::read(&last)?, b"{\"seq\":".to_vec()].concat())?;
    ensure!(verify(&cluster).await?.code == 0, "a torn line is none");
    cluster.members[0].start(&[]).await?;
    let torn = shown(&cluster, &[("event", "torn")]).await?;
    ensure!(torn["count"] == 7 && verify(&cluster).await?.code == 0, "{torn}");
    Ok(())
}

#[tokio::test]
async fn an_edited_byte_a_removed_line_and_a_removed_file_are_found() -> anyhow::Result<()> {
    type Deed = fn(&[PathBuf]) -> std::io::Result<()>;
    fn edit(file: &Path, change: impl FnOnce(&mut Vec<String>)) -> std::io::Result<()> {
        let mut lines: Vec<_> = fs::read_to_string(file)?.lines().map(str::to_owned).collect();
        change(&mut lines);
        fs::write(file, lines.join("\n") + "\n")
    }
    // Files of the smallest size, so that there are several.
    let mut cluster = cluster(&["--audit-file-size", "4KiB", "--audit-files", "100"]).await?;
    let admin = cluster.client(0).await?;
    for number in 0..60 {
        admin.config().set("a", number).await?;
    }
    ensure!(cluster.members[0].stop().await? == 0, "it ends well");
    ensure!(files(&cluster)?.len() >= 4 && verify(&cluster).await?.code == 0, "{:?}", files(&cluster)?);
    let cases: [(&str, Deed, usize, &str); 6] = [
        (
            "a byte",
            |files| edit(&files[1], |lines| lines[2] = lines[2].replace("allowed", "allowee")),
            1,
            ":4: ",
        ),
        ("a line", |files| edit(&files[1], |lines| drop(lines.remove(3))), 1, ":4: "),
        (
            "the last line",
            |files| edit(&files[files.len() - 1], |lines| drop(lines.pop())),
            usize::MAX,
            "at the end",
        ),
        ("the first file", |files| fs::remove_file(&files[0]), 1, ":1: "),
        ("a file", |files| fs::remove_file(&files[1]), 2, ":1: "),
        ("the last file", |files| fs::remove_file(&files[files.len() - 1]), usize::MAX, "at the end"),
    ];
    for (what, deed, index, named) in cases {
        let kept: Vec<_> = files(&cluster)?
            .into_iter()
            .map(|file| Ok((fs::read(&file)?, file)))
            .collect::<anyhow::Result<_>>()?;
        let before = files(&cluster)?;
        deed(&before)?;
        let found = verify(&cluster).await?;
        let name = before.get(index).and_then(|file| file.file_name()).unwrap_or_default().to_string_lossy();
        ensure!(found.code == 1, "{what}: {found:?}");
        ensure!(
            found.stderr.contains(&format!("{name}{named}"))
                || (name.is_empty() && found.stderr.contains(named)),
            "{what}: {found:?}"
        );
        for (bytes, file) in kept {
            fs::write(file, bytes)?;
        }
    }
    // It stays found when the node goes on.
    fs::remove_file(&files(&cluster)?[1])?;
    cluster.members[0].start(&[]).await?;
    let outcome = cluster.cli(0)?.run(&["audit", "verify", "-o", "json"]).await?;
    let found: Value = serde_json::from_str(&outcome.stdout)?;
    ensure!(outcome.code == 1 && found["items"][0]["breaks"][0]["line"] == 1, "{outcome:?}");
    // And whoever looks for something else is told.
    until("the status tells of it", PATIENCE, async || {
        let status = cluster.client(0).await?.status().await?;
        let told = status.problems.iter().any(|problem| problem.help.contains("audit verify --node"));
        ensure!(told, "{:?}", status.problems);
        Ok(())
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn old_files_are_given_up_with_a_word_and_those_to_come_can_be_followed() -> anyhow::Result<()> {
    let cluster = cluster(&["--audit-file-size", "4KiB", "--audit-files", "3"]).await?;
    let admin = cluster.client(0).await?;
    let mut following =
        admin.audit(AuditQuery { limit: Some(0), follow: true, ..AuditQuery::default() }).await?;
    let mut followed = 0;
    for number in 0..100 {
        admin.config().set("a", number).await?;
    }
    while followed < 100 {
        let entry = tokio::time::timeout(PATIENCE, following.next()).await??.context("it goes on")?;
        followed += usize::from(entry.resource == "config:a:write");
    }
    let sizes: Vec<u64> =
        files(&cluster)?.iter().map(|file| Ok(fs::metadata(file)?.len())).collect::<anyhow::Result<_>>()?;
    ensure!(sizes.len() == 3 && sizes.iter().all(|size| *size < 8 << 10), "{sizes:?}");
    shown(&cluster, &[("event", "retired")]).await?;
    let found = admin.verify_audit(None, None).await?;
    ensure!(found[0].found.as_ref().is_some_and(|log| log.breaks.is_empty() && log.first > 1), "{found:?}");
    ensure!(verify(&cluster).await?.code == 0, "{found:?}");
    Ok(())
}

#[tokio::test]
async fn the_logs_of_all_nodes_are_verified_from_any_and_one_that_is_down_is_told_of() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    let cli = cluster.cli(0)?;
    let third = cluster.members[2].name().to_owned();
    let table = cli.ok(&["audit", "verify"]).await?;
    for member in &cluster.members {
        let line = table.lines().find(|line| line.starts_with(member.name())).context("each has a row")?;
        ensure!(line.contains("sound"), "{table}");
    }
    // A byte of an entry in the middle of the third one's file, wherever it is a digit of a hash.
    let folder = cluster.members[2].data_dir().join("audit");
    let file = fs::read_dir(folder)?.next().context("it has a file")??.path();
    cluster.client(2).await?.config().set("a", 1).await?;
    until("an entry of that is written", PATIENCE, async || {
        ensure!(fs::read_to_string(&file)?.contains("config:a:write"), "not yet");
        Ok(())
    })
    .await?;
    let text = fs::read_to_string(&file)?.replacen("config:a:write", "config:b:write", 1);
    let line = text.lines().position(|line| line.contains("config:b:write")).context("it was put there")? + 1;
    fs::write(&file, text)?;
    cluster.client(2).await?.config().set("a", 2).await?;
    let name = file.file_name().context("it has a name")?.to_string_lossy().into_owned();
    until("the change is found", PATIENCE, async || {
        let outcome = cli.run(&["audit", "verify"]).await?;
        // The entry behind it says what was there, or the hash of the last one that was synced.
        let told =
            [line, line + 1].iter().any(|line| outcome.stderr.contains(&format!("{third}: {name}:{line}: ")));
        ensure!(outcome.code == 1 && told, "{outcome:?}");
        Ok(())
    })
    .await?;
    let outcome = cli.run(&["audit", "verify", "-o", "json"]).await?;
    let found: Value = serde_json::from_str(&outcome.stdout)?;
    for item in found["items"].as_array().context("there are nodes")? {
        let verdict = if item["name"] == *third { "broken" } else { "sound" };
        assert_eq!(item["verdict"], verdict, "{item}");
    }
    assert_eq!((&found["summary"]["nodes"], &found["summary"]["sound"]), (&3.into(), &2.into()));
    // One of them alone, by its name; a hash is of the one that is asked.
    let outcome = cli.run(&["audit", "verify", "--node", &third]).await?;
    ensure!(outcome.code == 1 && outcome.stdout.lines().count() == 2, "{outcome:?}");
    let own = cluster.members[0].name();
    cli.ok(&["audit", "verify", "--node", own]).await?;
    let told = cli.json(&["audit", "verify", "--node", own, "-o", "json"]).await?;
    let head = told["items"][0]["head"].as_str().context("it has a last entry")?;
    cli.ok(&["audit", "verify", "--head", head]).await?;
    let outcome = cli.run(&["audit", "verify", "--node", "nobody"]).await?;
    ensure!(outcome.code == 5 && outcome.stderr.contains("there are: "), "{outcome:?}");

    cluster.members[1].stop().await?;
    let second = cluster.members[1].name().to_owned();
    let outcome = cli.run(&["audit", "verify"]).await?;
    ensure!(
        outcome.code == 1 && outcome.stderr.contains(&format!("{second}: its log was not read")),
        "{outcome:?}"
    );
    let row = outcome.stdout.lines().find(|line| line.starts_with(&second)).context("it has a row")?;
    ensure!(row.contains("unknown"), "{row}");
    Ok(())
}
