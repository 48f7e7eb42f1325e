//! Who offers what, where. Each node announces the instances attached to it by gossip; they vanish with it.
//!
//! Gossip carries names of endpoints only. Their schemas are asked of the node that has the instance.

mod announcement;
mod attach_guard;
mod attachment;
mod channel;
mod collision;
mod concurrency;
mod connections;
mod heading;
mod health;
mod hops;
mod leases;
mod line;
mod offer;
mod plain;
mod platform;
mod socket;
mod successions;
mod table;
mod telling;
mod translation;
mod work;

pub use attach_guard::AttachGuard;
pub use attachment::{Attachment, Backend, Encoding, InsideHandler};
pub(crate) use heading::OF_NODE;
pub use heading::{header_begins_with, is_passed_on, is_reserved};
pub(crate) use health::deepest;
pub use health::{Care, Check, Owner, Probe};
pub use hops::strip_hops;
pub use offer::Offer;
pub use platform::{DescribeReply, REGISTRY, RegistryService, RehearseRequest};
pub(crate) use table::NAME_KEY;
pub use table::{NodeTraits, Table};

use crate::{Body, network::Neighbour, policy::PolicyBook};
use bytes::Bytes;
use http::Response;
use leases::Leases;
use micro_mesh::{LinkState, Mesh};
use micro_sdk::wire::{
    Code, Endpoint, Fault, Head, Health, Instance, InstanceId, Namespace, NodeId, Seams, ServiceName,
    status::ServiceStatus,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, RwLock, Weak},
    time::Duration,
};
use successions::Successions;
use tokio::{sync::watch, time::timeout};
use work::Work;

/// The most instances attached to one node: each is a few hundred bytes of gossip on every node.
const ATTACHED_MAX: usize = 1024;

/// How long a call of a service that is not known yet waits on a node that has just started. Others have told what they
/// have within half a second of it, unless no quorum can be reached: then there is nothing to wait for.
const START_PATIENCE: Duration = Duration::from_secs(2);

/// Of how many instances that do not work a caller is told.
const FAILING_TOLD_MAX: usize = 3;

/// Instances of one service.
pub type Instances = Vec<Arc<Instance>>;

/// The registry as one node sees it. Clones share everything.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    mesh: Mesh,
    seams: Seams,
    /// How the services of its instances are called.
    book: PolicyBook,
    attached: RwLock<BTreeMap<InstanceId, Arc<Attachment>>>,
    /// Those that nobody holds a stream for.
    leases: Leases,
    /// What programs were attached as before they were attached as something else.
    successions: Mutex<Successions>,
    telling: Mutex<()>,
    /// Whether this node's instances may be called.
    work: watch::Sender<Work>,
    /// Whether other nodes may not have told yet what they have.
    starting: watch::Sender<bool>,
    /// The table made of the gossip of this version.
    table: RwLock<(u64, Arc<Table>)>,
}

/// A registry for who does not keep it.
#[derive(Clone)]
struct WeakRegistry(Weak<Inner>);

impl WeakRegistry {
    fn upgrade(&self) -> Option<Registry> {
        self.0.upgrade().map(Registry)
    }
}

impl Registry {
    pub(crate) fn new(mesh: Mesh, seams: Seams, book: PolicyBook) -> Self {
        let table = RwLock::new((u64::MAX, Arc::new(Table::default())));
        let (attached, work) = (RwLock::default(), watch::Sender::new(Work::Open));
        let (starting, leases, telling) = (watch::Sender::new(false), Leases::default(), Mutex::default());
        let successions = Mutex::default();
        Registry(Arc::new(Inner {
            mesh,
            seams,
            book,
            attached,
            leases,
            successions,
            telling,
            work,
            starting,
            table,
        }))
    }

