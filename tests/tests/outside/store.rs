//! The store as people reach it: by the SDK and by the command line, on real nodes.

use anyhow::{Context, ensure};
use futures::TryStreamExt;
use micro_sdk::{
    client::{ChangeKind, Compare, Fence, OpResult, Order, Watch, WatchError},
    wire::{Code, Fault},
};
use micro_tests::{Cluster, until};
use rustix::process::{Pid, Signal, kill_process};
use std::{fs, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

/// How long what happens soon may take on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// The next changes of a watch, as kind and key.
async fn next(watch: &mut Watch) -> anyhow::Result<Vec<(ChangeKind, String)>> {
    let revision = timeout(SOON, watch.next()).await?.context("the watch has ended")??;
    Ok(revision.changes.into_iter().map(|change| (change.kind, change.key)).collect())
}

#[tokio::test]
async fn records_carry_what_was_written_and_end_when_they_should() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let store = cluster.client(0).await?.store();
    let version = store.put("a", "1").metadata("by", "me").ttl(Duration::from_secs(3600)).await?;
    let record = store.get("a").await?.context("it was written")?;
    assert_eq!((record.version, record.created, record.metadata["by"].as_str()), (version, version, "me"));
    assert!(record.expires.is_some());
    let mut watch = store.watch_key("b").await?;
    store.put("b", "1").ttl(Duration::from_millis(300)).await?;
    assert_eq!(next(&mut watch).await?, [(ChangeKind::Put, "b".to_owned())]);
    assert_eq!(next(&mut watch).await?, [(ChangeKind::Expire, "b".to_owned())]);
    assert_eq!(store.get("b").await?, None);

    assert_eq!(store.put("a", "2").if_absent().await.expect_err("it is there").code, Code::Conflict);
    assert_eq!(store.get("a").at(version).await?.context("it was there")?.value, "1");
    let found = store.get("a").stale().found().await?;
    assert!(found.age.is_some() && found.revision >= version, "{found:?}");
    Ok(())
}

#[tokio::test]
async fn lists_are_bounded_ordered_counted_and_of_one_moment() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let store = cluster.client(0).await?.store().database("crm").table("users");
    let mut batch = store.batch();
    for number in 0..2500 {
        batch.push(store.put(format!("k{number:04}"), "x"));
    }
    let done = batch.await?;
    assert_eq!((done.changes, done.entries), (2500, 3));
    assert_eq!(store.list("k").count().await?, 2500);
    let page = store.list("").starting_at("k0010").before("k0020").suffix("5").await?;
    assert_eq!(page.records.iter().map(|record| record.key.as_str()).collect::<Vec<_>>(), ["k0015"]);
    let page = store.list("k").order(Order::Descending).offset(1).limit(2).keys_only().await?;
    let keys: Vec<_> = page.records.iter().map(|record| (record.key.as_str(), record.value.len())).collect();
    assert_eq!(keys, [("k2498", 0), ("k2497", 0)]);
    // All pages show the moment of the first.
    let page = store.list("k").limit(1000).await?;
    store.delete("k2499").await?;
    let rest = store.list("k").limit(1000).page(page.next.context("there are more")?).scan();
    assert_eq!(rest.try_collect::<Vec<_>>().await?.len(), 1500);
    assert_eq!(store.scan("k").try_collect::<Vec<_>>().await?.len(), 2499);
    assert_eq!(store.delete_range("k").starting_at("k0100").await?, 2399);
    assert_eq!(store.tables().await?, ["users"]);
    assert_eq!(store.databases().await?, ["crm"]);
    Ok(())
}

#[tokio::test]
async fn a_transaction_is_done_whole_or_not_at_all() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let node = cluster.client(0).await?;
    let (accounts, log) = (node.store().table("accounts").typed::<u64>(), node.store().table("log"));
    let version = accounts.put("alice", &100).await?;
    let transfer = |version| {
        let txn = accounts.txn().when(Compare::version(accounts.store(), "alice", version));
        txn.then(accounts.put("alice", &90))
            .then(accounts.put("bob", &10))
            .then(log.put("1", "10"))
            .otherwise(accounts.get("alice"))
    };
    let done = transfer(version).await?;
    assert!(done.held);
    assert_eq!(accounts.get("bob").await?.context("it was written")?.value, 10);
    assert_eq!(log.get("1").await?.context("it was written")?.version, done.revision);
    let done = transfer(version).await?;
    assert!(!done.held);
    assert!(matches!(&done.results[..], [OpResult::Read(Some(alice))] if alice.value == "90"), "{done:?}");
    Ok(())
}

