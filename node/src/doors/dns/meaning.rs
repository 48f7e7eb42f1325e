//! What a name of the zone means, by its labels alone.

use micro_sdk::wire::{Namespace, ServiceName};

/// The zone.
pub(super) const ZONE: &str = "micro";
/// Below this label are nodes. Services of a namespace of this name have no names here.
pub(super) const NODES: &str = "node";
/// What SRV names have behind the protocol (RFC 2782); there is nothing over UDP.
const TCP: &str = "_tcp";

/// What a service is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    Https,
    Grpc,
}

/// A door of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostDoor {
    Api,
    Proxy,
}

impl HostDoor {
    /// As a label.
    pub fn label(self) -> &'static str {
        match self {
            HostDoor::Api => "api",
            HostDoor::Proxy => "proxy",
        }
    }
}

/// What is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The zone itself.
    Apex,
    /// A service.
    Service(Namespace, ServiceName),
    /// A protocol of a service; none for that of this node's HTTP api.
    Protocol(Option<Protocol>, Namespace, ServiceName),
    /// What the protocols of a service are below, and nothing by itself.
    Protocols(Namespace, ServiceName),
    /// What services are below that are named as protocols are, and nothing by itself.
    Branch,
    /// A node, by its name or id.
    Node(String),
    /// A door of a node.
    Door(HostDoor, String),
    /// Nothing can be called so.
    Nothing,
}

impl Meaning {
    /// Of the labels in front of the zone, in lower case, the first one first.
    pub fn of(labels: &[&str]) -> Meaning {
        let node = |name: &str| name.to_owned();
        match labels {
            [] => Meaning::Apex,
            [TCP] => Meaning::Branch,
            [TCP, service @ ..] => with_service(service, Meaning::Protocols),
            [protocol, TCP, service @ ..] if protocol.starts_with('_') => match (*protocol, service) {
                ("_http", [_, ..]) => of_protocol(Some(Protocol::Http), service),
                ("_https", [_, ..]) => of_protocol(Some(Protocol::Https), service),
                ("_grpc", [_, ..]) => of_protocol(Some(Protocol::Grpc), service),
                (name, namespace) => {
                    let service = [&[&name[1..]][..], namespace].concat();
                    of_protocol(None, &service)
                }
            },
            [name, NODES] => Meaning::Node(node(name)),
            ["api", name, NODES] => Meaning::Door(HostDoor::Api, node(name)),
            ["proxy", name, NODES] => Meaning::Door(HostDoor::Proxy, node(name)),
            service => with_service(service, Meaning::Service),
        }
    }
}

fn of_protocol(protocol: Option<Protocol>, service: &[&str]) -> Meaning {
    with_service(service, |namespace, service| Meaning::Protocol(protocol, namespace, service))
}

fn with_service(labels: &[&str], meaning: impl FnOnce(Namespace, ServiceName) -> Meaning) -> Meaning {
    let namespace = match labels {
        [_] => Some(Namespace::default()),
        [_, namespace] if *namespace != NODES => namespace.parse().ok(),
        _ => None,
    };
    let service = labels.first().and_then(|service| service.parse().ok());
    namespace.zip(service).map_or(Meaning::Nothing, |(namespace, service)| meaning(namespace, service))
}

/// The tenant that a host of the zone is for, as a request names it, in lower case and without a port: none in it for
/// all. None at all for what is no host of the zone.
pub(in crate::doors) fn tenant(host: &str) -> Option<Option<&str>> {
    let inside = host.strip_suffix(ZONE)?.strip_suffix('.')?;
    let labels: Vec<&str> = inside.split('.').collect();
    match (Meaning::of(&labels), &labels[..]) {
        (Meaning::Service(..), [_, namespace]) => Some(Some(*namespace)),
        (Meaning::Service(..) | Meaning::Node(_) | Meaning::Door(HostDoor::Api, _), _) => Some(None),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(name: &str) -> String {
        let labels: Vec<&str> = name.split('.').filter(|label| !label.is_empty()).collect();
        match Meaning::of(&labels) {
            Meaning::Apex => "apex".to_owned(),
            Meaning::Service(namespace, service) => format!("{namespace}/{service}"),
            Meaning::Protocol(protocol, namespace, service) => format!("{namespace}/{service} {protocol:?}"),
            Meaning::Protocols(namespace, service) => format!("above {namespace}/{service}"),
            Meaning::Branch => "branch".to_owned(),
            Meaning::Node(name) => format!("node {name}"),
            Meaning::Door(door, name) => format!("{} of {name}", door.label()),
            Meaning::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn names_mean_services_protocols_and_nodes() {
        for (name, expected) in [
            ("", "apex"),
            ("helloworld", "default/helloworld"),
            ("shop.acme", "acme/shop"),
            ("node", "default/node"),
            ("_http._tcp.shop", "default/shop Some(Http)"),
            ("_https._tcp.shop.acme", "acme/shop Some(Https)"),
            ("_grpc._tcp.shop", "default/shop Some(Grpc)"),
            ("_shop._tcp", "default/shop None"),
            ("_shop._tcp.acme", "acme/shop None"),
            ("_http._tcp", "default/http None"),
            ("_tcp", "branch"),
            ("_tcp.shop", "above default/shop"),
            ("alpha.node", "node alpha"),
            ("api.alpha.node", "api of alpha"),
            ("proxy.alpha.node", "proxy of alpha"),
            ("api.node", "node api"),
            ("mesh.alpha.node", "nothing"),
            ("a.b.c", "nothing"),
            ("_shop._udp", "nothing"),
            ("__tcp._tcp", "nothing"),
            ("_._tcp", "nothing"),
            ("_http._tcp.a.b.c", "nothing"),
            ("_http._tcp.alpha.node", "nothing"),
            ("-a", "nothing"),
            ("a_b", "nothing"),
        ] {
            assert_eq!(meaning(name), expected, "{name}");
        }
    }
}
