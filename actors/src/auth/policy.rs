//! All that decides, as this node's replica has it: rules, public keys, and what was revoked. Never changed: a change
//! makes another.

use crate::auth::{
    decision::Decision,
    resource::Resource,
    revocation::Revocations,
    rule::{Access, Rule, RuleView, starting_rules},
    rule_set::RuleSet,
    signing_key::PublicKeys,
};
use micro_sdk::wire::{Caller, Namespace};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// The rules of all namespaces.
#[derive(Debug)]
pub(crate) struct Rules(HashMap<String, RuleSet>);

impl Default for Rules {
    /// Those of a new mesh.
    fn default() -> Self {
        Rules::new(&BTreeMap::new())
    }
}

impl Rules {
    /// The rules as they are kept, by namespace and id; none for one of the starting rules that was taken away. One
    /// that can't be read, because a newer build wrote it, is left out if it gives, and else keeps everybody from
    /// everything.
    pub fn new(kept: &BTreeMap<(Namespace, String), Option<RuleView>>) -> Self {
        let mut by_namespace: HashMap<String, Vec<Rule>> = HashMap::new();
        let home = Namespace::default();
        let starting = starting_rules().map(|rule| ((home.clone(), rule.id.clone()), rule));
        let starting = starting.iter().filter(|(key, _)| !kept.contains_key(key));
        let kept = kept.iter().filter_map(|(key, rule)| Some((key, rule.as_ref()?)));
        for ((namespace, _), view) in kept.chain(starting.map(|(key, rule)| (key, rule))) {
            let rules = by_namespace.entry(namespace.to_string()).or_default();
            match Rule::compile(namespace, view) {
                Ok(rule) => rules.push(rule),
                Err(fault) => {
                    tracing::error!(%namespace, rule = view.id, %fault, "a rule can't be read");
                    if view.access == Access::Denied {
                        let all = RuleView {
                            scope: "public".to_owned(),
                            resource: "*:*:*".to_owned(),
                            ..view.clone()
                        };
                        rules.extend(Rule::compile(namespace, &all));
                    }
                }
            }
        }
        Rules(by_namespace.into_iter().map(|(namespace, rules)| (namespace, RuleSet::new(rules))).collect())
    }

    fn of(&self, resource: &Resource<'_>) -> Option<&RuleSet> {
        self.0.get(resource.tenant())
    }
}

/// One state of what decides.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub(crate) rules: Arc<Rules>,
    pub(crate) keys: Arc<PublicKeys>,
    pub(crate) revocations: Arc<Revocations>,
}

impl Policy {
    /// Whether the rules grant it. What no rule is about is denied.
    pub fn grants(&self, caller: &Caller, resource: &Resource<'_>) -> bool {
        let deciding = self.rules.of(resource).and_then(|rules| rules.deciding(caller, resource));
        deciding.is_some_and(|rule| rule.access == Access::Granted)
    }

    /// Whether any rule of any namespace grants the caller something of this type, with this endpoint if one is named,
    /// whatever others take away.
    pub fn reaches(&self, caller: &Caller, kind: &str, endpoint: Option<&str>) -> bool {
        self.rules.0.values().any(|rules| rules.reaches(caller, kind, endpoint))
    }

    /// The public keys that tokens are verified with, as JSON (RFC 7517).
    pub fn public_keys(&self) -> String {
        self.keys.document().to_string()
    }

    /// What the rules say, and why.
    pub fn explain(&self, caller: &Caller, resource: &Resource<'_>) -> Decision {
        let rules = self.rules.of(resource);
        if let Some(rule) = rules.and_then(|rules| rules.deciding(caller, resource)) {
            return Decision::by_rule(rule);
        }
        Decision::by_none(caller, resource, rules.and_then(|rules| rules.nearest(caller, resource)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{
        resource::{Name, READ},
        tests::account,
    };

    fn view(id: &str, scope: &str, resource: &str) -> RuleView {
        RuleView {
            id: id.to_owned(),
            scope: scope.to_owned(),
            resource: resource.to_owned(),
            access: Access::Granted,
            priority: 0,
            who: String::new(),
            time_ms: 0,
        }
    }

    fn policy(rules: &[(&str, &str, Option<RuleView>)]) -> Policy {
        let kept = rules.iter().map(|(namespace, id, rule)| {
            ((namespace.parse().expect("a good name"), (*id).to_owned()), rule.clone())
        });
        Policy { rules: Arc::new(Rules::new(&kept.collect())), ..Policy::default() }
    }

    #[test]
    fn a_new_mesh_lets_its_own_host_call_services_and_nothing_else() {
        let (policy, home) = (Policy::default(), Namespace::default());
        let other: Namespace = "acme".parse().expect("a good name");
        let service = Resource::new(&home, "service", Name::Whole("shop"), "Cart.add");
        let elsewhere = Resource::new(&other, "service", Name::Whole("shop"), "Cart.add");
        let records = Resource::new(&home, "store", Name::Pair("default", "users"), READ);
        let members = Resource::of_mesh("network", "members", "write");
        let all = [service, elsewhere, records, members];
        for (caller, expected) in [
            (Caller::Anonymous, [true, false, false, false]),
            (Caller::Stranger, [false; 4]),
            (account("default", &[]), [true, false, false, false]),
            (account("default", &["admin"]), [true, false, true, true]),
            (account("acme", &["admin"]), [false; 4]),
        ] {
            assert_eq!(all.map(|resource| policy.grants(&caller, &resource)), expected, "{caller:?}");
        }
    }

    #[test]
    fn a_starting_rule_that_was_taken_away_stays_away() {
        let home = Namespace::default();
        let service = Resource::new(&home, "service", Name::Whole("shop"), "Cart.add");
        let removed = policy(&[("default", "loopback", None)]);
        assert!(!removed.grants(&Caller::Anonymous, &service));
        let replaced =
            policy(&[("default", "loopback", Some(view("loopback", "loopback", "service:cart:*")))]);
        assert!(!replaced.grants(&Caller::Anonymous, &service));
    }

    #[test]
    fn a_namespace_lets_another_in_only_by_a_rule_of_its_own() {
        let acme: Namespace = "acme".parse().expect("a good name");
        let service = Resource::new(&acme, "service", Name::Whole("shop"), "Cart.add");
        let (own, guest, stranger) =
            (account("acme", &[]), account("beta", &["admin"]), account("gamma", &[]));
        let policy = policy(&[
            ("acme", "own", Some(view("own", "*", "service:*:*"))),
            ("acme", "guests", Some(view("guests", "beta/*", "service:shop:*"))),
            ("beta", "all", Some(view("all", "admin", "*:*:*"))),
        ]);
        assert!(policy.grants(&own, &service) && policy.grants(&guest, &service));
        assert!(!policy.grants(&stranger, &service));
        let other = Resource::new(&acme, "service", Name::Whole("bank"), "Cart.add");
        assert!(!policy.grants(&guest, &other), "what beta's own rules give is beta's only");
    }

    #[test]
    fn a_rule_that_takes_and_can_not_be_read_takes_all() {
        let garbled = RuleView { access: Access::Denied, ..view("x", "a b c", "service:*:*") };
        let policy = policy(&[("default", "x", Some(garbled))]);
        let home = Namespace::default();
        let service = Resource::new(&home, "service", Name::Whole("shop"), "Cart.add");
        assert!(!policy.grants(&Caller::Anonymous, &service));
    }
}
