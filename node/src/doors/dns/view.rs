//! What the zone is made of just now, as one who asks may see it.

use super::reach::OwnDoors;
use crate::node::{Context, Local};
use micro_actors::{
    audit::AuditEvent,
    network::Neighbour,
    registry::{Instances, Table},
};
use micro_sdk::wire::{Code, Namespace, NodeId, ServiceName};

/// What is known of a service.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Known {
    /// Its instances that may be called, in the order in which they should be tried.
    Running(Instances),
    /// It is there, and may not be called: its nodes are drained.
    Idle,
    /// This node has just started, and may not have heard of it.
    Unsure,
    /// There is none.
    No,
}

/// What the zone is made of.
pub(super) trait View {
    /// This node's doors.
    fn own(&self) -> &OwnDoors;
    /// This node.
    fn here(&self) -> NodeId;
    /// What is known of a service.
    fn service(&self, namespace: &Namespace, service: &ServiceName) -> Known;
    /// A node that is up.
    fn node(&self, node: NodeId) -> Option<Neighbour>;
    /// The node of this name or id.
    fn find_node(&self, name: &str) -> Option<NodeId>;
    /// Whether a namespace has services that whoever asks may find.
    fn has_services(&self, namespace: &Namespace) -> bool;
    /// Whether whoever asks may know of a service, for what is told anyway.
    fn would_find(&self, namespace: &Namespace, service: &ServiceName) -> bool;
    /// Whether whoever asks may know of a service. A refusal is told to the audit log.
    fn may_find(&self, namespace: &Namespace, service: &ServiceName) -> bool;
    /// The same of `what` is no service: nodes, and names that are nobody's.
    fn may_look(&self, what: &str) -> bool;
}

/// The node itself, as a caller sees it.
pub(super) struct LocalView<'a> {
    pub local: &'a Local,
    pub context: Context,
    pub own: &'a OwnDoors,
}

impl LocalView<'_> {
    /// The endpoints that a service is judged by: who may call one of them may know of it. Where nobody offers any, the
    /// service as a whole.
    fn endpoints<'t>(table: &'t Table, namespace: &Namespace, service: &ServiceName) -> Vec<&'t str> {
        let instances = table.instances(namespace, service);
        let mut all: Vec<&str> =
            instances.iter().flat_map(|instance| &instance.endpoints).map(String::as_str).collect();
        if all.is_empty() {
            all.push("");
        }
        all
    }

    fn finds(&self, table: &Table, namespace: &Namespace, service: &ServiceName) -> bool {
        Self::endpoints(table, namespace, service)
            .iter()
            .any(|endpoint| self.local.would_call(&self.context, namespace, service.as_str(), endpoint))
    }
}

impl View for LocalView<'_> {
    fn own(&self) -> &OwnDoors {
        self.own
    }

    fn here(&self) -> NodeId {
        self.local.node()
    }

    fn service(&self, namespace: &Namespace, service: &ServiceName) -> Known {
        match self.local.instances(namespace, service) {
            Ok(instances) => Known::Running(instances),
            Err(fault) if fault.code == Code::NotFound => Known::No,
            Err(_) => {
                let table = self.local.table();
                let known = !table.known(namespace, service).is_empty();
                // It is there, and nowhere just now: on nodes that do nothing or are cut off, or none of its
                // instances works.
                let out = [table.drained(namespace, service), table.lost(namespace, service)];
                if known || out.iter().any(|nodes| !nodes.is_empty()) { Known::Idle } else { Known::Unsure }
            }
        }
    }

    fn node(&self, node: NodeId) -> Option<Neighbour> {
        self.local.neighbour(node)
    }

    fn find_node(&self, name: &str) -> Option<NodeId> {
        self.local.table().find_node(name)
    }

    fn has_services(&self, namespace: &Namespace) -> bool {
        let table = self.local.table();
        table.names(namespace).iter().any(|service| self.finds(&table, namespace, service))
    }

    fn would_find(&self, namespace: &Namespace, service: &ServiceName) -> bool {
        self.finds(&self.local.table(), namespace, service)
    }

    fn may_find(&self, namespace: &Namespace, service: &ServiceName) -> bool {
        let table = self.local.table();
        self.finds(&table, namespace, service) || {
            let endpoint = Self::endpoints(&table, namespace, service)[0];
            self.local.may_call(&self.context, namespace, service.as_str(), endpoint).is_ok()
        }
    }

    fn may_look(&self, what: &str) -> bool {
        let may = self.local.would_reach(&self.context, &["service"], None);
        if !may {
            let why = "who may call no service is told of nothing";
            self.local.guard().audit().tell(AuditEvent::refused(self.context.asker(), "resolve", what, why));
        }
        may
    }
}
