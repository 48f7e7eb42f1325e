//! Blobs: through each node, beyond the loss of nodes and bits, and gone when they are deleted.

use anyhow::{Context, ensure};
use bytes::Bytes;
use micro_sdk::{
    client::{Blob, Node},
    wire::{BlobHash, Code},
};
use micro_tests::{Cluster, get, until};
use std::{fs, os::unix::fs::FileExt, path::PathBuf, time::Duration};

const SOON: Duration = Duration::from_secs(30);
/// A copy is made up once its node was down for half a minute.
const MADE_UP: Duration = Duration::from_secs(90);
/// What no name has any more goes once a minute's grace is over.
const REMOVED: Duration = Duration::from_secs(150);

const MIB: usize = 1 << 20;

/// The bytes of a large content from `at` on: no two MiB of it are alike.
fn piece(at: usize, bytes: usize) -> Bytes {
    (at..at + bytes).map(|at| (at / 4096 + at * 31 + (at >> 20) * 7) as u8).collect::<Vec<u8>>().into()
}

/// The file of a blob on a node's disk.
fn file(cluster: &Cluster, index: usize, hash: BlobHash) -> PathBuf {
    cluster.members[index].data_dir().join("blobs").join(hash.to_string())
}

/// The nodes that have the blob's file.
fn on_disks(cluster: &Cluster, hash: BlobHash) -> Vec<usize> {
    (0..cluster.members.len()).filter(|index| file(cluster, *index, hash).exists()).collect()
}

/// Reads a blob and compares it with what was put.
async fn is_right(node: &Node, name: &str, bytes: usize) -> anyhow::Result<Blob> {
    let mut reader = node.blobs().get(name).await?;
    let mut at = 0;
    while let Some(read) = reader.next().await? {
        ensure!(read == piece(at, read.len()), "{name} is not what was put, near byte {at}");
        at += read.len();
    }
    ensure!(at == bytes, "{name} has {at} bytes, not {bytes}");
    Ok(reader.blob().clone())
}

