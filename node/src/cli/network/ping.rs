//! `micro-node network ping`.

use super::{Failure, Globals, ListShape, Output, Shapes, ms, ms_text, names, session, via};
use crate::cli::{output::Format, unit};
use clap::Args;
use micro_sdk::client;
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;
use tokio::time::sleep;

/// Send pings from the asked node to another, on the way that calls go
///
/// Each is a call like any other: it takes what a call takes that does nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node network ping c
  micro-node network ping c --count 10 --interval 200ms")]
pub(super) struct Ping {
    /// The node, by name or id
    node: String,

    /// How many
    #[arg(short, long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,

    /// How long to wait between two
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = unit::duration)]
    interval: Duration,
}

/// An answered ping.
#[derive(Serialize, JsonSchema)]
struct PingItem {
    /// The name of the node that answered.
    node: String,
    /// Its id.
    id: String,
    /// The names of the nodes that it passed, the first one first; none if it went directly.
    relays: Vec<String>,
    /// Where that node is dialled; empty for the asked node itself.
    address: String,
    /// How long it took, there and back, in milliseconds.
    took_ms: f64,
}

/// What there is to say of them all.
#[derive(Serialize, JsonSchema)]
struct PingsSummary {
    /// How many were answered.
    count: usize,
    /// How long the quickest took, in milliseconds; none if none was answered.
    least_ms: Option<f64>,
    /// How long they took in the mean.
    mean_ms: Option<f64>,
    /// How long the slowest took.
    most_ms: Option<f64>,
}

const PINGS: ListShape<PingItem, PingsSummary> = ListShape::new("network-pings", &["network ping"]);

pub(super) const SHAPES: Shapes = &[&PINGS];

impl Ping {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        // Lines are shown as they come; a document is one, of all that were answered.
        let whole = output.json() && output.format() != Format::Jsonl;
        let mut items = Vec::new();
        let ended = session::run(globals, async |client| {
            for number in 0..self.count {
                if number > 0 {
                    sleep(self.interval).await;
                }
                let pinged = client.ping(&self.node).await?;
                match whole {
                    true => items.push(item(&pinged)),
                    false if output.json() => output.foreign_line(&item(&pinged))?,
                    false => output.text(&line(&pinged))?,
                }
            }
            Ok(())
        });
        // What was answered before one was not is not lost.
        if whole && (ended.is_ok() || !items.is_empty()) {
            output.items(&PINGS, &items, &summary(&items))?;
        }
        ended
    }
}

fn item(pinged: &client::Ping) -> PingItem {
    PingItem {
        node: pinged.node.name.clone(),
        id: pinged.node.id.clone(),
        relays: names(&pinged.relays).into_iter().map(str::to_owned).collect(),
        address: pinged.address.clone(),
        took_ms: ms(pinged.took),
    }
}

fn line(pinged: &client::Ping) -> String {
    let (name, way) = (&pinged.node.name, via(&pinged.relays));
    if pinged.address.is_empty() {
        return format!("{name} is the node that was asked");
    }
    let way = if pinged.relays.is_empty() { format!("{way} {}", pinged.address) } else { way };
    format!("{name} answers {way} in {}", ms_text(pinged.took))
}

fn summary(items: &[PingItem]) -> PingsSummary {
    let times = || items.iter().map(|item| item.took_ms);
    let mean = times().sum::<f64>() / items.len() as f64;
    PingsSummary {
        count: items.len(),
        least_ms: times().reduce(f64::min),
        // To the microsecond, as the times are.
        mean_ms: (!items.is_empty()).then(|| (mean * 1e3).round() / 1e3),
        most_ms: times().reduce(f64::max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_summed_up() {
        let item = |took_ms| PingItem {
            node: "b".to_owned(),
            id: "b".to_owned(),
            relays: Vec::new(),
            address: String::new(),
            took_ms,
        };
        let told = summary(&[item(1.0), item(3.0), item(2.0)]);
        assert_eq!(
            (told.count, told.least_ms, told.mean_ms, told.most_ms),
            (3, Some(1.0), Some(2.0), Some(3.0))
        );
        let none = summary(&[]);
        assert_eq!((none.count, none.least_ms, none.mean_ms, none.most_ms), (0, None, None, None));
    }
}
