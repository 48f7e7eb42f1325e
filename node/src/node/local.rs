//! The node's services as its own process calls them: what doors and simulations stand on.

use crate::{audit::Trail, config::Setting};
use bytes::Bytes;
use http::Response;
use micro_actors::{
    Answer, Body, System,
    acme::Showcase,
    audit::{Asker, Origin},
    auth::{AUTH, Accounts, CreateTokenReply, CreateTokenRequest, Guard, READ, Resource, Verified, WRITE},
    blob::BlobService,
    config::ConfigService,
    network::{NETWORK, Neighbour},
    policy::Policies,
    registry::{AttachGuard, Backend, Care, DescribeReply, InsideHandler, Instances, Offer, REGISTRY, Table},
    store::StoreService,
};
use micro_consensus::Observation;
use micro_sdk::wire::{
    Caller, Code, Codec, Endpoint, Fault, Head, Namespace, NodeId, Seams, ServiceName, TraceId,
    limits::{BODY_BYTES_MAX, DEADLINE_MS_DEFAULT, DEADLINE_MS_MAX},
    status::Status,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, RwLock},
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// The permits of an instance that asks for none in particular.
pub(super) const PERMITS_DEFAULT: usize = 1024;

/// Who calls, how long it may take, and how it is followed.
#[derive(Clone, Debug)]
pub struct Context {
    /// Who calls.
    pub caller: Caller,
    /// Where they came in.
    pub origin: Origin,
    /// Whether this is asked once more, before or after: then only a refusal is news to the audit log.
    pub again: bool,
    /// The time left; none means the default.
    pub deadline: Option<Duration>,
    /// The trace it belongs to; none starts one.
    pub trace: Option<TraceId>,
    /// Makes a repeated write the same write.
    pub idempotency_key: Option<u128>,
    /// How often a call may be attempted; none leaves it to the policy of the service.
    pub attempts: Option<u8>,
    /// Whether a change is only to be told.
    pub dry_run: bool,
    /// The token that says who calls, if one does: for what goes on, which ends when the token is revoked.
    pub token: Option<Arc<Verified>>,
}

impl Context {
    /// A call by `caller` with nothing else said.
    pub fn of(caller: Caller) -> Self {
        Context {
            caller,
            origin: Origin::Process,
            again: false,
            deadline: None,
            trace: None,
            idempotency_key: None,
            attempts: None,
            dry_run: false,
            token: None,
        }
    }

    /// Who asks, for decisions.
    pub fn asker(&self) -> Asker<'_> {
        Asker { caller: &self.caller, origin: self.origin, trace: self.trace, again: self.again, about: "" }
    }

    /// The same for what is asked once more.
    #[must_use]
    pub fn asking_again(mut self) -> Self {
        self.again = true;
        self
    }

    /// The time that the call has.
    pub fn time(&self) -> Duration {
        let longest = Duration::from_millis(DEADLINE_MS_MAX.into());
        self.deadline.unwrap_or(Duration::from_millis(DEADLINE_MS_DEFAULT.into())).min(longest)
    }

    pub(super) fn until(&self) -> Instant {
        Instant::now() + self.time()
    }

    /// The same with a deadline.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The same for a change that is only to be told.
    #[must_use]
    pub fn with_dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// The same with an idempotency key.
    #[must_use]
    pub fn with_key(mut self, key: Option<u128>) -> Self {
        self.idempotency_key = key;
        self
    }
}

/// The services of this node. Clones share everything; a [fork](Self::fork) calls them from another thread.
#[derive(Clone)]
pub struct Local {
    pub(super) system: Arc<System>,
    pub(super) store: Arc<StoreService>,
    pub(super) config: Arc<ConfigService>,
    pub(super) blobs: Arc<BlobService>,
    pub(super) accounts: Accounts,
    pub(super) policies: Policies,
    pub(super) trail: Option<Trail>,
    settings: Arc<RwLock<Vec<Setting>>>,
    pub(super) seams: Seams,
}

impl Local {
    pub(super) fn new(
        system: Arc<System>,
        seams: Seams,
        settings: Vec<Setting>,
        trail: Option<Trail>,
    ) -> Self {
        let (store, config) = (system.store().clone(), system.config().clone());
        let (blobs, accounts) = (system.blobs().clone(), system.accounts().clone());
        let policies = system.policies().clone();
        let settings = Arc::new(RwLock::new(settings));
        Local { store, config, blobs, accounts, policies, trail, settings, system, seams }
    }

    /// The same for callers on another thread: called on that thread's runtime.
    #[must_use]
    pub fn fork(&self) -> Self {
        let store = Arc::new(self.store.fork());
        let config = Arc::new(self.config.over(store.clone()));
        let blobs = Arc::new(self.blobs.over(store.clone()));
        let accounts = self.accounts.over(store.clone());
        let policies = self.policies.over(store.clone());
        Local { config, blobs, accounts, policies, store, ..self.clone() }
    }

