//! One large blob, up through one node and down through another.

use super::growth::disk_mb;
use crate::{figure::Figure, footprint::resident_mb, mesh::Plan, selection::Selection};
use anyhow::ensure;
use micro_sdk::client::Node;
use micro_tests::{Cluster, until};
use std::{
    future::Future,
    pin::pin,
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval};

const MIB: usize = 1 << 20;
/// How large it is, in MiB; and when all is to be quick, at least.
const SIZE: usize = 1024;
const SIZE_MIN: usize = 64;
/// How long it may take until each of the three disks has it.
const COPIES_LIMIT: Duration = Duration::from_secs(120);
/// How often the memory of the nodes is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// What is measured.
const WHATS: [&str; 4] =
    ["up, to three disks", "down, through another node", "most memory of a node meanwhile", "disk of a node"];

fn name(mib: usize, what: &str) -> String {
    format!("blob of {mib} MiB: {what}")
}

/// Whether any row is wanted.
pub fn is_wanted(selection: &Selection) -> bool {
    WHATS.iter().any(|what| selection.wants(&name(SIZE, what)))
}

/// Puts a blob and gets it.
///
/// # Errors
/// If it does not come back as it went.
pub async fn measure(cluster: &Cluster, plan: &Plan) -> anyhow::Result<Vec<Figure>> {
    let mib = (SIZE / plan.share as usize).max(SIZE_MIN);
    let (near, far) = (cluster.client(0).await?, cluster.client(1).await?);
    eprint!("==> blob of {mib} MiB:");
    let (up, memory_up) = watched(cluster, put(&near, mib)).await?;
    let (down, memory_down) = watched(cluster, get(&far, mib)).await?;
    let disk = disk_mb(&cluster.members[0].data_dir().join("blobs"))?;
    let values = [(up, "s"), (down, "s"), (memory_up.max(memory_down), "MB"), (disk, "MB")];
    let mut figures = Vec::new();
    for (what, (value, unit)) in WHATS.into_iter().zip(values) {
        eprint!("  {value:.1} {unit}");
        figures.push(Figure::plain(&name(mib, what), value, unit, None));
    }
    eprintln!();
    near.blobs().delete("large").await?;
    Ok(figures)
}

async fn put(node: &Node, mib: usize) -> anyhow::Result<()> {
    let mut upload = node.blobs().put("large", "").size((mib * MIB) as u64).stream().await?;
    for number in 0..mib {
        // No two pieces are alike.
        upload.write(vec![number as u8; MIB]).await?;
    }
    upload.finish().await?;
    // Two are enough for an answer: where a disk is late, the third copy is made behind it.
    until("the blob has three copies", COPIES_LIMIT, async || {
        let holders = node.blobs().head("large").await?.holders.len();
        ensure!(holders == 3, "it has {holders}");
        Ok(())
    })
    .await
}

async fn get(node: &Node, mib: usize) -> anyhow::Result<()> {
    let mut reader = node.blobs().get("large").await?;
    let mut bytes = 0;
    while let Some(piece) = reader.next().await? {
        bytes += piece.len();
    }
    ensure!(bytes == mib * MIB, "the blob came back with {bytes} bytes");
    Ok(())
}

/// How many seconds `work` takes, and the most memory that a node has meanwhile, in millions of bytes.
async fn watched(
    cluster: &Cluster,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<(f64, f64)> {
    let (began, mut most) = (Instant::now(), 0.0_f64);
    let mut work = pin!(work);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            done = work.as_mut() => return done.map(|()| (began.elapsed().as_secs_f64(), most)),
            _ = looks.tick() => {
                for member in &cluster.members {
                    most = most.max(resident_mb(member.at().pid)?);
                }
            }
        }
    }
}
