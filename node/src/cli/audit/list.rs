//! `micro-node audit list`.

use super::{
    NOTHING,
    failure::Failure,
    globals::Globals,
    output::Output,
    session,
    shape::{ListShape, Shape, Shapes},
    table::{Table, Tone, clean},
    unit,
};
use clap::Args;
use micro_sdk::{
    client::{AuditEntry, AuditQuery, Node},
    wire::TraceId,
};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::{Duration, SystemTime};

/// List the last entries, oldest first
#[derive(Debug, Args)]
#[command(
    visible_alias = "ls",
    after_help = "\
Examples:
  micro-node audit list -n 20
  micro-node audit list --denied --since 1h -o json
  micro-node audit list --account jane --namespace acme
  micro-node audit list --trace 4bf92f3577b34da6a3ce929d0e0e4736
  micro-node audit list --follow -o jsonl | jq -r .resource"
)]
pub(super) struct List {
    /// Only those that are not older than this, as 1h or 30m
    #[arg(long, value_name = "TIME", value_parser = unit::duration)]
    since: Option<Duration>,

    /// Only those of this account of the namespace, or of one that is written as NAMESPACE/NAME
    #[arg(long, value_name = "NAME")]
    account: Option<String>,

    /// Only what was denied
    #[arg(long)]
    denied: bool,

    /// Only what was asked in this trace: the `trace_id` of an error, the `micro-trace-id` of an answer
    #[arg(long, value_name = "ID", value_parser = trace)]
    trace: Option<TraceId>,

    /// How many at most, the last ones [default: 50; with --follow 10]
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    limit: Option<u32>,

    /// Go on with those to come, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
}

/// What there is to say of the list.
#[derive(Serialize, JsonSchema)]
struct Summary {
    /// How many are listed.
    count: usize,
}

const AUDIT: ListShape<AuditEntry, Summary> = ListShape::new("audit", &["audit list"]);
const ENTRY: Shape<AuditEntry> = Shape::new("audit-entry", &["audit list --follow"]);

pub(super) const SHAPES: Shapes = &[&AUDIT, &ENTRY];

impl List {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let name = |account: String| match account.contains('/') {
            true => account,
            false => format!("{}/{account}", globals.namespace),
        };
        let query = AuditQuery {
            since: self.since.and_then(|since| SystemTime::now().checked_sub(since)),
            account: self.account.map(name),
            denied: self.denied,
            trace: self.trace,
            limit: self.limit.or(self.follow.then_some(10)),
            follow: self.follow,
        };
        session::run(globals, async |node| {
            let mut entries = node.audit(query).await?;
            output.remark(&whose(&node).await);
            if self.follow {
                while let Some(entry) = entries.next().await? {
                    match output.json() {
                        true => output.line(&ENTRY, &entry)?,
                        false => output.text(&line(&entry))?,
                    }
                }
                return Ok(());
            }
            let mut found = Vec::new();
            while let Some(entry) = entries.next().await? {
                found.push(entry);
            }
            show(&found, output)
        })
    }
}

/// Whose log it is: others have what came in at their doors.
async fn whose(node: &Node) -> String {
    // Whoever may read the log may not see the cluster.
    let name = node.status().await.ok().and_then(|status| {
        let own = status.nodes.iter().find(|node| node.id == status.seen_by)?;
        Some((own.name.clone(), status.nodes.len()))
    });
    match name {
        Some((name, 1)) => format!("the log of {name}, the only node"),
        Some((name, nodes)) => format!(
            "the log of {name} alone, one of {nodes} nodes: each keeps what came in at its own doors; read another's \
             at its --address"
        ),
        None => format!(
            "the log of the node at {} alone: each keeps what came in at its own doors; read another's at its --address",
            node.address()
        ),
    }
}