#[tokio::test]
async fn a_transaction_has_as_many_operations_as_its_node_was_told() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(1).await?;
    let node = cluster.client(0).await?;
    let many = |node: &micro_sdk::Node| {
        let table = node.store().table("many");
        (0..1025).fold(table.txn(), |txn, number| txn.then(table.put(format!("k{number}"), "x")))
    };
    let fault = many(&node).await.expect_err("1024 are usual");
    assert_eq!(fault.code, Code::Usage, "{fault}");
    assert!(fault.help.iter().any(|help| help.contains("--transaction-operations")), "{:?}", fault.help);
    assert!(node.store().table("many").scan("").try_collect::<Vec<_>>().await?.is_empty());
    cluster.members[0].stop().await?;
    cluster.members[0].start(&["--transaction-operations".to_owned(), "2048".to_owned()]).await?;
    let node = cluster.client(0).await?;
    assert!(many(&node).await?.held);
    assert_eq!(node.store().table("many").scan("").try_collect::<Vec<_>>().await?.len(), 1025);
    Ok(())
}

#[tokio::test]
async fn a_watch_sees_all_of_it_once_whatever_becomes_of_nodes() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    let (watched, other) = (cluster.client(0).await?, cluster.client(1).await?);
    let table = |node: &micro_sdk::Node| node.store().table("events");
    let mut watch = table(&watched).watch("").or_through(other.clone()).await?;
    let mut seen = Vec::new();
    for number in 0..60 {
        if number == 20 {
            cluster.members[0].kill().await?;
        }
        let put = async || {
            Ok(table(&other).put(format!("k{number:02}"), "x").idempotency_key(1000 + number).await?)
        };
        until("a write", SOON, put).await?;
        if number == 40 {
            cluster.members[0].start(&[]).await?;
        }
    }
    while seen.len() < 60 {
        seen.extend(next(&mut watch).await?.into_iter().map(|(_, key)| key));
    }
    let expected: Vec<String> = (0..60).map(|number| format!("k{number:02}")).collect();
    assert_eq!(seen, expected);
    Ok(())
}

#[tokio::test]
async fn a_watch_of_what_was_given_up_says_so() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let store = cluster.client(0).await?.store();
    let first = store.put("a", "1").await?;
    let last = store.put("a", "2").await?;
    let mut watch = store.watch("").since(first).await?;
    assert_eq!(next(&mut watch).await?.len() + next(&mut watch).await?.len(), 2);
    assert_eq!(watch.seen(), last);
    let early = store.compact(last + 1000).await.expect_err("it is not there yet");
    assert_eq!(early.code, Code::Usage, "{early}");
    let early = store.watch("").since(last + 1000).await.expect_err("nobody was told of that");
    assert!(matches!(&early, WatchError::Fault(fault) if fault.code == Code::Usage), "{early:?}");
    assert_eq!(store.compact(last).await?, last);
    let error = store.watch("").since(first).await.expect_err("it is compacted");
    assert!(matches!(error, WatchError::Compacted { next, .. } if next == first), "{error:?}");
    assert_eq!(store.history().await?.compacted, last);
    let fault = store.get("a").at(first).await.expect_err("it is compacted");
    assert_eq!(fault.code, Code::Compacted, "{fault}");
    Ok(())
}

#[tokio::test]
async fn a_lease_lives_while_it_is_kept_alive_and_its_records_with_it() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let store = cluster.client(0).await?.store();
    let lease = store.lease(Duration::from_secs(1)).await?;
    store.put("worker", "here").lease(lease.id()).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!lease.is_lost() && store.get("worker").await?.is_some());
    assert_eq!(store.leases().await?.len(), 1);
    drop(lease);
    let gone = async || {
        ensure!(store.get("worker").await?.is_none(), "it is still there");
        Ok(())
    };
    until("the record has ended with its lease", SOON, gone).await?;
    let lease = store.lease(Duration::from_secs(6)).await?;
    store.put("worker", "here").lease(lease.id()).await?;
    let id = lease.id();
    assert_eq!(store.revoke(id).await?, 1);
    assert_eq!(timeout(SOON, lease.lost()).await?.code, Code::NotFound);
    assert_eq!(store.put("worker", "here").lease(id).await.expect_err("it has ended").code, Code::NotFound);
    Ok(())
}

