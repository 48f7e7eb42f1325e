//! Copies of one database: snapshots, what is restored of them, and databases that are kept alike.

use anyhow::{Context, ensure};
use futures::TryStreamExt;
use micro_sdk::{
    Node,
    client::{Record, Store},
};
use micro_tests::{Cluster, CommandLine, Outcome, program, until};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Stdio,
    time::{Duration, SystemTime},
};
use tokio::{io::AsyncReadExt, process::Command, sync::watch, task::JoinHandle, time::timeout};

/// How long what happens soon may take on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// An hour, for records that end after the test.
const HOUR: Duration = Duration::from_secs(3600);

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Adds to the arguments what programs want, and gives the item of the answer.
async fn item(cli: &CommandLine, arguments: &[&str]) -> anyhow::Result<Value> {
    let mut all = vec!["-o", "json", "store"];
    all.extend(arguments);
    Ok(cli.json(&all).await?["item"].take())
}

/// A refusal, with its exit code.
async fn refused(cli: &CommandLine, arguments: &[&str], code: i32) -> anyhow::Result<Outcome> {
    let outcome = cli.run(&[&["store"], arguments].concat()).await?;
    ensure!(outcome.code == code, "{arguments:?}: {outcome:?}");
    Ok(outcome)
}

/// The counts of a copy.
fn counts(item: &Value) -> [u64; 4] {
    ["written", "equal", "deleted", "kept"].map(|name| item[name].as_u64().unwrap_or(u64::MAX))
}

/// All records of a database by table, without what each mesh decides itself.
async fn content(database: &Store) -> anyhow::Result<Vec<(String, Record)>> {
    let mut content = Vec::new();
    for table in database.tables().await? {
        let records: Vec<Record> = database.clone().table(&table).scan("").try_collect().await?;
        let bare = |record| (table.clone(), Record { version: 0, created: 0, expires: None, ..record });
        content.extend(records.into_iter().map(bare));
    }
    Ok(content)
}

/// When a record ends.
async fn expiry(table: &Store, key: &str) -> anyhow::Result<SystemTime> {
    let record = table.get(key).await?.context("it is there")?;
    record.expires.context("it ends")
}

/// Fills a database: a table of some pages, and one with all that a record can have.
async fn fill(node: &Node, database: &str) -> anyhow::Result<Store> {
    let database = node.store().database(database);
    let many = database.clone().table("many");
    let mut batch = many.batch();
    for number in 0..2500 {
        batch.push(many.put(format!("k{number:04}"), format!("value {number}")));
    }
    batch.await?;
    let kinds = database.clone().table("kinds");
    kinds.put("bytes", vec![0xff, 0x00, 0xfe]).await?;
    kinds.put("empty", "").await?;
    kinds.put("ends", "in an hour").ttl(HOUR).metadata("by", "me").metadata("of", "them").await?;
    kinds.put("gone", "soon").ttl(Duration::from_millis(500)).await?;
    kinds.put("quoted \"\n日", "\u{1}").await?;
    Ok(database)
}

/// Waits until the record has ended that ends soon.
async fn rest(database: &Store) -> anyhow::Result<()> {
    until("the record has ended", SOON, async || {
        let record = database.clone().table("kinds").get("gone").await?;
        ensure!(record.is_none(), "it is still there");
        Ok(())
    })
    .await
}

/// Writes the same number to two tables with each transaction, one after another, and tells how far it is, until nobody
/// wants to know. A third table holds a record at odd numbers only.
fn keep_writing(node: Node) -> (watch::Receiver<u64>, JoinHandle<anyhow::Result<()>>) {
    let (progress, written) = watch::channel(0);
    let database = node.store().database("crm");
    let [left, right, odd] = ["left", "right", "odd"].map(|table| database.clone().table(table));
    let task = tokio::spawn(async move {
        for number in 0u64.. {
            let key = format!("k{}", number % 50);
            let txn = left.txn().then(left.put(&key, number.to_string()));
            let txn = txn.then(right.put(&key, number.to_string()));
            match number % 2 {
                1 => txn.then(odd.put("k", number.to_string())).await?,
                _ => txn.then(odd.delete("k")).await?,
            };
            if progress.send(number).is_err() {
                break;
            }
        }
        Ok(())
    });
    (written, task)
}

