use super::*;
use crate::doors::dns::reach::OwnDoors;
use micro_actors::network::Neighbour;
use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
};

const HERE: NodeId = NodeId(1);

/// A mesh as a test wants it.
struct Fake {
    own: OwnDoors,
    nodes: Vec<(NodeId, Neighbour)>,
    services: HashMap<(Namespace, ServiceName), Known>,
    /// Whether whoever asks may know anything.
    may: bool,
    /// And of the services of tenants.
    may_tenants: bool,
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn neighbour(name: &str, place: [&str; 3], ip: &str, api: Option<&str>) -> Neighbour {
    let [cloud, region, zone] = place.map(str::to_owned);
    let place = Place { cloud, region, zone };
    Neighbour { name: name.to_owned(), place, address: ip.parse().expect("an address"), api: api.map(at) }
}

fn instance(node: u64, id: u64, version: &str) -> Arc<Instance> {
    Arc::new(Instance {
        id,
        namespace: Namespace::default(),
        service: "shop".parse().expect("a good name"),
        version: version.to_owned(),
        node: NodeId(node),
        endpoints: vec!["Cart.add".to_owned()],
        routes: Vec::new(),
        streams: Vec::new(),
        metadata: std::collections::BTreeMap::new(),
        health: micro_sdk::wire::Health::Passing,
    })
}

impl Fake {
    /// Five nodes in two clouds: two here, of which one is of the same zone, and all with an api beyond loopback but
    /// one. The service is on all but this one, by round trip.
    fn wide() -> Self {
        let nodes = [
            (1, neighbour("alpha", ["a", "one", "x"], "10.0.0.1", Some("10.0.0.1:443"))),
            (2, neighbour("bravo", ["b", "one", "x"], "10.0.0.2", Some("10.0.0.2:443"))),
            (3, neighbour("charlie", ["a", "two", "x"], "10.0.0.3", Some("10.0.0.3:8443"))),
            (4, neighbour("delta", ["a", "one", "y"], "10.0.0.4", None)),
            (5, neighbour("echo", ["a", "one", "x"], "fd00::5", Some("[fd00::5]:443"))),
            (6, neighbour("foxtrot", ["a", "one", "y"], "10.0.0.6", Some("10.0.0.6:443"))),
        ];
        let running = [instance(2, 1, "1"), instance(3, 2, "1"), instance(4, 3, "1"), instance(6, 4, "1")];
        let last = [instance(5, 5, "2"), instance(5, 6, "2")];
        let shop = Known::Running(running.into_iter().chain(last).collect());
        Fake {
            own: OwnDoors {
                api: at("0.0.0.0:443"),
                api_tls: true,
                proxy: at("127.0.0.1:8081"),
                advertise: Ipv4Addr::new(10, 0, 0, 1).into(),
            },
            nodes: nodes.map(|(node, neighbour)| (NodeId(node), neighbour)).into(),
            services: HashMap::from([((Namespace::default(), "shop".parse().expect("a good name")), shop)]),
            may: true,
            may_tenants: true,
        }
    }

    /// One host, as a start without any flags has it.
    fn narrow() -> Self {
        let mut fake = Fake::wide();
        fake.own.api = at("127.0.0.1:8080");
        fake.own.api_tls = false;
        for (node, neighbour) in &mut fake.nodes {
            (neighbour.api, neighbour.address) = (None, Ipv4Addr::LOCALHOST.into());
            if *node == NodeId(6) {
                neighbour.name = "alpha".to_owned();
            }
        }
        fake
    }

    fn with(mut self, namespace: &str, service: &str, known: Known) -> Self {
        let key = (namespace.parse().expect("a good name"), service.parse().expect("a good name"));
        self.services.insert(key, known);
        self
    }

    fn ask(&self, near: bool, name: &str, kind: RecordType) -> Answer {
        let name = Name::from_ascii(name).expect("a name");
        Zone { view: self, near }.answer(&Query::query(name, kind))
    }

    /// The code, and the records as zone files have them, without owner and time.
    fn told(&self, name: &str, kind: RecordType) -> String {
        shown(&self.ask(true, name, kind))
    }

