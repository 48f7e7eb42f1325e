//! `micro-node network connections` and `graph`: the links between nodes.

use super::{Failure, Globals, ListShape, NOTHING, Output, Shapes, ms, percent, reached_at, session, unit};
use crate::cli::table::Table;
use clap::Args;
use micro_sdk::client::{Link, Links};
use schemars::JsonSchema;
use serde::Serialize;
use std::{collections::BTreeMap, fmt::Write};

/// List the direct links of the asked node
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  micro-node network connections")]
pub(super) struct Connections {}

/// Show the links between all nodes, as far as the asked node knows them
///
/// Each node tells of its 32 quickest links, so that in a large mesh not all are known everywhere.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node network graph
  micro-node network graph --dot | dot -Tsvg > mesh.svg")]
pub(super) struct Graph {
    /// Draw it in the language of Graphviz
    #[arg(long)]
    dot: bool,
}

/// A link, as the node at its one end tells of it.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct LinkItem<'a> {
    /// The name of the node that tells.
    from: &'a str,
    /// Its id.
    from_id: &'a str,
    /// The name of the node at the other end.
    to: &'a str,
    /// Its id.
    to_id: &'a str,
    /// The lowest round trip of the last seconds, in milliseconds.
    rtt_ms: f64,
    /// By how much the round trips of the last 30 s differed from one to the next, in the mean; in milliseconds.
    jitter_ms: f64,
    /// The share of packets sent that were lost, from 0 to 1.
    loss: f64,
    /// The address at the other end, of a link of the asked node that is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
}

/// What there is to say of the links.
#[derive(Serialize, JsonSchema)]
struct LinksSummary {
    /// How many are listed.
    count: usize,
    /// How many nodes there are, also those without a link.
    nodes: usize,
}

const LINKS: ListShape<LinkItem<'static>, LinksSummary> =
    ListShape::new("network-links", &["network connections", "network graph"]);

const COLUMNS: [&str; 5] = ["FROM", "TO", "RTT", "JITTER", "LOSS"];

pub(super) const SHAPES: Shapes = &[&LINKS];

impl Connections {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let (links, status) = session::run(globals, async |node| {
            let status = node.status().await?;
            Ok((node.links().await?, status))
        })?;
        let here = status.seen_by.to_string();
        let mut items = items(&links);
        items.retain(|link| link.from_id == here);
        for item in &mut items {
            let other = status.nodes.iter().find(|node| node.id.to_string() == item.to_id);
            item.address = other.and_then(|node| reached_at(node)).map(str::to_owned);
        }
        if output.json() {
            return output.items(
                &LINKS,
                &items,
                &LinksSummary { count: items.len(), nodes: links.nodes.len() },
            );
        }
        let mut table = Table::new(COLUMNS.into_iter().chain(["ADDRESS"]));
        for item in &items {
            let address = item.address.clone().unwrap_or_else(|| NOTHING.to_owned());
            table.row(cells(item).into_iter().chain([address]));
        }
        output.table(&table, "the node has no links: it is alone, or reaches no other")
    }
}

impl Graph {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let links = session::run(globals, async |node| Ok(node.links().await?))?;
        let items = items(&links);
        if self.dot && !output.json() {
            return output.text(dot(&links, &items).trim_end());
        }
        if output.json() {
            return output.items(
                &LINKS,
                &items,
                &LinksSummary { count: items.len(), nodes: links.nodes.len() },
            );
        }
        let mut table = Table::new(COLUMNS);
        items.iter().for_each(|item| table.row(cells(item)));
        output.table(&table, "there are no links: the node is alone, or reaches no other")
    }
}

fn items(links: &Links) -> Vec<LinkItem<'_>> {
    let names: BTreeMap<&str, &str> =
        links.nodes.iter().map(|node| (node.id.as_str(), node.name.as_str())).collect();
    let mut items = Vec::with_capacity(links.links.len());
    for Link { from, to, rtt, jitter, loss } in &links.links {
        let [(from, from_id), (to, to_id)] =
            [from, to].map(|id| (names.get(id.as_str()).copied().unwrap_or(id), id.as_str()));
        let (rtt_ms, jitter_ms) = (ms(*rtt), ms(*jitter));
        items.push(LinkItem { from, from_id, to, to_id, rtt_ms, jitter_ms, loss: *loss, address: None });
    }
    items.sort_by_key(|link| (link.from, link.to));
    items
}

fn cells(link: &LinkItem<'_>) -> [String; 5] {
    let [rtt, jitter] = [link.rtt_ms, link.jitter_ms].map(unit::milliseconds);
    [link.from.to_owned(), link.to.to_owned(), rtt, jitter, percent(link.loss)]
}

/// The links as Graphviz draws them: one line for the two directions of a link.
fn dot(links: &Links, items: &[LinkItem<'_>]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut text = "graph mesh {\n".to_owned();
    let mut line = |line: String| writeln!(text, "  {line}").expect("a String takes every write");
    for node in &links.nodes {
        line(format!("{} [label={}];", quoted(&node.id), quoted(&node.name)));
    }
    for link in items {
        let back = items.iter().find(|back| (back.from_id, back.to_id) == (link.to_id, link.from_id));
        if back.is_some() && link.to_id < link.from_id {
            continue;
        }
        let rtt = back.map_or(link.rtt_ms, |back| back.rtt_ms.min(link.rtt_ms));
        let loss = back.map_or(link.loss, |back| back.loss.max(link.loss));
        let mut label = unit::milliseconds(rtt);
        if loss > 0.0 {
            write!(label, ", {} lost", percent(loss)).expect("a String takes every write");
        }
        line(format!("{} -- {} [label={}];", quoted(link.from_id), quoted(link.to_id), quoted(&label)));
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::client::Member;
    use std::time::Duration;

    #[test]
    fn a_drawing_has_each_node_and_each_link_once() {
        let node = |id: &str, name: &str| Member { id: id.to_owned(), name: name.to_owned() };
        let link = |from: &str, to: &str, us, loss| Link {
            from: from.to_owned(),
            to: to.to_owned(),
            rtt: Duration::from_micros(us),
            jitter: Duration::ZERO,
            loss,
        };
        let links = Links {
            nodes: vec![node("1", "a\"b"), node("2", "c"), node("3", "d")],
            links: vec![link("1", "2", 1500, 0.0), link("2", "1", 1400, 0.02), link("1", "9", 80_000, 0.0)],
        };
        let drawn = "\
graph mesh {
  \"1\" [label=\"a\\\"b\"];
  \"2\" [label=\"c\"];
  \"3\" [label=\"d\"];
  \"1\" -- \"9\" [label=\"80ms\"];
  \"1\" -- \"2\" [label=\"1.4ms, 2.0% lost\"];
}";
        assert_eq!(dot(&links, &items(&links)), drawn);
    }
}
