//! The rules of one namespace, laid out so that those about one resource are found without looking at the others.
//!
//! ```text
//!   type ──► name as it is ─────────────► rules of this name
//!        └─► each length of a beginning ──► rules whose pattern begins as the name does up to there
//! ```
//!
//! All rules lie in the order in which they decide: the highest first, and of equals those that take away. So the first
//! that applies is the decision.

use crate::auth::{
    glob::Glob,
    resource::Resource,
    rule::{Access, Rule, RuleScope},
};
use micro_sdk::wire::Caller;
use std::collections::{BTreeMap, HashMap};

/// The rules of one namespace.
#[derive(Debug, Default)]
pub(crate) struct RuleSet {
    rules: Vec<Rule>,
    by_kind: HashMap<Box<str>, Names>,
    /// Those whose type is a pattern.
    any_kind: Names,
}

/// Rules by the name of the resource, as indices into the set, ascending.
#[derive(Debug, Default)]
struct Names {
    exact: HashMap<Box<str>, Vec<u32>>,
    /// By the length of what the pattern begins with, and then by that.
    beginning: BTreeMap<usize, HashMap<Box<[u8]>, Vec<u32>>>,
}

impl Names {
    fn insert(&mut self, pattern: &Glob, rule: u32) {
        if pattern.is_exact() {
            self.exact.entry(pattern.as_str().into()).or_default().push(rule);
        } else {
            let beginning = pattern.beginning().as_bytes();
            let of_length = self.beginning.entry(beginning.len()).or_default();
            of_length.entry(beginning.into()).or_default().push(rule);
        }
    }

    /// The lists in which the rules about `name` are, among others.
    fn candidates<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Vec<u32>> {
        let beginnings = self.beginning.range(..=name.len());
        let beginnings = beginnings.filter_map(|(length, known)| known.get(&name.as_bytes()[..*length]));
        self.exact.get(name).into_iter().chain(beginnings)
    }
}

/// A rule that comes close to being about a caller and a resource, and what keeps it from that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearest {
    /// The rule.
    pub id: String,
    /// What does not fit, such as `scope billing`.
    pub unfit: String,
}

impl RuleSet {
    pub fn new(mut rules: Vec<Rule>) -> Self {
        // By id last, so that all nodes name the same rule.
        rules.sort_by(|one, other| {
            let decides = |rule: &Rule| (rule.priority, rule.access == Access::Denied);
            decides(other).cmp(&decides(one)).then_with(|| one.id.cmp(&other.id))
        });
        let mut set = RuleSet::default();
        for (index, rule) in rules.iter().enumerate() {
            let index = u32::try_from(index).expect("there are a few thousand rules at most");
            let names = if rule.pattern.kind.is_exact() {
                set.by_kind.entry(rule.pattern.kind.as_str().into()).or_default()
            } else {
                &mut set.any_kind
            };
            names.insert(&rule.pattern.name, index);
        }
        set.rules = rules;
        set
    }

    /// The rule that decides.
    pub fn deciding(&self, caller: &Caller, resource: &Resource<'_>) -> Option<&Rule> {
        let name = resource.name.text();
        let applies =
            |rule: &Rule| rule.pattern.matches(resource, &name, rule.denies()) && rule.scope.covers(caller);
        if resource.below.is_some() {
            // A rule that takes a part away is not found by the name of the whole.
            return self.rules.iter().find(|rule| applies(rule));
        }
        let mut best = u32::MAX;
        let of_kind = self.by_kind.get(resource.kind);
        for names in of_kind.into_iter().chain([&self.any_kind]) {
            for list in names.candidates(&name) {
                let better = list.iter().take_while(|index| **index < best);
                let found = better.copied().find(|index| applies(&self.rules[*index as usize]));
                best = found.unwrap_or(best);
            }
        }
        self.rules.get(best as usize)
    }

    /// Whether any rule grants the caller something of this type, with this endpoint if one is named.
    pub fn reaches(&self, caller: &Caller, kind: &str, endpoint: Option<&str>) -> bool {
        let grants = |rule: &Rule| {
            let done = endpoint.is_none_or(|endpoint| rule.pattern.endpoint.matches(endpoint));
            !rule.denies() && done && rule.pattern.kind.matches(kind) && rule.scope.covers(caller)
        };
        self.rules.iter().any(grants)
    }

    /// The rule that comes closest to granting what no rule grants.
    pub fn nearest(&self, caller: &Caller, resource: &Resource<'_>) -> Option<Nearest> {
        let name = resource.name.text();
        let mut nearest: Option<((u8, usize), Nearest)> = None;
        for rule in
            self.rules.iter().filter(|rule| !rule.denies() && rule.pattern.kind.matches(resource.kind))
        {
            let (named, done) = (rule.pattern.name.matches(&name), rule.pattern.has_endpoint(resource));
            let covered = rule.scope.covers(caller);
            let fit = 2 * u8::from(named) + u8::from(covered) + u8::from(done);
            // Of those that fit as well, the one that says most of what it is about.
            let closeness = (fit, rule.pattern.kind.as_str().len() + rule.pattern.name.as_str().len());
            // What is about another name altogether explains nothing, unless the caller is whom it is about.
            if !named && !covered || nearest.as_ref().is_some_and(|(best, _)| *best >= closeness) {
                continue;
            }
            let mut unfit = Vec::new();
            if !covered {
                unfit.push(format!("scope {}", shown_scope(&rule.scope)));
            }
            if !named {
                unfit.push(format!("name {}", rule.pattern.name));
            }
            if !done {
                unfit.push(format!("endpoint {}", rule.pattern.endpoint));
            }
            nearest = Some((closeness, Nearest { id: rule.id.clone(), unfit: unfit.join(", ") }));
        }
        nearest.map(|(_, nearest)| nearest)
    }
}

