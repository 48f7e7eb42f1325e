//! One large blob: up through one node and down through another, and what the nodes take meanwhile.

use super::growth::disk_mb;
use crate::{
    figure::{Bar, Figure},
    footprint::resident_mb,
    mesh::Plan,
    selection::Selection,
};
use anyhow::ensure;
use micro_sdk::client::Node;
use micro_tests::Cluster;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Larger than what a node may hold in memory, by far.
const BYTES: u64 = 1 << 30;
const BYTES_QUICK: u64 = 64 << 20;
/// What is written at once.
const PIECE_BYTES: usize = 256 << 10;
/// How often the memory of the nodes is read: what one holds for long enough to matter is seen.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);
/// A blob passes through: a quarter of it in memory would be far more than what passes at once.
const MEMORY: Bar = Bar::AtMost(256.0);

/// What is measured, up and down.
const WHATS: [&str; 7] = [
    "up through one node, the time",
    "up through one node",
    "up, most memory of a node",
    "down through another node, the time",
    "down through another node",
    "down, most memory of a node",
    "disk of three nodes",
];

fn length(plan: &Plan) -> u64 {
    if plan.share > 1 { BYTES_QUICK } else { BYTES }
}

fn name(bytes: u64, what: &str) -> String {
    format!("blob of {} MiB: {what}", bytes >> 20)
}

/// Whether any row is wanted.
pub fn is_wanted(selection: &Selection) -> bool {
    [BYTES, BYTES_QUICK].iter().any(|bytes| WHATS.iter().any(|what| selection.wants(&name(*bytes, what))))
}

/// Puts a blob, reads it elsewhere, and deletes it.
///
/// # Errors
/// If it is not kept or not read to its end.
pub async fn measure(
    cluster: &Cluster,
    (one, another): (usize, usize),
    plan: &Plan,
) -> anyhow::Result<Vec<Figure>> {
    let bytes = length(plan);
    eprint!("==> blob of {} MiB, up and down:", bytes >> 20);
    let (one, another) = (cluster.client(one).await?, cluster.client(another).await?);
    let before = disks_mb(cluster)?;
    let (up_s, up_mb) = timed(cluster, put(&one, bytes)).await?;
    let disk = disks_mb(cluster)? - before;
    let (down_s, down_mb) = timed(cluster, get(&another, bytes)).await?;
    one.blobs().delete("bench").await?;
    let rate = |seconds: f64| bytes as f64 / 1e6 / seconds;
    let values = [
        (up_s, "s", None),
        (rate(up_s), "MB/s", None),
        (up_mb, "MB", Some(MEMORY)),
        (down_s, "s", None),
        (rate(down_s), "MB/s", None),
        (down_mb, "MB", Some(MEMORY)),
        (disk, "MB", None),
    ];
    let mut figures = Vec::new();
    for (what, (value, unit, bar)) in WHATS.into_iter().zip(values) {
        eprint!("  {value:.1} {unit}");
        figures.push(Figure::plain(&name(bytes, what), value, unit, bar));
    }
    eprintln!();
    figures.retain(|figure| plan.selection.wants(&figure.name));
    Ok(figures)
}

async fn put(node: &Node, bytes: u64) -> anyhow::Result<()> {
    // No disk and no link on the way makes it smaller; that it repeats itself is as good.
    let piece: Vec<u8> = (0..PIECE_BYTES).map(|at| (at / 4096 + at * 31) as u8).collect();
    let mut upload = node.blobs().put("bench", Vec::new()).size(bytes).stream().await?;
    for _ in 0..bytes / PIECE_BYTES as u64 {
        upload.write(piece.clone()).await?;
    }
    let put = upload.finish().await?;
    ensure!(put.size == bytes, "{} bytes were kept, not {bytes}", put.size);
    Ok(())
}

async fn get(node: &Node, bytes: u64) -> anyhow::Result<()> {
    let (mut reader, mut read) = (node.blobs().get("bench").await?, 0);
    while let Some(piece) = reader.next().await? {
        read += piece.len() as u64;
    }
    ensure!(read == bytes, "{read} bytes were read, not {bytes}");
    Ok(())
}

/// How many seconds it takes, and the most memory that any node has meanwhile.
async fn timed(
    cluster: &Cluster,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<(f64, f64)> {
    let (began, mut most) = (Instant::now(), 0.0);
    tokio::pin!(work);
    loop {
        for member in &cluster.members {
            most = resident_mb(member.at().pid)?.max(most);
        }
        tokio::select! {
            biased;
            done = &mut work => {
                done?;
                return Ok((began.elapsed().as_secs_f64(), most));
            }
            () = sleep(SAMPLE_EVERY) => {}
        }
    }
}

/// What the blobs take on all disks, in millions of bytes.
fn disks_mb(cluster: &Cluster) -> anyhow::Result<f64> {
    cluster.members.iter().map(|member| disk_mb(&member.data_dir().join("blobs"))).sum()
}
