//! Backups: of a mesh at work, into a mesh of another size.

use anyhow::ensure;
use micro_tests::{Cluster, CommandLine, Greeter, Member, Writers, check_acknowledged, until};
use std::{fs, path::Path, time::Duration};

const SOON: Duration = Duration::from_secs(20);

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[tokio::test]
async fn a_mesh_at_work_is_backed_up_and_goes_on_as_one_of_another_size() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    // Some terms on, so that the new mesh would fall behind if it counted on.
    for _ in 0..2 {
        let leader = until("a leader", SOON, async || cluster.leader(0).await).await?;
        cluster.members[leader].stop().await?;
        cluster.members[leader].start(&[]).await?;
    }
    cluster.cli(0)?.ok(&["store", "write", "k", "old"]).await?;
    cluster.cli(0)?.ok(&["store", "write", "k", "new", "--meta", "by=me"]).await?;
    let before = cluster.cli(0)?.json(&["-o", "json", "store", "read", "k"]).await?;

    let writers = Writers::start("before", [cluster.client(0).await?, cluster.client(1).await?]);
    writers.more(200).await?;
    let acknowledged = writers.finish().await;
    let file = cluster.root().join("mesh.backup");
    let writers = Writers::start("meanwhile", [cluster.client(0).await?]);
    let taken = cluster.cli(2)?.json(&["-o", "json", "cluster", "backup", &text(&file)]).await?;
    writers.more(50).await?;
    writers.finish().await;
    let again = cluster.cli(2)?.run(&["cluster", "backup", &text(&file)]).await?;
    assert_eq!(again.code, 6, "{}", again.stderr);

    let folder = tempfile::tempdir()?;
    let tool = CommandLine::new(None, folder.path())?;
    let data = folder.path().join("restored");
    let restored =
        tool.json(&["-o", "json", "cluster", "restore", &text(&file), "--data-dir", &text(&data)]).await?;
    assert_eq!(restored["item"]["revision"], taken["item"]["revision"]);
    assert_eq!(restored["item"]["from_cluster"], taken["item"]["cluster"]);
    let other = folder.path().join("other");
    fs::create_dir(&other)?;
    fs::write(other.join("notes.txt"), "mine")?;
    let mixed = tool.run(&["cluster", "restore", &text(&file), "--data-dir", &text(&other)]).await?;
    assert!(mixed.code == 6 && mixed.stderr.contains("notes.txt"), "{}", mixed.stderr);
    assert_eq!(fs::read_dir(&other)?.count(), 1, "nothing was put beside it");
    let twice = tool.run(&["cluster", "restore", &text(&file), "--data-dir", &text(&data)]).await?;
    assert_eq!(twice.code, 6, "{}", twice.stderr);

    let mut first = Member::new(folder.path(), "n1", vec![])?.with_data(data);
    first.start(&[]).await?;
    let mut second = Member::new(folder.path(), "n2", vec![])?;
    second.start(&first.invite("n2").await?).await?;
    for member in [&first, &second] {
        assert_eq!(
            member.cli()?.json(&["-o", "json", "store", "read", "k"]).await?,
            before,
            "the record as it was"
        );
    }
    let revision: u64 = serde_json::from_value(taken["item"]["revision"].clone())?;
    let old = format!("{}", before["item"]["version"].as_u64().expect("a version") - 1);
    assert_eq!(first.cli()?.ok(&["store", "read", "k", "--at", &old]).await?, "old", "the past is there too");
    let next = first.cli()?.json(&["-o", "json", "store", "write", "k", "newer"]).await?;
    ensure!(next["item"]["version"].as_u64() > Some(revision), "a revision was given twice: {next}");
    check_acknowledged(&second.client().await?, &acknowledged).await?;
    assert_eq!(second.stop().await?, 0);
    assert_eq!(first.stop().await?, 0);
    Ok(())
}

