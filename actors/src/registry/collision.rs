//! What an instance can't be called by, because something else is: the platform, or another service of its namespace.
//!
//! A node compares with what it knows. Two that attach on two nodes within the second that gossip takes can still have
//! the same; then all nodes agree on the one whose name comes first.

use super::Table;
use crate::kit::{ANY_METHOD, RAW};
use micro_sdk::wire::{Code, Endpoint, Fault, Namespace, ROUTE_METHODS, Route, Segment, ServiceName};
use std::collections::{BTreeMap, BTreeSet};

/// Names that people's services can't have: a call by such a name is for the platform, on every node, now or in a later
/// version. An instance attached under one would be announced and never called.
const RESERVED: [&str; 15] = [
    "api", "auth", "blob", "broker", "config", "events", "health", "mcp", "metrics", "network", "proxy",
    "ready", "registry", "runtime", "store",
];

/// What else no path begins with: documents of the door itself.
const RESERVED_PATHS: [&str; 1] = ["openapi.json"];

/// The most explicit routes of one instance, and the bytes of all of them: every node keeps them in memory.
const ROUTES_MAX: usize = 64;
const ROUTES_BYTES_MAX: usize = 4096;

/// Refuses an instance that would be called by what is taken already.
///
/// # Errors
/// [`Code::Conflict`] with who has it; [`Code::Usage`] for what can't be a route.
pub(super) fn refuse(
    namespace: &Namespace,
    service: &ServiceName,
    endpoints: &[Endpoint],
    table: &Table,
) -> Result<(), Fault> {
    refuse_reserved(service)?;
    refuse_endpoints(endpoints)?;
    let own: Vec<&Route> = endpoints.iter().flat_map(|endpoint| &endpoint.routes).collect();
    refuse_excess(&own)?;
    refuse_any(endpoints)?;
    let others = table.others(namespace, service);
    let mut shapes = BTreeSet::new();
    for route in &own {
        route.check().map_err(|error| Fault::new(Code::Usage, error.to_string()))?;
        refuse_reserved_path(route)?;
        if !shapes.insert(route.shape()) {
            return Err(Fault::new(Code::Usage, format!("the route {} is there twice", shown(route))));
        }
        if let Some((other, _)) = others.iter().find(|(other, _)| word(route) == Some(other.as_str())) {
            let message = format!("the route {} would take calls of the service {other}", shown(route));
            return Err(Fault::new(Code::Conflict, message)
                .help(format!("let its path begin with another word, such as /{service}")));
        }
    }
    for (other, route) in
        others.iter().flat_map(|(name, routes)| routes.iter().map(move |route| (name, route)))
    {
        if let Some(own) = own.iter().find(|own| word(own) != Some(service.as_str()) && overlap(own, route)) {
            let message = match own.shape() == route.shape() {
                true => format!("the route {} is taken by the service {other}", shown(own)),
                false => format!(
                    "the route {} would take calls of the service {other}, which has {}",
                    shown(own),
                    shown(route)
                ),
            };
            return Err(Fault::new(Code::Conflict, message).help("give the endpoint another path"));
        }
        if word(route) == Some(service.as_str()) {
            let message =
                format!("calls of {service} would go to {other}, which has the route {}", shown(route));
            return Err(Fault::new(Code::Conflict, message).help("give the service another name"));
        }
    }
    Ok(())
}

fn refuse_reserved(service: &ServiceName) -> Result<(), Fault> {
    // `/v1/foo/bar` is of the service v1-foo.
    let digits = service.as_str().strip_prefix('v').filter(|digits| !digits.is_empty());
    if digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit())) {
        let message = format!("the name {service} is a version where it begins a path");
        return Err(
            Fault::new(Code::Conflict, message).help(format!("name it with what it serves: {service}-shop"))
        );
    }
    if !RESERVED.contains(&service.as_str()) {
        return Ok(());
    }
    Err(Fault::new(Code::Conflict, format!("the name {service} is taken by the platform itself"))
        .help("give the service another name")
        .help(format!("reserved are: {}", RESERVED.join(", "))))
}

/// Refuses endpoints that callers could not tell apart, or could not call: case, dashes and underscores do not matter
/// to them, since languages differ in those.
fn refuse_endpoints(endpoints: &[Endpoint]) -> Result<(), Fault> {
    let refused = |why: String| Err(Fault::new(Code::Usage, why));
    let mut known = BTreeMap::new();
    for Endpoint { name, request_schema, response_schema, .. } in endpoints {
        if name.is_empty() || name.starts_with('-') {
            return refused(format!("an endpoint {name:?} can't be offered"))
                .map_err(|fault| fault.help("what begins with a dash is the platform's own"));
        }
        if name == RAW && endpoints.len() > 1 {
            return refused(format!("a service that takes HTTP as it is ({RAW:?}) has no other endpoints"));
        }
        if name == ANY_METHOD && endpoints.len() > 1 {
            return refused(format!(
                "a service of any method of gRPC ({ANY_METHOD:?}) has no other endpoints"
            ));
        }
        let letters = name.chars().filter(|letter| !matches!(letter, '-' | '_'));
        if let Some(other) = known.insert(letters.collect::<String>().to_lowercase(), name) {
            return refused(format!("the endpoints {other:?} and {name:?} are the same to callers"))
                .map_err(|fault| fault.help("case, dashes and underscores do not tell names apart"));
        }
        for schema in [request_schema, response_schema] {
            let read = serde_json::from_str::<serde_json::Value>(schema);
            if !schema.is_empty() && !read.is_ok_and(|schema| schema.is_object() || schema.is_boolean()) {
                return refused(format!("a schema of the endpoint {name:?} is no JSON Schema"));
            }
        }
    }
    Ok(())
}

