//! Many puts as few entries of the log: batches and transactions of the SDK.

use crate::{
    figure::{Bar, Figure, median},
    frame::VALUE,
    mesh::Plan,
    selection::Selection,
};
use futures::{StreamExt, TryStreamExt, stream};
use micro_sdk::{client::Store, wire::Fault};
use micro_tests::Cluster;
use std::time::Instant;

/// The puts of one batch: as many as one entry takes.
pub const BATCH: u32 = 1024;
/// The batches of one run.
const BATCHES: u32 = 400;
/// How many are under way at once: some are made up and sent while others are on the disks. With four, a tenth of two
/// cores was idle.
const BATCHES_IN_FLIGHT: usize = 8;
/// What a batch is for: to load much at once.
const LOADING: Bar = Bar::AtLeast(100_000.0);

/// The puts of one transaction.
const PUTS: u32 = 8;
const TRANSACTIONS: u32 = 20_000;
const TRANSACTIONS_IN_FLIGHT: usize = 64;

const LOADED: &str = "puts of new records in batches of 1,024";
const REPLACED: &str = "puts over old records in batches of 1,024";
const TRANSACTED: &str = "transactions of 8 puts, 64 in flight";

/// Whether any row is wanted.
pub fn is_wanted(selection: &Selection) -> bool {
    selection.wants_any(&[LOADED, REPLACED, TRANSACTED])
}

/// Sends all of them to the leader.
///
/// # Errors
/// If one is not done.
pub async fn measure(cluster: &Cluster, leader: usize, plan: &Plan) -> anyhow::Result<Vec<Figure>> {
    let store = cluster.client(leader).await?.store().database("bench").table("batches");
    let mut figures = Vec::new();
    let batches = (BATCHES / plan.share).max(4);
    if plan.selection.wants(LOADED) {
        let batch = async |first| put(&store, first, BATCH).await;
        let rate = rate(LOADED, plan.runs, batches, BATCHES_IN_FLIGHT, BATCH, batch).await?;
        figures.push(Figure::plain(LOADED, rate, "/s", Some(LOADING)));
    }
    if plan.selection.wants(REPLACED) {
        let batch = async |first| put(&store, first % (batches * BATCH), BATCH).await;
        let rate = rate(REPLACED, plan.runs, batches, BATCHES_IN_FLIGHT, BATCH, batch).await?;
        figures.push(Figure::plain(REPLACED, rate, "/s", None));
    }
    if plan.selection.wants(TRANSACTED) {
        let transactions = TRANSACTIONS / plan.share;
        let transact = async |first: u32| {
            let first = first % (transactions * PUTS);
            let txn = (first..first + PUTS)
                .fold(store.txn(), |txn, number| txn.then(store.put(key(number), &VALUE[..])));
            txn.await.map(drop)
        };
        let rate = rate(TRANSACTED, plan.runs, transactions, TRANSACTIONS_IN_FLIGHT, PUTS, transact).await?;
        figures.push(Figure::plain(TRANSACTED, rate / f64::from(PUTS), "/s", None));
    }
    Ok(figures)
}

/// Writes `count` records from number `first` on, as one batch.
///
/// # Errors
/// If it is not done to its end.
pub async fn put(store: &Store, first: u32, count: u32) -> Result<(), Fault> {
    let mut batch = store.batch();
    for number in first..first + count {
        batch.push(store.put(key(number), &VALUE[..]));
    }
    batch.await?;
    Ok(())
}

/// The key of a record, 16 bytes.
pub fn key(number: u32) -> String {
    format!("key/{number:012}")
}

/// Puts a second: the median of some runs of so many requests, each of `puts` puts from a number on that is higher each
/// time, also from run to run.
async fn rate(
    name: &str,
    runs: usize,
    requests: u32,
    in_flight: usize,
    puts: u32,
    request: impl AsyncFn(u32) -> Result<(), Fault>,
) -> anyhow::Result<f64> {
    eprint!("==> {name}:");
    let mut rates = Vec::new();
    for run in 0..runs as u32 {
        let began = Instant::now();
        let requests_made = stream::iter(0..requests).map(|number| request((run * requests + number) * puts));
        requests_made.buffer_unordered(in_flight).try_collect::<Vec<()>>().await?;
        let rate = f64::from(requests * puts) / began.elapsed().as_secs_f64();
        eprint!("  {rate:.0} puts/s");
        rates.push(rate);
    }
    eprintln!();
    Ok(median(&rates))
}
