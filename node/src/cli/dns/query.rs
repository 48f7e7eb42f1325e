//! `micro-node dns query`.

use super::{
    Failure, Globals, ListShape, Output, Shapes, Table,
    resolver::{Resolved, Resolver},
    session, unit,
};
use clap::Args;
use hickory_proto::{
    op::ResponseCode,
    rr::{Name, RData, Record, RecordType},
};
use micro_sdk::{
    client::Node,
    wire::{Code, Fault},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::net::SocketAddr;
use tokio::runtime::Builder;

/// What stands behind a name that has no dot.
const ZONE: &str = "micro";
/// The setting of a node that says where its DNS is.
const SETTING: &str = "dns";

/// Ask the DNS of the node for a name
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node dns query helloworld                    the same as helloworld.micro
  micro-node dns query helloworld.micro SRV -o json | jq '.items[].data'
  micro-node dns query alpha.node.micro --server 127.0.0.1:8053")]
pub(super) struct Query {
    /// The name; one without a dot is below micro
    #[arg(value_parser = name)]
    name: Name,

    /// What to ask for: A, AAAA, SRV, TXT, SOA, NS or ANY
    #[arg(value_name = "TYPE", default_value = "A", value_parser = record_type)]
    kind: RecordType,

    /// Ask there [default: where the node says that its DNS is]
    #[arg(long, value_name = "IP:PORT")]
    server: Option<SocketAddr>,
}

/// A record of the answer.
#[derive(Serialize, JsonSchema)]
struct RecordItem {
    /// Whose it is.
    name: String,
    /// Its type, such as SRV.
    r#type: String,
    /// How long it may be kept, in seconds.
    ttl_s: u32,
    /// What it says, as zone files have it.
    data: String,
}

/// What there is to say of the answer.
#[derive(Serialize, JsonSchema)]
struct QuerySummary {
    /// How many records are listed.
    count: usize,
    /// Who was asked.
    server: String,
    /// How: `udp`, or `tcp` where the answer had no room in a datagram.
    transport: &'static str,
    /// The code of the answer.
    code: String,
    /// The flags of the answer that are set: `aa`, `tc`, `rd`, `ra`.
    flags: Vec<&'static str>,
    /// How long it took, in milliseconds.
    took_ms: f64,
    /// What was said besides, such as the addresses of those that SRV records name.
    additional: Vec<RecordItem>,
}

const QUERY: ListShape<RecordItem, QuerySummary> = ListShape::new("dns-query", &["dns query"]);

pub(in crate::cli) const SHAPES: Shapes = &[&QUERY];

impl Query {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let resolved = match self.server {
            Some(server) => {
                let runtime =
                    Builder::new_current_thread().enable_all().build().map_err(session::no_runtime)?;
                runtime.block_on(self.ask(server, globals))
            }
            None => session::run(globals, async |node| Ok(self.ask(place(&node).await?, globals).await?)),
        }?;
        self.refuse(&resolved)?;
        let answers: Vec<RecordItem> = resolved.message.answers.iter().map(item).collect();
        let summary = summary(&resolved);
        if output.json() {
            return output.items(&QUERY, &answers, &summary);
        }
        let mut table = Table::new(["NAME", "TYPE", "TTL", "DATA"]);
        for RecordItem { name, r#type, ttl_s, data } in answers {
            table.row([name, r#type, format!("{ttl_s}s"), data]);
        }
        output.table(&table, &format!("{} is there, and has no {}", self.name, self.kind))?;
        let QuerySummary { server, transport, code, flags, took_ms, .. } = summary;
        let (flags, took) = (flags.join(" "), unit::milliseconds(took_ms));
        output.remark(&format!("{code} ({flags}) from {server} over {transport} in {took}"));
        Ok(())
    }

    async fn ask(&self, server: SocketAddr, globals: &Globals) -> Result<Resolved, Failure> {
        let resolver = Resolver { server, patience: globals.timeout };
        Ok(resolver.ask(&self.name, self.kind).await?)
    }

    /// What an answer that is none comes to.
    fn refuse(&self, resolved: &Resolved) -> Result<(), Fault> {
        let (name, server) = (&self.name, resolved.server);
        Err(match resolved.message.metadata.response_code {
            ResponseCode::NoError => return Ok(()),
            ResponseCode::NXDomain => Fault::new(Code::NotFound, format!("{server} knows no name {name}"))
                .help("`micro-node services` lists what there is; names are SERVICE.micro or SERVICE.NAMESPACE.micro"),
            ResponseCode::Refused => Fault::new(Code::Denied, format!("{server} does not tell about {name}"))
                .help("it tells names below micro, and of services to those only whom a rule lets call them"),
            ResponseCode::ServFail => {
                Fault::new(Code::Unavailable, format!("{server} can't say yet whether there is {name}"))
                    .help("the node has just started: try again in a moment")
            }
            code => Fault::new(Code::Failed, format!("{server} answers {code} about {name}"))
                .help("is it the DNS of a node? `micro-node config view` shows where that is"),
        })
    }
}

/// Where the DNS of a node is.
async fn place(node: &Node) -> Result<SocketAddr, Fault> {
    let settings = node.settings().await.map_err(|fault| fault.help("or say where its DNS is: --server"))?;
    let said = settings.into_iter().find(|setting| setting.name == SETTING).and_then(|said| said.value);
    let off = || {
        Fault::new(Code::Unavailable, "the node has no DNS: it was started with --dns off")
            .help("ask another: --server IP:PORT")
    };
    said.and_then(|said| said.parse().ok()).ok_or_else(off)
}

fn name(text: &str) -> Result<Name, String> {
    let whole = if text.contains('.') { text.to_owned() } else { format!("{text}.{ZONE}") };
    let mut name = Name::from_ascii(&whole).map_err(|error| error.to_string())?;
    name.set_fqdn(true);
    Ok(name)
}

fn record_type(text: &str) -> Result<RecordType, String> {
    text.to_ascii_uppercase()
        .parse()
        .map_err(|_| "it takes a type of DNS records, such as A or SRV".to_owned())
}

fn item(record: &Record) -> RecordItem {
    RecordItem {
        name: record.name.to_ascii(),
        r#type: record.record_type().to_string(),
        ttl_s: record.ttl,
        data: data(&record.data),
    }
}

/// As zone files have it.
fn data(data: &RData) -> String {
    let RData::TXT(texts) = data else { return data.to_string() };
    let texts = texts.txt_data.iter().map(|text| format!("\"{}\"", text.escape_ascii()));
    texts.collect::<Vec<_>>().join(" ")
}

fn summary(resolved: &Resolved) -> QuerySummary {
    let metadata = &resolved.message.metadata;
    let flags = [
        ("aa", metadata.authoritative),
        ("tc", metadata.truncation),
        ("rd", metadata.recursion_desired),
        ("ra", metadata.recursion_available),
    ];
    QuerySummary {
        count: resolved.message.answers.len(),
        server: resolved.server.to_string(),
        transport: resolved.transport,
        code: code(metadata.response_code),
        flags: flags.into_iter().filter_map(|(flag, set)| set.then_some(flag)).collect(),
        took_ms: (resolved.took.as_secs_f64() * 1e6).round() / 1e3,
        additional: resolved.message.additionals.iter().map(item).collect(),
    }
}

/// As `dig` and its like write it.
fn code(code: ResponseCode) -> String {
    match code {
        ResponseCode::NoError => "NOERROR".to_owned(),
        other => other.to_string(),
    }
}
