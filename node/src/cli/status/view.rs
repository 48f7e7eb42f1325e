//! A status as people read it: nodes, consensus, services, problems.

use crate::cli::{
    table::{NOTHING, Table, Tone, clean},
    unit,
};
use clap::builder::styling::{AnsiColor, Style};
use micro_sdk::wire::{
    NodeId,
    status::{NodeState, NodeStatus, Role, Severity, Status},
};
use std::fmt::Write;

/// A column: its heading and what stands in it.
type Column = (&'static str, fn(&NodeStatus) -> &str);

/// Where a node is, from large to small.
const PLACES: [Column; 3] =
    [("CLOUD", |node| &node.cloud), ("REGION", |node| &node.region), ("ZONE", |node| &node.zone)];

/// How much of a status is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scope {
    /// With ids, addresses and actors.
    pub wide: bool,
    /// It is about one node or service: without what is of the group as a whole.
    pub one: bool,
}

/// The whole status, without a line end after its last line.
pub(super) fn text(status: &Status, scope: Scope, headers: bool, width: Option<usize>) -> String {
    let Scope { wide, one } = scope;
    let mut sections = Vec::new();
    if !status.consensus.quorum {
        let alarm = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        sections.push(format!(
            "{alarm}NO QUORUM{alarm:#}: writes and linearizable reads wait; only --stale reads are answered"
        ));
    }
    let render = |table: &Table| match table.is_empty() {
        true => "none".to_owned(),
        false => table.render(headers, width),
    };
    let mut section = |title: &str, body: String| {
        let bold = Style::new().bold();
        sections.push(if headers { format!("{bold}{title}{bold:#}\n{body}") } else { body });
    };
    section("NODES", nodes_text(status, wide, headers, width));
    let mut tables = Vec::new();
    if !one {
        tables.push(render(&consensus(status)));
    }
    if !status.consensus.replicas.is_empty() {
        tables.push(render(&replicas(status)));
    }
    if !tables.is_empty() {
        section("CONSENSUS", tables.join("\n\n"));
    }
    section("SERVICES", render(&services(status, wide)));
    section("PROBLEMS", problems(status));
    sections.join("\n\n")
}

/// The nodes. Notes are sentences: where the terminal has no room for their column, they stand below the table.
fn nodes_text(status: &Status, wide: bool, headers: bool, width: Option<usize>) -> String {
    let table = nodes(status, wide, true);
    if table.is_empty() {
        return "none".to_owned();
    }
    let whole = table.render(headers, None);
    if table.render(headers, width) == whole {
        return whole;
    }
    let mut text = nodes(status, wide, false).render(headers, width);
    for node in &status.nodes {
        let note = note(node);
        if !note.is_empty() {
            write!(text, "\n  {}: {}", clean(&node.name), clean(&note)).expect("a String takes every write");
        }
    }
    text
}

/// The nodes, without notes.
pub(in crate::cli) fn nodes_table(status: &Status, wide: bool) -> Table {
    nodes(status, wide, false)
}

fn nodes(status: &Status, wide: bool, notes: bool) -> Table {
    // Most meshes are in one place, which nobody names: columns of dashes would only take room.
    let places =
        PLACES.map(|(header, pick)| (header, pick, status.nodes.iter().any(|node| !pick(node).is_empty())));
    let places: Vec<_> = places.into_iter().filter(|(_, _, named)| *named).collect();
    let mut headers = vec!["NAME", "STATE", "ROLE"];
    headers.extend(places.iter().map(|(header, ..)| *header));
    headers.extend(["PATH", "RTT", "VERSION", "UPTIME"]);
    if wide {
        headers.extend(["ID", "ADDRESS", "GATEWAY", "ACTORS"]);
    }
    if notes {
        headers.push("NOTE");
    }
    let mut table = Table::new(headers);
    for node in &status.nodes {
        let mark = if node.id == status.seen_by { "*" } else { "" };
        let mut cells = vec![
            format!("{mark}{}", node.name),
            state_name(node.state).to_owned(),
            role_name(node.role).to_owned(),
        ];
        cells.extend(places.iter().map(|(_, pick, _)| or_nothing(pick(node))));
        cells.extend([
            node.path.clone().unwrap_or_else(|| NOTHING.to_owned()),
            node.rtt_ms.map_or_else(|| NOTHING.to_owned(), unit::milliseconds),
            or_nothing(&node.version),
            node.uptime_s.map_or_else(|| NOTHING.to_owned(), unit::span),
        ]);
        if wide {
            let gateway = if node.gateway { "yes" } else { NOTHING };
            cells.extend([node.id.to_string(), or_nothing(&node.address), gateway.to_owned(), actors(node)]);
        }
        if notes {
            cells.push(note(node));
        }
        let tone = match node.state {
            NodeState::Ready => Tone::Plain,
            NodeState::Starting | NodeState::Drained | NodeState::Leaving => Tone::Warning,
            NodeState::Down => Tone::Alarm,
        };
        table.row_in(tone, cells);
    }
    table
}

