//! All instances of the mesh, read from gossip.

use super::announcement::{read, read_drained};
use crate::{kit::method, network::place_of};
use micro_mesh::{Member, Place};
use micro_sdk::wire::{
    Health, Instance, Namespace, NodeId, Route, ServiceName, Streams, status::ServiceStatus,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
};

/// The key under which the mesh gossips a node's name.
pub(crate) const NAME_KEY: &str = "name";

/// What a node tells of itself that routes may choose it by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeTraits {
    /// What it is called.
    pub name: String,
    /// Where it stands.
    pub place: Place,
}

/// All instances on live nodes, and what the nodes are like.
#[derive(Debug, Default)]
pub struct Table {
    services: BTreeMap<(Namespace, ServiceName), Vec<Arc<Instance>>>,
    /// Those of them that work.
    working: BTreeMap<(Namespace, ServiceName), Vec<Arc<Instance>>>,
    /// The drained nodes that have instances, by service.
    drained: BTreeMap<(Namespace, ServiceName), BTreeSet<NodeId>>,
    /// The nodes that had instances when they were last heard of, and are down or cut off, by service.
    lost: BTreeMap<(Namespace, ServiceName), BTreeSet<NodeId>>,
    names: BTreeMap<NodeId, String>,
    traits: BTreeMap<NodeId, Arc<NodeTraits>>,
    /// Who offers the services of gRPC, each named with its package.
    grpc: BTreeMap<(Namespace, String), ServiceName>,
}

impl Table {
    /// Reads the gossip of all members. Of a node that was declared dead only its name is kept, and which services it
    /// had.
    pub(crate) fn read(members: &[Member], here: NodeId) -> Self {
        let mut table = Table::default();
        for member in members {
            if let Some(name) = member.values.get(NAME_KEY) {
                table.names.insert(member.node, name.clone());
            }
            let name = table.node_name(member.node);
            table.traits.insert(member.node, Arc::new(NodeTraits { name, place: place_of(member) }));
            let is_lost = !member.alive && member.node != here;
            for (key, value) in &*member.values {
                if let Some(instance) = read(member.node, key, value) {
                    let service = (instance.namespace.clone(), instance.service.clone());
                    if is_lost {
                        table.lost.entry(service).or_default().insert(member.node);
                        continue;
                    }
                    table.services.entry(service).or_default().push(Arc::new(instance));
                } else if let Some(instance) = read_drained(member.node, key, value).filter(|_| !is_lost) {
                    let service = (instance.namespace, instance.service);
                    table.drained.entry(service).or_default().insert(member.node);
                }
            }
        }
        for instances in table.services.values_mut() {
            instances.sort_by_key(|instance| (instance.node != here, instance.node, instance.id));
        }
        table.index();
        table
    }

    fn index(&mut self) {
        for (service, instances) in &self.services {
            let working: Vec<_> =
                instances.iter().filter(|instance| instance.health.is_passing()).cloned().collect();
            if !working.is_empty() {
                self.working.insert(service.clone(), working);
            }
        }
        self.index_grpc();
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
        self.known(namespace, service).iter().find_map(|instance| method(instance, asked).ok())
    }

    /// Which sides of an endpoint are streams, as an instance that has it says.
    pub fn streams_of(&self, namespace: &Namespace, service: &ServiceName, endpoint: &str) -> Streams {
        let known = self.known(namespace, service).iter();
        let found = known.into_iter().find(|instance| instance.endpoints.iter().any(|name| name == endpoint));
        found.map(|instance| instance.streams_of(endpoint)).unwrap_or_default()
    }

    /// A table of these instances and nothing else.
    pub fn of(instances: impl IntoIterator<Item = Instance>) -> Self {
        let mut table = Table::default();
        for instance in instances {
            let service = (instance.namespace.clone(), instance.service.clone());
            table.services.entry(service).or_default().push(Arc::new(instance));
        }
        table.index();
        table
    }

    /// All services with their instances, whether they work or not, by namespace and name.
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

    /// The instances of one service that work.
    pub fn instances(&self, namespace: &Namespace, service: &ServiceName) -> &[Arc<Instance>] {
        let instances = self.working.get(&(namespace.clone(), service.clone()));
        instances.map_or(&[], Vec::as_slice)
    }

