//! Rules: who may do what, or may not.

use crate::auth::resource::Pattern;
use bincode::{Decode, Encode};
use micro_sdk::wire::{
    AccountCaller, AccountKind, AccountName, Caller, Code, Fault, Namespace, Scope, ServiceName,
};
use std::fmt;

/// The rules of one namespace at most: far more than people keep in mind, and few enough that a node can take up all of
/// them anew whenever one changes.
pub(crate) const RULES_MAX: usize = 4096;

/// Whether a rule gives or takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum Access {
    /// It gives.
    #[default]
    Granted,
    /// It takes: at the same priority it wins.
    Denied,
}

impl Access {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Access::Granted => "granted",
            Access::Denied => "denied",
        }
    }
}

/// A rule as it is kept and shown, checked.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RuleView {
    /// What it is called in its namespace.
    pub id: String,
    /// Whom it is about.
    pub scope: String,
    /// What it is about, as `type:name:endpoint` with stars.
    pub resource: String,
    /// Whether it gives or takes.
    pub access: Access,
    /// Of those that are about caller and resource, the highest decide.
    pub priority: i32,
    /// Who made it.
    pub who: String,
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
}

/// A rule as a record: one that was there from the start leaves a mark when it is taken away.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum StoredRule {
    Rule(RuleView),
    Removed,
}

/// A rule, ready to decide.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub id: String,
    pub scope: RuleScope,
    pub pattern: Pattern,
    pub access: Access,
    pub priority: i32,
}

/// Whom a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RuleScope {
    /// `public`: anybody.
    Public,
    /// `loopback`: who is not known and came by a listener on loopback.
    Loopback,
    /// `+`: any account of any namespace.
    AnyAccount,
    /// `*`: any account of the rule's own namespace, or `NAMESPACE/*`.
    All(Namespace),
    /// Those accounts of a namespace that have this scope: of the rule's own, or `NAMESPACE/SCOPE`.
    Named(Namespace, String),
    /// The one service of a namespace that is called so: `service:NAME`, or `NAMESPACE/service:NAME`. No account can be
    /// given such a scope.
    Service(Namespace, AccountName),
}

/// What the scope of one service begins with.
const SERVICE: &str = "service:";

impl RuleScope {
    /// Reads the scope of a rule of `namespace`.
    ///
    /// # Errors
    /// [`Code::Usage`].
    pub fn parse(namespace: &Namespace, text: &str) -> Result<Self, Fault> {
        let (namespace, scope) = match text.split_once('/') {
            Some((other, scope)) => {
                let other = other.parse::<Namespace>();
                (other.map_err(|error| Fault::new(Code::Usage, error.to_string()))?, scope)
            }
            None => match text {
                "public" => return Ok(RuleScope::Public),
                "loopback" => return Ok(RuleScope::Loopback),
                "+" => return Ok(RuleScope::AnyAccount),
                scope => (namespace.clone(), scope),
            },
        };
        match scope {
            "*" => Ok(RuleScope::All(namespace)),
            scope if scope.starts_with(SERVICE) => {
                let name = scope[SERVICE.len()..].parse::<ServiceName>();
                let name = name.map_err(|error| Fault::new(Code::Usage, error.to_string()))?;
                Ok(RuleScope::Service(namespace, account_of(&name)))
            }
            "user" | "service" | "node" => Ok(RuleScope::Named(namespace, scope.to_owned())),
            scope => match scope.parse::<Scope>() {
                Ok(scope) => Ok(RuleScope::Named(namespace, scope.into())),
                Err(error) => Err(Fault::new(Code::Usage, error.to_string()).help(
                    "a rule's scope is that of accounts, service:NAME for one service, * for all accounts of its \
                     namespace, + for those of any, NAMESPACE/SCOPE for those of another, public for anybody, or \
                     loopback for who comes from this host",
                )),
            },
        }
    }

    /// Whether a rule for it is about `caller`.
    pub fn covers(&self, caller: &Caller) -> bool {
        let account = |test: &dyn Fn(&AccountCaller) -> bool| caller.account().is_some_and(test);
        match self {
            RuleScope::Public => true,
            RuleScope::Loopback => matches!(caller, Caller::Anonymous),
            RuleScope::AnyAccount => account(&|_| true),
            RuleScope::All(namespace) => account(&|account| account.namespace == *namespace),
            RuleScope::Named(namespace, scope) => {
                account(&|account| account.namespace == *namespace && account.has(scope))
            }
            RuleScope::Service(namespace, name) => account(&|account| {
                let named = account.namespace == *namespace && account.name == *name;
                named && account.kind == AccountKind::Service
            }),
        }
    }
}

/// The account of a service: its name is good for an account too.
pub(crate) fn account_of(service: &ServiceName) -> AccountName {
    service.as_str().parse().expect("a service's name has only what an account's may have")
}