/// Why the node is not what it should be, and which of its actors have panicked.
fn note(node: &NodeStatus) -> String {
    // That a node is down stands in its state already.
    let reason = node.role_reason.clone().into_iter().filter(|_| node.state != NodeState::Down);
    let restarts = node.actors.iter().flatten().filter(|actor| actor.restarts > 0);
    let restarts = restarts.map(|actor| format!("{} restarted {}×", actor.name, actor.restarts));
    reason.chain(restarts).collect::<Vec<_>>().join("; ")
}

fn actors(node: &NodeStatus) -> String {
    let names = node.actors.iter().flatten().map(|actor| actor.name.as_str());
    or_nothing(&names.collect::<Vec<_>>().join(","))
}

fn consensus(status: &Status) -> Table {
    let mut table = Table::new(["QUORUM", "LEADER", "TERM", "COMMIT", "APPLIED", "VOTERS", "LEARNERS"]);
    let group = &status.consensus;
    let names = |ids: &[NodeId]| {
        let mut names: Vec<String> = ids.iter().map(|id| name_of(status, *id)).collect();
        names.sort();
        or_nothing(&names.join(","))
    };
    let index = |index: Option<u64>| index.map_or_else(|| NOTHING.to_owned(), |index| index.to_string());
    table.row_in(
        if group.quorum { Tone::Plain } else { Tone::Alarm },
        [
            if group.quorum { "yes" } else { "no" }.to_owned(),
            group.leader.map_or_else(|| NOTHING.to_owned(), |id| name_of(status, id)),
            group.term.to_string(),
            index(group.commit),
            index(group.applied),
            names(&group.voters),
            names(&group.learners),
        ],
    );
    table
}

fn replicas(status: &Status) -> Table {
    let mut table = Table::new(["REPLICA", "MATCHED", "LAG"]);
    for replica in &status.consensus.replicas {
        let matched = replica.matched.map_or_else(|| NOTHING.to_owned(), |index| index.to_string());
        // What the leader last heard of a node that is down tells nothing of it.
        let down = status.nodes.iter().any(|node| node.id == replica.node && node.state == NodeState::Down);
        let lag = if down { "down".to_owned() } else { replica.lag.to_string() };
        table.row([name_of(status, replica.node), matched, lag]);
    }
    table
}

fn services(status: &Status, wide: bool) -> Table {
    let mut headers = vec!["NAME", "VERSIONS", "INSTANCES", "NODES"];
    if wide {
        headers.push("ENDPOINTS");
    }
    let mut table = Table::new(headers);
    for service in &status.services {
        let mut cells = vec![
            service.name.clone(),
            or_nothing(&service.versions.join(",")),
            service.instances.to_string(),
            or_nothing(&service.nodes.join(",")),
        ];
        if wide {
            cells.push(or_nothing(&service.endpoints.join(",")));
        }
        table.row(cells);
    }
    table
}

/// The problems, one below the other. They are sentences, so they are never cut.
fn problems(status: &Status) -> String {
    if status.problems.is_empty() {
        return "none".to_owned();
    }
    let mut problems: Vec<_> = status.problems.iter().collect();
    problems.sort_by_key(|problem| problem.severity);
    let shown = problems.iter().map(|problem| {
        let (name, color) = match problem.severity {
            Severity::Critical => ("critical", AnsiColor::Red),
            Severity::Warning => ("warning", AnsiColor::Yellow),
            Severity::Info => ("info", AnsiColor::Cyan),
        };
        let style = Style::new().fg_color(Some(color.into()));
        let help = match problem.help.as_str() {
            "" => String::new(),
            help => format!("\n  help: {}", clean(help)),
        };
        format!("{style}{name}:{style:#} {}{help}", clean(&problem.message))
    });
    shown.collect::<Vec<_>>().join("\n")
}

fn or_nothing(text: &str) -> String {
    if text.is_empty() { NOTHING.to_owned() } else { text.to_owned() }
}

/// What people call the node; its id where nobody here knows its name.
fn name_of(status: &Status, id: NodeId) -> String {
    let node = status.nodes.iter().find(|node| node.id == id);
    node.map_or_else(|| id.to_string(), |node| node.name.clone())
}