    /// The instances of one service, whether they work or not.
    pub fn known(&self, namespace: &Namespace, service: &ServiceName) -> &[Arc<Instance>] {
        let instances = self.services.get(&(namespace.clone(), service.clone()));
        instances.map_or(&[], Vec::as_slice)
    }

    /// The names of the drained nodes that have instances of a service.
    pub fn drained(&self, namespace: &Namespace, service: &ServiceName) -> Vec<String> {
        self.named(&self.drained, namespace, service)
    }

    /// The names of the nodes that had instances of a service when they were last heard of, and are down or cut off.
    pub fn lost(&self, namespace: &Namespace, service: &ServiceName) -> Vec<String> {
        self.named(&self.lost, namespace, service)
    }

    fn named(
        &self,
        nodes: &BTreeMap<(Namespace, ServiceName), BTreeSet<NodeId>>,
        namespace: &Namespace,
        service: &ServiceName,
    ) -> Vec<String> {
        let nodes = nodes.get(&(namespace.clone(), service.clone()));
        nodes.into_iter().flatten().map(|node| self.node_name(*node)).collect()
    }

    /// The services that are on drained nodes and on no others, with the names of those.
    pub fn out_of_work(&self) -> Vec<(&Namespace, &ServiceName, Vec<String>)> {
        let idle = self.drained.keys().filter(|service| !self.services.contains_key(service));
        idle.map(|(namespace, service)| (namespace, service, self.drained(namespace, service))).collect()
    }

    /// The services of which instances do not work, with how many of how many, and the first of their reasons.
    pub fn ailing(&self) -> Vec<(&Namespace, &ServiceName, usize, usize, String)> {
        let ailing = self.services.iter().filter_map(|((namespace, service), instances)| {
            let mut reasons = instances.iter().filter_map(|instance| match &instance.health {
                Health::Failing { reason, .. } => {
                    Some(format!("{reason} (on {})", self.node_name(instance.node)))
                }
                _ => None,
            });
            let first = reasons.next()?;
            Some((namespace, service, 1 + reasons.count(), instances.len(), first))
        });
        ailing.collect()
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

    /// What a node is like, as far as it tells.
    pub fn traits(&self, node: NodeId) -> &Arc<NodeTraits> {
        static UNTOLD: LazyLock<Arc<NodeTraits>> = LazyLock::new(Arc::default);
        self.traits.get(&node).unwrap_or(&UNTOLD)
    }

    /// Where a node stands.
    pub fn place(&self, node: NodeId) -> &Place {
        &self.traits(node).place
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

    fn instance(id: u64, health: Health) -> Instance {
        Instance {
            id,
            namespace: Namespace::default(),
            service: "shop".parse().expect("a good name"),
            version: "1".to_owned(),
            node: NodeId(1),
            endpoints: vec!["Cart.add".to_owned()],
            routes: Vec::new(),
            streams: Vec::new(),
            metadata: BTreeMap::new(),
            health,
        }
    }

    #[test]
    fn callers_are_led_to_what_works_and_all_is_known() {
        let failing = || Health::Failing { reason: "refused".to_owned(), since_ms: 7 };
        let (namespace, shop) = (Namespace::default(), "shop".parse().expect("a good name"));
        let table =
            Table::of([instance(1, failing()), instance(2, Health::Passing), instance(3, Health::Unknown)]);
        let ids =
            |instances: &[Arc<Instance>]| instances.iter().map(|instance| instance.id).collect::<Vec<_>>();
        assert_eq!(ids(table.instances(&namespace, &shop)), [2]);
        assert_eq!(ids(table.known(&namespace, &shop)), [1, 2, 3]);
        assert_eq!(table.ailing(), [(&namespace, &shop, 1, 3, format!("refused (on {})", NodeId(1)))]);
        let none = Table::of([instance(1, failing())]);
        assert!(none.instances(&namespace, &shop).is_empty());
        assert_eq!(none.names(&namespace), std::slice::from_ref(&shop));
        assert_eq!(none.endpoint(&namespace, &shop, "Cart.add").as_deref(), Some("Cart.add"));
    }
}