#[tokio::test]
async fn a_lock_is_held_by_one_at_a_time_in_the_order_in_which_they_came() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let node = cluster.client(0).await?;
    let first = node.lock("nightly").ttl(Duration::from_secs(2)).acquire().await?;
    let fault =
        node.lock("nightly").acquire_within(Duration::from_millis(300)).await.expect_err("it is held");
    assert_eq!(fault.code, Code::Timeout);
    // What is tied to no lease would hold a lock for ever: it is refused, also as a part of a transaction.
    let locks = node.store().database("coordination").table("locks");
    let plain = locks.put("weekly", "mine").await.expect_err("it has no lease");
    assert!(plain.code == Code::Usage && plain.help[0].contains("micro-node lock"), "{plain:?}");
    let plain = locks.txn().then(locks.put("weekly", "mine")).await.expect_err("it has no lease");
    assert_eq!(plain.code, Code::Usage);
    let mut waiting = Vec::new();
    let places = node.store().database("coordination").table("lock-lines");
    for number in 0..3u64 {
        let node = node.clone();
        waiting.push(tokio::spawn(async move {
            let guard = node.lock("nightly").acquire().await?;
            let token = guard.token();
            guard.release().await?;
            Ok::<_, Fault>(token)
        }));
        // One after another; the one that gave up has left the line, though maybe not at once.
        let stands = async || {
            let count = places.list("nightly/").count().await?;
            ensure!(count == number + 2, "{count} in line");
            Ok(())
        };
        until("it stands in line", SOON, stands).await?;
    }
    let token = first.token();
    let report = node.store().put("report", "1").fence(first.fence());
    report.await?;
    first.release().await?;
    let mut tokens = vec![token];
    for waits in waiting {
        tokens.push(timeout(SOON, waits).await???);
    }
    assert!(tokens.is_sorted(), "not in order: {tokens:?}");
    let fault = node.store().put("report", "2").fence(Fence::new("nightly", token)).await;
    assert_eq!(fault.expect_err("it was released").code, Code::Conflict);
    assert_eq!(node.store().get("report").await?.context("it was written")?.value, "1");
    Ok(())
}

#[tokio::test]
async fn an_election_has_one_leader_and_observers_see_each() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let node = cluster.client(0).await?;
    let election = node.election("scheduler");
    assert_eq!(election.leader().await?, None);
    let alpha = election.campaign("alpha").await?;
    let mut observer = election.observe();
    let seen = observer.next().await?.context("alpha leads")?;
    assert_eq!((seen.value.as_ref(), seen.token), (b"alpha".as_slice(), alpha.token()));
    let candidate = election.clone();
    let bravo = tokio::spawn(async move { candidate.campaign("bravo").await });
    alpha.proclaim("alpha-2").await?;
    assert_eq!(timeout(SOON, observer.next()).await??.context("alpha leads")?.value, "alpha-2");
    alpha.resign().await?;
    let bravo = timeout(SOON, bravo).await???;
    let leader = async || {
        let leader = observer.next().await?;
        ensure!(leader.is_some_and(|leader| leader.value == "bravo"), "nobody leads yet");
        Ok(())
    };
    until("bravo leads", SOON, leader).await?;
    bravo.resign().await?;
    Ok(())
}

