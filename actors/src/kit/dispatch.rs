//! Calls by name: to an actor of this node, an instance attached here, or another node.

use super::conversation::RAW;
use crate::{
    Action, Directory, Invocation, ServiceRef,
    audit::{Asker, AuditEvent, Origin},
    auth::{Guard, Resource},
    authorize, grants,
    registry::Registry,
};
use bytes::Bytes;
use micro_mesh::{LinkState, Mesh};
use micro_sdk::wire::{Caller, Code, Effect, Fault, HOPS_MAX, Head, Instance, NodeId, ServiceName};
use std::sync::Arc;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Duration, Instant},
};

/// Finds whoever a call is for and passes it on. Clones share everything.
#[derive(Clone)]
pub struct Dispatch(Arc<Inner>);

struct Inner {
    mesh: Mesh,
    directory: Directory,
    registry: Registry,
    guard: Guard,
}

/// An answer, and the node that gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The body.
    pub body: Bytes,
    /// Who answered.
    pub node: NodeId,
}

impl Dispatch {
    pub(crate) fn new(mesh: Mesh, directory: Directory, registry: Registry, guard: Guard) -> Self {
        Dispatch(Arc::new(Inner { mesh, directory, registry, guard }))
    }

    /// What this node decides by.
    pub fn guard(&self) -> &Guard {
        &self.0.guard
    }

    /// Whether a name is that of a platform service, which no registry knows.
    pub fn is_platform(&self, service: &ServiceName) -> bool {
        self.0.directory.contains(service.as_str())
    }

    /// Takes a call from a door of this node.
    ///
    /// # Errors
    /// [`Code::Denied`] if the caller may not; [`Code::NotFound`] with what was looked up where; or what the called
    /// one answers.
    pub async fn call(&self, origin: Origin, head: Head, body: Bytes) -> Result<Answer, Fault> {
        if self.0.directory.contains(head.service.as_str()) {
            self.authorize(origin, &head)?;
            let body = self.0.directory.call(Invocation { head, body }).await?;
            return Ok(Answer { body, node: self.0.mesh.node() });
        }
        self.call_service(origin, head, body).await
    }

    /// Lets a door of this node talk to a platform service here directly, without encoding what it asks and without
    /// the mailbox: for reads and writes of records, where these cost more than the work. What every call passes, it
    /// passes too: `authorize`, and a permit, held as long as the answer takes.
    ///
    /// # Errors
    /// [`Code::Denied`], or [`Code::Unavailable`] if the service is busy or being restarted.
    pub fn admit(
        &self,
        asker: Asker<'_>,
        service: &str,
        resource: &Resource<'_>,
    ) -> Result<OwnedSemaphorePermit, Fault> {
        self.may(asker, resource)?;
        self.0.directory.permit(service)
    }

    /// The same for what is read of a public blob. That it is public is for whoever asks to make sure of.
    ///
    /// # Errors
    /// As [`admit`](Self::admit).
    pub fn admit_public(
        &self,
        asker: Asker<'_>,
        service: &str,
        resource: &Resource<'_>,
    ) -> Result<OwnedSemaphorePermit, Fault> {
        authorize(&self.0.guard, asker, Action::ReadPublic, resource)?;
        self.0.directory.permit(service)
    }

    /// Whether a caller may use something of the platform: for each part of what is asked at once, and for what goes on
    /// when something else decides than at its beginning.
    ///
    /// # Errors
    /// [`Code::Denied`].
    pub fn may(&self, asker: Asker<'_>, resource: &Resource<'_>) -> Result<(), Fault> {
        authorize(&self.0.guard, asker, Action::UsePlatform, resource)
    }

    /// What [`may`](Self::may) would say, for whoever has another way if it says no. It is no permission.
    pub fn would_grant(&self, caller: &Caller, resource: &Resource<'_>) -> bool {
        grants(&self.0.guard, caller, Action::UsePlatform, resource)
    }

    /// The same of an endpoint of a service: for lists of what can be called, where a refusal is none.
    pub fn would_call(&self, caller: &Caller, resource: &Resource<'_>) -> bool {
        grants(&self.0.guard, caller, Action::CallService, resource)
    }