    /// Attaches an instance to this node for as long as the guard is kept.
    ///
    /// # Errors
    /// [`Code::Conflict`] if the name or a route is another's, [`Code::Usage`] for what can't be a route or a check,
    /// [`Code::Unavailable`] if the node has too many, is drained, or
    /// stops.
    pub fn attach(&self, offer: Offer, backend: Backend, permits: usize) -> Result<AttachGuard, Fault> {
        offer.refuse()?;
        collision::refuse(&offer.namespace, &offer.service, &offer.endpoints, &self.table())?;
        self.work().refuse()?;
        let instance = offer.instance(u64::from_le_bytes(self.0.seams.random()), self.0.mesh.node());
        let attachment = Attachment::new(instance, offer, backend, permits);
        let attachment = Arc::new(attachment);
        let instance = attachment.instance.clone();
        attachment.bound(&self.0.book.policy(&instance.namespace, &instance.service).limit);
        {
            let mut attached = self.0.attached.write().expect("no code panics while it holds the instances");
            if attached.len() >= ATTACHED_MAX {
                return Err(Fault::new(
                    Code::Unavailable,
                    format!("{ATTACHED_MAX} instances are attached already"),
                ));
            }
            attached.insert(instance.id, attachment.clone());
        }
        self.announce_one(&attachment);
        tracing::info!(service = %instance.service, version = %instance.version, "instance attached");
        Ok(AttachGuard::new(self, &attachment))
    }

    /// Returns when this node's instances take no more calls, for good.
    pub(crate) fn ended(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut work = self.0.work.subscribe();
        async move {
            // The registry is gone only when the node is.
            let _ = work.wait_for(|work| *work == Work::Ended).await;
        }
    }

    /// Refuses what another node passes on, unless this node's instances may be called.
    ///
    /// # Errors
    /// [`Code::Unavailable`], with why. Nothing was done then.
    pub(crate) fn open_for_calls(&self) -> Result<(), Fault> {
        self.work().refuse().map_err(|fault| fault.help("try another node"))
    }

    fn attached(&self) -> Vec<Arc<Attachment>> {
        let attached = self.0.attached.read().expect("no code panics while it holds the instances");
        attached.values().cloned().collect()
    }

    /// The table of all instances in the mesh, this node's first.
    pub fn table(&self) -> Arc<Table> {
        let gossip = self.0.mesh.gossip();
        let version = *gossip.changed().borrow();
        {
            let cached = self.0.table.read().expect("no code panics while it holds the table");
            if cached.0 == version {
                return cached.1.clone();
            }
        }
        let table = Arc::new(Table::read(&gossip.members(), self.0.mesh.node()));
        *self.0.table.write().expect("no code panics while it holds the table") = (version, table.clone());
        table
    }

    /// The instances of a service, this node's first.
    ///
    /// # Errors
    /// [`Code::NotFound`], with what was looked up where; [`Code::Unavailable`] if they are on drained nodes only, or
    /// on such as are down or cut off, or if none works.
    pub fn candidates(&self, namespace: &Namespace, service: &ServiceName) -> Result<Instances, Fault> {
        let here = self.0.mesh.node();
        let mut candidates = if self.is_drained() { Vec::new() } else { self.here(namespace, service) };
        let table = self.table();
        // A node that has said that it shuts down is not dialled for a call: gossip is only late with the news.
        let others = table.instances(namespace, service).iter();
        let others = others.filter(|instance| instance.node != here);
        candidates.extend(others.clone().filter(|instance| !self.0.mesh.has_left(instance.node)).cloned());
        if candidates.is_empty() && others.count() == 0 {
            let (drained, lost) = (table.drained(namespace, service), table.lost(namespace, service));
            return Err(match (table.known(namespace, service), &drained[..], &lost[..]) {
                ([], [], []) => self.not_found(namespace, service, &table),
                ([], [], nodes) => unheard(service, nodes),
                ([], nodes, _) => on_drained(service, nodes),
                (ailing, ..) => failing(service, ailing, &table),
            });
        }
        Ok(candidates)
    }