#[tokio::test]
async fn a_snapshot_of_a_database_at_work_shows_one_moment_of_all_tables() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let (cli, node) = (cluster.cli(0)?, cluster.client(0).await?);
    fill(&node, "crm").await?;
    let (mut written, writer) = keep_writing(node.clone());
    let mut meanwhile = 0;
    for round in 0..8 {
        let before = *written.borrow();
        timeout(SOON, written.wait_for(|number| *number > before + 10)).await??;
        let file = cluster.root().join(format!("{round}.snapshot"));
        let taken = item(&cli, &["snapshot", &text(&file), "--database", "crm"]).await?;
        let lines: Vec<Value> =
            fs::read_to_string(&file)?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let revision = node.store().history().await?.revision;
        meanwhile += revision - taken["revision"].as_u64().context("it has a revision")?;
        assert_eq!(lines[0]["schema"], "micro-node/store-snapshot/v1");
        assert_eq!((&lines[0]["database"], &lines[0]["revision"]), (&"crm".into(), &taken["revision"]));
        assert_eq!(lines[lines.len() - 1]["records"], taken["records"]);
        let of = |table: &str| -> Vec<(Value, Value)> {
            let records = lines.iter().filter(|line| line["table"] == table);
            records.map(|line| (line["key"].clone(), line["value"].clone())).collect()
        };
        assert_eq!(of("many").len(), 2500);
        assert_eq!(of("left"), of("right"), "round {round}");
        let numbers = of("left").into_iter().filter_map(|(_, value)| value.as_str()?.parse::<u64>().ok());
        let last = numbers.max().context("numbers were written")?;
        assert_eq!(of("odd").len() as u64, last % 2, "round {round}, at {last}");
        assert_eq!(fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
    }
    drop(written);
    timeout(SOON, writer).await???;
    ensure!(meanwhile > 0, "nothing was written meanwhile");
    Ok(())
}

#[tokio::test]
async fn a_snapshot_is_restored_into_another_database_and_another_mesh() -> anyhow::Result<()> {
    let (cluster, other) = (Cluster::of(1).await?, Cluster::of(1).await?);
    let (cli, node) = (cluster.cli(0)?, cluster.client(0).await?);
    let crm = fill(&node, "crm").await?;
    let lease = crm.lease(Duration::from_secs(60)).await?;
    crm.clone().table("kinds").put("leased", "here").lease(lease.id()).await?;
    let file = text(&cluster.root().join("crm.snapshot"));
    let taken = item(&cli, &["snapshot", &file, "--database", "crm"]).await?;
    assert_eq!(taken["left_out"], 1);
    refused(&cli, &["snapshot", &file, "--database", "crm"], 6).await?;
    refused(&cli, &["snapshot", &file, "--database", "nowhere", "--force"], 5).await?;
    refused(&cli, &["snapshot", &file, "--database", "crm", "--table", "kinds", "--overwrite"], 2).await?;
    item(&cli, &["snapshot", &file, "--database", "crm", "--force"]).await?;
    crm.revoke(lease.id()).await?;
    rest(&crm).await?;

    // By itself into the database of the snapshot, and by name into another.
    for (cli, node, database) in
        [(cli.clone(), node.clone(), "copy"), (other.cli(0)?, other.client(0).await?, "crm")]
    {
        let named = ["restore", &file, "--database", database];
        let arguments = if database == "crm" { &named[..2] } else { &named[..] };
        let dry = item(&cli, &[arguments, &["--dry-run"]].concat()).await?;
        assert_eq!((&dry["dry_run"], &dry["database"]), (&true.into(), &database.into()));
        ensure!(counts(&dry)[..2] == [2504, 0] && dry["expired"].as_u64() <= Some(1), "{dry}");
        let copy = node.store().database(database);
        assert_eq!(content(&copy).await?, [], "a dry run changes nothing");
        let done = item(&cli, arguments).await?;
        assert_eq!(counts(&done), [2504, 0, 0, 0]);
        assert_eq!(content(&copy).await?, content(&crm).await?);
        let ends = [
            expiry(&crm.clone().table("kinds"), "ends").await?,
            expiry(&copy.clone().table("kinds"), "ends").await?,
        ];
        let apart = ends[0].duration_since(ends[1]).unwrap_or_else(|error| error.duration());
        ensure!(apart <= Duration::from_secs(1), "its expiry moved by {apart:?}");
        let revision = node.store().history().await?.revision;
        assert_eq!(counts(&item(&cli, arguments).await?), [0, 2504, 0, 0]);
        assert_eq!(node.store().history().await?.revision, revision, "a repetition writes nothing");
    }
    Ok(())
}

