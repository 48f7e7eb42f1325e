//! The one place that decides who may do what. Every door and every nested call goes through it.

use micro_sdk::wire::{Caller, Code, Fault, Head};
use std::fmt::Display;

/// What a call is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Call a person's service.
    CallService,
    /// Call a platform service, as people do: read and write records, look at the cluster, make tokens, attach.
    UsePlatform,
    /// Read a blob that is marked as public.
    ReadPublic,
    /// See the secrets of the configuration as they are.
    ReadSecrets,
    /// Speak as one node to another: admission, seals, replication figures.
    ActAsNode,
}

/// The endpoints that only nodes may call, as service and endpoint.
const NODE_ENDPOINTS: [(&str, &str); 14] = [
    ("auth", "admit"),
    ("auth", "renew"),
    ("auth", "unseal"),
    ("blob", "fetch"),
    ("config", "change"),
    ("config", "instance"),
    ("config", "read"),
    ("config", "rotate"),
    ("config", "set-schema"),
    ("network", "replication"),
    ("network", "leave-member"),
    ("network", "remove-member"),
    ("network", "transfer-office"),
    ("network", "drain-here"),
];

impl Action {
    /// What the call with this head does, given whether its service belongs to the platform.
    pub fn of(head: &Head, platform: bool) -> Self {
        if !platform {
            // What begins with a dash is between the platform and the SDK.
            return if head.endpoint.starts_with('-') { Action::ActAsNode } else { Action::CallService };
        }
        let called = (head.service.as_str(), head.endpoint.as_str());
        if NODE_ENDPOINTS.contains(&called) { Action::ActAsNode } else { Action::UsePlatform }
    }
}

/// Allows or refuses. Denies unless a rule grants:
///
/// | caller | people's services | public blobs | platform services | secrets | node endpoints |
/// |---|---|---|---|---|---|
/// | admin | yes | yes | yes | yes | no |
/// | node | yes | yes | yes | yes | yes |
/// | anonymous | yes | yes | no | no | no |
///
/// # Errors
/// [`Code::Denied`], naming the caller and what it lacks.
pub fn authorize(caller: &Caller, action: Action, resource: impl Display) -> Result<(), Fault> {
    let granted = match (caller, action) {
        (_, Action::CallService | Action::ReadPublic) => true,
        (Caller::Admin, Action::UsePlatform | Action::ReadSecrets) => true,
        (Caller::Node(_), _) => true,
        (Caller::Admin, Action::ActAsNode) => false,
        (Caller::Anonymous, Action::UsePlatform | Action::ReadSecrets | Action::ActAsNode) => false,
    };
    if granted {
        return Ok(());
    }
    let who = match caller {
        Caller::Admin => "the admin",
        Caller::Node(_) => "a node",
        Caller::Anonymous => "an anonymous caller",
    };
    Err(Fault::new(Code::Denied, format!("{who} may not use {resource}"))
        .help("use the local socket as root or the node's user, or send the admin secret to the proxy port"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::wire::NodeId;

    #[test]
    fn nothing_is_granted_beyond_the_table() {
        let callers = [Caller::Admin, Caller::Node(NodeId(1)), Caller::Anonymous];
        let actions = [
            Action::CallService,
            Action::ReadPublic,
            Action::UsePlatform,
            Action::ReadSecrets,
            Action::ActAsNode,
        ];
        let expected = [[true, true, true, true, false], [true; 5], [true, true, false, false, false]];
        for (caller, row) in callers.iter().zip(expected) {
            for (action, granted) in actions.into_iter().zip(row) {
                assert_eq!(authorize(caller, action, "x").is_ok(), granted, "{caller:?} {action:?}");
            }
        }
    }
}