fn show(entries: &[AuditEntry], output: &Output) -> Result<(), Failure> {
    if output.json() {
        return output.items(&AUDIT, entries, &Summary { count: entries.len() });
    }
    let columns = ["TIME", "VERDICT", "WHO", "ACTION", "RESOURCE", "DOOR", "PEER", "NOTE"];
    let more: &[&'static str] = if output.wide() { &["TRACE"] } else { &[] };
    let mut table = Table::new(columns.iter().chain(more).copied());
    for entry in entries {
        let tone = if entry.verdict == "denied" { Tone::Warning } else { Tone::Plain };
        let trace = output.wide().then(|| or_nothing(&entry.trace));
        table.row_in(tone, cells(entry).into_iter().chain(trace));
    }
    output.table(&table, "there is no such entry")
}

/// A trace, also as the UUID that a request was called by.
fn trace(text: &str) -> Result<TraceId, String> {
    let digits = text.replace('-', "");
    digits.parse().map_err(|_| "a trace has 32 hexadecimal digits, or is a UUID".to_owned())
}

fn or_nothing(text: &str) -> String {
    if text.is_empty() { NOTHING } else { text }.to_owned()
}

fn cells(entry: &AuditEntry) -> [String; 8] {
    let verdict = if entry.verdict.is_empty() { &entry.event } else { &entry.verdict };
    let resource = match entry.namespace.as_str() {
        "" | "default" => entry.resource.clone(),
        namespace => format!("{} of {namespace}", entry.resource),
    };
    let count = entry
        .count
        .map(|count| if count == 1 { "once more".to_owned() } else { format!("{count} times more") });
    let said = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let note = [said(&entry.about), said(&entry.why), count];
    [
        entry.time.clone(),
        verdict.to_uppercase(),
        or_nothing(&who(entry)),
        or_nothing(&entry.action),
        or_nothing(&resource),
        or_nothing(&entry.door),
        or_nothing(&entry.peer),
        or_nothing(&note.into_iter().flatten().collect::<Vec<_>>().join(", ")),
    ]
}

/// Who it was, shortly.
fn who(entry: &AuditEntry) -> String {
    let account = entry.account.strip_prefix("default/").unwrap_or(&entry.account);
    match (entry.caller.as_str(), entry.uid) {
        ("account", _) => account.to_owned(),
        (caller, Some(uid)) => format!("{caller} (uid {uid})"),
        (caller, None) if !account.is_empty() => format!("{caller} as {account}"),
        (caller, None) => caller.to_owned(),
    }
}

/// What a person sees of an entry as it comes: what is to come is not known, so there are no columns.
fn line(entry: &AuditEntry) -> String {
    let cells = cells(entry);
    let cells: Vec<_> = cells.iter().filter(|cell| *cell != NOTHING).map(|cell| clean(cell)).collect();
    cells.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_one_line_that_says_who_and_what() {
        let denied: AuditEntry = AuditEntry {
            seq: 7,
            time: "2026-01-01T00:00:00.000Z".to_owned(),
            event: "decision".to_owned(),
            caller: "anonymous".to_owned(),
            account: "default/jane".to_owned(),
            uid: None,
            action: "login".to_owned(),
            resource: "auth:jane:login".to_owned(),
            about: String::new(),
            namespace: "default".to_owned(),
            verdict: "denied".to_owned(),
            why: "the account or\nits secret is wrong".to_owned(),
            door: "proxy".to_owned(),
            peer: "127.0.0.1:4711".to_owned(),
            trace: String::new(),
            count: Some(3),
            hash: String::new(),
            prev: String::new(),
        };
        assert_eq!(
            line(&denied),
            "2026-01-01T00:00:00.000Z  DENIED  anonymous as jane  login  auth:jane:login  proxy  127.0.0.1:4711  \
             the account or\\nits secret is wrong, 3 times more"
        );
        let admin = AuditEntry { caller: "admin".to_owned(), account: String::new(), uid: Some(0), ..denied };
        assert_eq!(who(&admin), "admin (uid 0)");
    }
}