    fn told_elsewhere(&self, name: &str, kind: RecordType) -> String {
        shown(&self.ask(false, name, kind))
    }
}

fn shown(answer: &Answer) -> String {
    let records: Vec<String> = answer.answers.iter().map(|record| record.data.to_string()).collect();
    match answer.code {
        ResponseCode::NoError => records.join(", "),
        code => format!("{code:?}"),
    }
}

impl View for Fake {
    fn own(&self) -> &OwnDoors {
        &self.own
    }

    fn here(&self) -> NodeId {
        HERE
    }

    fn service(&self, namespace: &Namespace, service: &ServiceName) -> Known {
        self.services.get(&(namespace.clone(), service.clone())).cloned().unwrap_or(Known::No)
    }

    fn node(&self, node: NodeId) -> Option<Neighbour> {
        self.nodes.iter().find(|(id, _)| *id == node).map(|(_, neighbour)| neighbour.clone())
    }

    fn find_node(&self, name: &str) -> Option<NodeId> {
        let named = self.nodes.iter().find(|(_, neighbour)| neighbour.name == name).map(|(node, _)| *node);
        named.or_else(|| name.parse().ok())
    }

    fn has_services(&self, namespace: &Namespace) -> bool {
        self.services.keys().any(|(of, name)| of == namespace && self.would_find(of, name))
    }

    fn would_find(&self, namespace: &Namespace, _: &ServiceName) -> bool {
        self.may && (self.may_tenants || *namespace == Namespace::default())
    }

    fn may_find(&self, namespace: &Namespace, service: &ServiceName) -> bool {
        self.would_find(namespace, service)
    }