/// The scope as it is usually written.
fn shown_scope(scope: &RuleScope) -> String {
    scope.to_string().trim_start_matches("default/").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{resource::Name, rule::RuleView};
    use micro_sdk::wire::Namespace;

    fn rule(id: &str, scope: &str, resource: &str, access: Access, priority: i32) -> Rule {
        let view = RuleView {
            id: id.to_owned(),
            scope: scope.to_owned(),
            resource: resource.to_owned(),
            access,
            priority,
            who: String::new(),
            time_ms: 0,
        };
        Rule::compile(&Namespace::default(), &view).expect("a good rule")
    }

    fn account(scopes: &[&str]) -> Caller {
        crate::auth::tests::account("default", scopes)
    }

    fn decided(rules: &[Rule], caller: &Caller, kind: &str, name: &str, endpoint: &str) -> Option<String> {
        let namespace = Namespace::default();
        let set = RuleSet::new(rules.to_vec());
        let resource = Resource::new(&namespace, kind, Name::Whole(name), endpoint);
        set.deciding(caller, &resource).map(|rule| rule.id.clone())
    }

    #[test]
    fn the_highest_decides_and_of_equals_the_one_that_takes() {
        use Access::{Denied, Granted};
        let rules = [
            rule("all", "*", "service:*:*", Granted, 0),
            rule("not-billing", "*", "service:billing:*", Denied, 0),
            rule("billing-ops", "ops", "service:billing:*", Granted, 10),
            rule("never", "*", "service:billing:Wipe", Denied, 10),
        ];
        let (plain, ops) = (account(&[]), account(&["ops"]));
        let of =
            |caller, name, endpoint| decided(&rules, caller, "service", name, endpoint).unwrap_or_default();
        assert_eq!(of(&plain, "shop", "add"), "all");
        assert_eq!(of(&plain, "billing", "add"), "not-billing");
        assert_eq!(of(&ops, "billing", "add"), "billing-ops");
        assert_eq!(of(&ops, "billing", "Wipe"), "never");
        assert_eq!(of(&Caller::Anonymous, "shop", "add"), "");
        assert_eq!(decided(&rules, &ops, "store", "billing", "add"), None);
    }

    #[test]
    fn the_nearest_rule_says_what_does_not_fit() {
        use Access::Granted;
        let set = RuleSet::new(vec![
            rule("billing-ops", "billing", "service:billing:*", Granted, 10),
            rule("readers", "*", "service:billing:Read*", Granted, 0),
        ]);
        let namespace = Namespace::default();
        let resource = Resource::new(&namespace, "service", Name::Whole("billing"), "Refund");
        let nearest = set.nearest(&account(&[]), &resource).expect("there is one");
        assert_eq!((nearest.id.as_str(), nearest.unfit.as_str()), ("billing-ops", "scope billing"));
        let other = Resource::new(&namespace, "store", Name::Whole("billing"), "Refund");
        assert_eq!(set.nearest(&account(&[]), &other), None);
        // A rule about everything explains less than one about the thing.
        let set = RuleSet::new(vec![
            rule("admins", "admin", "*:*:*", Granted, 0),
            rule("readers", "*", "service:billing:Read*", Granted, 0),
        ]);
        let nearest = set.nearest(&account(&[]), &resource).expect("there is one");
        assert_eq!((nearest.id.as_str(), nearest.unfit.as_str()), ("readers", "endpoint Read*"));
    }

    /// A generator that repeats itself: xorshift64.
    struct Dice(u64);

    impl Dice {
        fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            from[usize::try_from(self.0 % from.len() as u64).expect("it is an index")]
        }
    }

    #[test]
    fn what_the_index_finds_is_what_looking_at_all_rules_finds() {
        let kinds = ["service", "store", "*", "s*"];
        let names = ["a", "ab", "abc", "*", "a*", "ab*", "*c", "a*c", "", "b/*", "b/c"];
        let endpoints = ["read", "write", "*", "r*"];
        let scopes = ["*", "ops", "+", "public", "loopback", "acme/*"];
        let callers = [account(&[]), account(&["ops"]), Caller::Anonymous, Caller::Stranger];
        let namespace = Namespace::default();
        let rank = |rule: Option<&Rule>| rule.map(|rule| (rule.priority, rule.denies()));
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
        for round in 0..300 {
            let rules: Vec<Rule> = (0..round % 23)
                .map(|number| {
                    let resource =
                        format!("{}:{}:{}", dice.pick(&kinds), dice.pick(&names), dice.pick(&endpoints));
                    let access = if dice.pick(&["y", "n"]) == "y" { Access::Granted } else { Access::Denied };
                    let priority = dice.pick(&["-1", "0", "7"]).parse().expect("it is a number");
                    rule(&format!("r{number}"), dice.pick(&scopes), &resource, access, priority)
                })
                .collect();
            let set = RuleSet::new(rules.clone());
            for _ in 0..20 {
                let (kind, name) = (dice.pick(&["service", "store", "blob"]), dice.pick(&names));
                let resource = Resource::new(&namespace, kind, Name::Whole(name), dice.pick(&endpoints));
                let resource = if dice.pick(&["y", "n"]) == "y" { resource } else { resource.and_below("/") };
                for caller in &callers {
                    let naive = rules.iter().filter(|rule| {
                        rule.scope.covers(caller) && rule.pattern.matches(&resource, name, rule.denies())
                    });
                    let best = naive.fold(None, |best: Option<&Rule>, rule| match best {
                        Some(best) if rank(Some(rule)) <= rank(Some(best)) => Some(best),
                        _ => Some(rule),
                    });
                    assert_eq!(rank(set.deciding(caller, &resource)), rank(best), "{rules:?} {resource}");
                }
            }
        }
    }
}