    /// The head of a call. The deadline is set here and only shrinks from here on.
    pub fn head(&self, context: &Context, service: ServiceName, endpoint: &str) -> Head {
        Head {
            // Whoever names none means their own.
            namespace: context.caller.account().map_or_else(Namespace::default, |own| own.namespace.clone()),
            service,
            endpoint: endpoint.to_owned(),
            caller: context.caller.clone(),
            trace: context.trace.unwrap_or_else(|| self.seams.trace_id()),
            deadline_ms: u32::try_from(context.time().as_millis()).unwrap_or(DEADLINE_MS_MAX),
            hops: 0,
            idempotency_key: context.idempotency_key,
            metadata: Vec::new(),
            instance: None,
            attempts: context.attempts,
        }
    }

    /// What this node decides by.
    pub fn guard(&self) -> &Guard {
        self.system.dispatch().guard()
    }

    /// The settings of this node, and where each comes from.
    ///
    /// # Errors
    /// If the caller may not see them.
    pub fn settings(&self, context: &Context) -> Result<Vec<Setting>, Fault> {
        self.may(context, &Resource::of_mesh(NETWORK, "settings", READ))?;
        Ok(self.settings.read().expect("no code panics while it holds the settings").clone())
    }

    /// Tells these settings from now on in place of those that have their names.
    pub fn retell<'s>(&self, settings: impl Iterator<Item = &'s Setting>) {
        let mut told = self.settings.write().expect("no code panics while it holds the settings");
        for new in settings {
            if let Some(old) = told.iter_mut().find(|old| old.name == new.name) {
                old.clone_from(new);
            }
        }
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.system.registry().node()
    }

    /// The group as this node sees it.
    pub fn observe(&self) -> Observation {
        self.system.observe()
    }

    /// How many other nodes are linked.
    pub fn links_up(&self) -> usize {
        self.system.links()
    }

    /// The certificates that callers of the HTTP api are shown, if the mesh orders them.
    pub fn showcase(&self) -> Option<Arc<Showcase>> {
        self.system.showcase().cloned()
    }

    /// Whether the node was told to do nothing for a while.
    pub fn is_drained(&self) -> bool {
        self.system.registry().is_drained()
    }

    /// A trace for a call that belongs to none.
    pub fn trace(&self) -> TraceId {
        self.seams.trace_id()
    }

    /// All services of the mesh with their instances and routes.
    pub fn table(&self) -> Arc<Table> {
        self.system.registry().table()
    }

    /// Returns once the nodes of the mesh have told what they have, or some seconds have passed. Whether it had to
    /// wait: only on a node that has just started.
    pub async fn started(&self) -> bool {
        self.system.registry().started().await
    }

    /// Whether a service is the platform's, or has an instance that may be called.
    ///
    /// # Errors
    /// [`Code::NotFound`] with what was looked up where; [`Code::Unavailable`] if they are on drained nodes only.
    pub fn knows(&self, namespace: &Namespace, service: &ServiceName) -> Result<(), Fault> {
        if self.system.dispatch().is_platform(service) {
            return Ok(());
        }
        self.system.registry().candidates(namespace, service).map(drop)
    }

    /// The endpoints of a service with their schemas, as this node itself asks for them: to read what callers send.
    ///
    /// # Errors
    /// As [`describe`](Self::describe).
    pub async fn endpoints(
        &self,
        namespace: &Namespace,
        service: &ServiceName,
        patience: Duration,
    ) -> Result<Vec<Endpoint>, Fault> {
        let own = Context::of(Caller::Node(self.node())).within(patience);
        self.describe(&own, namespace, service).await.map(|(_, endpoints)| endpoints)
    }

    /// Makes a join token.
    ///
    /// # Errors
    /// As admission answers.
    pub async fn create_token(&self, context: &Context, ttl: Duration) -> Result<CreateTokenReply, Fault> {
        let ttl_s = u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX);
        let head = self.head(context, AUTH.parse().expect("a good name"), "create-token");
        let body = Codec::encode(&CreateTokenRequest { ttl_s }).into();
        let answer = self.system.dispatch().call(context.origin, head, body).await?;
        Codec::decode::<_, BODY_BYTES_MAX>(&answer.body).map_err(garbled)
    }

    /// The status document, as JSON.
    ///
    /// # Errors
    /// If the caller may not see it.
    pub async fn status_document(&self, context: &Context) -> Result<Bytes, Fault> {
        let head = self.head(context, NETWORK.parse().expect("a good name"), "status");
        let told = self.system.dispatch().call(context.origin, head, Bytes::new());
        // Beside each other, for either may wait for the leader. What of the second is told depends on who asks.
        let (told, lost) = tokio::join!(told, self.lost_secrets(context));
        let document = told?.body;
        let Some(problem) = lost else { return Ok(document) };
        let mut status: Status = serde_json::from_slice(&document).map_err(garbled)?;
        status.problems.push(problem);
        status.problems.sort_by_key(|problem| problem.severity);
        serde_json::to_vec(&status).map(Bytes::from).map_err(garbled)
    }

    /// The status of the cluster.
    ///
    /// # Errors
    /// If the caller may not see it.
    pub async fn status(&self, context: &Context) -> Result<Status, Fault> {
        let document = self.status_document(context).await?;
        serde_json::from_slice(&document).map_err(garbled)
    }

    /// Calls a service anywhere in the mesh.
    ///
    /// # Errors
    /// As the service answers, or why it can't be reached.
    pub async fn call(&self, origin: Origin, head: Head, body: Bytes) -> Result<Answer, Fault> {
        self.system.dispatch().call(origin, head, body).await
    }

    /// Begins a gRPC call of a service anywhere in the mesh. What goes wrong once it is answered is the error of the
    /// answer's body; dropped, that ends the call.
    ///
    /// # Errors
    /// Why nobody answers.
    pub async fn converse(&self, origin: Origin, head: Head, body: Body) -> Result<Response<Body>, Fault> {
        self.system.dispatch().converse(origin, head, body).await
    }

    /// All services with their instances.
    ///
    /// # Errors
    /// If the caller may not see them.
    pub fn services(
        &self,
        context: &Context,
        namespace: &Namespace,
    ) -> Result<Vec<(ServiceName, Instances)>, Fault> {
        let all = Resource::of(namespace, REGISTRY, "", READ).and_below("");
        self.may(context, &all)?;
        Ok(self.known_services(namespace))
    }

    /// The same for whoever has made sure that its caller may see them.
    pub fn known_services(&self, namespace: &Namespace) -> Vec<(ServiceName, Instances)> {
        self.system.registry().services(namespace)
    }

    /// Changes whenever something may have changed of the services that there are.
    pub fn services_changed(&self) -> watch::Receiver<u64> {
        self.system.registry().changed()
    }

    /// The endpoints of a service with their schemas, from a node that has an instance.
    ///
    /// # Errors
    /// [`Code::NotFound`] with what was looked up where, or why no such node answers.
    pub async fn describe(
        &self,
        context: &Context,
        namespace: &Namespace,
        service: &ServiceName,
    ) -> Result<(Instances, Vec<Endpoint>), Fault> {
        let asked = Resource::of(namespace, REGISTRY, service.as_str(), READ);
        self.may(context, &asked)?;
        let registry = self.system.registry();
        let instances = registry.known(namespace, service)?;
        if let Some(endpoints) = registry.describe(namespace, service) {
            return Ok((instances, endpoints));
        }
        let mut last = None;
        for instance in &instances {
            let mut head = self.head(context, REGISTRY.parse().expect("a good name"), "describe");
            // The caller was asked here whether it may: there, one node asks another.
            head.caller = Caller::Node(self.system.node());
            let body = Codec::encode(&(namespace.clone(), service.clone())).into();
            match self.system.dispatch().call_at(instance.node, head, body).await {
                Ok(reply) => {
                    if let Ok(DescribeReply(Some(endpoints))) = Codec::decode::<_, BODY_BYTES_MAX>(&reply) {
                        return Ok((instances, endpoints));
                    }
                }
                Err(fault) => last = Some(fault),
            }
        }
        let gone = || Fault::new(Code::Unavailable, format!("all instances of {service} have just left"));
        Err(last.unwrap_or_else(gone))
    }

    /// The instances of a service that may be called, in the order in which they should be tried.
    ///
    /// # Errors
    /// As [`knows`](Self::knows).
    pub fn instances(&self, namespace: &Namespace, service: &ServiceName) -> Result<Instances, Fault> {
        self.system.registry().candidates(namespace, service)
    }

    /// Where a node stands and is reached; none if it is down or not known.
    pub fn neighbour(&self, node: NodeId) -> Option<Neighbour> {
        self.system.registry().neighbour(node)
    }

    /// The name of a node.
    pub fn node_name(&self, node: NodeId) -> String {
        self.system.registry().node_name(node)
    }

    /// Whether the caller may offer a service: before it is attached, and for as long as it is.
    ///
    /// # Errors
    /// [`Code::Denied`].
    pub fn may_attach(
        &self,
        context: &Context,
        namespace: &Namespace,
        service: &ServiceName,
    ) -> Result<(), Fault> {
        self.may(context, &Resource::of(namespace, REGISTRY, service.as_str(), WRITE))
    }

    /// Attaches a handler inside this process: for simulations.
    ///
    /// # Errors
    /// If the node has too many instances.
    pub fn attach_inside(
        &self,
        service: ServiceName,
        endpoints: Vec<Endpoint>,
        handler: InsideHandler,
        care: Care,
    ) -> Result<AttachGuard, Fault> {
        let backend = Backend::Inside(handler);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let (namespace, metadata) = (Namespace::default(), BTreeMap::new());
        let offer = Offer { namespace, service, version, endpoints, metadata, care };
        self.system.registry().attach(offer, backend, PERMITS_DEFAULT)
    }
}

pub(super) fn garbled(error: impl std::fmt::Display) -> Fault {
    Fault::new(Code::Internal, format!("an answer of this node is garbled: {error}"))
}