#[tokio::test]
async fn blobs_are_backed_up_from_whichever_node_has_them() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    let large = cluster.root().join("large");
    // More than a chunk, and no two chunks alike.
    let content: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).take(3_000_000).collect();
    fs::write(&large, &content)?;
    let small = cluster.root().join("small");
    fs::write(&small, "small")?;
    for (node, name, file, copies) in [
        (0, "large", &large, "1"),
        (1, "small", &small, "2"),
        (1, "twin", &small, "1"),
        (2, "third/with/slashes", &small, "3"),
    ] {
        cluster.cli(node)?.ok(&["blob", "put", name, &text(file), "--copies", copies]).await?;
    }
    let file = cluster.root().join("mesh.backup");
    let taken = cluster.cli(2)?.json(&["-o", "json", "cluster", "backup", &text(&file)]).await?;
    assert_eq!((&taken["item"]["blobs"], &taken["item"]["blob_bytes"]), (&2.into(), &3_000_005.into()));
    let lean = cluster.root().join("lean.backup");
    let without =
        cluster.cli(2)?.json(&["-o", "json", "cluster", "backup", &text(&lean), "--without-blobs"]).await?;
    assert!(without["item"]["blobs"].is_null() && fs::metadata(&lean)?.len() < 3_000_000, "{without}");
    // A cut where the state ends is no backup without blobs, and a flipped bit of a blob is seen.
    let whole = fs::read(&file)?;
    let bad = cluster.root().join("bad.backup");
    let state_only = fs::metadata(&lean)?.len() as usize;
    for cut in [whole.len() - 1, whole.len() - 1_000_000, state_only] {
        fs::write(&bad, &whole[..cut])?;
        let outcome = cluster.cli(0)?.run(&["cluster", "verify", &text(&bad)]).await?;
        assert!(outcome.code == 1 && outcome.stderr.contains("damaged"), "{cut}: {}", outcome.stderr);
    }
    let mut flipped = whole.clone();
    let at = whole.len() - 1_000_000;
    flipped[at] ^= 1;
    fs::write(&bad, flipped)?;
    let outcome = cluster.cli(0)?.run(&["cluster", "verify", &text(&bad)]).await?;
    assert!(outcome.code == 1 && outcome.stderr.contains("blob"), "{}", outcome.stderr);

    // A blob whose only copy is out of reach is named, and no backup is left that lacks it.
    cluster.members[0].kill().await?;
    let lacking = cluster.root().join("lacking.backup");
    let refused = cluster.cli(2)?.run(&["cluster", "backup", &text(&lacking)]).await?;
    assert_eq!(refused.code, 8, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("large") && refused.stderr.contains("--without-blobs"),
        "{}",
        refused.stderr
    );
    assert!(!lacking.exists());
    cluster.stop().await?;

    let folder = tempfile::tempdir()?;
    let tool = CommandLine::new(None, folder.path())?;
    let data = folder.path().join("restored");
    let restored =
        tool.json(&["-o", "json", "cluster", "restore", &text(&file), "--data-dir", &text(&data)]).await?;
    assert_eq!(restored["item"]["blobs"], 2);
    let mut first = Member::new(folder.path(), "n1", vec![])?.with_data(data);
    first.start(&[]).await?;
    let back = folder.path().join("back");
    for (name, expected) in
        [("large", &content[..]), ("small", b"small"), ("twin", b"small"), ("third/with/slashes", b"small")]
    {
        first.cli()?.ok(&["blob", "get", name, &text(&back), "--overwrite"]).await?;
        ensure!(fs::read(&back)? == expected, "{name} is another");
    }
    // What lies there is found, noted, and copied on.
    let mut second = Member::new(folder.path(), "n2", vec![])?;
    second.start(&first.invite("n2").await?).await?;
    until("the copies", SOON, async || {
        let listed = first.cli()?.json(&["-o", "json", "blob", "list"]).await?;
        let holders = |name: &str| {
            let blob = listed["items"].as_array()?.iter().find(|blob| blob["name"] == name)?;
            blob["holders"].as_array().map(Vec::len)
        };
        ensure!(holders("large") == Some(1) && holders("third/with/slashes") == Some(2), "{listed}");
        Ok(())
    })
    .await?;
    assert_eq!(second.stop().await?, 0);
    assert_eq!(first.stop().await?, 0);
    Ok(())
}

