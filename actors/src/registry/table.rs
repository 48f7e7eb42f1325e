//! All instances of the mesh, read from gossip.

use crate::{kit::method, network::place_of};
use micro_mesh::{Member, Place};
use micro_sdk::wire::{
    Instance, Namespace, NodeId, Route, ServiceName, Streams, metadata, status::ServiceStatus,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Announcements are under keys that begin so: `svc/NAMESPACE/SERVICE/INSTANCE`.
const PREFIX: &str = "svc/";
/// Those of a drained node, which takes no calls, are under keys that begin so, and go on in the same way.
const DRAINED_PREFIX: &str = "drained/";
/// The key under which the mesh gossips a node's name.
pub(crate) const NAME_KEY: &str = "name";

/// What an announcement says beside its key. Short names, since it travels often.
#[derive(Serialize, Deserialize)]
struct Announcement {
    /// The version.
    v: String,
    /// The endpoints.
    e: Vec<String>,
    /// Explicit routes: which of the endpoints, method, path, host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    r: Vec<(usize, String, String, String)>,
    /// Streams: which of the endpoints, whether the caller says any number of messages, whether the service does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    s: Vec<(usize, bool, bool)>,
    /// Metadata.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    m: BTreeMap<String, String>,
}

impl Announcement {
    fn of(instance: &Instance) -> Self {
        let place = |name: &String| instance.endpoints.iter().position(|endpoint| endpoint == name);
        let routes = instance.routes.iter().filter_map(|(endpoint, route)| {
            let Route { method, path, host } = route.clone();
            Some((place(endpoint)?, method, path, host))
        });
        let streams = instance.streams.iter();
        let streams =
            streams.filter_map(|(endpoint, of)| Some((place(endpoint)?, of.client, of.server))).collect();
        let (version, endpoints) = (instance.version.clone(), instance.endpoints.clone());
        let metadata = instance.metadata.clone();
        Announcement { v: version, e: endpoints, r: routes.collect(), s: streams, m: metadata }
    }

    /// The endpoints whose requests or answers are streams.
    fn streams(&self) -> Vec<(String, Streams)> {
        let stream = |(place, client, server): &(usize, bool, bool)| {
            Some((self.e.get(*place)?.clone(), Streams { client: *client, server: *server }))
        };
        self.s.iter().filter_map(stream).collect()
    }

    /// The routes, without those that this build would not take.
    fn routes(&self) -> Vec<(String, Route)> {
        let route = |(place, method, path, host): &(usize, String, String, String)| {
            let route = Route { method: method.clone(), path: path.clone(), host: host.clone() };
            let endpoint = self.e.get(*place)?.clone();
            route.check().is_ok().then_some((endpoint, route))
        };
        self.r.iter().filter_map(route).collect()
    }
}

/// The gossip key of an instance.
pub(crate) fn announcement_key(instance: &Instance) -> String {
    format!("{PREFIX}{}/{}/{:016x}", instance.namespace, instance.service, instance.id)
}

/// The same of an instance on a drained node.
pub(crate) fn drained_key(instance: &Instance) -> String {
    announcement_key(instance).replacen(PREFIX, DRAINED_PREFIX, 1)
}

/// The gossip value of an instance.
pub(crate) fn announcement_value(instance: &Instance) -> String {
    serde_json::to_string(&Announcement::of(instance)).expect("strings always have a JSON form")
}

/// Reads an announcement; none if it is not one, or of a newer build.
fn read(node: NodeId, key: &str, value: &str) -> Option<Instance> {
    read_behind(PREFIX, node, key, value)
}

fn read_behind(prefix: &str, node: NodeId, key: &str, value: &str) -> Option<Instance> {
    let mut parts = key.strip_prefix(prefix)?.split('/');
    let (namespace, service, id) = (parts.next()?, parts.next()?, parts.next()?);
    let announcement: Announcement = serde_json::from_str(value).ok()?;
    Some(Instance {
        id: u64::from_str_radix(id, 16).ok()?,
        namespace: namespace.parse().ok()?,
        service: service.parse().ok()?,
        node,
        routes: announcement.routes(),
        streams: announcement.streams(),
        // Of metadata that this build would not take it knows nothing.
        metadata: Some(announcement.m).filter(|told| metadata::check(told).is_ok()).unwrap_or_default(),
        version: announcement.v,
        endpoints: announcement.e,
    })
}

/// All instances on live nodes, and the names of nodes.
#[derive(Debug, Default)]
pub struct Table {
    services: BTreeMap<(Namespace, ServiceName), Vec<Arc<Instance>>>,
    /// The drained nodes that have instances, by service.
    drained: BTreeMap<(Namespace, ServiceName), BTreeSet<NodeId>>,
    names: BTreeMap<NodeId, String>,
    places: BTreeMap<NodeId, Place>,
    /// Who offers the services of gRPC, each named with its package.
    grpc: BTreeMap<(Namespace, String), ServiceName>,
}

impl Table {
    /// Reads the gossip of all members. Of a node that was declared dead only the name is kept.
    pub(crate) fn read(members: &[Member], here: NodeId) -> Self {
        let mut table = Table::default();
        for member in members {
            if let Some(name) = member.values.get(NAME_KEY) {
                table.names.insert(member.node, name.clone());
            }
            table.places.insert(member.node, place_of(member));
            if !member.alive && member.node != here {
                continue;
            }
            for (key, value) in &*member.values {
                if let Some(instance) = read(member.node, key, value) {
                    let service = (instance.namespace.clone(), instance.service.clone());
                    table.services.entry(service).or_default().push(Arc::new(instance));
                } else if let Some(instance) = read_behind(DRAINED_PREFIX, member.node, key, value) {
                    let service = (instance.namespace, instance.service);
                    table.drained.entry(service).or_default().insert(member.node);
                }
            }
        }
        for instances in table.services.values_mut() {
            instances.sort_by_key(|instance| (instance.node != here, instance.node, instance.id));
        }
        table.index_grpc();
        table
    }

    /// Of two that offer the same, all nodes agree on the one whose name comes first.
    fn index_grpc(&mut self) {
        for ((namespace, service), instances) in &self.services {
            for endpoint in instances.iter().flat_map(|instance| &instance.endpoints) {
                if let Some((grpc, _method)) =
                    endpoint.rsplit_once('.').filter(|(grpc, _)| grpc.contains('.'))
                {
                    let key = (namespace.clone(), grpc.to_owned());
                    self.grpc.entry(key).or_insert_with(|| service.clone());
                }
            }
        }
    }

    /// The service that offers a service of gRPC, which is named with its package: `acme.shop.v1.Cart`.
    pub fn offers_grpc(&self, namespace: &Namespace, grpc: &str) -> Option<&ServiceName> {
        self.grpc.get(&(namespace.clone(), grpc.to_owned()))
    }

    /// The full name of the endpoint that is asked for as clients of gRPC name methods; none if no instance has it.
    pub fn endpoint(&self, namespace: &Namespace, service: &ServiceName, asked: &str) -> Option<String> {
        self.instances(namespace, service).iter().find_map(|instance| method(instance, asked).ok())
    }

    /// A table of these instances and nothing else.
    pub fn of(instances: impl IntoIterator<Item = Instance>) -> Self {
        let mut table = Table::default();
        for instance in instances {
            let service = (instance.namespace.clone(), instance.service.clone());
            table.services.entry(service).or_default().push(Arc::new(instance));
        }
        table.index_grpc();
        table
    }

    /// All services with their instances, by namespace and name.
    pub fn all(&self) -> &BTreeMap<(Namespace, ServiceName), Vec<Arc<Instance>>> {
        &self.services
    }

    /// The other services of a namespace, each with its explicit routes.
    pub(super) fn others(
        &self,
        namespace: &Namespace,
        service: &ServiceName,
    ) -> Vec<(&ServiceName, BTreeSet<&Route>)> {
        let others = self.services.iter().filter(|((of, name), _)| of == namespace && name != service);
        others
            .map(|((_, name), instances)| {
                let routes = instances.iter().flat_map(|instance| &instance.routes);
                (name, routes.map(|(_, route)| route).collect())
            })
            .collect()
    }

    /// The instances of one service.
    pub fn instances(&self, namespace: &Namespace, service: &ServiceName) -> &[Arc<Instance>] {
        let instances = self.services.get(&(namespace.clone(), service.clone()));
        instances.map_or(&[], Vec::as_slice)
    }

    /// The names of the drained nodes that have instances of a service.
    pub fn drained(&self, namespace: &Namespace, service: &ServiceName) -> Vec<String> {
        let nodes = self.drained.get(&(namespace.clone(), service.clone()));
        nodes.into_iter().flatten().map(|node| self.node_name(*node)).collect()
    }

    /// The services that are on drained nodes and on no others, with the names of those.
    pub fn out_of_work(&self) -> Vec<(ServiceName, Vec<String>)> {
        let idle = self.drained.keys().filter(|service| !self.services.contains_key(service));
        idle.map(|(namespace, service)| (service.clone(), self.drained(namespace, service))).collect()
    }

    /// The names of all services of a namespace.
    pub fn names(&self, namespace: &Namespace) -> Vec<ServiceName> {
        let keys = self.services.keys().filter(|(of, _)| of == namespace);
        keys.map(|(_, service)| service.clone()).collect()
    }

    /// The id of the node with this name or id.
    pub fn find_node(&self, name_or_id: &str) -> Option<NodeId> {
        let by_name = self.names.iter().find(|(_, name)| *name == name_or_id).map(|(node, _)| *node);
        by_name.or_else(|| name_or_id.parse().ok().filter(|node| self.names.contains_key(node)))
    }

    /// Where a node stands.
    pub fn place(&self, node: NodeId) -> &Place {
        static NOWHERE: Place = Place { cloud: String::new(), region: String::new(), zone: String::new() };
        self.places.get(&node).unwrap_or(&NOWHERE)
    }

    /// The name of a node; its id when it is not known.
    pub fn node_name(&self, node: NodeId) -> String {
        self.names.get(&node).cloned().unwrap_or_else(|| node.to_string())
    }

    /// All services in the form of the status document.
    pub fn status(&self) -> Vec<ServiceStatus> {
        let status =
            |((_, service), instances): (&(Namespace, ServiceName), &Vec<Arc<Instance>>)| ServiceStatus {
                name: service.as_str().to_owned(),
                versions: unique(instances.iter().map(|instance| instance.version.clone())),
                instances: instances.len() as u64,
                nodes: unique(instances.iter().map(|instance| self.node_name(instance.node))),
                endpoints: unique(instances.iter().flat_map(|instance| instance.endpoints.iter().cloned())),
            };
        self.services.iter().map(status).collect()
    }
}

fn unique(items: impl Iterator<Item = String>) -> Vec<String> {
    items.collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_are_read_back() {
        let instance = Instance {
            id: 0xabc,
            namespace: Namespace::default(),
            service: "shop".parse().expect("a good name"),
            version: "1.2".to_owned(),
            node: NodeId(7),
            endpoints: vec!["Cart.add".to_owned()],
            routes: Vec::new(),
            streams: Vec::new(),
            metadata: BTreeMap::new(),
        };
        let (key, value) = (announcement_key(&instance), announcement_value(&instance));
        assert_eq!(key, "svc/default/shop/0000000000000abc");
        assert_eq!(value, r#"{"v":"1.2","e":["Cart.add"]}"#);
        assert_eq!(read(NodeId(7), &key, &value), Some(instance.clone()));
        let drained = drained_key(&instance);
        assert_eq!(drained, "drained/default/shop/0000000000000abc");
        assert_eq!(read(NodeId(7), &drained, &value), None);
        assert_eq!(read_behind(DRAINED_PREFIX, NodeId(7), &drained, &value), Some(instance.clone()));
        let route = Route { method: "GET".to_owned(), path: "/carts/{id}".to_owned(), host: String::new() };
        let routed = Instance { routes: vec![("Cart.add".to_owned(), route)], ..instance };
        let value = announcement_value(&routed);
        assert_eq!(value, r#"{"v":"1.2","e":["Cart.add"],"r":[[0,"GET","/carts/{id}",""]]}"#);
        assert_eq!(read(NodeId(7), &key, &value), Some(routed.clone()));
        let streams = vec![("Cart.add".to_owned(), Streams { client: false, server: true })];
        let streamed = Instance { routes: Vec::new(), streams, ..routed };
        let value = announcement_value(&streamed);
        assert_eq!(value, r#"{"v":"1.2","e":["Cart.add"],"s":[[0,false,true]]}"#);
        assert_eq!(read(NodeId(7), &key, &value), Some(streamed.clone()));
        let metadata = BTreeMap::from([("zone".to_owned(), "b".to_owned())]);
        let described = Instance { streams: Vec::new(), metadata, ..streamed };
        let value = announcement_value(&described);
        assert_eq!(value, r#"{"v":"1.2","e":["Cart.add"],"m":{"zone":"b"}}"#);
        assert_eq!(read(NodeId(7), &key, &value), Some(described));
    }

    #[test]
    fn garbled_announcements_are_passed_over() {
        for (key, value) in [
            ("name", "alpha"),
            ("svc/default/shop", "{}"),
            ("svc/default/shop/xyz", r#"{"v":"1","e":[]}"#),
            ("svc/default/Shop/1", r#"{"v":"1","e":[]}"#),
            ("svc/default/shop/1", "not json"),
        ] {
            assert_eq!(read(NodeId(1), key, value), None, "{key} {value}");
        }
    }
}
