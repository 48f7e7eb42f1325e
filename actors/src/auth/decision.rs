//! What the rules say of one request, in words.

use crate::auth::{resource::Resource, rule::Rule, rule_set::Nearest};
use micro_sdk::wire::{Caller, Scope};

/// What the rules say, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done.
    pub granted: bool,
    /// The rule that decided; none if no rule is about it.
    pub rule: Option<String>,
    /// The rule that comes closest to granting what none does.
    pub nearest: Option<Nearest>,
    /// Why, for people.
    pub why: String,
}

impl Decision {
    /// What needs no rule, or what no rule can give.
    pub(crate) fn without_rules(granted: bool, why: impl Into<String>) -> Self {
        Decision { granted, rule: None, nearest: None, why: why.into() }
    }

    pub(crate) fn by_rule(rule: &Rule) -> Self {
        let verb = if rule.denies() { "denies" } else { "grants" };
        Decision {
            granted: !rule.denies(),
            rule: Some(rule.id.clone()),
            nearest: None,
            why: format!("rule {} {verb} {} at priority {}", rule.id, rule.pattern, rule.priority),
        }
    }

    pub(crate) fn by_none(caller: &Caller, resource: &Resource<'_>, nearest: Option<Nearest>) -> Self {
        let mut why = match caller.account() {
            Some(account) => {
                let scopes: Vec<&str> = account.scopes.iter().map(Scope::as_str).collect();
                let scopes =
                    if scopes.is_empty() { account.kind.name().to_owned() } else { scopes.join(", ") };
                format!("no rule of {} for {} with scope {scopes}", resource.tenant(), account.namespace)
            }
            None => format!("no rule of {} for callers without an account", resource.tenant()),
        };
        if let Some(Nearest { id, unfit }) = &nearest {
            why = format!("{why}; nearest: {id} ({unfit})");
        }
        Decision { granted: false, rule: None, nearest, why }
    }
}
