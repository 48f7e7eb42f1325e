//! `micro-node services`.

mod watch;

pub(super) use watch::run as watch;

use super::{
    failure::Failure,
    globals::Globals,
    hint,
    output::Output,
    session,
    shape::{ItemShape, ListShape, Shapes},
    table::{NOTHING, Table, clean},
};
use clap::Args;
use micro_actors::{ANY_METHOD, RAW};
use micro_sdk::{
    client::{HealthState, InstanceHealth, ServiceDescription, ServiceInstance, ServiceListing},
    wire::{Route, Segment, ServiceName, Streams},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::{collections::BTreeSet, fmt::Write};

const EXAMPLES: &str = "\
Examples:
  micro-node services                                all services of the mesh
  micro-node services helloworld                     where one runs, what it offers, and what that takes
  micro-node services helloworld -o json | jq '.item.endpoints[].request_schema'
  micro-node services --watch                        what there is, and each change of it, until Ctrl-C
  micro-node services helloworld --watch -o jsonl | jq -c '[.action, .instance.health.state]'";

/// List the services of the mesh, or show one with the schemas of its endpoints
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Services {
    /// The service to show
    name: Option<ServiceName>,

    /// Tell the instances that there are, and then what changes, line by line
    #[arg(long)]
    watch: bool,

    /// End after this many lines
    #[arg(long, short = 'n', value_name = "N", requires = "watch", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// The JSON form of a service with its schemas as JSON rather than as text.
#[derive(Serialize, JsonSchema)]
struct ServiceItem<'a> {
    /// What it is called by.
    name: &'a str,
    /// Its running copies.
    instances: &'a [ServiceInstance],
    /// What it offers.
    endpoints: Vec<EndpointItem<'a>>,
}

/// What a service offers.
#[derive(Serialize, JsonSchema)]
struct EndpointItem<'a> {
    /// As `Handler.method`.
    name: &'a str,
    /// What its code says of it.
    doc: &'a str,
    /// What it takes: a JSON Schema, if it tells one.
    request_schema: Option<serde_json::Value>,
    /// What it gives: a JSON Schema, if it tells one.
    response_schema: Option<serde_json::Value>,
    /// Which sides of a call say any number of messages.
    streams: Streams,
}

/// What there is to say of the list.
#[derive(Serialize, JsonSchema)]
struct ServicesSummary {
    /// How many are listed.
    count: usize,
}

const SERVICES: ListShape<ServiceListing, ServicesSummary> =
    ListShape::new("services", &["services", "registry list"]);
const SERVICE: ItemShape<ServiceItem<'static>> =
    ItemShape::new("service", &["services NAME", "registry get"]);

pub(super) const SHAPES: &[Shapes] = &[&[&SERVICES, &SERVICE], watch::SHAPES];

impl Services {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        match (self.watch, self.name) {
            (true, name) => watch(name, self.limit, globals, output),
            (false, Some(name)) => show(&name, globals, output),
            (false, None) => list(globals, output),
        }
    }
}

/// Shows all services.
pub(super) fn list(globals: &Globals, output: &Output) -> Result<(), Failure> {
    let services = session::run(globals, async |node| Ok(node.services().await?))?;
    if output.json() {
        let summary = ServicesSummary { count: services.len() };
        return output.items(&SERVICES, &services, &summary);
    }
    let hint = "no services are offered: examples/helloworld of the SDK is one to start with";
    output.table(&listing(&services, output.wide()), hint)
}

/// Shows one.
pub(super) fn show(name: &ServiceName, globals: &Globals, output: &Output) -> Result<(), Failure> {
    let service = session::run(globals, async |node| match node.service(name.as_str()).await {
        Ok(service) => Ok(service),
        Err(fault) => Err(hint::service(fault, &node, name.as_str()).await.into()),
    })?;
    if output.json() {
        return output.item(&SERVICE, &ServiceItem::from(&service));
    }
    output.text(&portrait(&service, output))
}

impl<'a> From<&'a ServiceDescription> for ServiceItem<'a> {
    fn from(service: &'a ServiceDescription) -> Self {
        let schema = |text: &str| serde_json::from_str(text).ok();
        let endpoints = service.endpoints.iter().map(|endpoint| EndpointItem {
            name: &endpoint.name,
            doc: &endpoint.doc,
            request_schema: schema(&endpoint.request_schema),
            response_schema: schema(&endpoint.response_schema),
            streams: endpoint.streams,
        });
        ServiceItem { name: &service.name, instances: &service.instances, endpoints: endpoints.collect() }
    }
}

