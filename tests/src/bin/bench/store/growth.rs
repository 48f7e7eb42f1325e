//! How time, memory and disk grow with what the store holds: the same is measured with ten times as much, and again.

use super::batches::{self, BATCH};
use crate::{
    figure::{Figure, median},
    footprint::resident_mb,
    mesh::Plan,
    selection::Selection,
};
use anyhow::ensure;
use futures::{StreamExt, TryStreamExt, stream};
use micro_sdk::client::Store;
use micro_tests::Cluster;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, Instant},
};

/// How many keys there are each time.
const KEYS: [u32; 3] = [100_000, 1_000_000, 10_000_000];
/// The keys of one scan.
const SCANNED: u32 = 10_000;
/// As many as a scan that begins in the middle needs.
const KEYS_MIN: u32 = 2 * SCANNED;
/// The reads of which the median counts.
const READS: u32 = 1_000;
const LOADS_IN_FLIGHT: usize = 4;
/// A batch may meet a machine that compacts on all cores.
const BATCH_LIMIT: Duration = Duration::from_secs(30);

/// What is measured at each size.
const WHATS: [&str; 5] = [
    "load them, the time",
    "memory of the leader",
    "disk of the leader",
    "scan of 10,000",
    "one linearizable read",
];

fn name(keys: u32, what: &str) -> String {
    format!("{} keys: {what}", grouped(keys))
}

/// A number with its thousands apart.
fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let head = digits.len() % 3;
    let (head, rest) = digits.split_at(head);
    let rest = rest.as_bytes().chunks(3).map(|chunk| String::from_utf8_lossy(chunk).into_owned());
    let parts = (!head.is_empty()).then(|| head.to_owned()).into_iter().chain(rest);
    parts.collect::<Vec<_>>().join(",")
}

/// Whether any row is wanted.
pub fn is_wanted(selection: &Selection) -> bool {
    KEYS.iter().any(|keys| WHATS.iter().any(|what| selection.wants(&name(*keys, what))))
}

/// Fills a table in steps, and looks at it after each.
///
/// # Errors
/// If a batch, a scan or a read fails, or a scan misses records.
pub async fn measure(cluster: &Cluster, leader: usize, plan: &Plan) -> anyhow::Result<Vec<Figure>> {
    let store = cluster.client(leader).await?.store().database("bench").table("growth");
    let member = &cluster.members[leader];
    let (mut figures, mut there, mut seconds) = (Vec::new(), 0, 0.0);
    for keys in KEYS.map(|keys| (keys / plan.share).max(KEYS_MIN)) {
        let began = Instant::now();
        load(&store, there, keys).await?;
        seconds += began.elapsed().as_secs_f64();
        there = keys;
        let memory = resident_mb(member.at().pid)?;
        let disk = disk_mb(&member.data_dir())?;
        let (scan, read) = (scan_ms(&store, keys).await?, read_ms(&store, keys).await?);
        let values = [(seconds, "s"), (memory, "MB"), (disk, "MB"), (scan, "ms"), (read, "ms")];
        eprint!("==> {} keys:", grouped(keys));
        for (what, (value, unit)) in WHATS.into_iter().zip(values) {
            eprint!("  {value:.1} {unit}");
            figures.push(Figure::plain(&name(keys, what), value, unit, None));
        }
        eprintln!();
    }
    figures.retain(|figure| plan.selection.wants(&figure.name));
    Ok(figures)
}

/// Writes the records from number `from` up to `to`, not included.
async fn load(store: &Store, from: u32, to: u32) -> anyhow::Result<()> {
    let firsts = (from..to).step_by(BATCH as usize);
    let batches = stream::iter(firsts).map(|first| async move {
        let batch = batches::put(store, first, BATCH.min(to - first));
        anyhow::Ok(tokio::time::timeout(BATCH_LIMIT, batch).await??)
    });
    batches.buffer_unordered(LOADS_IN_FLIGHT).try_collect::<Vec<()>>().await?;
    Ok(())
}

async fn scan_ms(store: &Store, keys: u32) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for run in 0..3 {
        let began = Instant::now();
        // Elsewhere each time.
        let first = batches::key(keys / 2 / (run + 1));
        let scan = store.list("").starting_at(first).limit(1_000).scan();
        let found = scan.take(SCANNED as usize).try_fold(0, async |found, _| Ok(found + 1)).await?;
        ensure!(found == SCANNED, "a scan found {found} records, not {SCANNED}");
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(&times))
}

async fn read_ms(store: &Store, keys: u32) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for number in 0..READS {
        let began = Instant::now();
        // All over the table, in no order that a cache would know.
        let key = batches::key((u64::from(number) * 7_919_993 % u64::from(keys)) as u32);
        ensure!(store.get(key.as_str()).await?.is_some(), "{key} is not there");
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(&times))
}

/// What a folder takes on the disk, in millions of bytes.
pub fn disk_mb(folder: &Path) -> anyhow::Result<f64> {
    let mut bytes = 0.0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // What is compacted away between the two calls takes nothing.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += match metadata.is_dir() {
            true => disk_mb(&entry.path())?,
            false => metadata.blocks() as f64 * 512.0 / 1e6,
        };
    }
    Ok(bytes)
}