pub(in crate::cli) fn state_name(state: NodeState) -> &'static str {
    match state {
        NodeState::Ready => "ready",
        NodeState::Starting => "starting",
        NodeState::Drained => "drained",
        NodeState::Leaving => "leaving",
        NodeState::Down => "down",
    }
}

pub(in crate::cli) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Leader => "leader",
        Role::Voter => "voter",
        Role::Learner => "learner",
        Role::None => NOTHING,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sample, *};

    fn plain(status: &Status, wide: bool, headers: bool) -> String {
        anstream::adapter::strip_str(&text(status, Scope { wide, one: false }, headers, None)).to_string()
    }

    const GOLDEN: &str = "\
NODES
NAME     STATE  ROLE     CLOUD  REGION     ZONE  PATH                  RTT     VERSION  UPTIME  NOTE
*alpha   ready  leader   aws    eu-west-1  a     self                  –       0.1.0    3d4h
bravo    ready  learner  aws    eu-west-1  b     direct 10.0.0.2:8443  0.42ms  0.1.0    12m5s   \
120 entries behind; store restarted 2×
charlie  down   voter    –      –          –     –                     –       –        –

CONSENSUS
QUORUM  LEADER  TERM  COMMIT  APPLIED  VOTERS         LEARNERS
yes     alpha   9     1204    1204     alpha,charlie  000000000000000d,bravo

REPLICA  MATCHED  LAG
bravo    1084     120

SERVICES
NAME        VERSIONS  INSTANCES  NODES
helloworld  0.1.0     2          alpha,bravo

PROBLEMS
critical: node charlie is down
  help: look at its log";

    #[test]
    fn a_status_shows_nodes_consensus_services_and_problems() {
        assert_eq!(plain(&sample(), false, true), GOLDEN);
    }

    #[test]
    fn a_note_is_read_whole_in_80_columns() {
        let mut status = sample();
        for node in &mut status.nodes {
            (node.cloud, node.region, node.zone) = Default::default();
        }
        let reason = "voters go from 1 to 3 at once: 1 more node needed";
        status.nodes[1].role_reason = Some(reason.to_owned());
        status.nodes[2].role_reason = Some("it is down".to_owned());
        let text = text(&status, Scope::default(), true, Some(80));
        let text = anstream::adapter::strip_str(&text).to_string();
        let note = format!("\n  bravo: {reason}; store restarted 2×\n\nCONSENSUS");
        assert!(text.contains(&note), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(
            !["CLOUD", "REGION", "ZONE", "NOTE", "it is down"].iter().any(|word| text.contains(word)),
            "{text}"
        );
    }

    #[test]
    fn voters_and_learners_are_in_order_of_their_names() {
        let mut status = sample();
        status.consensus.voters.reverse();
        assert_eq!(plain(&status, false, true), GOLDEN);
    }

    #[test]
    fn a_lost_quorum_is_said_before_all_else() {
        let mut status = sample();
        status.consensus.quorum = false;
        status.consensus.leader = None;
        status.consensus.replicas.clear();
        let text = plain(&status, false, true);
        assert!(text.starts_with("NO QUORUM: "), "{text}");
        assert!(text.contains("\nno      –       9 "), "{text}");
    }

    #[test]
    fn a_wide_status_has_ids_addresses_gateways_and_actors() {
        let text = plain(&sample(), true, true);
        assert!(text.contains("000000000000000a  10.0.0.1:8443  yes      store\n"), "{text}");
        assert!(
            text.contains("000000000000000b  10.0.0.2:8443  –        store   120 entries behind"),
            "{text}"
        );
        assert!(text.contains("Greeter.call"), "{text}");
    }

    #[test]
    fn nothing_is_said_to_be_none() {
        let mut status = sample();
        status.services.clear();
        status.problems.clear();
        let text = plain(&status, false, true);
        assert!(text.ends_with("SERVICES\nnone\n\nPROBLEMS\nnone"), "{text}");
        assert!(!plain(&status, false, false).contains("NODES"));
    }

    #[test]
    fn the_json_document_is_the_contract() {
        let json = serde_json::to_value(sample()).expect("a status is JSON");
        assert_eq!(json["schema"], "micro-node/status/v1");
        assert_eq!(json["nodes"][1]["role_reason"], "120 entries behind");
        assert_eq!(json["nodes"][2]["state"], "down");
        assert!(json["nodes"][2]["path"].is_null());
        assert_eq!(json["consensus"]["replicas"][0]["lag"], 120);
        assert_eq!(json["problems"][0]["severity"], "critical");
    }
}
