//! A thousand watchers of one prefix.

use crate::{
    figure::{Figure, median},
    footprint::resident_mb,
    frame::VALUE,
    mesh::Plan,
    selection::Selection,
};
use anyhow::{Context, ensure};
use futures::{StreamExt, stream};
use micro_sdk::client::{Store, Watch};
use micro_tests::Cluster;
use std::time::{Duration, Instant};
use tokio::time::timeout;

const WATCHERS: u32 = 1_000;
/// Puts that each of them is told of.
const PUTS: u32 = 200;
/// Longer than any watcher should wait for what was put.
const PATIENCE: Duration = Duration::from_secs(60);

const ONE: &str = "one put, until 1,000 watchers have it";
const EVENTS: &str = "events to 1,000 watchers";
const MEMORY: &str = "memory of 1,000 watchers, follower";

/// Whether any row is wanted.
pub fn is_wanted(selection: &Selection) -> bool {
    selection.wants_any(&[ONE, EVENTS, MEMORY])
}

/// Watches at a follower what is put at the leader.
///
/// # Errors
/// If a watcher misses anything.
pub async fn measure(
    cluster: &Cluster,
    (leader, follower): (usize, usize),
    plan: &Plan,
) -> anyhow::Result<Vec<Figure>> {
    let at = |store: micro_sdk::client::Node| store.store().database("bench").table("watched");
    let (writer, reader) = (at(cluster.client(leader).await?), at(cluster.client(follower).await?));
    let puts = (PUTS / plan.share).max(10);
    eprint!("==> {WATCHERS} watchers:");
    let pid = cluster.members[follower].at().pid;
    let before = resident_mb(pid)?;
    let mut watches = Vec::new();
    for _ in 0..WATCHERS {
        watches.push(reader.watch("").await?);
    }
    let (mut ones, mut rounds) = (Vec::new(), 0);
    // The first finds connections and caches cold.
    while rounds < 1 + plan.runs {
        let began = Instant::now();
        watches = told(&writer, watches, 1).await?;
        ones.push(began.elapsed().as_secs_f64() * 1e3);
        rounds += 1;
    }
    let memory = resident_mb(pid)? - before;
    let began = Instant::now();
    drop(told(&writer, watches, puts).await?);
    let rate = f64::from(WATCHERS * puts) / began.elapsed().as_secs_f64();
    let one = median(&ones[1..]);
    eprintln!("  {one:.1} ms  {rate:.0}/s  {memory:.1} MB");
    let mut figures = vec![
        Figure::plain(ONE, one, "ms", None),
        Figure::plain(EVENTS, rate, "/s", None),
        Figure::plain(MEMORY, memory, "MB", None),
    ];
    figures.retain(|figure| plan.selection.wants(&figure.name));
    Ok(figures)
}

/// Puts so many, and waits until each watcher was told of all.
async fn told(store: &Store, watches: Vec<Watch>, puts: u32) -> anyhow::Result<Vec<Watch>> {
    let count = watches.len();
    let watching = stream::iter(watches).map(|mut watch| async move {
        let mut seen = 0;
        while seen < puts {
            let revision = timeout(PATIENCE, watch.next()).await.context("a watcher waits in vain")?;
            let revision = revision.context("a watch has ended")??;
            seen += u32::try_from(revision.changes.len())?;
        }
        ensure!(seen == puts, "a watcher was told of {seen} changes, not {puts}");
        anyhow::Ok(watch)
    });
    let watching = watching.buffer_unordered(count).collect::<Vec<_>>();
    let putting = async {
        for number in 0..puts {
            store.put(format!("key/{}", number % 16), &VALUE[..]).await?;
        }
        anyhow::Ok(())
    };
    let (watches, put) = tokio::join!(watching, putting);
    put?;
    watches.into_iter().collect()
}