    /// A permit of a platform service for what everybody may ask of it, such as to be let in.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if the service is busy or being restarted.
    pub fn permit(&self, service: &str) -> Result<OwnedSemaphorePermit, Fault> {
        self.0.directory.permit(service)
    }

    /// Takes a call from a door of this node for a service on a certain node.
    ///
    /// # Errors
    /// As [`call`](Self::call), and [`Code::NotFound`] if there is no such node.
    pub async fn call_ref(
        &self,
        origin: Origin,
        target: &ServiceRef,
        mut head: Head,
        body: Bytes,
    ) -> Result<Answer, Fault> {
        head.service = target.service.clone();
        let Some(node) = &target.node else { return self.call(origin, head, body).await };
        let node = self.0.registry.find_node(node).ok_or_else(|| {
            Fault::new(Code::NotFound, format!("no node {node:?} in the mesh"))
                .help("see `micro-node status`")
        })?;
        if node == self.0.mesh.node() {
            return self.call(origin, head, body).await;
        }
        self.authorize(origin, &head)?;
        self.call_at(node, head, body).await.map(|body| Answer { body, node })
    }

    /// Passes a call to a certain other node.
    ///
    /// # Errors
    /// [`Code::Unreachable`] and what the node answers.
    pub async fn call_at(&self, node: NodeId, mut head: Head, body: Bytes) -> Result<Bytes, Fault> {
        head.hops += 1;
        self.0.mesh.call(node, &head, body).await
    }

    /// Takes a call that another node passed on.
    ///
    /// # Errors
    /// As [`call`](Self::call), and [`Code::Unavailable`] if it has been passed on too often, or if the node stops:
    /// nothing was done then, so that the other node may try another instance.
    pub async fn receive(&self, from: NodeId, head: Head, body: Bytes) -> Result<Bytes, Fault> {
        let origin = Origin::Mesh(from);
        self.speaks_for_itself(from, &head)?;
        if self.0.directory.contains(head.service.as_str()) {
            self.authorize(origin, &head)?;
            return self.0.directory.call(Invocation { head, body }).await;
        }
        self.0.registry.open_for_calls()?;
        self.hops_left(&head)?;
        self.call_service(origin, head, body).await.map(|answer| answer.body)
    }

    /// A node may pass on what a caller asked of it, but speak for itself only.
    pub(super) fn speaks_for_itself(&self, from: NodeId, head: &Head) -> Result<(), Fault> {
        if matches!(head.caller, Caller::Node(claimed) if claimed != from) {
            let message = format!("node {from} spoke in the name of another node");
            let asker =
                Asker { origin: Origin::Mesh(from), trace: Some(head.trace), ..Asker::of(&head.caller) };
            self.0.guard.audit().tell(AuditEvent::refused(asker, "call", head.service.as_str(), &message));
            return Err(Fault::new(Code::Denied, message));
        }
        Ok(())
    }

    pub(super) fn hops_left(&self, head: &Head) -> Result<(), Fault> {
        if head.hops > HOPS_MAX {
            return Err(Fault::new(Code::Unavailable, format!("the call went through {} nodes", head.hops))
                .help("the service is moving: try again"));
        }
        Ok(())
    }

    pub(super) fn node(&self) -> NodeId {
        self.0.mesh.node()
    }