fn refuse_excess(routes: &[&Route]) -> Result<(), Fault> {
    let bytes: usize = routes.iter().map(|route| route.path.len() + route.host.len()).sum();
    if routes.len() <= ROUTES_MAX && bytes <= ROUTES_BYTES_MAX {
        return Ok(());
    }
    let message = format!("a service has at most {ROUTES_MAX} routes of {ROUTES_BYTES_MAX} bytes together");
    Err(Fault::new(Code::Usage, message)
        .help("use paths that begin with the service's name: they need no route"))
}

/// Only what takes HTTP as it is, and so is told which method it is, takes any.
fn refuse_any(endpoints: &[Endpoint]) -> Result<(), Fault> {
    let typed = endpoints.iter().filter(|endpoint| endpoint.name != RAW);
    let any = typed.flat_map(|endpoint| &endpoint.routes).find(|route| route.takes_any());
    any.map_or(Ok(()), |route| {
        let message = format!("the route {} is for any method, of which no endpoint is told", shown(route));
        Err(Fault::new(Code::Usage, message).help(format!("say which: {}", ROUTE_METHODS.join(", "))))
    })
}

/// The first segment begins no path of the door's own, whatever the host.
fn refuse_reserved_path(route: &Route) -> Result<(), Fault> {
    let Some(Segment::Literal(first)) = route.segments().next() else { return Ok(()) };
    let own = first.starts_with(['-', '.']) || RESERVED.contains(&first) || RESERVED_PATHS.contains(&first);
    if !own {
        return Ok(());
    }
    Err(Fault::new(
        Code::Conflict,
        format!("the route {} is in a place of the platform itself", shown(route)),
    )
    .help("paths can't begin with a dash or a dot")
    .help(format!("reserved are: {}, {}", RESERVED.join(", "), RESERVED_PATHS.join(", "))))
}

/// The word that stands where a service's name does, whatever the host: all services are called by all names of a node.
fn word(route: &Route) -> Option<&str> {
    match route.segments().next() {
        Some(Segment::Literal(first)) => Some(first),
        _ => None,
    }
}

/// Whether there is a request that both routes match, of which none has precedence by its first segment.
fn overlap(one: &Route, other: &Route) -> bool {
    let hosts = one.host == other.host || one.host.is_empty() || other.host.is_empty();
    let ranks = word(one).is_some() == word(other).is_some();
    one.shares_method(other) && hosts && ranks && {
        let (mut one, mut other) = (one.segments(), other.segments());
        loop {
            match (one.next(), other.next()) {
                (None, None) | (Some(Segment::Rest(_)), Some(_)) | (Some(_), Some(Segment::Rest(_))) => {
                    break true;
                }
                (None, Some(_)) | (Some(_), None) => break false,
                (Some(Segment::Literal(a)), Some(Segment::Literal(b))) if a != b => break false,
                _ => {}
            }
        }
    }
}

