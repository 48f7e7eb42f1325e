//! What a caller needs to use a method of the platform, as far as its name says it: for lists of what there is. What a
//! request is about is known when it comes, and is decided then.

use super::{super::Entry, Method};
use crate::{
    doors::{
        credentials::{is_nobody, is_open},
        grpc::kinds_of,
    },
    node::Local,
};
use micro_actors::{
    auth::{AUTH, READ, Resource, WRITE},
    config::CONFIG,
    network::NETWORK,
    store::STORE,
};

/// What is asked of a caller.
enum Need {
    /// To be somebody: what is one's own.
    Known,
    /// To call any service.
    AnyService,
    /// What belongs to the mesh as a whole: its type and its name.
    OfMesh(&'static str, &'static str),
    /// A part of a tenant's accounts.
    OfAccounts(&'static str),
    /// Anything of its type.
    Some,
}

impl Need {
    /// What the method at this path of gRPC needs.
    fn of(path: &str) -> Need {
        match path.trim_start_matches("/micro.v1.") {
            // Whoever may not do so with others' may with their own.
            "Auth/WhoAmI" | "Auth/Check" | "Auth/Inspect" | "Auth/RevokeAccount" | "Auth/SetSecret" => {
                Need::Known
            }
            "Auth/CreateAccount" | "Auth/UpdateAccount" | "Auth/ListAccounts" | "Auth/DeleteAccount" => {
                Need::OfAccounts("accounts")
            }
            "Auth/CreateRule" | "Auth/UpdateRule" | "Auth/ListRules" | "Auth/DeleteRule" => {
                Need::OfAccounts("rules")
            }
            "Auth/RotateKeys" => Need::OfMesh(AUTH, "keys"),
            "Node/Call" => Need::AnyService,
            "Node/Status" | "Node/Links" | "Node/Explain" | "Node/Ping" => Need::OfMesh(NETWORK, "status"),
            "Node/Settings" => Need::OfMesh(NETWORK, "settings"),
            "Node/Backup" => Need::OfMesh(NETWORK, "backup"),
            "Node/CreateToken" => Need::OfMesh(NETWORK, "tokens"),
            "Node/Connect" | "Node/Drain" | "Node/Leave" | "Node/Transfer" | "Node/Remove" => {
                Need::OfMesh(NETWORK, "members")
            }
            "Node/ShowAuthority" | "Node/RotateAuthority" | "Node/FinishAuthority" => {
                Need::OfMesh(NETWORK, "authority")
            }
            "Audit/ListAudit" | "Audit/VerifyAudit" => Need::OfMesh(NETWORK, "audit"),
            "Config/RotateConfigKey" => Need::OfMesh(CONFIG, "~keys"),
            "Store/GrantLease" | "Store/RevokeLease" | "Store/ListLeases" => Need::OfMesh(STORE, "~leases"),
            "Store/Compact" | "Store/Retain" | "Store/History" => Need::OfMesh(STORE, "~history"),
            _ => Need::Some,
        }
    }
}

impl Method {
    /// Whether the rules let the caller use it for anything.
    pub fn would_serve(&self, local: &Local, entry: &Entry<'_>) -> bool {
        let (path, context) = (self.uri().path(), &entry.context);
        if is_open(path) {
            return true;
        }
        let endpoint = if self.is_safe() { READ } else { WRITE };
        !is_nobody(&context.caller)
            && match Need::of(path) {
                Need::Known => true,
                Need::AnyService => local.would_reach(context, &["service"], None),
                Need::OfMesh(kind, name) => {
                    local.would_grant(context, &Resource::of_mesh(kind, name, endpoint))
                }
                Need::OfAccounts(part) => {
                    local.would_grant(context, &Resource::of(&entry.namespace, AUTH, part, endpoint))
                }
                Need::Some => local.would_reach(context, kinds_of(path), Some(endpoint)),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Methods, *};

    #[test]
    fn nothing_of_accounts_is_shown_for_a_right_to_something_else() {
        for method in Methods::all().iter().filter(|method| method.path().starts_with("/-/v1/auth/")) {
            let path = method.uri().path();
            let vague = matches!(Need::of(path), Need::Some);
            assert!(!vague || is_open(path), "{}", method.path());
        }
    }

    #[test]
    fn what_is_of_the_mesh_is_asked_for_by_its_name() {
        let named = |path: &str| match Need::of(Methods::all().at(path).expect("it is there").uri().path()) {
            Need::OfMesh(kind, name) => Some((kind, name)),
            _ => None,
        };
        assert_eq!(named("/-/v1/network/status"), Some((NETWORK, "status")));
        assert_eq!(named("/-/v1/store/history"), Some((STORE, "~history")));
        assert_eq!(named("/-/v1/store/read"), None);
        // Of the network there is nothing that belongs to a tenant.
        for method in Methods::all().iter().filter(|method| kinds_of(method.uri().path()) == [NETWORK]) {
            assert!(named(method.path()).is_some(), "{}", method.path());
        }
        let of_nodes = Methods::all().iter().filter(|method| method.path().starts_with("/-/v1/network/"));
        for method in of_nodes.filter(|method| !method.path().ends_with("/call")) {
            assert!(named(method.path()).is_some(), "{}", method.path());
        }
    }
}
