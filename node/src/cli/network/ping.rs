//! `micro-node network ping`.

use super::{Failure, Globals, Output, Shapes, ms, ms_text, names, session, via};
use crate::cli::{shape::ItemShape, unit};
use clap::Args;
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
struct PingItem<'a> {
    /// The name of the node that answered.
    node: &'a str,
    /// Its id.
    id: &'a str,
    /// The names of the nodes that it passed, the first one first; none if it went directly.
    relays: Vec<&'a str>,
    /// Where that node is dialled; empty for the asked node itself.
    address: &'a str,
    /// How long it took, there and back, in milliseconds.
    took_ms: f64,
}

const PING: ItemShape<PingItem<'static>> = ItemShape::new("network-ping", &["network ping"]);

pub(super) const SHAPES: Shapes = &[&PING];

impl Ping {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        session::run(globals, async |client| {
            for number in 0..self.count {
                if number > 0 {
                    sleep(self.interval).await;
                }
                let pinged = client.ping(&self.node).await?;
                let (name, way) = (&pinged.node.name, via(&pinged.relays));
                if output.json() {
                    let item = PingItem {
                        node: name,
                        id: &pinged.node.id,
                        relays: names(&pinged.relays),
                        address: &pinged.address,
                        took_ms: ms(pinged.took),
                    };
                    output.item(&PING, &item)?;
                } else if pinged.address.is_empty() {
                    output.text(&format!("{name} is the node that was asked"))?;
                } else {
                    let way =
                        if pinged.relays.is_empty() { format!("{way} {}", pinged.address) } else { way };
                    output.text(&format!("{name} answers {way} in {}", ms_text(pinged.took)))?;
                }
            }
            Ok(())
        })
    }
}