#[tokio::test]
async fn a_restore_with_replace_deletes_what_the_snapshot_does_not_have() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let (cli, node) = (cluster.cli(0)?, cluster.client(0).await?);
    let crm = fill(&node, "crm").await?;
    let file = text(&cluster.root().join("crm.snapshot"));
    item(&cli, &["snapshot", &file, "--database", "crm"]).await?;
    rest(&crm).await?;
    let before = content(&crm).await?;

    let (many, more) = (crm.clone().table("many"), crm.clone().table("more"));
    many.put("k0007", "another").await?;
    many.delete("k0008").await?;
    many.put("k0008-", "new").await?;
    more.put("a", "1").await?;
    // More than one entry of the log may move into the history.
    let large = crm.clone().table("large");
    let mut batch = large.batch();
    for number in 0..40 {
        batch.push(large.put(format!("k{number}"), vec![b'x'; 1 << 20]));
    }
    batch.await?;
    let lease = crm.lease(Duration::from_secs(60)).await?;
    more.put("leased", "here").lease(lease.id()).await?;
    let changed = content(&crm).await?;
    let unconfirmed = refused(&cli, &["restore", &file, "--replace"], 2).await?;
    assert!(unconfirmed.stderr.contains("--yes"), "{}", unconfirmed.stderr);
    let dry = item(&cli, &["restore", &file, "--replace", "--dry-run"]).await?;
    assert_eq!(counts(&dry), [2, 2502, 42, 1]);
    assert!(content(&crm).await? == changed, "nothing was changed yet");
    let kept = item(&cli, &["restore", &file, "--dry-run"]).await?;
    assert_eq!(counts(&kept), [2, 2502, 0, 43], "without --replace nothing is deleted");
    let done = item(&cli, &["restore", &file, "--replace", "--yes"]).await?;
    assert_eq!(counts(&done), [2, 2502, 42, 1]);
    assert!(more.get("leased").await?.is_some(), "it belongs to who holds the lease");
    more.delete("leased").await?;
    assert_eq!(content(&crm).await?, before);
    Ok(())
}

#[tokio::test]
async fn a_damaged_snapshot_changes_nothing_when_it_is_restored() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let (cli, node) = (cluster.cli(0)?, cluster.client(0).await?);
    fill(&node, "crm").await?;
    let (file, bad) = (cluster.root().join("good.snapshot"), cluster.root().join("bad.snapshot"));
    item(&cli, &["snapshot", &text(&file), "--database", "crm"]).await?;
    let good = fs::read(&file)?;
    let revision = node.store().history().await?.revision;
    let last = good.len() - 1;
    for (cut, flip) in [(last, None), (last / 2, None), (10, None), (0, None), (last + 1, Some(last / 3))] {
        let mut bytes = good[..cut].to_vec();
        if let Some(at) = flip {
            bytes[at] ^= 1;
        }
        fs::write(&bad, bytes)?;
        let arguments = ["store", "restore", &text(&bad), "--database", "copy", "--replace", "--yes"];
        let outcome = cli.run(&arguments).await?;
        assert!([1, 2].contains(&outcome.code), "{cut} {flip:?}: {outcome:?}");
        assert!(
            outcome.stderr.contains("snapshot") && outcome.stderr.contains("nothing was changed"),
            "{cut} {flip:?}: {}",
            outcome.stderr
        );
    }
    refused(&cli, &["restore", &text(&cluster.root().join("none.snapshot"))], 2).await?;
    assert_eq!(node.store().database("copy").tables().await?, Vec::<String>::new());
    // The record that ended meanwhile is a revision, too.
    ensure!(node.store().history().await?.revision <= revision + 1, "something was written");
    Ok(())
}

#[tokio::test]
async fn a_snapshot_that_compaction_overtakes_says_so_and_leaves_no_file() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let node = cluster.client(0).await?;
    let crm = fill(&node, "crm").await?;
    // Nobody reads what it writes, so that it waits in the midst, with most pages unread.
    let mut command = Command::new(program("micro-node")?);
    command.args(["--address", &cluster.members[0].address(), "store", "snapshot", "-", "--database", "crm"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut process = command.spawn()?;
    let mut stdout = process.stdout.take().context("it is piped")?;
    let mut first = [0; 1];
    timeout(SOON, stdout.read_exact(&mut first)).await??;
    let last = crm.table("many").put("k0000", "newer").await?;
    node.store().compact(last).await?;
    let mut rest = Vec::new();
    timeout(SOON, stdout.read_to_end(&mut rest)).await??;
    let output = timeout(SOON, process.wait_with_output()).await??;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains("given up") && said.contains("store history"), "{said}");

    // What was cut short so is taken for no snapshot.
    let file = cluster.root().join("cut.snapshot");
    fs::write(&file, [&first[..], &rest[..]].concat())?;
    refused(&cluster.cli(0)?, &["restore", &text(&file), "--database", "copy"], 1).await?;
    Ok(())
}