#[tokio::test]
async fn secrets_come_back_with_the_seal_key_and_not_without() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(1).await?;
    let secret = cluster.root().join("secret");
    fs::write(&secret, "hunter2")?;
    let source = format!("@{}", text(&secret));
    cluster.cli(0)?.ok(&["config", "set", "shop.key", &source, "--secret"]).await?;
    let file = cluster.root().join("mesh.backup");
    cluster.cli(0)?.ok(&["cluster", "backup", &text(&file)]).await?;
    let seal_key = format!("@{}", text(&cluster.members[0].data_dir().join("files/seal.key")));
    assert_eq!(cluster.members[0].stop().await?, 0);

    let folder = tempfile::tempdir()?;
    let tool = CommandLine::new(None, folder.path())?;
    let restore = async |name: &str, seal_key: &[&str]| {
        let data = folder.path().join(name);
        let backup = ["-o", "json", "cluster", "restore", &text(&file), "--data-dir", &text(&data)];
        anyhow::Ok((tool.run(&[&backup[..], seal_key].concat()).await?, data))
    };
    let other = folder.path().join("other.key");
    fs::write(&other, [7; 32])?;
    for (name, given) in
        [("short", &source[..]), ("other", &format!("@{}", text(&other))), ("literal", "hunter2")]
    {
        let (outcome, _) = restore(name, &["--seal-key", given]).await?;
        assert_eq!(outcome.code, 2, "{name}: {}", outcome.stderr);
        ensure!(!outcome.stderr.contains("hunter2"), "the secret is repeated: {}", outcome.stderr);
    }
    for (name, given, keys) in [("without", &[][..], 0), ("with", &["--seal-key", &seal_key], 1)] {
        let (outcome, data) = restore(name, given).await?;
        assert_eq!(outcome.code, 0, "{name}: {}", outcome.stderr);
        let restored: serde_json::Value = serde_json::from_str(&outcome.stdout)?;
        assert_eq!(restored["item"]["secret_keys"], keys);
        let mut member = Member::new(folder.path(), name, vec![])?.with_data(data);
        member.start(&[]).await?;
        let read = member.cli()?.run(&["config", "get", "shop.key", "--show-secrets"]).await?;
        match keys {
            0 => assert!(read.code != 0 && read.stderr.contains("set it anew"), "{read:?}"),
            _ => assert_eq!((read.code, read.stdout.trim()), (0, "hunter2"), "{}", read.stderr),
        }
        let status = member.cli()?.json(&["status", "-o", "json"]).await?;
        let told = status["problems"].to_string();
        let lost =
            told.contains("1 secret of the configuration can't be opened") && told.contains("shop.key");
        assert_eq!(lost, keys == 0, "{told}");
        assert_eq!(member.stop().await?, 0);
    }
    Ok(())
}

#[tokio::test]
async fn a_damaged_backup_is_told_and_leaves_nothing_behind() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    cluster.cli(0)?.ok(&["store", "write", "k", "v"]).await?;
    let (file, bad) = (cluster.root().join("good.backup"), cluster.root().join("bad.backup"));
    cluster.cli(0)?.ok(&["cluster", "backup", &text(&file)]).await?;
    cluster.cli(0)?.ok(&["cluster", "verify", &text(&file)]).await?;
    let good = fs::read(&file)?;
    let data = cluster.root().join("restored");
    let restore =
        async || cluster.cli(0)?.run(&["cluster", "restore", &text(&bad), "--data-dir", &text(&data)]).await;
    for (cut, flip) in
        [(good.len() - 1, None), (good.len() / 2, None), (10, None), (good.len(), Some(good.len() / 3))]
    {
        let mut bytes = good[..cut].to_vec();
        if let Some(at) = flip {
            bytes[at] ^= 1;
        }
        fs::write(&bad, bytes)?;
        for outcome in [cluster.cli(0)?.run(&["cluster", "verify", &text(&bad)]).await?, restore().await?] {
            assert!([1, 2].contains(&outcome.code), "{cut} {flip:?}: {} {}", outcome.code, outcome.stderr);
            assert!(outcome.stderr.contains("backup"), "{}", outcome.stderr);
        }
        ensure!(!data.exists(), "something was made of a damaged backup");
    }
    Ok(())
}

#[tokio::test]
async fn a_drained_node_is_not_called_and_does_not_lead() -> anyhow::Result<()> {
    let cluster = Cluster::of(3).await?;
    let leader = until("a leader", SOON, async || cluster.leader(0).await).await?;
    let (name, other) = (cluster.members[leader].name().to_owned(), (leader + 1) % 3);
    let _greeter = Greeter::start(cluster.root(), &cluster.members[leader], false)?;
    let call = async || cluster.cli(other)?.run(&["call", "helloworld", "call", r#"{"name":"Jane"}"#]).await;
    let answers = async || {
        let outcome = call().await?;
        ensure!(outcome.code == 0, "{outcome:?}");
        Ok(())
    };
    until("the service answers", SOON, answers).await?;
    cluster.cli(other)?.ok(&["drain", &name]).await?;
    let state = async || {
        let status = cluster.status(other).await?;
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        let node = nodes.iter().find(|node| node["name"] == name.as_str()).cloned();
        node.ok_or_else(|| anyhow::anyhow!("{status}"))
    };
    until("the node drained", SOON, async || {
        let node = state().await?;
        ensure!(node["state"] == "drained" && node["role"] == "voter", "{node}");
        Ok(())
    })
    .await?;
    let refused = call().await?;
    ensure!(refused.code == 8 && refused.stderr.contains(&format!("drain {name} --undo")), "{refused:?}");
    let told = cluster.status(other).await?["problems"].to_string();
    ensure!(told.contains("helloworld can't be called"), "{told}");
    cluster.cli(leader)?.ok(&["store", "write", "still", "written"]).await?;
    cluster.cli(leader)?.ok(&["drain", "--undo"]).await?;
    until("the node at work", SOON, async || {
        let node = state().await?;
        ensure!(node["state"] == "ready", "{node}");
        Ok(())
    })
    .await?;
    until("the service answers again", SOON, answers).await
}
