//! Rules are made and taken away.

use crate::{
    auth::{
        Accounts, CreateRuleRequest,
        accounts::Plan,
        book::{self, Book},
        rule::{RULES_MAX, Rule, RuleView, StoredRule, rule_id, starting_rules},
    },
    store::{RecordCompare, RecordOp},
};
use micro_sdk::wire::{Code, Fault, Namespace};
use std::collections::BTreeMap;
use tokio::time::Instant;

impl Accounts {
    /// Makes a rule. It decides here and everywhere a moment later.
    ///
    /// # Errors
    /// [`Code::Conflict`] if there is one of this id, [`Code::Usage`] if it can't be read or there are too many, or why
    /// the group did not take it.
    pub async fn create_rule(
        &self,
        request: CreateRuleRequest,
        deadline: Instant,
    ) -> Result<RuleView, Fault> {
        let time_ms = self.parts.consensus.time_ms();
        let CreateRuleRequest { namespace, id, scope, resource, access, priority, who } = request;
        let rule = RuleView { id: rule_id(&id)?, scope, resource, access, priority, who, time_ms };
        Rule::compile(&namespace, &rule)?.pattern.check_known()?;
        self.change(deadline, move |book| {
            let rules = rules(book, &namespace)?;
            if rules.contains_key(&rule.id) {
                let message = format!("there is a rule {} in namespace {namespace} already", rule.id);
                return Err(Fault::new(Code::Conflict, message).help("delete it first, or choose another id"));
            }
            if rules.len() >= RULES_MAX {
                let message = format!("a namespace has at most {RULES_MAX} rules");
                return Err(Fault::new(Code::Usage, message).help("write some of them as one, with stars"));
            }
            let key = book::within(&namespace, &rule.id);
            let version = book.rule(&namespace, &rule.id)?.map_or(0, |(_, version)| version);
            let compares = vec![RecordCompare::version(book::rules(), key.clone(), version)];
            let then = vec![book::write(book::rules(), key, &StoredRule::Rule(rule.clone()))];
            Ok(Plan::make(compares, then, rule.clone()))
        })
        .await
    }

    /// The rules of a namespace, in the order in which they decide.
    ///
    /// # Errors
    /// Why the reading can't be made linearizable.
    pub async fn list_rules(&self, namespace: Namespace, deadline: Instant) -> Result<Vec<RuleView>, Fault> {
        let mut rules: Vec<RuleView> =
            self.look(deadline, move |book| rules(book, &namespace)).await?.into_values().collect();
        rules.sort_by_key(|rule| (std::cmp::Reverse((rule.priority, rule.access as u8)), rule.id.clone()));
        Ok(rules)
    }

    /// Takes a rule away.
    ///
    /// # Errors
    /// [`Code::NotFound`] if there is none, or why the group did not take it.
    pub async fn delete_rule(
        &self,
        namespace: Namespace,
        id: String,
        deadline: Instant,
    ) -> Result<(), Fault> {
        self.change(deadline, move |book| {
            if !rules(book, &namespace)?.contains_key(&id) {
                return Err(Fault::new(Code::NotFound, format!("no rule {id:?} in namespace {namespace}"))
                    .help("see `micro-node auth list rules`"));
            }
            let key = book::within(&namespace, &id);
            let version = book.rule(&namespace, &id)?.map_or(0, |(_, version)| version);
            let compares = vec![RecordCompare::version(book::rules(), key.clone(), version)];
            let starting =
                namespace == Namespace::default() && starting_rules().iter().any(|rule| rule.id == id);
            let then = if starting {
                book::write(book::rules(), key, &StoredRule::Removed)
            } else {
                RecordOp::Delete { table: book::rules(), key }
            };
            Ok(Plan::make(compares, vec![then], ()))
        })
        .await
    }
}

/// The rules of a namespace by id, those that it begins with too.
fn rules(book: &Book<'_>, namespace: &Namespace) -> Result<BTreeMap<String, RuleView>, Fault> {
    let mut rules = BTreeMap::new();
    if *namespace == Namespace::default() {
        rules.extend(starting_rules().map(|rule| (rule.id.clone(), rule)));
    }
    for ((_, id), kept) in book.rules(Some(namespace))? {
        match kept {
            Some(rule) => rules.insert(id, rule),
            None => rules.remove(&id),
        };
    }
    Ok(rules)
}
