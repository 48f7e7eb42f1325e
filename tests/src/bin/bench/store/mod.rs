//! The store by itself: stalls, batches, transactions, watches, blobs, and how all of it grows with what is in it.

mod batches;
mod blobs;
mod growth;
mod pushes;
mod watchers;

use crate::{
    contest,
    figure::{Bar, Figure},
    frame::{Dialect, Kind, VALUE},
    load::{Load, Pressure},
    mesh::{Plan, door},
    report::Report,
    selection::Selection,
    side::{Role, Side},
};
use micro_tests::Cluster;

/// Long enough for the log to change its files and the state to be compacted many times over.
const ENDURANCE: Pressure = Pressure { requests: 1_000_000, connections: 8, streams: 64 };
/// A pause that people notice, and that runs into deadlines, begins about here.
const STALL: Bar = Bar::AtMost(150.0);
const STALLS: &str = "slowest of many puts, 512 in flight";

/// Whether any row is wanted.
pub fn is_wanted(selection: &Selection) -> bool {
    contest::is_wanted(selection)
        || selection.wants(STALLS)
        || batches::is_wanted(selection)
        || watchers::is_wanted(selection)
        || pushes::is_wanted(selection)
        || blobs::is_wanted(selection)
        || growth::is_wanted(selection)
}

/// Measures what is wanted, part by part: what fails is in the report.
pub async fn measure(
    load: &Load,
    cluster: &Cluster,
    (leader, follower): (usize, usize),
    plan: &Plan,
    report: &mut Report,
) {
    let selection = &plan.selection;
    if selection.wants(STALLS) {
        report.take(STALLS, stalls(load, cluster, leader, follower).await);
    }
    if batches::is_wanted(selection) {
        report.take("batches and transactions", batches::measure(cluster, leader, plan).await);
    }
    if watchers::is_wanted(selection) {
        report.take("watchers", watchers::measure(cluster, (leader, follower), plan).await);
    }
    if pushes::is_wanted(selection) {
        report.take("pushes", pushes::measure(cluster, (leader, follower), plan).await);
    }
    if blobs::is_wanted(selection) {
        report.take("blobs", blobs::measure(cluster, plan).await);
    }
    // Last: it leaves the most behind.
    if growth::is_wanted(selection) {
        report.take("growth", growth::measure(cluster, leader, plan).await);
    }
}

async fn stalls(
    load: &Load,
    cluster: &Cluster,
    leader: usize,
    follower: usize,
) -> anyhow::Result<Vec<Figure>> {
    eprint!("==> {STALLS}:");
    let (leader, follower) = (door(cluster, leader)?, door(cluster, follower)?);
    let side = Side { name: "ours", dialect: Dialect::Micro, leader, follower };
    let slowest = load.slowest_ms(ENDURANCE, &side.request(Role::Leader, Kind::Put, &VALUE)).await?;
    eprintln!("  {slowest:.0} ms");
    Ok(vec![Figure::plain(STALLS, slowest, "ms", Some(STALL))])
}