    pub(super) fn mesh(&self) -> &Mesh {
        &self.0.mesh
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// The id of a live node of this name.
    pub(crate) fn live_node_named(&self, name: &str) -> Option<NodeId> {
        let table = self.0.registry.table();
        let node = table.find_node(name).filter(|node| table.node_name(*node) == name)?;
        // By its link, not by gossip: one that has just stopped is not in the way of its successor.
        let live =
            self.0.mesh.routes().iter().any(|route| route.node == node && route.state == LinkState::Up);
        (live || node == self.0.mesh.node()).then_some(node)
    }

    pub(super) fn authorize(&self, origin: Origin, head: &Head) -> Result<(), Fault> {
        let asker = Asker { origin, trace: Some(head.trace), ..Asker::of(&head.caller) };
        let platform = self.0.directory.contains(head.service.as_str());
        let (action, resource) = Action::of(head, platform);
        // A rule knows less of the platform than which endpoint it is.
        let asker = if action == Action::UsePlatform { asker.about(&head.endpoint) } else { asker };
        authorize(&self.0.guard, asker, action, &resource)
    }

    /// Calls a person's service: an instance here if there is one, else one on the nearest node. One that certainly
    /// did nothing is passed over for the next, while time is left.
    ///
    /// The rules know an endpoint by its full name, which the instance says. Whoever may not call what is not there
    /// does not learn that it is not.
    async fn call_service(&self, origin: Origin, mut head: Head, body: Bytes) -> Result<Answer, Fault> {
        let deadline = Instant::now() + Duration::from_millis(head.deadline_ms.into());
        if head.endpoint.starts_with('-') {
            self.authorize(origin, &head)?;
        }
        let candidates = self.0.registry.candidates(&head.namespace, &head.service);
        let candidates = candidates.or_else(|fault| self.authorize(origin, &head).and(Err(fault)))?;
        let mut last = None;
        for instance in candidates {
            head.endpoint = endpoint(&instance, &head.endpoint)
                .or_else(|fault| self.authorize(origin, &head).and(Err(fault)))?;
            self.authorize(origin, &head)?;
            if instance.streams_of(&head.endpoint).any() {
                return Err(is_a_stream(&head));
            }
            head.deadline_ms = remaining_ms(deadline);
            let answer = if instance.node == self.0.mesh.node() {
                self.0.registry.call_instance(instance.id, &head, body.clone()).await
            } else if head.hops >= HOPS_MAX {
                continue;
            } else {
                Box::pin(self.call_at(instance.node, head.clone(), body.clone())).await
            };
            match answer {
                Ok(body) => return Ok(Answer { body, node: instance.node }),
                Err(fault) if try_next(&fault) && Instant::now() < deadline => last = Some(fault),
                Err(fault) => return Err(fault),
            }
        }
        Err(last.unwrap_or_else(|| unreached(&head)))
    }
}

/// That an endpoint can't be called with one request for one answer.
fn is_a_stream(head: &Head) -> Fault {
    let Head { service, endpoint, .. } = head;
    Fault::new(Code::Usage, format!("{endpoint} of {service} is a stream: it is no call of one answer"))
        .help(format!("`micro-node stream {service} {endpoint}`; the HTTP api and gRPC stream it too"))
}

/// That no instance took a call.
pub(super) fn unreached(head: &Head) -> Fault {
    let message = format!("no instance of {} can be reached", head.service);
    Fault::new(Code::Unavailable, message).help("see `micro-node status`")
}

/// Whether another instance may be tried: nothing was done, and it was not the caller's fault.
pub(super) fn try_next(fault: &Fault) -> bool {
    fault.effect == Effect::None
        && matches!(fault.code, Code::Unreachable | Code::Unavailable | Code::Limited)
}

/// What is left until `deadline`, in milliseconds.
pub(super) fn remaining_ms(deadline: Instant) -> u32 {
    let left = deadline.saturating_duration_since(Instant::now());
    u32::try_from(left.as_millis()).unwrap_or(u32::MAX)
}

/// The full name of the endpoint that was asked for: `Handler.method`, the handler with its package or without it, or
/// `method` alone of a sole handler, or of the one that is called as the service is.
pub(super) fn endpoint(instance: &Instance, asked: &str) -> Result<String, Fault> {
    let dotted = asked.replace('/', ".");
    if instance.endpoints.contains(&dotted) {
        return Ok(dotted);
    }
    if let Some(full) = shortened(instance, &dotted) {
        return Ok(full.to_owned());
    }
    if instance.endpoints.iter().any(|name| name == RAW) {
        let message = format!("service {:?} takes requests of HTTP as they are", instance.service.as_str());
        return Err(Fault::new(Code::NotFound, message)
            .help(format!("send them to the HTTP api, below /{}", instance.service)));
    }
    let known = instance.endpoints.join(", ");
    Err(Fault::new(
        Code::NotFound,
        format!("service {:?} has no endpoint {asked:?}", instance.service.as_str()),
    )
    .help(format!("its endpoints: {known}"))
    .help(format!("`micro-node services {}` shows what they take", instance.service)))
}

/// The endpoint that is meant by the end of its name, if it can't be another.
pub(super) fn shortened<'i>(instance: &'i Instance, asked: &str) -> Option<&'i str> {
    let split = |name: &'i String| name.rsplit_once('.').map(|(handler, _)| (handler, name.as_str()));
    let ends = |name: &str| name.strip_suffix(asked).is_some_and(|before| before.ends_with('.'));
    let of = |handler: &str| {
        instance.endpoints.iter().filter_map(split).find(|(other, name)| *other == handler && ends(name))
    };
    let mut handlers: Vec<&str> =
        instance.endpoints.iter().filter_map(split).map(|(handler, _)| handler).collect();
    handlers.sort_unstable();
    handlers.dedup();
    let meant = match (asked.contains('.'), handlers.as_slice()) {
        (false, [sole]) => of(sole),
        (false, several) => {
            let own = |handler: &&&str| folded(bare(handler)) == folded(instance.service.as_str());
            several.iter().find(own).and_then(|own| of(own))
        }
        (true, _) => {
            let mut found = instance.endpoints.iter().filter_map(split).filter(|(_, name)| ends(name));
            found.next().filter(|_| found.next().is_none())
        }
    };
    meant.map(|(_, name)| name)
}

