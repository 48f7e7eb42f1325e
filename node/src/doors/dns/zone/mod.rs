//! The answers of the zone: which records a name has, for who asks.

use super::{
    meaning::{HostDoor, Meaning, NODES, Protocol, ZONE},
    view::{Known, View},
};
use hickory_proto::{
    op::{Query, ResponseCode},
    rr::{
        DNSClass, Name, RData, Record, RecordType,
        rdata::{HINFO, NS, SOA, SRV, TXT},
    },
};
use micro_mesh::Place;
use micro_sdk::wire::{Instance, Namespace, NodeId, ServiceName};
use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

/// How long an answer may be kept, in seconds: as long as gossip takes to tell of a change. With a longer one callers
/// would stay with a node that is gone, with none every call would ask.
const TTL_S: u32 = 2;
/// The same of the news that there is nothing (RFC 2308): whoever waits for a service to come asks again and again.
const NEGATIVE_TTL_S: u32 = 1;
/// How many nodes an answer names at most: nobody tries more, and each costs the answer some 60 bytes.
const NODES_MAX: usize = 64;
/// How many versions an answer tells at most.
const VERSIONS_MAX: usize = 64;
/// The longest text in a record (RFC 1035, 3.3).
const TEXT_BYTES_MAX: usize = 255;

/// What is answered.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub code: ResponseCode,
    /// Whether the zone itself says so: not of what was refused.
    pub authoritative: bool,
    pub answers: Vec<Record>,
    pub authorities: Vec<Record>,
    pub additionals: Vec<Record>,
}

impl Answer {
    fn of(code: ResponseCode, authoritative: bool) -> Self {
        let (answers, authorities, additionals) = Default::default();
        Answer { code, authoritative, answers, authorities, additionals }
    }
}

/// What a name has.
#[derive(Default)]
struct Contents {
    addresses: Vec<IpAddr>,
    entrances: Vec<Entrance>,
    texts: Vec<Vec<String>>,
    apex: bool,
}

/// A door that leads to a service.
struct Entrance {
    node: NodeId,
    door: HostDoor,
    ip: IpAddr,
    port: u16,
    /// 0 for this node, then 1 for its zone, 2 for its region, 3 for its cloud and 4 for all others.
    distance: u16,
    weight: u16,
}

/// Whether there is a name.
enum Found {
    /// It is there, be it with nothing.
    There(Contents),
    /// This node has just started, and does not know.
    Unsure,
    Nowhere,
}

/// The zone, as it is told to one who asks: from this host, if that is `near`.
pub(super) struct Zone<'a, V> {
    pub view: &'a V,
    pub near: bool,
}