fn shown(route: &Route) -> String {
    format!("{} {}{}", route.method, route.host, route.path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{auth::AUTH, config::CONFIG, network::NETWORK, registry::REGISTRY, store::STORE};
    use micro_sdk::wire::{Instance, NodeId, Streams};

    #[test]
    fn a_service_of_people_does_not_take_a_name_of_the_platform() {
        let refused = |name: &str| refuse_reserved(&name.parse().expect("a good name"));
        for name in [STORE, CONFIG, REGISTRY, NETWORK, AUTH, "runtime", "health", "metrics"] {
            let fault = refused(name).expect_err("the platform has that name");
            assert_eq!(fault.code, Code::Conflict);
            assert!(fault.message.contains(name) && fault.help[0].contains("another name"), "{fault:?}");
        }
        assert_eq!(refused("v1").map_err(|fault| fault.code), Err(Code::Conflict));
        for free in ["stores", "v", "v1-shop", "v1b"] {
            assert_eq!(refused(free), Ok(()), "{free}");
        }
    }

    #[test]
    fn endpoints_are_told_apart_by_callers() {
        let offered = |names: &[&str], schema: &str| {
            let one = |name: &&str| Endpoint {
                name: (*name).to_owned(),
                request_schema: schema.to_owned(),
                ..endpoint("GET", "/x", "")
            };
            refuse_endpoints(&names.iter().map(one).collect::<Vec<_>>()).map_err(|fault| fault.code)
        };
        for good in [&["Cart.add", "Cart.remove"][..], &["/"], &["call"], &["Cart.add", "Stock.add"]] {
            assert_eq!(offered(good, "true"), Ok(()), "{good:?}");
        }
        for bad in
            [&["Cart.add", "Cart.add"][..], &["H.ping_pong", "H.pingPong"], &["/", "H.call"], &[""], &["-.x"]]
        {
            assert_eq!(offered(bad, "true"), Err(Code::Usage), "{bad:?}");
        }
        assert_eq!(offered(&["call"], ""), Ok(()));
        for schema in ["{bad", "7", "[]"] {
            assert_eq!(offered(&["call"], schema), Err(Code::Usage), "{schema}");
        }
    }

    fn name(text: &str) -> ServiceName {
        text.parse().expect("a good name")
    }

    fn endpoint(method: &str, path: &str, host: &str) -> Endpoint {
        let (schema, doc) = ("true".to_owned(), String::new());
        let (request_schema, response_schema) = (schema.clone(), schema);
        let name = "Cart.add".to_owned();
        let (routes, streams) = (Vec::new(), Streams::default());
        Endpoint { name, request_schema, response_schema, doc, routes, streams }.route(method, path, host)
    }

    /// What takes HTTP as it is, also at this place.
    fn raw(path: &str, host: &str) -> Endpoint {
        Endpoint { name: RAW.to_owned(), ..endpoint("*", path, host) }
    }

    /// A table with the service `shop`, which has one route.
    fn table() -> Table {
        let offered = endpoint("GET", "/carts/{id}", "");
        Table::of([Instance {
            id: 1,
            namespace: Namespace::default(),
            service: name("shop"),
            version: "1".to_owned(),
            node: NodeId(1),
            endpoints: vec![offered.name.clone()],
            routes: vec![(offered.name.clone(), offered.routes[0].clone())],
            streams: Vec::new(),
            metadata: std::collections::BTreeMap::new(),
            health: micro_sdk::wire::Health::Passing,
        }])
    }

    #[test]
    fn routes_that_collide_are_refused_and_told() {
        let attach = |service: &str, endpoints: &[Endpoint]| {
            refuse(&Namespace::default(), &name(service), endpoints, &table())
        };
        for (service, route, code, told) in [
            ("till", endpoint("GET", "/carts/{other}", ""), Code::Conflict, "taken by the service shop"),
            (
                "till",
                endpoint("GET", "/carts/{id}", "localhost"),
                Code::Conflict,
                "which has GET /carts/{id}",
            ),
            (
                "till",
                endpoint("GET", "/carts/{rest=**}", "a.example"),
                Code::Conflict,
                "which has GET /carts/{id}",
            ),
            ("till", endpoint("GET", "/shop/sale", ""), Code::Conflict, "calls of the service shop"),
            ("till", endpoint("GET", "/shop/sale", "localhost"), Code::Conflict, "calls of the service shop"),
            ("carts", endpoint("GET", "/baskets", ""), Code::Conflict, "would go to shop"),
            ("till", endpoint("GET", "/-/v1/store", ""), Code::Conflict, "platform"),
            ("till", endpoint("GET", "/health", ""), Code::Conflict, "platform"),
            ("till", endpoint("GET", "/openapi.json", ""), Code::Conflict, "platform"),
            ("till", endpoint("GET", "/.well-known/x", "a.example"), Code::Conflict, "platform"),
            ("till", endpoint("GET", "/a//b", ""), Code::Usage, "plain word"),
            ("till", endpoint("*", "/a", ""), Code::Usage, "for any method"),
            ("till", raw("/carts/{rest=**}", ""), Code::Conflict, "which has GET /carts/{id}"),
            ("till", raw("/shop", ""), Code::Conflict, "calls of the service shop"),
            ("till", raw("/-/v1", ""), Code::Conflict, "platform"),
            ("till", raw("/metrics", ""), Code::Conflict, "platform"),
            ("till", endpoint("GET", "/a", "").route("GET", "/a", ""), Code::Usage, "twice"),
        ] {
            let fault = attach(service, &[route]).expect_err(told);
            assert_eq!(fault.code, code, "{fault}");
            assert!(fault.message.contains(told), "{fault}");
        }
        for good in [
            endpoint("POST", "/carts/{id}", ""),
            endpoint("GET", "/carts/{id}/items", "till.example"),
            endpoint("GET", "/{rest=**}", "till.example"),
            endpoint("GET", "/till/open", ""),
            endpoint("GET", "/tills/{id}", ""),
            raw("/docs/{rest=**}", ""),
            raw("/", "till.example"),
        ] {
            assert_eq!(attach("till", &[good]), Ok(()));
        }
        // A second instance of the same service has the same routes.
        assert_eq!(attach("shop", &[endpoint("GET", "/carts/{id}", "")]), Ok(()));
        let many = (0..=ROUTES_MAX).fold(endpoint("GET", "/a", ""), |endpoint, number| {
            endpoint.route("GET", &format!("/a/{number}"), "")
        });
        assert!(attach("till", &[many]).expect_err("too many").message.contains("at most"));
    }
}