#[tokio::test]
async fn the_command_line_reaches_all_of_the_store() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let cli = cluster.cli(0)?;
    cli.ok(&[
        "store",
        "write",
        "--table",
        "users",
        "id1",
        "Jane",
        "--expiry",
        "24h",
        "--meta",
        "by=me",
        "--if-absent",
    ])
    .await?;
    let again = cli.run(&["store", "write", "--table", "users", "id1", "Joan", "--if-absent"]).await?;
    assert_eq!(again.code, 6, "{}", again.stderr);
    let read = cli.json(&["store", "read", "--table", "users", "id1", "-o", "json"]).await?;
    assert_eq!((&read["item"]["value"], &read["item"]["metadata"]["by"]), (&"Jane".into(), &"me".into()));
    let version = read["item"]["version"].to_string();
    cli.ok(&["store", "write", "--table", "users", "id1", "Joan", "--if-version", &version]).await?;
    assert_eq!(cli.ok(&["store", "read", "--table", "users", "id1", "--at", &version]).await?, "Jane");
    let stale = cli.run(&["store", "read", "--table", "users", "id1", "--stale"]).await?;
    assert!(stale.stdout == "Joan" && stale.stderr.contains("current"), "{stale:?}");
    let lines =
        cli.ok(&["store", "watch", "--table", "users", "--from", &version, "-n", "2", "-o", "jsonl"]).await?;
    let lines: Vec<serde_json::Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(
        (&lines[0]["record"]["value"], &lines[1]["record"]["value"]),
        (&"Jane".into(), &"Joan".into())
    );
    assert_eq!(cli.ok(&["store", "list", "--table", "users", "--count", "--prefix", "id"]).await?, "1");
    assert_eq!(cli.ok(&["--no-headers", "store", "tables"]).await?, "users");
    assert_eq!(cli.ok(&["--no-headers", "store", "databases"]).await?, "default");

    let document = format!(
        r#"{{"if":[{{"key":"id1","version":{version}}}],"then":[{{"delete":"id1"}}],"else":[{{"read":"id1"}}]}}"#
    );
    let done = cli.json(&["store", "txn", "--table", "users", &document, "-o", "json"]).await?;
    assert_eq!(
        (&done["item"]["held"], &done["item"]["results"][0]["read"]["record"]["value"]),
        (&false.into(), &"Joan".into())
    );
    let refused = cli.run(&["store", "txn", r#"{"if":[{"key":"nothing","exists":true}],"then":[]}"#]).await?;
    assert_eq!(refused.code, 6, "{}", refused.stderr);

    let lease = cli.ok(&["store", "lease", "grant", "60s"]).await?;
    cli.ok(&["store", "write", "worker", "here", "--lease", &lease]).await?;
    cli.ok(&["store", "lease", "keep-alive", &lease, "--once"]).await?;
    assert!(cli.ok(&["store", "lease", "list"]).await?.contains(&lease));
    let revoked = cli.json(&["store", "lease", "revoke", &lease, "-o", "json"]).await?;
    assert_eq!(revoked["item"]["deleted"], 1);
    assert_eq!(cli.run(&["store", "read", "worker"]).await?.code, 5);

    let history = cli.json(&["store", "history", "-o", "json"]).await?;
    let revision = history["item"]["revision"].to_string();
    cli.ok(&["store", "compact", &revision]).await?;
    assert_eq!(cli.run(&["store", "watch", "--from", "1"]).await?.code, 6);
    assert_eq!(cli.run(&["store", "delete", "--table", "users", "--all"]).await?.code, 2);
    cli.ok(&["store", "delete", "--table", "users", "--all", "--yes"]).await?;
    assert_eq!(cli.ok(&["store", "list", "--table", "users", "--count"]).await?, "0");
    Ok(())
}

#[tokio::test]
async fn what_is_exported_is_imported_to_the_byte_and_a_bad_line_is_named() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let (cli, store) = (cluster.cli(0)?, cluster.client(0).await?.store());
    let mut batch = store.batch();
    for number in 0..1500 {
        batch.push(
            store.put(format!("k{number:04}"), format!("value {number}")).metadata("n", number.to_string()),
        );
    }
    batch.push(store.put("bytes", vec![0xff, 0x00, 0xfe]));
    batch.await?;
    let file = cluster.root().join("export.jsonl");
    let exported = cli.ok(&["store", "export"]).await?;
    fs::write(&file, &exported)?;
    let argument = format!("@{}", file.display());
    let done = cli.json(&["store", "import", "--table", "copy", &argument, "-o", "json"]).await?;
    assert_eq!(done["item"]["records"], 1501);
    let copy = store.clone().table("copy");
    assert_eq!(copy.get("bytes").await?.context("it was imported")?.value, [0xff, 0x00, 0xfe].as_slice());
    let record = copy.get("k1499").await?.context("it was imported")?;
    assert_eq!((record.value.as_ref(), record.metadata["n"].as_str()), (b"value 1499".as_slice(), "1499"));

    let mut lines: Vec<&str> = exported.lines().collect();
    lines[1299] = r#"{"key":"broken"}"#;
    fs::write(&file, lines.join("\n"))?;
    let failed = cli.run(&["store", "import", "--table", "other", &argument]).await?;
    assert_eq!(failed.code, 2, "{}", failed.stderr);
    assert!(
        failed.stderr.contains("line 1300") && failed.stderr.contains("--from-line 1300"),
        "{}",
        failed.stderr
    );
    assert_eq!(store.clone().table("other").list("").count().await?, 1299);
    let rest = cli
        .json(&["store", "import", "--table", "other", &argument, "--from-line", "1301", "-o", "json"])
        .await?;
    assert_eq!(rest["item"]["records"], 201);
    Ok(())
}

