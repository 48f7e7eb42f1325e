//! Puts and reads, ours and etcd's in turn.

use crate::{
    figure::{Bar, Figure, Peer, Sample},
    frame::{Kind, VALUE},
    load::{Load, Pressure},
    mesh::{Part, Plan},
    selection::Selection,
    side::{Role, Side},
};
use anyhow::Context;
use std::time::Duration;
use tokio::time::sleep;

/// Sent to each door before anything is measured: connections, caches and files have their first time once.
const WARM_UP: Pressure = Pressure { requests: 2_000, connections: 1, streams: 64 };

/// Between two runs. A side that has just been under load goes on for a moment: etcd commits its pages to the file, and
/// nodes write their tables out, both on the disk and the cores that the other side is measured on next.
const SETTLE: Duration = Duration::from_secs(1);

/// What is asked for.
struct Row {
    kind: Kind,
    pressure: Pressure,
    bars: Option<Bars>,
}

/// How many times etcd's rate.
#[derive(Clone, Copy, Debug)]
struct Bars {
    /// What the mesh as a whole is held to.
    mesh: f64,
    /// What the store is held to.
    store: f64,
}

/// A row of so many requests on so many connections and streams, and how many times as fast as etcd it should be.
const fn row(kind: Kind, requests: u32, connections: u32, streams: u32, bars: Option<(f64, f64)>) -> Row {
    let bars = match bars {
        Some((mesh, store)) => Some(Bars { mesh, store }),
        None => None,
    };
    Row { kind, pressure: Pressure { requests, connections, streams }, bars }
}

/// Each run takes one to seven seconds on two cores, etcd's the longest: in less, the start of the connections and of
/// the flow counts. The bars are what the project promises itself: a fifth more puts
/// when there is nothing to batch, twice and three times as many where there is; reads need no disk, so the gain is
/// what the doors gain. The store, by itself, is held to more.
const ROWS: [Row; 7] = [
    row(Kind::Put, 3_000, 1, 1, Some((1.2, 1.2))),
    row(Kind::Put, 60_000, 1, 64, Some((2.0, 2.5))),
    row(Kind::Put, 100_000, 8, 64, Some((3.0, 3.5))),
    row(Kind::Linearizable, 80_000, 1, 64, Some((1.8, 2.0))),
    row(Kind::Linearizable, 150_000, 8, 64, Some((1.8, 2.0))),
    row(Kind::Stale, 80_000, 1, 64, None),
    row(Kind::Stale, 150_000, 8, 64, None),
];

impl Row {
    fn name(&self, role: Role) -> String {
        format!("{}, {} in flight, {role}", self.kind.name(), self.pressure.in_flight())
    }
}

/// Whether any row is wanted.
pub fn is_wanted(selection: &Selection) -> bool {
    wanted(selection).next().is_some()
}

fn wanted(selection: &Selection) -> impl Iterator<Item = (Role, &'static Row)> {
    let all =
        [Role::Leader, Role::Follower].into_iter().flat_map(|role| ROWS.iter().map(move |row| (role, row)));
    all.filter(|(role, row)| selection.wants(&row.name(*role)))
}

/// Measures all rows that are wanted on all sides: ours first, and etcd's if there is one.
///
/// # Errors
/// If a request fails, or what is read is not what was written.
pub async fn measure(load: &Load, sides: &[Side], plan: &Plan) -> anyhow::Result<Vec<Figure>> {
    for side in sides {
        side.check_before(load).await?;
        for role in [Role::Leader, Role::Follower] {
            load.rate(WARM_UP, &side.request(role, Kind::Put, &VALUE)).await?;
        }
    }
    let mut figures = Vec::new();
    for (role, row) in wanted(&plan.selection) {
        let runs = if row.bars.is_some() { plan.runs_for_bar } else { plan.runs };
        let figure = measure_row(load, sides, role, row, plan.part, runs).await?;
        let tail = (plan.part == Part::Store && row.kind == Kind::Put).then(|| p99(&figure)).flatten();
        figures.push(figure);
        figures.extend(tail);
    }
    for side in sides {
        side.check_after(load).await?;
    }
    Ok(figures)
}

/// One run of ours, one of etcd's, and again: a machine that drifts then drifts for both.
async fn measure_row(
    load: &Load,
    sides: &[Side],
    role: Role,
    row: &Row,
    part: Part,
    runs: usize,
) -> anyhow::Result<Figure> {
    let name = row.name(role);
    eprint!("==> {name}:");
    let mut rates: Vec<Vec<f64>> = vec![Vec::new(); sides.len()];
    for _ in 0..runs {
        for (side, rates) in sides.iter().zip(&mut rates) {
            sleep(SETTLE).await;
            let rate = load.rate(row.pressure, &side.request(role, row.kind, &VALUE)).await?;
            eprint!("  {} {rate:.0}/s", side.name);
            rates.push(rate);
        }
    }
    eprintln!();
    let mut samples = Vec::new();
    for (side, rates) in sides.iter().zip(rates) {
        sleep(SETTLE).await;
        let latency = load.latency(row.pressure, &side.request(role, row.kind, &VALUE)).await?;
        samples.push(Sample::new(rates, &[latency]));
    }
    let mut samples = samples.into_iter();
    let ours = samples.next().context("there is a side")?;
    let peer = samples.next().zip(sides.get(1)).map(|(load, side)| Peer { name: side.name, load });
    let bar = row.bars.map(|Bars { mesh, store }| match part {
        Part::Mesh => mesh,
        Part::Store => store,
    });
    Ok(Figure::rate(&name, ours, peer, bar.map(Bar::TimesPeer)))
}

/// A line of its own for the slowest of a hundred: more requests a second are no gain where some wait longer for it.
fn p99(figure: &Figure) -> Option<Figure> {
    let (ours, peer) = figure.load.as_ref().zip(figure.peer.as_ref())?;
    let name = format!("p99 of {}", figure.name);
    Some(Figure::plain(&name, ours.p99_us / 1e3, "ms", Some(Bar::AtMost(peer.load.p99_us / 1e3))))
}