    /// As [`candidates`](Self::candidates), but a node that has just started does not say that there is none before it
    /// has heard of all, or [`START_PATIENCE`] or `patience` has passed.
    ///
    /// # Errors
    /// As [`candidates`](Self::candidates).
    pub(crate) async fn candidates_soon(
        &self,
        namespace: &Namespace,
        service: &ServiceName,
        patience: Duration,
    ) -> Result<Instances, Fault> {
        match self.candidates(namespace, service) {
            Err(fault) => match timeout(patience, self.started()).await {
                Ok(true) => self.candidates(namespace, service),
                Ok(false) | Err(_) => Err(fault),
            },
            candidates => candidates,
        }
    }

    /// Returns once the others have told what they have, or [`START_PATIENCE`] has passed. Whether it had to wait: only
    /// on a node that has just started.
    pub async fn started(&self) -> bool {
        if !*self.0.starting.borrow() {
            return false;
        }
        let mut starting = self.0.starting.subscribe();
        let _ = timeout(START_PATIENCE, starting.wait_for(|starting| !starting)).await;
        true
    }

    /// The instances of a service that are attached to this node and work.
    pub(crate) fn here(&self, namespace: &Namespace, service: &ServiceName) -> Instances {
        let attached = self.0.attached.read().expect("no code panics while it holds the instances");
        let working = attached.values().filter(|attachment| attachment.vitals.is_passing());
        let instances = working.map(|attachment| &attachment.instance);
        let meant =
            |instance: &&Arc<Instance>| instance.service == *service && instance.namespace == *namespace;
        instances.filter(meant).cloned().collect()
    }

    /// All instances of a service, whether they work or not, those of this node first.
    ///
    /// # Errors
    /// As [`candidates`](Self::candidates) if there are none.
    pub fn known(&self, namespace: &Namespace, service: &ServiceName) -> Result<Instances, Fault> {
        match self.table().known(namespace, service) {
            [] => self.candidates(namespace, service),
            known => Ok(known.to_vec()),
        }
    }

    /// Says whether the node is starting: others may have services that it has not heard of.
    pub(crate) fn set_starting(&self, starting: bool) {
        self.0.starting.send_replace(starting);
    }

    fn not_found(&self, namespace: &Namespace, service: &ServiceName, table: &Table) -> Fault {
        if *self.0.starting.borrow() {
            let message =
                format!("no service {:?} is known yet: this node has just started", service.as_str());
            return Fault::new(Code::Unavailable, message).help("try again in a moment, or ask another node");
        }
        if let Some(others) = self.cut_off_from() {
            let message = format!(
                "no service {:?} is known here, and none of the {others} other nodes can be reached that may have it",
                service.as_str()
            );
            return Fault::new(Code::Unavailable, message).help("`micro-node network check` says why");
        }
        Fault::new(Code::NotFound, format!("no service {:?} in namespace {namespace}", service.as_str()))
            .help(format!("looked up in the registry of node {}", table.node_name(self.0.mesh.node())))
            .help("`micro-node services` lists them; a new one is seen everywhere within two seconds")
    }

    /// How many other nodes there are, if none of them can be reached. What they offer is forgotten then.
    fn cut_off_from(&self) -> Option<usize> {
        let mesh = &self.0.mesh;
        let others: Vec<_> = mesh.routes().into_iter().filter(|route| !mesh.has_left(route.node)).collect();
        let reached = others.iter().any(|route| matches!(route.state, LinkState::Up | LinkState::Idle));
        (!reached && !others.is_empty()).then_some(others.len())
    }

    /// Has all instances of this node work within the bounds of the policies of their services.
    pub(crate) fn bound(&self) {
        for attachment in self.attached() {
            let Instance { namespace, service, .. } = &*attachment.instance;
            attachment.bound(&self.0.book.policy(namespace, service).limit);
        }
    }

    /// Calls an instance attached to this node.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if it is gone or busy, or what it answers.
    pub async fn call_instance(&self, id: InstanceId, head: &Head, body: Bytes) -> Result<Bytes, Fault> {
        self.attachment(id, head)?.call(head, body).await
    }

    /// Begins a gRPC call of an instance attached to this node.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if it is gone or busy, or why it takes no such call.
    pub(crate) async fn converse_with(
        &self,
        id: InstanceId,
        head: &Head,
        body: Body,
    ) -> Result<Response<Body>, Fault> {
        self.attachment(id, head)?.converse(head, body).await
    }

