//! The one place that decides who may do what. Every door and every nested call goes through it. What it decides is
//! told to the audit log here, and not by those who ask.

use crate::{
    audit::{Asker, AuditEvent},
    auth::{Decision, Guard, Resource},
};
use micro_sdk::wire::{Caller, Code, Fault, Head};

/// What a call is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Call a person's service.
    CallService,
    /// Use a platform service, as people do: read and write records, look at the cluster, make tokens, attach.
    UsePlatform,
    /// Use a platform service by its name and in the platform's own encoding, which says only to that service what is
    /// meant: whoever needs a rule has to ask at a door, which knows.
    UseByName,
    /// Read a blob that is marked as public.
    ReadPublic,
    /// Speak as one node to another: admission, seals, replication figures.
    ActAsNode,
}

/// The endpoints that only nodes may call, as service and endpoint.
const NODE_ENDPOINTS: [(&str, &str); 27] = [
    ("auth", "admit"),
    ("auth", "login"),
    ("auth", "open-secret"),
    ("auth", "refresh"),
    ("auth", "renew"),
    ("auth", "rotate-keys"),
    ("auth", "seal-secret"),
    ("auth", "service-token"),
    ("auth", "unseal"),
    ("blob", "fetch"),
    ("config", "change"),
    ("config", "instance"),
    ("config", "lost"),
    ("config", "read"),
    ("config", "rotate"),
    ("config", "set-schema"),
    ("network", "replication"),
    ("network", "leave-member"),
    ("network", "remove-member"),
    ("network", "transfer-office"),
    ("network", "appoint"),
    ("network", "may-lead"),
    ("network", "drain-here"),
    ("network", "verify-audit-here"),
    ("network", "explain-here"),
    ("network", "ping-here"),
    ("registry", "rehearse"),
];

/// The endpoints of platform services that doors call by name, with what they are to rules: all of them are about the
/// mesh as a whole.
const NAMED_ENDPOINTS: [(&str, &str, [&str; 3]); 14] = [
    ("auth", "create-token", ["network", "tokens", "write"]),
    ("auth", "finish-authority", ["network", "authority", "write"]),
    ("auth", "rotate-authority", ["network", "authority", "write"]),
    ("auth", "show-authority", ["network", "authority", "read"]),
    ("network", "connect", ["network", "members", "write"]),
    ("network", "drain", ["network", "members", "write"]),
    ("network", "explain", ["network", "status", "read"]),
    ("network", "leave", ["network", "members", "write"]),
    ("network", "links", ["network", "status", "read"]),
    ("network", "ping", ["network", "status", "read"]),
    ("network", "remove", ["network", "members", "write"]),
    ("network", "status", ["network", "status", "read"]),
    ("network", "transfer", ["network", "members", "write"]),
    ("network", "verify-audit", ["network", "audit", "read"]),
];

impl Action {
    /// As the audit log writes it.
    pub fn name(self) -> &'static str {
        match self {
            Action::CallService => "call",
            Action::UsePlatform => "use",
            Action::UseByName => "use-by-name",
            Action::ReadPublic => "read-public",
            Action::ActAsNode => "act-as-node",
        }
    }

    /// What the call with this head does, and to what, given whether its service belongs to the platform.
    pub fn of(head: &Head, platform: bool) -> (Self, Resource<'_>) {
        let called = (head.service.as_str(), head.endpoint.as_str());
        if !platform {
            // What begins with a dash is between the platform and the SDK.
            let action = if called.1.starts_with('-') { Action::ActAsNode } else { Action::CallService };
            return (action, Resource::of_service(&head.namespace, called.0, called.1));
        }
        let named = NAMED_ENDPOINTS.iter().find(|(service, endpoint, _)| (*service, *endpoint) == called);
        match named {
            Some((_, _, [kind, name, endpoint])) => {
                (Action::UsePlatform, Resource::of_mesh(kind, name, endpoint))
            }
            None if NODE_ENDPOINTS.contains(&called) => {
                (Action::ActAsNode, Resource::of_mesh(called.0, "", called.1))
            }
            None => (Action::UseByName, Resource::of_mesh(called.0, "", called.1)),
        }
    }
}

/// Allows or refuses. Denies unless something grants:
///
/// | caller | people's services | platform services | the same by name | what is public | node endpoints |
/// |---|---|---|---|---|---|
/// | admin | yes | yes | yes | yes | no |
/// | node | yes | yes | yes | yes | yes |
/// | account | rules | rules | no | yes | no |
/// | anonymous, on loopback | rules | no | no | yes | no |
/// | anonymous, elsewhere | rules | no | no | blobs only | no |
///
/// The admin is whoever holds the node itself, and so could do all of it in other ways: no rule shuts them out.
///
/// # Errors
/// [`Code::Denied`], naming the caller and what it lacks.
pub fn authorize(
    guard: &Guard,
    asker: Asker<'_>,
    action: Action,
    resource: &Resource<'_>,
) -> Result<(), Fault> {
    let granted = grants(guard, asker.caller, action, resource);
    guard.audit().decided(asker, action, resource, granted);
    if granted { Ok(()) } else { Err(refusal(asker.caller, resource)) }
}