/// What `pick` gives for the instances, each once, in order.
fn each_once<'a>(instances: &'a [ServiceInstance], pick: impl Fn(&'a ServiceInstance) -> &'a str) -> String {
    let set: BTreeSet<&str> = instances.iter().map(pick).collect();
    let list = set.into_iter().collect::<Vec<_>>().join(",");
    if list.is_empty() { NOTHING.to_owned() } else { list }
}

fn listing(services: &[ServiceListing], wide: bool) -> Table {
    let mut headers = vec!["NAME", "VERSIONS", "INSTANCES", "ENDPOINTS", "NODES"];
    if wide {
        headers.push("OFFERS");
    }
    let mut table = Table::new(headers);
    for ServiceListing { name, instances } in services {
        let endpoints: BTreeSet<&String> =
            instances.iter().flat_map(|instance| &instance.endpoints).collect();
        let mut cells = vec![
            name.clone(),
            each_once(instances, |instance| &instance.version),
            counted(instances),
            endpoints.len().to_string(),
            each_once(instances, |instance| &instance.node_name),
        ];
        if wide {
            cells.push(endpoints.into_iter().cloned().collect::<Vec<_>>().join(","));
        }
        table.row(cells);
    }
    table
}

/// One service: where it runs, then what it offers.
fn portrait(service: &ServiceDescription, output: &Output) -> String {
    let mut headers = vec!["INSTANCE", "VERSION", "NODE", "NODE ID", "HEALTH"];
    let described = service.instances.iter().any(|instance| !instance.metadata.is_empty());
    if described {
        headers.push("METADATA");
    }
    let mut instances = Table::new(headers);
    for instance in &service.instances {
        let ServiceInstance { id, version, node, node_name, .. } = instance;
        let mut cells = [id, version, node_name, node].map(String::clone).to_vec();
        cells.push(ailment(&instance.health));
        if described {
            cells.push(metadata(instance));
        }
        instances.row(cells);
    }
    let mut text = instances.render(output.headers(), output.width());
    for endpoint in &service.endpoints {
        if endpoint.name == ANY_METHOD {
            text.push_str("\n\nany method of gRPC\n  takes  messages as they are: its program does not tell what its methods are");
            continue;
        }
        let mut line = |line: &str| writeln!(text, "{line}").expect("a String takes every write");
        line("");
        line(&format!("\n{}", clean(&endpoint.name)));
        for doc in endpoint.doc.lines() {
            line(&format!("  {}", clean(doc)));
        }
        if endpoint.name == RAW {
            text.push_str("  takes  HTTP as it is");
            let mounts = mounts(&endpoint.routes);
            if !mounts.is_empty() {
                text.push_str(&format!("\n  at     {}", clean(&mounts)));
            }
            continue;
        }
        let many = |streams: bool| if streams { "a stream of " } else { "" };
        let Streams { client, server } = endpoint.streams;
        line(&format!("  takes  {}{}", many(client), brief(&endpoint.request_schema)));
        text.push_str(&format!("  gives  {}{}", many(server), brief(&endpoint.response_schema)));
    }
    text
}

/// Where what takes HTTP as it is is reached beside its name: `/docs, docs.example.org/`. Of the two routes of a mount,
/// the one to the place itself says it.
fn mounts(routes: &[Route]) -> String {
    let places = routes.iter().filter(|route| !route.segments().any(|part| matches!(part, Segment::Rest(_))));
    places.map(|route| format!("{}{}", route.host, route.path)).collect::<Vec<_>>().join(", ")
}

/// How many instances there are; and of how many, where some do not work.
fn counted(instances: &[ServiceInstance]) -> String {
    let all = instances.len();
    let working = instances.iter().filter(|instance| instance.health.state == HealthState::Passing).count();
    if working == all { all.to_string() } else { format!("{working}/{all}") }
}

/// How an instance is, in a few words.
fn ailment(health: &InstanceHealth) -> String {
    let InstanceHealth { state, reason, since } = health;
    let name = match state {
        HealthState::Passing => "passing",
        HealthState::Unknown => "unknown",
        HealthState::Failing => "failing",
    };
    let since = since.as_ref().map(|since| format!(" since {since}")).unwrap_or_default();
    let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{name}{since}{reason}")
}

/// What an instance says of itself in one line: `tier=gold,zone=b`.
fn metadata(instance: &ServiceInstance) -> String {
    let entries: Vec<String> =
        instance.metadata.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if entries.is_empty() { NOTHING.to_owned() } else { entries.join(",") }
}

