//! `micro-node network explain`: the ways from one node to another.

use super::{Failure, Globals, Output, Shapes, ms, ms_text, names, session, via};
use crate::cli::{
    shape::ItemShape,
    table::{NOTHING, Table},
};
use clap::Args;
use micro_sdk::client::{Explanation, Way};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;

/// Show the ways from one node to another, what each costs, and which one is gone
///
/// The cost is a round trip in all: those of the links, more where packets are lost or late, a little for each relay,
/// and what `start --cost-per-gb` says of the clouds on the way.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node network explain c                       from the node that is asked
  micro-node network explain b c")]
pub(super) struct Explain {
    /// The two nodes, by name or id; of one, the way from the asked node to it
    #[arg(value_name = "NODE", num_args = 1..=2, required = true)]
    nodes: Vec<String>,
}

/// The ways from one node to another.
#[derive(Serialize, JsonSchema)]
struct ExplanationItem<'a> {
    /// The name of the node that sends.
    from: &'a str,
    /// The name of the node that it sends to.
    to: &'a str,
    /// The ways that could be gone, the cheapest first: for each node that may come next, the best over it.
    ways: Vec<WayItem<'a>>,
}

/// A way, and what it costs as round trips.
#[derive(Serialize, JsonSchema)]
struct WayItem<'a> {
    /// Whether it is the one that is gone.
    chosen: bool,
    /// The names of the nodes between the two ends, the first one first; none if it is the direct way.
    relays: Vec<&'a str>,
    /// In all, in milliseconds.
    cost_ms: f64,
    /// Of it the round trips of its links.
    rtt_ms: f64,
    /// Of it what is for packets that are lost.
    loss_cost_ms: f64,
    /// Of it what is for packets that are late.
    jitter_cost_ms: f64,
    /// Of it what is for money that is paid between clouds.
    price_cost_ms: f64,
    /// Of it what is for the relays.
    relay_cost_ms: f64,
    /// Why it is gone, or not.
    why: String,
}

const EXPLANATION: ItemShape<ExplanationItem<'static>> =
    ItemShape::new("network-explanation", &["network explain"]);

pub(super) const SHAPES: Shapes = &[&EXPLANATION];

impl Explain {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let (from, to) = match &self.nodes[..] {
            [from, to] => (Some(from.as_str()), to.as_str()),
            nodes => (None, nodes[0].as_str()),
        };
        let explained = session::run(globals, async |node| Ok(node.explain(from, to).await?))?;
        if output.json() {
            return output.item(&EXPLANATION, &item(&explained));
        }
        let mut table = Table::new(["", "WAY", "COST", "RTT", "LOSS", "JITTER", "PRICE", "RELAYS", "WHY"]);
        for way in &explained.ways {
            let part = |time: Duration| if time.is_zero() { NOTHING.to_owned() } else { ms_text(time) };
            table.row([
                if way.chosen { "→" } else { "" }.to_owned(),
                via(&way.relays),
                ms_text(way.cost),
                ms_text(way.rtt),
                part(way.of_loss),
                part(way.of_jitter),
                part(way.of_price),
                part(way.of_relays),
                why(way, &explained.ways),
            ]);
        }
        let hint = match explained.from == explained.to {
            true => format!("{} is one node: nothing leaves it", explained.to.name),
            false => format!("{} knows of no way to {}", explained.from.name, explained.to.name),
        };
        output.table(&table, &hint)
    }
}

impl<'a> WayItem<'a> {
    fn of(way: &'a Way, all: &[Way]) -> Self {
        WayItem {
            chosen: way.chosen,
            relays: names(&way.relays),
            cost_ms: ms(way.cost),
            rtt_ms: ms(way.rtt),
            loss_cost_ms: ms(way.of_loss),
            jitter_cost_ms: ms(way.of_jitter),
            price_cost_ms: ms(way.of_price),
            relay_cost_ms: ms(way.of_relays),
            why: why(way, all),
        }
    }
}

fn item(explained: &Explanation) -> ExplanationItem<'_> {
    let ways = explained.ways.iter().map(|way| WayItem::of(way, &explained.ways)).collect();
    ExplanationItem { from: &explained.from.name, to: &explained.to.name, ways }
}

/// Why a way is gone, or not.
fn why(way: &Way, all: &[Way]) -> String {
    let cheapest = &all[0];
    let dearer = |than: &Way| ms_text(way.cost.saturating_sub(than.cost));
    match all.iter().find(|way| way.chosen) {
        Some(chosen) if chosen == way && way == cheapest => "the cheapest".to_owned(),
        Some(chosen) if chosen == way => {
            format!("kept: {} dearer than the cheapest is too little to change", dearer(cheapest))
        }
        Some(chosen) if way.cost < chosen.cost => "not enough cheaper than the one that is gone".to_owned(),
        Some(chosen) => format!("{} dearer", dearer(chosen)),
        None => "not found yet when the ways were last looked at".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_says_why_it_is_gone_or_not() {
        let way = |ms, chosen| Way {
            relays: Vec::new(),
            cost: Duration::from_millis(ms),
            rtt: Duration::from_millis(ms),
            of_loss: Duration::ZERO,
            of_jitter: Duration::ZERO,
            of_price: Duration::ZERO,
            of_relays: Duration::ZERO,
            chosen,
        };
        let said = |ways: &[Way]| ways.iter().map(|way| why(way, ways)).collect::<Vec<_>>();
        assert_eq!(said(&[way(10, true), way(30, false)]), ["the cheapest", "20ms dearer"]);
        assert_eq!(
            said(&[way(29, false), way(30, true), way(50, false)]),
            [
                "not enough cheaper than the one that is gone",
                "kept: 1.0ms dearer than the cheapest is too little to change",
                "20ms dearer",
            ]
        );
        assert_eq!(said(&[way(1, false)]), ["not found yet when the ways were last looked at"]);
    }
}