#[tokio::test]
async fn a_sync_copies_a_database_of_another_mesh_and_the_second_writes_nothing() -> anyhow::Result<()> {
    let (from, to) = (Cluster::of(1).await?, Cluster::of(1).await?);
    let (cli, source) = (to.cli(0)?, from.client(0).await?);
    let target = to.client(0).await?.store();
    let crm = fill(&source, "crm").await?;
    rest(&crm).await?;
    let copy = target.clone().database("crm");
    copy.clone().table("many").put("k0001", "another").await?;
    copy.clone().table("own").put("a", "1").await?;

    let socket = from.members[0].address();
    let sync = ["sync", "--from", &socket, "--database", "crm"];
    let dry = item(&cli, &[&sync[..], &["--dry-run"]].concat()).await?;
    assert_eq!(counts(&dry), [2504, 0, 0, 1]);
    assert_eq!(copy.clone().table("many").list("").count().await?, 1, "a dry run changes nothing");
    assert_eq!(counts(&item(&cli, &sync).await?), [2504, 0, 0, 1]);
    let revision = target.history().await?.revision;
    assert_eq!(counts(&item(&cli, &sync).await?), [0, 2504, 0, 1]);
    assert_eq!(target.history().await?.revision, revision, "the second writes nothing");

    // By the port, with the secret of that mesh, and with what has changed meanwhile.
    crm.clone().table("many").delete("k0002").await?;
    crm.clone().table("kinds").put("ends", "in an hour").ttl(HOUR).await?;
    let port = from.members[0].at().proxy.to_string();
    let secret = format!("@{}", text(&from.members[0].at().admin_secret_file));
    let sync = ["sync", "--from", &port, "--database", "crm", "--replace"];
    refused(&cli, &[&sync[..], &["--yes"]].concat(), 2).await?;
    refused(&cli, &[&sync[..], &["--from-token", "hunter2", "--yes"]].concat(), 2).await?;
    let foreign = format!("@{}", text(&to.members[0].at().admin_secret_file));
    let denied = refused(&cli, &[&sync[..], &["--from-token", &foreign, "--yes"]].concat(), 4).await?;
    assert!(denied.stderr.contains(&port), "{}", denied.stderr);
    let sync = [&sync[..], &["--from-token", &secret]].concat();
    refused(&cli, &sync, 2).await?;
    assert_eq!(target.history().await?.revision, revision, "nothing was changed by what was refused");
    let done = item(&cli, &[&sync[..], &["--yes"]].concat()).await?;
    assert_eq!(counts(&done), [1, 2502, 2, 0]);
    assert_eq!(content(&copy).await?, content(&crm).await?);
    Ok(())
}

#[tokio::test]
async fn a_sync_within_one_mesh_copies_one_database_into_another() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let (cli, node) = (cluster.cli(0)?, cluster.client(0).await?);
    let crm = fill(&node, "crm").await?;
    rest(&crm).await?;
    refused(&cli, &["sync"], 2).await?;
    refused(&cli, &["sync", "--from-database", "crm", "--database", "crm"], 2).await?;
    // A wrong name must not empty what is there.
    node.store().database("copy").table("own").put("a", "1").await?;
    let nothing = ["sync", "--from-database", "cmr", "--database", "copy", "--replace", "--yes"];
    refused(&cli, &nothing, 5).await?;
    let done =
        item(&cli, &["sync", "--from-database", "crm", "--database", "copy", "--replace", "--yes"]).await?;
    assert_eq!(counts(&done), [2504, 0, 1, 0]);
    assert_eq!(content(&node.store().database("copy")).await?, content(&crm).await?);
    Ok(())
}

#[tokio::test]
async fn an_import_over_large_records_is_split_until_the_store_takes_it() -> anyhow::Result<()> {
    const RECORDS: usize = 45;
    const BYTES: usize = 900_000;
    let cluster = Cluster::of(1).await?;
    let (cli, node) = (cluster.cli(0)?, cluster.client(0).await?);
    let table = node.store().table("large");
    // What one entry would move into the history is more than it may.
    for number in 0..RECORDS {
        table.put(format!("k{number:02}"), vec![b'x'; BYTES]).await?;
    }
    let file = cluster.root().join("small.jsonl");
    let lines: String =
        (0..RECORDS).map(|number| format!("{{\"key\":\"k{number:02}\",\"value\":\"small\"}}\n")).collect();
    fs::write(&file, lines)?;
    cli.ok(&["store", "import", "--table", "large", &format!("@{}", file.display())]).await?;
    for number in 0..RECORDS {
        let record = table.get(format!("k{number:02}")).await?.context("it is there")?;
        assert_eq!(record.value, "small");
    }
    Ok(())
}