/// A handler without its package.
fn bare(handler: &str) -> &str {
    handler.rsplit_once('.').map_or(handler, |(_, bare)| bare)
}

/// A name without what languages differ in.
fn folded(name: &str) -> String {
    name.chars()
        .filter(|letter| !matches!(letter, '-' | '_'))
        .map(|letter| letter.to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::wire::Namespace;

    fn instance(endpoints: &[&str]) -> Instance {
        Instance {
            id: 1,
            namespace: Namespace::default(),
            service: "shop".parse().expect("a good name"),
            version: "1".to_owned(),
            node: NodeId(1),
            endpoints: endpoints.iter().map(|name| (*name).to_owned()).collect(),
            routes: Vec::new(),
            streams: Vec::new(),
            metadata: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn a_method_alone_reaches_a_sole_handler() {
        let sole = instance(&["Cart.add", "Cart.list"]);
        assert_eq!(endpoint(&sole, "add"), Ok("Cart.add".to_owned()));
        assert_eq!(endpoint(&sole, "Cart/list"), Ok("Cart.list".to_owned()));
        assert_eq!(endpoint(&sole, "Cart.list"), Ok("Cart.list".to_owned()));
        let two = instance(&["Cart.add", "Stock.add"]);
        let fault = endpoint(&two, "add").expect_err("it could be either");
        assert!(fault.help[0].contains("Cart.add, Stock.add"), "{fault:?}");
        assert_eq!(endpoint(&instance(&["Cart.add", "Shop.add"]), "add"), Ok("Shop.add".to_owned()));
    }

    #[test]
    fn the_package_of_a_handler_may_be_left_out() {
        let sole = instance(&["acme.v1.Cart.Add", "acme.v1.Cart.List"]);
        for asked in ["Add", "Cart.Add", "Cart/Add", "v1.Cart.Add", "acme.v1.Cart.Add"] {
            assert_eq!(endpoint(&sole, asked), Ok("acme.v1.Cart.Add".to_owned()), "{asked}");
        }
        for asked in ["dd", "art.Add", "Stock.Add", ".Add", ""] {
            assert!(endpoint(&sole, asked).is_err(), "{asked}");
        }
        let two = instance(&["acme.v1.Cart.Add", "acme.v2.Cart.Add"]);
        assert!(endpoint(&two, "Cart.Add").is_err(), "it could be either");
        assert_eq!(endpoint(&two, "v2.Cart.Add"), Ok("acme.v2.Cart.Add".to_owned()));
    }
}
