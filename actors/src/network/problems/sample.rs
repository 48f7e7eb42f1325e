//! A node for tests.

use micro_sdk::wire::{
    NodeId,
    status::{NodeState, NodeStatus, Role},
};

/// A voter of this name.
pub(super) fn node(id: u64, name: &str, state: NodeState) -> NodeStatus {
    let text = String::new;
    NodeStatus {
        id: NodeId(id),
        name: name.to_owned(),
        state,
        role: Role::Voter,
        role_reason: None,
        cloud: text(),
        region: text(),
        zone: text(),
        address: text(),
        path: None,
        relays: Vec::new(),
        rtt_ms: None,
        version: text(),
        uptime_s: None,
        actors: None,
        certificate: None,
        gateway: false,
    }
}