/// What [`authorize`] would say, for whoever has another way if it says no. Nothing may be done because of it alone.
pub(crate) fn grants(guard: &Guard, caller: &Caller, action: Action, resource: &Resource<'_>) -> bool {
    match (caller, action) {
        // What a node counts is for its own host, and for who shows who they are.
        (Caller::Stranger, Action::ReadPublic) => resource.kind != "network",
        (_, Action::ReadPublic) | (Caller::Node(_), _) => true,
        (Caller::Admin, action) => action != Action::ActAsNode,
        (_, Action::ActAsNode | Action::UseByName) => false,
        // Whatever the rules say: of these services' endpoints some give away the mesh.
        (Caller::Anonymous | Caller::Stranger, Action::UsePlatform) => false,
        (_, Action::CallService | Action::UsePlatform) => guard.policy().grants(caller, resource),
    }
}

/// Whether [`authorize`] might allow the caller anything at all of these types of resources: asked before so much of a
/// request is read that it is known what it is about. What is about it is decided by [`authorize`] after that.
///
/// # Errors
/// [`Code::Denied`].
pub fn may_reach(guard: &Guard, asker: Asker<'_>, kinds: &[&str]) -> Result<(), Fault> {
    if would_reach(guard, asker.caller, kinds, None) {
        return Ok(());
    }
    let what = if kinds.is_empty() { "this".to_owned() } else { format!("any {}", kinds.join(" or ")) };
    let message = format!("{} may not use {what}, so no more of a long request is read", asker.caller);
    guard.audit().tell(AuditEvent::refused(asker, "send", &kinds.join(","), &message));
    Err(Fault::new(Code::Denied, message)
        .help("who runs the mesh can allow it: `micro-node auth create rule`"))
}

/// What [`may_reach`] would say, for lists of what there is: of this endpoint only, if one is named.
pub fn would_reach(guard: &Guard, caller: &Caller, kinds: &[&str], endpoint: Option<&str>) -> bool {
    match caller {
        Caller::Admin | Caller::Node(_) => true,
        caller => kinds.iter().any(|kind| guard.policy().reaches(caller, kind, endpoint)),
    }
}

/// What [`authorize`] says of a call of a service or a use of the platform, and why.
pub fn explain(guard: &Guard, caller: &Caller, resource: &Resource<'_>) -> Decision {
    match caller {
        Caller::Admin => Decision::without_rules(true, "the admin may do everything: no rule is asked"),
        Caller::Node(_) => Decision::without_rules(true, "nodes may do everything: no rule is asked"),
        Caller::Anonymous | Caller::Stranger if resource.kind != "service" => Decision::without_rules(
            false,
            "the platform is used by those only who show who they are: no rule is asked",
        ),
        _ => guard.policy().explain(caller, resource),
    }
}

#[cold]
fn refusal(caller: &Caller, resource: &Resource<'_>) -> Fault {
    let fault = Fault::new(Code::Denied, format!("{caller} may not use {resource}"));
    match caller {
        Caller::Account(account) => fault
            .help(format!(
                "`micro-node auth check {}` says which rule comes closest",
                resource.as_asked_from(&account.namespace)
            ))
            .help("who runs the mesh can give it: `micro-node auth create rule`"),
        _ => fault
            .help("say who you are: `micro-node login ACCOUNT`, or a token as `authorization: Bearer TOKEN`")
            .help("who runs the mesh can let everybody in: `micro-node auth create rule`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::Audit,
        auth::tests::{account, seams},
    };
    use micro_sdk::wire::{ClusterId, Namespace, NodeId};

    #[test]
    fn nothing_is_granted_beyond_the_table() {
        let guard = Guard::new(ClusterId(7), seams().clock, Audit::off());
        let home = Namespace::default();
        let service = Resource::of_service(&home, "shop", "Cart.add");
        let status = Resource::of_mesh("network", "status", "read");
        let asked = [
            (Action::CallService, service),
            (Action::UsePlatform, status),
            (Action::UseByName, status),
            (Action::ReadPublic, status),
            (Action::ActAsNode, status),
        ];
        // The rules are those that a mesh begins with.
        for (caller, expected) in [
            (Caller::Admin, [true, true, true, true, false]),
            (Caller::Node(NodeId(1)), [true; 5]),
            (account("default", &["admin"]), [true, true, false, true, false]),
            (account("default", &[]), [true, false, false, true, false]),
            (account("acme", &["admin"]), [false, false, false, true, false]),
            (Caller::Anonymous, [true, false, false, true, false]),
            (Caller::Stranger, [false; 5]),
        ] {
            for ((action, resource), granted) in asked.iter().zip(expected) {
                let allowed = authorize(&guard, Asker::of(&caller), *action, resource).is_ok();
                assert_eq!(allowed, granted, "{caller:?} {action:?}");
            }
        }
    }

    #[test]
    fn what_is_asked_by_name_can_be_said_in_a_rule() {
        for (_, _, [kind, name, endpoint]) in NAMED_ENDPOINTS {
            let resource = format!("{kind}:{name}:{endpoint}");
            assert!(Resource::parse_known(&Namespace::default(), &resource).is_ok(), "{resource}");
        }
    }

    #[test]
    fn a_refusal_names_who_and_what() {
        let guard = Guard::new(ClusterId(7), seams().clock, Audit::off());
        let acme: Namespace = "acme".parse().expect("a good name");
        let resource = Resource::of_service(&acme, "shop", "Cart.add");
        let beta = account("beta", &[]);
        let fault = authorize(&guard, Asker::of(&beta), Action::CallService, &resource);
        let fault = fault.expect_err("it is another tenant's");
        assert_eq!(fault.message, "the account beta/jane may not use service:shop:Cart.add of acme");
        assert!(fault.help[0].contains("auth check service:shop:Cart.add --namespace acme"), "{fault:?}");
    }
}