    fn may_look(&self, _: &str) -> bool {
        self.may
    }
}

#[test]
fn a_service_is_reached_through_this_node_where_doors_are_on_loopback() {
    let fake = Fake::narrow();
    assert_eq!(fake.told("shop.micro.", RecordType::A), "127.0.0.1");
    assert_eq!(fake.told("shop.micro.", RecordType::AAAA), "");
    assert_eq!(fake.told("shop.micro.", RecordType::SRV), "0 1 8080 api.alpha.node.micro.");
    assert_eq!(fake.told("_http._tcp.shop.micro.", RecordType::SRV), "0 1 8080 api.alpha.node.micro.");
    assert_eq!(fake.told("_shop._tcp.micro.", RecordType::SRV), "0 1 8080 api.alpha.node.micro.");
    assert_eq!(fake.told("_grpc._tcp.shop.micro.", RecordType::SRV), "0 1 8081 proxy.alpha.node.micro.");
    assert_eq!(fake.told("_https._tcp.shop.micro.", RecordType::SRV), "", "nobody speaks it");
    assert_eq!(fake.told("api.alpha.node.micro.", RecordType::A), "127.0.0.1");
    // Of two of the same name, the other one goes by its id.
    assert_eq!(fake.told("0000000000000006.node.micro.", RecordType::A), "127.0.0.1");
    assert_eq!(fake.told_elsewhere("shop.micro.", RecordType::A), "", "no other host reaches it");
    assert_eq!(fake.told_elsewhere("shop.micro.", RecordType::SRV), "");
    assert_eq!(fake.told_elsewhere("alpha.node.micro.", RecordType::A), "");
}

#[test]
fn nodes_that_other_hosts_reach_follow_from_the_nearest_to_the_farthest() {
    let fake = Fake::wide();
    let ways = "0 1 443 api.alpha.node.micro., 1 2 443 api.echo.node.micro., 2 1 443 api.foxtrot.node.micro., \
                3 1 8443 api.charlie.node.micro., 4 1 443 api.bravo.node.micro.";
    assert_eq!(fake.told("shop.micro.", RecordType::SRV), ways);
    assert_eq!(fake.told("_https._tcp.shop.micro.", RecordType::SRV), ways);
    assert_eq!(fake.told_elsewhere("shop.micro.", RecordType::SRV), ways);
    assert_eq!(fake.told("shop.micro.", RecordType::A), "127.0.0.1, 10.0.0.6, 10.0.0.3, 10.0.0.2");
    assert_eq!(fake.told_elsewhere("shop.micro.", RecordType::A), "10.0.0.1, 10.0.0.6, 10.0.0.3, 10.0.0.2");
    assert_eq!(fake.told("shop.micro.", RecordType::AAAA), "fd00::5");
    assert_eq!(fake.told("_http._tcp.shop.micro.", RecordType::SRV), "", "all of it is inside TLS");
    assert_eq!(fake.told("_grpc._tcp.shop.micro.", RecordType::SRV), "0 1 8081 proxy.alpha.node.micro.");
    assert_eq!(fake.told("alpha.node.micro.", RecordType::A), "127.0.0.1, 10.0.0.1");
    assert_eq!(fake.told_elsewhere("alpha.node.micro.", RecordType::A), "10.0.0.1");
    assert_eq!(fake.told("delta.node.micro.", RecordType::A), "10.0.0.4");
    assert_eq!(fake.told("api.delta.node.micro.", RecordType::A), "", "it has none that is reached");
}

#[test]
fn whoever_follows_srv_is_told_the_addresses_too() {
    let answer = Fake::wide().ask(true, "shop.micro.", RecordType::SRV);
    let told: Vec<String> =
        answer.additionals.iter().map(|record| format!("{} {}", record.name, record.data)).collect();
    assert_eq!(told[..2], ["api.alpha.node.micro. 127.0.0.1", "api.echo.node.micro. fd00::5"]);
    assert_eq!(told.len(), answer.answers.len());
    let fake = Fake::wide();
    for record in &answer.additionals {
        let again = fake.told(&record.name.to_ascii(), record.record_type());
        assert_eq!(again, record.data.to_string(), "the name leads to the same");
    }
}

#[test]
fn versions_are_told_as_texts() {
    let answer = Fake::wide().told("shop.micro.", RecordType::TXT);
    assert!(answer.contains("version=1") && answer.contains("instances=4"), "{answer}");
    assert!(answer.contains("version=2") && answer.contains("instances=2"), "{answer}");
    let long = Known::Running(vec![instance(2, 1, &"é".repeat(300))]);
    let answer = Fake::wide().with("default", "long", long).ask(true, "long.micro.", RecordType::TXT);
    assert_eq!(answer.answers.len(), 1);
}

#[test]
fn what_is_not_there_is_told_with_how_long_that_may_be_believed() {
    let fake = Fake::wide().with("acme", "till", Known::Idle).with("default", "new", Known::Unsure);
    for name in
        ["nobody.micro.", "a.b.c.micro.", "zulu.node.micro.", "_http._tcp.nobody.micro.", "a_b.micro."]
    {
        let answer = fake.ask(true, name, RecordType::A);
        assert_eq!(answer.code, ResponseCode::NXDomain, "{name}");
        let [soa] = &answer.authorities[..] else { panic!("{name} comes without SOA") };
        let RData::SOA(data) = &soa.data else { panic!("{name} comes without SOA") };
        assert_eq!((soa.name.to_ascii().as_str(), soa.ttl, data.minimum), ("micro.", 1, 1));
    }
    // There, and without what was asked for.
    for name in
        ["till.acme.micro.", "acme.micro.", "node.micro.", "_tcp.micro.", "_tcp.shop.micro.", "micro."]
    {
        let answer = fake.ask(true, name, RecordType::A);
        assert_eq!((answer.code, answer.answers.len()), (ResponseCode::NoError, 0), "{name}");
        assert_eq!(answer.authorities.len(), 1, "{name}");
    }
    assert_eq!(fake.told("shop.micro.", RecordType::MX), "");
    assert_eq!(fake.told("new.micro.", RecordType::A), "ServFail");
}

#[test]
fn beneath_a_service_is_nothing_but_its_protocols() {
    let mut fake = Fake::wide().with("acme", "till", Known::Idle).with("default", "acme", Known::Idle);
    // A tenant may have the name of a service, and who may know of its services is told of them.
    assert_eq!(fake.told("till.acme.micro.", RecordType::A), "");
    assert_eq!(fake.told("_till._tcp.acme.micro.", RecordType::SRV), "");
    fake.may_tenants = false;
    for name in [
        "_ftp._tcp.shop.micro.",
        "_ftp._tcp.nobody.micro.",
        "www.shop.micro.",
        "_http._tcp.www.shop.micro.",
        "_tcp.www.shop.micro.",
        // What of a tenant whoever asks may not know, they can't tell from what is not there.
        "till.acme.micro.",
        "_till._tcp.acme.micro.",
        "_none._tcp.acme.micro.",
        "_http._tcp.nobody.micro.",
        "_http._udp.shop.micro.",
        "_http._tcp.micro.",
        "_ftp._tcp.micro.",
        "_._tcp.shop.micro.",
        "__._tcp.shop.micro.",
        "a_b.shop.micro.",
        "*.shop.micro.",
        "www.www.shop.micro.",
    ] {
        for kind in [RecordType::A, RecordType::SRV, RecordType::MX, RecordType::ANY] {
            let answer = fake.ask(true, name, kind);
            assert_eq!((answer.code, answer.authoritative), (ResponseCode::NXDomain, true), "{name} {kind}");
            assert_eq!(answer.authorities[0].record_type(), RecordType::SOA, "{name} {kind}");
        }
    }
    // There, and without what was asked for.
    for name in
        ["shop.micro.", "_tcp.shop.micro.", "_http._tcp.shop.micro.", "_shop._tcp.micro.", "_tcp.micro."]
    {
        for kind in [RecordType::MX, RecordType::CNAME, RecordType::NS, RecordType::PTR] {
            let answer = fake.ask(true, name, kind);
            assert_eq!((answer.code, answer.answers.len()), (ResponseCode::NoError, 0), "{name} {kind}");
            assert_eq!(answer.authorities[0].record_type(), RecordType::SOA, "{name} {kind}");
        }
    }
    // Of a tenant of whom nothing is known nothing is told.
    assert_eq!(fake.told("shop.other.micro.", RecordType::A), "Refused");
}

#[test]
fn the_zone_is_this_nodes() {
    let fake = Fake::wide();
    assert_eq!(fake.told("micro.", RecordType::NS), "alpha.node.micro.");
    let soa = fake.told("micro.", RecordType::SOA);
    assert!(soa.starts_with("alpha.node.micro. hostmaster.micro. "), "{soa}");
    assert_eq!(fake.told("shop.micro.", RecordType::SOA), "");
    let any = fake.ask(true, "shop.micro.", RecordType::ANY);
    assert_eq!((any.answers.len(), any.answers[0].record_type()), (1, RecordType::HINFO));
}

#[test]
fn what_is_asked_in_capitals_is_answered_so() {
    let answer = Fake::narrow().ask(true, "sHoP.MiCrO.", RecordType::A);
    assert_eq!(answer.answers[0].name.to_ascii(), "sHoP.MiCrO.");
}

#[test]
fn what_is_not_of_the_zone_and_who_may_not_know_is_refused() {
    let mut fake = Fake::wide();
    for name in ["example.org.", ".", "micro.example.org.", "shopmicro."] {
        let answer = fake.ask(true, name, RecordType::A);
        assert_eq!((answer.code, answer.authoritative), (ResponseCode::Refused, false), "{name}");
    }
    for kind in [RecordType::AXFR, RecordType::IXFR] {
        assert_eq!(fake.told("micro.", kind), "Refused");
    }
    let mut chaos = Query::query(Name::from_ascii("version.micro.").expect("a name"), RecordType::TXT);
    chaos.query_class = DNSClass::CH;
    assert_eq!(Zone { view: &fake, near: true }.answer(&chaos).code, ResponseCode::Refused);
    fake.may = false;
    for name in ["shop.micro.", "nobody.micro.", "alpha.node.micro.", "micro.", "a.b.c.micro.", "_tcp.micro."]
    {
        let answer = fake.ask(true, name, RecordType::A);
        assert_eq!(answer.code, ResponseCode::Refused, "{name}");
        assert!(answer.authorities.is_empty() && !answer.authoritative);
    }
}