    fn attachment(&self, id: InstanceId, head: &Head) -> Result<Arc<Attachment>, Fault> {
        let left = || Fault::new(Code::Unavailable, format!("an instance of {} has just left", head.service));
        self.attachment_of(id).or_else(|| self.attachment_of(self.present(id))).ok_or_else(left)
    }

    fn attachment_of(&self, id: InstanceId) -> Option<Arc<Attachment>> {
        let attached = self.0.attached.read().expect("no code panics while it holds the instances");
        attached.get(&id).cloned()
    }

    fn leases(&self) -> &Leases {
        &self.0.leases
    }

    /// The endpoints, with schemas, of an instance attached to this node.
    pub fn describe(&self, namespace: &Namespace, service: &ServiceName) -> Option<Vec<Endpoint>> {
        let attached = self.attached();
        let found = attached.iter().find(|attachment| {
            attachment.instance.service == *service && attachment.instance.namespace == *namespace
        });
        found.map(|attachment| attachment.endpoints.clone())
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.0.mesh.node()
    }

    /// The id of the node with this name or id.
    pub fn find_node(&self, name_or_id: &str) -> Option<NodeId> {
        self.table().find_node(name_or_id)
    }

    /// Where a node stands and is reached; none if it is down or not known.
    pub fn neighbour(&self, node: NodeId) -> Option<Neighbour> {
        Neighbour::find(&self.0.mesh, node)
    }

    /// The name of a node; its id when it is not known.
    pub fn node_name(&self, node: NodeId) -> String {
        self.table().node_name(node)
    }

    /// The names of the nodes that a call to `node` passes on its way just now, the first one first; none if it goes
    /// there directly, or stays here.
    pub fn relays(&self, node: NodeId) -> Vec<String> {
        let relays = if node == self.node() { Vec::new() } else { self.0.mesh.relays(node) };
        relays.into_iter().map(|relay| self.node_name(relay)).collect()
    }

    /// All services of a namespace with their instances, whether they work or not, by name.
    pub fn services(&self, namespace: &Namespace) -> Vec<(ServiceName, Instances)> {
        let table = self.table();
        let names = table.names(namespace);
        names.into_iter().map(|name| (name.clone(), table.known(namespace, &name).to_vec())).collect()
    }

    /// Changes whenever something may have changed of what there is.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.0.mesh.gossip().changed()
    }

    /// All services of all namespaces, for the status.
    pub fn status(&self) -> Vec<ServiceStatus> {
        self.table().status()
    }
}

/// That nothing is heard of those who had it.
fn unheard(service: &ServiceName, nodes: &[String]) -> Fault {
    let are = if nodes.len() == 1 { "is" } else { "are" };
    let message =
        format!("service {:?} is on {}, which {are} down or cut off", service.as_str(), nodes.join(", "));
    Fault::new(Code::Unavailable, message)
        .help("`micro-node status` says what is known of it; `micro-node cluster remove` has it forgotten")
}

fn on_drained(service: &ServiceName, nodes: &[String]) -> Fault {
    let message = format!("service {:?} is on drained nodes only: {}", service.as_str(), nodes.join(", "));
    Fault::new(Code::Unavailable, message)
        .help(format!("put one to work again: `micro-node drain {} --undo`", nodes[0]))
}

/// That there are instances, and why nobody is led to them.
fn failing(service: &ServiceName, ailing: &[Arc<Instance>], table: &Table) -> Fault {
    let told = ailing.iter().take(FAILING_TOLD_MAX).map(|instance| {
        let node = table.node_name(instance.node);
        match &instance.health {
            Health::Failing { reason, .. } => format!("{reason} (on {node})"),
            _ => format!("not checked yet (on {node})"),
        }
    });
    let told: Vec<String> = told.collect();
    let message = format!("no instance of service {:?} works: {}", service.as_str(), told.join("; "));
    Fault::new(Code::Unavailable, message)
        .help(format!("`micro-node services {service}` shows how each of its instances is"))
        .help("try again in a moment")
}