/// A schema in one line: `{name: string, age?: integer}` where it is a plain object, else as it is.
fn brief(schema: &str) -> String {
    let read = serde_json::from_str::<serde_json::Value>(schema).ok().map(without_noise);
    let shown = read.as_ref().and_then(|schema| {
        let properties = schema.get("properties")?.as_object()?;
        let required = schema.get("required").and_then(|required| required.as_array());
        let fields = properties.iter().map(|(name, property)| {
            let required = required.is_some_and(|names| names.iter().any(|other| other == name));
            let kind = property.get("type").and_then(|kind| kind.as_str()).unwrap_or("…");
            format!("{name}{}: {kind}", if required { "" } else { "?" })
        });
        Some(format!("{{{}}}", fields.collect::<Vec<_>>().join(", ")))
    });
    let whole = || read.as_ref().map_or_else(|| schema.to_owned(), ToString::to_string);
    clean(&shown.unwrap_or_else(whole))
}

/// A schema without what says nothing of what is taken: which draft it is of, and what it is called.
fn without_noise(mut schema: serde_json::Value) -> serde_json::Value {
    if let Some(members) = schema.as_object_mut() {
        for name in ["$schema", "$id", "title"] {
            members.remove(name);
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::Format;
    use micro_sdk::wire::Endpoint;
    use std::collections::BTreeMap;

    fn instance(id: &str, node: &str) -> ServiceInstance {
        ServiceInstance {
            id: id.to_owned(),
            version: "0.1.0".to_owned(),
            node: format!("id-{node}"),
            node_name: node.to_owned(),
            endpoints: vec!["Greeter.call".to_owned()],
            metadata: BTreeMap::new(),
            health: InstanceHealth::default(),
        }
    }

    const SCHEMA: &str = r#"{"type":"object","required":["name"],
        "properties":{"age":{"type":"integer"},"name":{"type":"string"}}}"#;

    #[test]
    fn a_listing_counts_instances_and_names_nodes_once() {
        let instances = vec![instance("1", "bravo"), instance("2", "alpha"), instance("3", "alpha")];
        let services = [ServiceListing { name: "helloworld".to_owned(), instances }];
        let text = "\
NAME        VERSIONS  INSTANCES  ENDPOINTS  NODES
helloworld  0.1.0     3          1          alpha,bravo";
        assert_eq!(listing(&services, false).render(true, None), text);
        let mut ailing = services.clone();
        ailing[0].instances[1].health.state = HealthState::Failing;
        assert!(listing(&ailing, false).render(false, None).contains("  2/3  "));
        assert!(listing(&services, true).render(true, None).ends_with("Greeter.call"));
    }

    #[test]
    fn what_instances_say_of_themselves_is_shown_where_one_does() {
        let entries = [("tier", "gold"), ("zone", "b")];
        let metadata = entries.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let described = ServiceInstance { metadata, ..instance("1", "alpha") };
        let instances = vec![described, instance("2", "alpha")];
        let service = ServiceDescription { name: "helloworld".to_owned(), instances, endpoints: Vec::new() };
        let text = "\
INSTANCE  VERSION  NODE   NODE ID   HEALTH   METADATA
1         0.1.0    alpha  id-alpha  passing  tier=gold,zone=b
2         0.1.0    alpha  id-alpha  passing  –";
        assert_eq!(portrait(&service, &Output::plain(Format::Table)), text);
    }

    #[test]
    fn a_service_shows_what_its_endpoints_take() {
        let service = ServiceDescription {
            name: "helloworld".to_owned(),
            instances: vec![instance("7c2f", "alpha")],
            endpoints: vec![Endpoint {
                name: "Greeter.call".to_owned(),
                request_schema: SCHEMA.to_owned(),
                response_schema: "true".to_owned(),
                doc: "Says hello.".to_owned(),
                routes: Vec::new(),
                streams: Streams { client: false, server: true },
            }],
        };
        let text = "\
INSTANCE  VERSION  NODE   NODE ID   HEALTH
7c2f      0.1.0    alpha  id-alpha  passing

Greeter.call
  Says hello.
  takes  {age?: integer, name: string}
  gives  a stream of true";
        assert_eq!(portrait(&service, &Output::plain(Format::Table)), text);
        let noisy =
            r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","title":"Age","type":"integer"}"#;
        assert_eq!(brief(noisy), r#"{"type":"integer"}"#);
        let json = serde_json::to_value(ServiceItem::from(&service)).expect("it is JSON");
        assert_eq!(json["endpoints"][0]["request_schema"]["required"][0], "name");
    }
}