impl Rule {
    /// A rule of `namespace`, ready to decide.
    ///
    /// # Errors
    /// [`Code::Usage`] if a part of it can't be read.
    pub fn compile(namespace: &Namespace, view: &RuleView) -> Result<Self, Fault> {
        Ok(Rule {
            id: view.id.clone(),
            scope: RuleScope::parse(namespace, &view.scope)?,
            pattern: view.resource.parse()?,
            access: view.access,
            priority: view.priority,
        })
    }

    pub fn denies(&self) -> bool {
        self.access == Access::Denied
    }
}

impl fmt::Display for RuleScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RuleScope::Public => f.write_str("public"),
            RuleScope::Loopback => f.write_str("loopback"),
            RuleScope::AnyAccount => f.write_str("+"),
            RuleScope::All(namespace) => write!(f, "{namespace}/*"),
            RuleScope::Named(namespace, scope) => write!(f, "{namespace}/{scope}"),
            RuleScope::Service(namespace, name) => write!(f, "{namespace}/{SERVICE}{name}"),
        }
    }
}

/// The id of a rule, checked.
///
/// # Errors
/// [`Code::Usage`].
pub(crate) fn rule_id(text: &str) -> Result<String, Fault> {
    let id = text.parse::<ServiceName>().map_err(|error| error.of("rule"));
    id.map(String::from).map_err(|error| Fault::new(Code::Usage, error.to_string()))
}

/// A rule that a new mesh begins with, in the namespace `default`. All of them grant, at priority 0.
#[derive(Clone, Copy, Debug)]
pub struct StartingRule {
    /// What it is called.
    pub id: &'static str,
    /// Whom it is about.
    pub scope: &'static str,
    /// What it is about.
    pub resource: &'static str,
    /// The same for people.
    pub meaning: &'static str,
}

/// The rules that a new mesh begins with.
///
/// They are not records, so that nothing has to be written before the first call. One that is taken away leaves a
/// record that says so, and never comes back by itself.
pub const STARTING_RULES: [StartingRule; 3] = [
    // So that the first `curl` works.
    StartingRule {
        id: "loopback",
        scope: "loopback",
        resource: "service:*:*",
        meaning: "who calls from this host may call services, without a token",
    },
    StartingRule {
        id: "accounts",
        scope: "*",
        resource: "service:*:*",
        meaning: "accounts may call services, wherever they call from",
    },
    StartingRule {
        id: "admins",
        scope: "admin",
        resource: "*:*:*",
        meaning: "accounts with the scope admin may do everything",
    },
];

/// [`STARTING_RULES`] as they are shown.
pub(crate) fn starting_rules() -> [RuleView; 3] {
    STARTING_RULES.map(|StartingRule { id, scope, resource, .. }| RuleView {
        id: id.to_owned(),
        scope: scope.to_owned(),
        resource: resource.to_owned(),
        access: Access::Granted,
        priority: 0,
        who: "micro-node".to_owned(),
        time_ms: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::tests::account;
    use micro_sdk::wire::Codec;

    #[test]
    fn a_scope_is_about_those_it_names() {
        let namespace = Namespace::default();
        let (own, ops, other) =
            (account("default", &[]), account("default", &["ops"]), account("acme", &["ops"]));
        let callers = [&Caller::Anonymous, &Caller::Stranger, &own, &ops, &other];
        for (scope, expected) in [
            ("public", [true; 5]),
            ("loopback", [true, false, false, false, false]),
            ("+", [false, false, true, true, true]),
            ("*", [false, false, true, true, false]),
            ("ops", [false, false, false, true, false]),
            ("user", [false, false, true, true, false]),
            ("service", [false; 5]),
            ("acme/*", [false, false, false, false, true]),
            ("acme/ops", [false, false, false, false, true]),
            ("acme/dev", [false; 5]),
        ] {
            let read = RuleScope::parse(&namespace, scope).expect("a good scope");
            assert_eq!(callers.map(|caller| read.covers(caller)), expected, "{scope}");
        }
        for bad in ["a b", "Acme/*", "acme/+", "a/b/c", "**"] {
            assert!(RuleScope::parse(&namespace, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn layouts_are_frozen() {
        let rule = RuleView {
            id: "i".to_owned(),
            scope: "s".to_owned(),
            resource: "r".to_owned(),
            access: Access::Denied,
            priority: -1,
            who: "w".to_owned(),
            time_ms: 5,
        };
        assert_eq!(Codec::encode(&StoredRule::Rule(rule)), b"\x01\0\0\x01i\x01s\x01r\x01\x01\x01w\x05");
        assert_eq!(Codec::encode(&StoredRule::Removed), b"\x01\0\x01");
    }
}