#[tokio::test]
async fn a_large_blob_is_the_same_through_each_node_and_a_flipped_bit_changes_nothing() -> anyhow::Result<()>
{
    let cluster = Cluster::of(3).await?;
    let content = piece(0, 64 * MIB);
    let from = cluster.root().join("content");
    fs::write(&from, &content)?;
    let put = ["blob", "put", "a/b c", from.to_str().context("a path")?, "--type", "text/x", "-o", "json"];
    let put = cluster.cli(0)?.json(&put).await?;
    ensure!(put["item"]["copies"] == 3 && put["item"]["size"] == 64 * MIB, "{put}");
    for index in 0..3 {
        let to = cluster.root().join(format!("got-{index}"));
        cluster.cli(index)?.ok(&["blob", "get", "a/b c", to.to_str().context("a path")?]).await?;
        ensure!(fs::read(&to)? == content, "node {index} gave something else");
    }
    let listed = cluster.cli(1)?.json(&["blob", "list", "a/", "-o", "json"]).await?;
    ensure!(listed["items"][0]["hash"] == put["item"]["hash"], "{listed}");
    ensure!(listed["items"][0]["holders"].as_array().is_some_and(|nodes| nodes.len() == 3), "{listed}");

    let part = cluster.client(2).await?.blobs().get("a/b c").range(5_000_000..5_000_100).await?;
    ensure!(part.collect(1000).await? == content.slice(5_000_000..5_000_100));

    let hash: BlobHash = put["item"]["hash"].as_str().context("no hash")?.parse()?;
    let damaged = file(&cluster, 1, hash);
    let opened = fs::File::options().read(true).write(true).open(&damaged)?;
    let mut byte = [0];
    opened.read_exact_at(&mut byte, 40_000_000)?;
    opened.write_all_at(&[byte[0] ^ 4], 40_000_000)?;
    is_right(&cluster.client(1).await?, "a/b c", 64 * MIB).await?;
    let aside = cluster.members[1].data_dir().join("blobs/damaged").join(hash.to_string());
    ensure!(aside.exists(), "the damaged file is kept for a person");
    until("the copy is made up", SOON, async || {
        ensure!(damaged.exists() && fs::read(&damaged)? == content, "it is not there");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn copies_that_can_not_be_made_and_a_copy_that_is_lost_are_told() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    let from = cluster.root().join("content");
    fs::write(&from, "content")?;
    let from = from.display().to_string();
    let put = cluster.cli(0)?.run(&["blob", "put", "many", &from, "--copies", "4"]).await?;
    ensure!(put.stderr.contains("3 of 4 copies (there are only 3 nodes)"), "{}", put.stderr);
    let put = cluster.client(1).await?.blobs().put("once", "content only here").copies(1).await?;
    assert_eq!(on_disks(&cluster, put.hash), [1]);
    fs::remove_file(file(&cluster, 1, put.hash))?;
    let told = format!("{} is up and has lost its copy", cluster.members[1].name());
    for index in 0..3 {
        let got = cluster.cli(index)?.run(&["blob", "get", "once", "-"]).await?;
        ensure!(got.code != 0 && got.stderr.contains(&told), "through node {index}: {}", got.stderr);
        ensure!(!got.stderr.contains("start the nodes"), "through node {index}: {}", got.stderr);
    }
    cluster.members[0].stop().await?;
    cluster.members[0].start(&["--blob-copies".to_owned(), "1".to_owned()]).await?;
    let put = cluster.client(0).await?.blobs().put("usual", "content of one").await?;
    ensure!(put.copies_wanted == 1 && on_disks(&cluster, put.hash) == [0], "{put:?}");
    let put = cluster.client(2).await?.blobs().put("other", "content of three").await?;
    ensure!(put.copies_wanted == 3, "each node has its own number: {put:?}");
    Ok(())
}

#[tokio::test]
async fn a_lost_copy_is_made_up_elsewhere_and_a_deleted_blob_leaves_no_file() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    let node = cluster.client(0).await?;
    let bytes = 3 * MIB + 17;
    let put = node.blobs().put("b", piece(0, bytes)).copies(2).await?;
    ensure!(put.copies == 2, "{put:?}");
    let holders = on_disks(&cluster, put.hash);
    ensure!(holders.len() == 2 && holders[0] == 0, "{holders:?}");
    let (lost, third) = (holders[1], 3 - holders[1]);
    is_right(&cluster.client(third).await?, "b", bytes).await?;
    cluster.client(lost).await?.blobs().put("only here", piece(0, 10)).copies(1).await?;
    cluster.members[lost].kill().await?;
    is_right(&cluster.client(third).await?, "b", bytes).await?;
    until("the copy is made up", MADE_UP, async || {
        ensure!(on_disks(&cluster, put.hash).contains(&third), "there is no other copy");
        let blob = cluster.client(third).await?.blobs().head("b").await?;
        let holders = [cluster.members[0].name(), cluster.members[third].name()];
        ensure!(holders.iter().all(|name| blob.holders.iter().any(|holder| holder == name)), "{blob:?}");
        ensure!(
            blob.version == put.version && blob.holders.len() == 2,
            "a repair changes nothing else: {blob:?}"
        );
        Ok(())
    })
    .await?;
    until("the status tells of the blob that is lost, as the worst", SOON, async || {
        let status = cluster.cli(third)?.json(&["status", "-o", "json"]).await?;
        let problems = status["problems"].as_array().context("problems")?;
        let told = problems.iter().find(|problem| {
            problem["message"].as_str().is_some_and(|message| message.starts_with("1 blob can't be read"))
        });
        ensure!(told.is_some_and(|problem| problem["severity"] == "critical"), "{status}");
        Ok(())
    })
    .await?;
    cluster.members[lost].start(&[]).await?;
    is_right(&cluster.client(lost).await?, "b", bytes).await?;
    until("nothing is lost any more", SOON, async || {
        is_right(&cluster.client(third).await?, "only here", 10).await?;
        let status = cluster.cli(third)?.json(&["status", "-o", "json"]).await?;
        ensure!(!status["problems"].to_string().contains("blob"), "{status}");
        Ok(())
    })
    .await?;
    ensure!(node.blobs().delete("b").await? && !node.blobs().delete("b").await?);
    let gone = node.blobs().get("b").await.expect_err("it was deleted");
    ensure!(gone.code == Code::NotFound, "{gone}");
    until("the files are gone", REMOVED, async || {
        let there = on_disks(&cluster, put.hash);
        ensure!(there.is_empty(), "still on {there:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_copy_that_no_record_names_is_as_good_as_one_that_is_named() -> anyhow::Result<()> {
    let cluster = Cluster::of(3).await?;
    let bytes = 2 * MIB + 5;
    let put = cluster.client(0).await?.blobs().put("b", piece(0, bytes)).copies(1).await?;
    ensure!(on_disks(&cluster, put.hash) == [0], "{put:?}");
    // As a node has it whose place in the record was taken by another one, which is lost then.
    let (named, unnamed) = (file(&cluster, 0, put.hash), file(&cluster, 1, put.hash));
    fs::copy(named.with_extension("outline"), unnamed.with_extension("outline"))?;
    fs::copy(&named, &unnamed)?;
    fs::remove_file(&named)?;
    fs::remove_file(named.with_extension("outline"))?;
    is_right(&cluster.client(2).await?, "b", bytes).await?;
    until("the named copy is made up from it", SOON, async || {
        ensure!(named.exists(), "it is not there");
        Ok(())
    })
    .await?;
    until("the other one goes, since it is one too many", REMOVED, async || {
        ensure!(on_disks(&cluster, put.hash) == [0], "it is still there");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_node_goes_when_what_only_it_has_is_elsewhere_or_given_up() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(4).await?;
    let bytes = MIB + 1;
    let handed = cluster.client(1).await?.blobs().put("handed over", piece(0, bytes)).copies(1).await?;
    ensure!(on_disks(&cluster, handed.hash) == [1], "{handed:?}");
    cluster.cli(1)?.ok(&["leave", "--yes"]).await?;
    cluster.members[1].ended().await?;
    is_right(&cluster.client(0).await?, "handed over", bytes).await?;

    let there = on_disks(&cluster, handed.hash);
    let mut others = [0, 2, 3].into_iter().filter(|index| !there.contains(index));
    let (down, other) = others.next().zip(others.next()).context("one node took it")?;
    let lost = cluster.client(down).await?.blobs().put("lost", piece(1, bytes)).copies(1).await?;
    ensure!(on_disks(&cluster, lost.hash) == [down], "{lost:?}");
    let name = cluster.members[down].name().to_owned();
    cluster.members[down].kill().await?;
    let refused = cluster.cli(other)?.run(&["cluster", "remove", &name, "--yes"]).await?;
    ensure!(refused.code == 6 && refused.stderr.contains("1 blob"), "{refused:?}");
    ensure!(refused.stderr.contains("\"lost\"") && refused.stderr.contains("--even-if-"), "{refused:?}");
    until("the status tells", MADE_UP, async || {
        let status = cluster.status(other).await?;
        ensure!(status["blobs"]["unreachable"] == 1, "{}", status["blobs"]);
        let problems = status["problems"].as_array().context("no problems")?;
        let told = problems.iter().filter_map(|problem| problem["message"].as_str());
        ensure!(told.into_iter().any(|told| told.contains("1 blob can't be read")), "{problems:?}");
        Ok(())
    })
    .await?;
    let all_the_same = ["cluster", "remove", &name, "--yes", "--even-if-blobs-are-lost"];
    cluster.cli(other)?.ok(&all_the_same).await?;
    is_right(&cluster.client(other).await?, "handed over", bytes).await.map(drop)
}

#[tokio::test]
async fn a_gibibyte_passes_through_without_being_held_in_memory() -> anyhow::Result<()> {
    const BYTES: usize = 1 << 30;
    /// What connections, windows and a few chunks take, with room to spare. The blob is eight times as large.
    const HELD_KIB_MAX: u64 = 128 << 10;
    let cluster = Cluster::of(2).await?;
    let (here, there) = (cluster.client(0).await?, cluster.client(1).await?);
    let before = [peak_kib(&cluster, 0)?, peak_kib(&cluster, 1)?];
    let mut upload = here.blobs().put("big", Bytes::new()).copies(1).size(BYTES as u64).stream().await?;
    for at in (0..BYTES).step_by(MIB) {
        upload.write(piece(at, MIB)).await?;
    }
    let put = upload.finish().await?;
    ensure!(put.size == BYTES as u64 && put.copies == 1, "{put:?}");
    is_right(&there, "big", BYTES).await?;
    for (index, before) in before.into_iter().enumerate() {
        let held = peak_kib(&cluster, index)? - before;
        println!("node {index} held {held} KiB more at most");
        ensure!(held < HELD_KIB_MAX, "node {index} held {held} KiB more");
    }
    Ok(())
}

/// The most memory that a node has had so far.
fn peak_kib(cluster: &Cluster, index: usize) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", cluster.members[index].at().pid))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

#[tokio::test]
async fn conditions_limits_and_strangers() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let node = cluster.client(0).await?;
    let blobs = node.blobs();
    let first = blobs.put("x", "one").if_absent().await?;
    ensure!(first.copies == 1 && first.copies_wanted == 3, "{first:?}");
    let refused = blobs.put("x", "two").if_absent().await.expect_err("there is one");
    ensure!(refused.code == Code::Conflict && refused.message.contains("already"), "{refused}");
    let second = blobs.put("x", "two").if_version(first.version).public().await?;
    let refused = blobs.delete_version("x", first.version).await.expect_err("it has another");
    ensure!(refused.code == Code::Conflict, "{refused}");
    let refused = blobs.put("y", "z").expect_hash(second.hash).await.expect_err("another content");
    ensure!(refused.code == Code::Usage && refused.message.contains("hash"), "{refused}");
    let refused = blobs.put("n".repeat(513), "z").await.expect_err("the name is too long");
    ensure!(refused.code == Code::Usage && refused.message.contains("512"), "{refused}");
    let refused = blobs.put("y", "z").content_type("t".repeat(129)).await.expect_err("too long");
    ensure!(refused.code == Code::Usage && refused.message.contains("128"), "{refused}");
    let refused = blobs.put("y", "z").size(1 << 60).stream().await;
    let refused = match refused {
        Ok(upload) => upload.finish().await.expect_err("there is no such disk"),
        Err(refused) => refused,
    };
    ensure!(refused.code == Code::Unavailable && refused.message.contains("no room"), "{refused}");

    let once = async |content: &'static str| blobs.put("once", content).if_absent().idempotency_key(7).await;
    let (first, again) = (once("one").await?, once("one").await?);
    ensure!(first == again, "a repeated put is the same put: {first:?} {again:?}");
    let refused = once("two").await.expect_err("it is another put");
    ensure!(refused.code == Code::Conflict && refused.message.contains("idempotency"), "{refused}");
    ensure!(blobs.delete_version("once", first.version).await?, "it was put once");

    let mut given_up = blobs.put("y", "half").stream().await?;
    given_up.write("more").await?;
    drop(given_up);
    blobs.put("empty", Bytes::new()).await?;
    ensure!(blobs.get("empty").await?.collect(0).await?.is_empty());
    let names: Vec<String> = blobs.list("").await?.blobs.into_iter().map(|blob| blob.name).collect();
    ensure!(names == ["empty", "x"], "{names:?}");
    let page = blobs.list("").limit(1).await?;
    ensure!(page.blobs.len() == 1 && page.next.as_deref() == Some("empty"), "{page:?}");
    let rest = blobs.list("").page("empty").await?;
    ensure!(rest.blobs.len() == 1 && rest.next.is_none(), "{rest:?}");

    let api = cluster.members[0].at().api;
    let public = get(api, "/-/blob/default/x").await?;
    ensure!(public.status == 200 && public.body == "two", "{public:?}");
    let headers = public.headers.to_ascii_lowercase();
    ensure!(headers.contains("content-length: 3") && headers.contains("nosniff"), "{headers}");
    for hidden in ["/-/blob/default/empty", "/-/blob/default/nothing", "/-/blob/other/x"] {
        let refused = get(api, hidden).await?;
        ensure!(refused.status == 401, "{hidden}: {refused:?}");
    }
    let stranger = Node::connect_to(cluster.members[0].at().proxy.to_string().parse()?).await?;
    for denied in [
        stranger.blobs().get("x").await.map(drop),
        stranger.blobs().list("").await.map(drop),
        stranger.blobs().put("x", "three").await.map(drop),
        stranger.blobs().delete("x").await.map(drop),
    ] {
        let denied = denied.expect_err("it shows no secret");
        ensure!(denied.code == Code::Denied, "{denied}");
    }
    Ok(())
}