#[tokio::test]
async fn a_command_runs_under_a_lock_with_its_token_and_its_exit_code_is_passed_on() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let cli = cluster.cli(0)?;
    let address = cluster.members[0].address();
    let program = micro_tests::program("micro-node")?.display().to_string();
    let script = format!(
        "{program} --address {address} store write report done --fence nightly:$MICRO_NODE_LOCK_TOKEN && exit 42"
    );
    let outcome = cli.run(&["lock", "nightly", "--", "sh", "-c", &script]).await?;
    assert_eq!(outcome.code, 42, "{}", outcome.stderr);
    assert_eq!(cli.ok(&["store", "read", "report"]).await?, "done");
    let refused = cli.run(&["store", "write", "report", "late", "--fence", "nightly:1"]).await?;
    assert!(refused.code == 6 && refused.stderr.contains("nightly"), "{refused:?}");

    // One that is held elsewhere: it is waited for no longer than asked, and lost by whoever it is taken from.
    let node = cluster.client(0).await?;
    let guard = node.lock("nightly").acquire().await?;
    let outcome = cli.run(&["lock", "nightly", "--wait", "300ms", "--", "true"]).await?;
    assert_eq!(outcome.code, 7, "{}", outcome.stderr);
    let places = node.store().database("coordination").table("lock-lines");
    let left = places.list("nightly/").count().await?;
    assert_eq!(left, 1, "who gave up has left the line when its command ends");
    guard.release().await?;
    let held = tokio::spawn({
        let cli = cli.clone();
        async move { cli.run(&["lock", "nightly", "--ttl", "2s", "--", "sleep", "50"]).await }
    });
    let lease = async || {
        let lock = node.store().database("coordination").table("locks").get("nightly").await?;
        lock.and_then(|lock| lock.lease).context("nobody holds it yet")
    };
    let lease = until("the command holds it", SOON, lease).await?;
    node.store().revoke(lease).await?;
    let outcome = timeout(SOON, held).await???;
    assert_eq!(outcome.code, 8, "{}", outcome.stderr);
    assert_eq!(cli.run(&["election", "nobody"]).await?.code, 5);
    Ok(())
}

#[tokio::test]
async fn ctrl_c_gives_back_at_once_what_a_command_holds() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let node = cluster.client(0).await?;
    let records = node.store().database("coordination");
    for (arguments, table) in
        [(&["lock", "held"][..], "locks"), (&["election", "held", "alpha"], "elections")]
    {
        let mut command = Command::new(micro_tests::program("micro-node")?);
        command.args(["--address", &cluster.members[0].address()]).args(arguments);
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut lines = BufReader::new(process.stdout.take().context("it is piped")?).lines();
        let token = timeout(SOON, lines.next_line()).await??.context("it prints its token")?;
        let table = records.clone().table(table);
        let record = table.get("held").await?.context("it is held")?;
        assert_eq!(token, record.created.to_string());
        let pid = process.id().and_then(|id| Pid::from_raw(id.cast_signed())).context("it runs")?;
        kill_process(pid, Signal::INT)?;
        let status = timeout(SOON, process.wait()).await??;
        assert_eq!(status.code(), Some(0), "{arguments:?}");
        assert_eq!(table.get("held").await?, None, "{arguments:?}");
    }
    Ok(())
}