impl<V: View> Zone<'_, V> {
    /// What is answered to a query.
    pub fn answer(&self, query: &Query) -> Answer {
        let refused = Answer::of(ResponseCode::Refused, false);
        let labels: Vec<String> = query.name.iter().map(label).collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let transfer = matches!(query.query_type, RecordType::AXFR | RecordType::IXFR);
        let Some((&ZONE, inside)) = labels.split_last() else { return refused };
        if query.query_class != DNSClass::IN || transfer {
            return refused;
        }
        let meaning = Meaning::of(inside);
        if self.is_beneath_a_service(&meaning) {
            return self.nothing(ResponseCode::NXDomain);
        }
        if !self.may_know(&meaning, query) {
            return refused;
        }
        match self.find(&meaning) {
            Found::Unsure => Answer::of(ResponseCode::ServFail, false),
            Found::Nowhere => self.nothing(ResponseCode::NXDomain),
            Found::There(contents) => self.records(query, &contents),
        }
    }

    fn may_know(&self, meaning: &Meaning, query: &Query) -> bool {
        match meaning {
            Meaning::Service(namespace, service)
            | Meaning::Protocol(_, namespace, service)
            | Meaning::Protocols(namespace, service) => self.view.may_find(namespace, service),
            Meaning::Apex | Meaning::Branch | Meaning::Node(_) | Meaning::Door(..) | Meaning::Nothing => {
                self.view.may_look(&query.name.to_ascii())
            }
        }
    }

    /// Whether a name that could be of a service of a tenant stands beneath a service of the default namespace
    /// instead, and so is not there: `www.shop.micro`, or `_ftp._tcp.shop.micro`, which nobody speaks. By no more
    /// than whoever asks may know anyway: they are told of `shop.micro`, and of nothing of a tenant `shop`. Beneath a
    /// name that is not there is nothing either (RFC 8020); but a tenant's services are beneath one that may be, so
    /// that it is only said of what looks like a protocol.
    fn is_beneath_a_service(&self, meaning: &Meaning) -> bool {
        let (namespace, protocol) = match meaning {
            Meaning::Protocol(None, namespace, _) => (namespace, true),
            Meaning::Service(namespace, _)
            | Meaning::Protocol(Some(_), namespace, _)
            | Meaning::Protocols(namespace, _) => (namespace, false),
            Meaning::Apex | Meaning::Branch | Meaning::Node(_) | Meaning::Door(..) | Meaning::Nothing => {
                return false;
            }
        };
        let default = Namespace::default();
        let above = namespace.as_str().parse().ok().filter(|_| *namespace != default);
        above.is_some_and(|above| {
            let there = protocol || self.view.service(&default, &above) != Known::No;
            there && !self.view.has_services(namespace) && self.view.would_find(&default, &above)
        })
    }

    fn find(&self, meaning: &Meaning) -> Found {
        match meaning {
            Meaning::Apex => Found::There(Contents { apex: true, ..Contents::default() }),
            Meaning::Branch => Found::There(Contents::default()),
            Meaning::Service(namespace, service) => self.service(namespace, service, |instances| {
                let entrances = self.entrances(None, instances);
                let addresses = unique(entrances.iter().map(|entrance| entrance.ip));
                Contents { addresses, entrances, texts: texts(instances), apex: false }
            }),
            Meaning::Protocol(protocol, namespace, service) => {
                self.service(namespace, service, |instances| Contents {
                    entrances: self.entrances(*protocol, instances),
                    ..Contents::default()
                })
            }
            Meaning::Protocols(namespace, service) => {
                self.service(namespace, service, |_| Contents::default())
            }
            Meaning::Node(name) => self.node(name, |node| self.addresses(node)),
            Meaning::Door(door, name) => self.node(name, |node| self.door(node, *door).into_iter().collect()),
            Meaning::Nothing => Found::Nowhere,
        }
    }

    fn service(
        &self,
        namespace: &Namespace,
        service: &ServiceName,
        contents: impl FnOnce(&[Arc<Instance>]) -> Contents,
    ) -> Found {
        match self.view.service(namespace, service) {
            Known::Running(instances) => Found::There(contents(&instances)),
            Known::Idle => Found::There(Contents::default()),
            Known::Unsure => Found::Unsure,
            Known::No if *namespace == Namespace::default() && self.is_above(service.as_str()) => {
                Found::There(Contents::default())
            }
            Known::No => Found::Nowhere,
        }
    }

    /// Whether there is anything below a label of the zone: what has names below it is there itself (RFC 8020).
    fn is_above(&self, label: &str) -> bool {
        label == NODES || label.parse().is_ok_and(|namespace| self.view.has_services(&namespace))
    }

    fn node(&self, name: &str, addresses: impl FnOnce(NodeId) -> Vec<IpAddr>) -> Found {
        let found = self.view.find_node(name).filter(|node| self.view.node(*node).is_some());
        found.map_or(Found::Nowhere, |node| {
            Found::There(Contents { addresses: addresses(node), ..Contents::default() })
        })
    }

    /// The addresses of a node: first those of its doors, then the one that its mesh listener is dialled at.
    fn addresses(&self, node: NodeId) -> Vec<IpAddr> {
        let doors = [HostDoor::Api, HostDoor::Proxy].into_iter().filter_map(|door| self.door(node, door));
        let mesh = self.view.node(node).map(|neighbour| neighbour.address);
        let mesh = mesh.filter(|ip| !ip.is_unspecified() && (self.near || !ip.is_loopback()));
        unique(doors.chain(mesh))
    }

    /// The address that a door of a node is reached at.
    fn door(&self, node: NodeId, door: HostDoor) -> Option<IpAddr> {
        let own = self.view.own();
        let reached = match door {
            HostDoor::Api if node == self.view.here() => own.reached(own.api, self.near),
            HostDoor::Proxy if node == self.view.here() => own.reached(own.proxy, self.near),
            HostDoor::Api => self.view.node(node)?.api,
            // No other host reaches it.
            HostDoor::Proxy => None,
        };
        reached.map(|address| address.ip())
    }

    /// The doors that lead to instances in the order in which they are given, for a protocol; none for that of this
    /// node's HTTP api.
    fn entrances(&self, protocol: Option<Protocol>, instances: &[Arc<Instance>]) -> Vec<Entrance> {
        let (own, here) = (self.view.own(), self.view.here());
        let usual = if own.api_tls { Protocol::Https } else { Protocol::Http };
        let protocol = protocol.unwrap_or(usual);
        let bound = match protocol {
            Protocol::Grpc => Some((HostDoor::Proxy, own.proxy)),
            _ if protocol == usual => Some((HostDoor::Api, own.api)),
            _ => None,
        };
        let entrance = bound.and_then(|(door, bound)| {
            let at = own.reached(bound, self.near)?;
            Some(Entrance { node: here, door, ip: at.ip(), port: at.port(), distance: 0, weight: 1 })
        });
        let mut entrances: Vec<Entrance> = entrance.into_iter().collect();
        if protocol == Protocol::Https {
            entrances.extend(self.others(instances));
        }
        entrances.truncate(NODES_MAX);
        entrances
    }

    /// The HTTP apis of the other nodes that have instances, as far as other hosts reach them: the nearest first.
    fn others(&self, instances: &[Arc<Instance>]) -> Vec<Entrance> {
        let here = self.view.here();
        let own = self.view.node(here).map(|own| own.place).unwrap_or_default();
        let mut entrances: Vec<Entrance> = Vec::new();
        for instance in instances.iter().filter(|instance| instance.node != here) {
            if let Some(known) = entrances.iter_mut().find(|known| known.node == instance.node) {
                known.weight = known.weight.saturating_add(1);
                continue;
            }
            let Some(neighbour) = self.view.node(instance.node) else { continue };
            let Some(at) = neighbour.api else { continue };
            entrances.push(Entrance {
                node: instance.node,
                door: HostDoor::Api,
                ip: at.ip(),
                port: at.port(),
                distance: distance(&own, &neighbour.place),
                weight: 1,
            });
        }
        // A stable sort: within one distance they stay in the order of their round trips.
        entrances.sort_by_key(|entrance| entrance.distance);
        entrances
    }

    /// The records of a name that are of the type that is asked for.
    fn records(&self, query: &Query, contents: &Contents) -> Answer {
        let answers = self.data(query.query_type, contents);
        if answers.is_empty() {
            return self.nothing(ResponseCode::NoError);
        }
        // As it was asked, in capitals or not: whoever mixes them compares.
        let record = |data| Record::from_rdata(query.name.clone(), TTL_S, data);
        Answer {
            answers: answers.into_iter().map(record).collect(),
            additionals: self.beside(query.query_type, contents),
            ..Answer::of(ResponseCode::NoError, true)
        }
    }

    fn data(&self, kind: RecordType, contents: &Contents) -> Vec<RData> {
        match kind {
            RecordType::A | RecordType::AAAA => {
                let asked = |ip: &&IpAddr| ip.is_ipv4() == (kind == RecordType::A);
                contents.addresses.iter().filter(asked).map(|ip| address(*ip)).collect()
            }
            RecordType::SRV => {
                let way = |entrance: &Entrance| {
                    let target = self.target(entrance.node, Some(entrance.door));
                    RData::SRV(SRV::new(entrance.distance, entrance.weight, entrance.port, target))
                };
                contents.entrances.iter().map(way).collect()
            }
            RecordType::TXT => {
                contents.texts.iter().map(|texts| RData::TXT(TXT::new(texts.clone()))).collect()
            }
            RecordType::SOA if contents.apex => vec![RData::SOA(self.soa())],
            RecordType::NS if contents.apex => vec![RData::NS(NS(self.target(self.view.here(), None)))],
            // All of it is what amplifies floods: RFC 8482 has this in its place.
            RecordType::ANY => vec![RData::HINFO(HINFO::new("RFC8482".to_owned(), String::new()))],
            _ => Vec::new(),
        }
    }

    /// The addresses of those that the answer names, so that nobody has to ask again.
    fn beside(&self, kind: RecordType, contents: &Contents) -> Vec<Record> {
        let record = |node, door, ip| Record::from_rdata(self.target(node, door), TTL_S, address(ip));
        match kind {
            RecordType::SRV => {
                let entrances = contents.entrances.iter();
                entrances.map(|entrance| record(entrance.node, Some(entrance.door), entrance.ip)).collect()
            }
            RecordType::NS if contents.apex => {
                let here = self.view.here();
                self.addresses(here).into_iter().map(|ip| record(here, None, ip)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// That there is nothing of that name, or nothing of that type, with how long that may be believed.
    fn nothing(&self, code: ResponseCode) -> Answer {
        let soa = Record::from_rdata(name(&[]), NEGATIVE_TTL_S, RData::SOA(self.soa()));
        Answer { authorities: vec![soa], ..Answer::of(code, true) }
    }

    /// The zone has no copies elsewhere, so serial and times of those say nothing.
    fn soa(&self) -> SOA {
        let (primary, person) = (self.target(self.view.here(), None), name(&["hostmaster"]));
        SOA::new(primary, person, 1, 3600, 600, 86_400, NEGATIVE_TTL_S)
    }

    /// What a node, or a door of it, is called in the zone: by its id if another node has the same name, or if that is
    /// no label.
    fn target(&self, node: NodeId, door: Option<HostDoor>) -> Name {
        let called = |name: &str| {
            let labels: Vec<&str> = door.map(HostDoor::label).into_iter().chain([name, NODES]).collect();
            below_zone(&labels)
        };
        let name = self.view.node(node).map(|neighbour| neighbour.name);
        let own = name.filter(|name| self.view.find_node(name) == Some(node));
        own.and_then(|name| called(&name))
            .unwrap_or_else(|| called(&node.to_string()).expect("the digits of an id are a label"))
    }
}

fn label(label: &[u8]) -> String {
    String::from_utf8_lossy(label).to_ascii_lowercase()
}

/// A name of this file's own making.
fn name(labels: &[&str]) -> Name {
    below_zone(labels).expect("our words are labels")
}

/// The name with these labels in front of the zone; none if one of them can't be a label.
fn below_zone(labels: &[&str]) -> Option<Name> {
    let labels = labels.iter().chain([&ZONE]).map(|label| label.as_bytes());
    Name::from_labels(labels).ok()
}

fn address(ip: IpAddr) -> RData {
    match ip {
        IpAddr::V4(ip) => RData::A(ip.into()),
        IpAddr::V6(ip) => RData::AAAA(ip.into()),
    }
}

fn unique(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut once: Vec<IpAddr> = Vec::new();
    for ip in addresses {
        if !once.contains(&ip) {
            once.push(ip);
        }
    }
    once
}

/// How far a node stands from another.
fn distance(from: &Place, to: &Place) -> u16 {
    match (from.cloud == to.cloud, from.region == to.region, from.zone == to.zone) {
        (true, true, true) => 1,
        (true, true, false) => 2,
        (true, false, _) => 3,
        (false, ..) => 4,
    }
}

/// The versions that run, and how many instances of each, as RFC 1464 writes attributes.
fn texts(instances: &[Arc<Instance>]) -> Vec<Vec<String>> {
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    for instance in instances {
        *versions.entry(&instance.version).or_default() += 1;
    }
    let text = |(version, count): (&str, usize)| {
        let mut version = format!("version={version}");
        version.truncate(version.floor_char_boundary(TEXT_BYTES_MAX));
        vec![version, format!("instances={count}")]
    };
    versions.into_iter().take(VERSIONS_MAX).map(text).collect()
}

#[cfg(test)]
mod tests;
