//! Calls by name: to an actor of this node, an instance attached here, or another node.

use super::lost;
use crate::{
    Action, Directory, Invocation, ServiceRef,
    audit::{Asker, AuditEvent, Origin},
    auth::{Guard, Resource},
    authorize,
    calls::{Calls, Counted, Rehearsal},
    grants,
    policy::Policy,
    registry::Registry,
};
use bytes::Bytes;
use micro_mesh::Mesh;
use micro_sdk::wire::{Caller, Code, Fault, HOPS_MAX, Head, Namespace, NodeId, ServiceName};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Finds whoever a call is for and passes it on. Clones share everything.
#[derive(Clone)]
pub struct Dispatch(Arc<Inner>);

struct Inner {
    mesh: Mesh,
    directory: Directory,
    registry: Registry,
    guard: Guard,
    calls: Calls,
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
    pub(crate) fn new(
        mesh: Mesh,
        directory: Directory,
        registry: Registry,
        guard: Guard,
        calls: Calls,
    ) -> Self {
        Dispatch(Arc::new(Inner { mesh, directory, registry, guard, calls }))
    }

    pub(crate) fn calls(&self) -> &Calls {
        &self.0.calls
    }

    /// What the contract of calls has done on this node so far.
    pub fn count(&self, counted: Counted) -> u64 {
        self.0.calls.counters().count(counted)
    }

    /// What is done with the calls of a service.
    pub fn policy(&self, namespace: &Namespace, service: &ServiceName) -> Arc<Policy> {
        self.0.calls.policy(namespace, service)
    }

    /// What `policy` would have made of the calls of a service that this node took in of late.
    pub fn rehearse(&self, namespace: &Namespace, service: &ServiceName, policy: &Policy) -> Rehearsal {
        self.0.calls.rehearse(namespace, service, policy)
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
        let answer = self.call_at(node, head, body).await;
        answer.map(|body| Answer { body, node }).map_err(|fault| self.lost(node, fault))
    }

    /// What a caller is told of a call that got lost on its way to a node.
    pub(super) fn lost(&self, node: NodeId, fault: Fault) -> Fault {
        lost::named(fault, node, || self.0.registry.node_name(node))
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
    /// As [`call`](Self::call), and [`Code::Unavailable`] if the instance that was chosen is not here any more, or if
    /// the node stops: nothing was done then, so that the other node may try another instance.
    pub async fn receive(&self, from: NodeId, head: Head, body: Bytes) -> Result<Bytes, Fault> {
        let origin = Origin::Mesh(from);
        self.speaks_for_itself(from, &head)?;
        if self.0.directory.contains(head.service.as_str()) {
            self.authorize(origin, &head)?;
            return self.0.directory.call(Invocation { head, body }).await;
        }
        self.0.registry.open_for_calls()?;
        self.hops_left(&head)?;
        self.answer_here(origin, head, body).await
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

    /// The other nodes that can be reached.
    pub fn peers(&self) -> Vec<NodeId> {
        let routes = self.0.mesh.routes().into_iter();
        routes.filter(|route| route.is_reachable()).map(|route| route.node).collect()
    }

    /// The id of a live node of this name.
    pub(crate) fn live_node_named(&self, name: &str) -> Option<NodeId> {
        let table = self.0.registry.table();
        let node = table.find_node(name).filter(|node| table.node_name(*node) == name)?;
        // By its link, if there is to be one, not by gossip: one that has just stopped is not in the way of its
        // successor.
        (self.0.mesh.is_up(node) || node == self.0.mesh.node()).then_some(node)
    }

    pub(super) fn authorize(&self, origin: Origin, head: &Head) -> Result<(), Fault> {
        let asker = Asker { origin, trace: Some(head.trace), ..Asker::of(&head.caller) };
        let platform = self.0.directory.contains(head.service.as_str());
        let (action, resource) = Action::of(head, platform);
        // A rule knows less of the platform than which endpoint it is.
        let asker = if action == Action::UsePlatform { asker.about(&head.endpoint) } else { asker };
        authorize(&self.0.guard, asker, action, &resource)
    }
}
