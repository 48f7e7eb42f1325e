//! Rules are made, changed and taken away.

use crate::{
    auth::{
        Accounts, CreateRuleRequest, UpdateRuleRequest,
        accounts::Plan,
        book::{self, Book},
        rule::{RULES_MAX, Rule, RuleView, StoredRule, rule_id, starting_rules},
        standing::must_be_admin,
    },
    store::{RecordCompare, RecordOp},
};
use micro_sdk::wire::{Caller, Code, Fault, Namespace};
use std::collections::BTreeMap;
use tokio::time::Instant;

impl Accounts {
    /// Makes a rule. It decides here and everywhere a moment later.
    ///
    /// # Errors
    /// [`Code::Denied`] to who is no admin, [`Code::Conflict`] if there is one of this id, [`Code::Usage`] if it can't
    /// be read or there are too many, or why the group did not take it.
    pub async fn create_rule(
        &self,
        by: &Caller,
        request: CreateRuleRequest,
        deadline: Instant,
    ) -> Result<RuleView, Fault> {
        must_be_admin(by, &request.namespace)?;
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
            put(book, &namespace, rule.clone())
        })
        .await
    }

    /// Makes another of a rule: one record in place of the other, so that there is no moment without it.
    ///
    /// # Errors
    /// [`Code::Denied`] to who is no admin, [`Code::NotFound`] if there is none of this id, [`Code::Usage`] if it can't
    /// be read, or why the group did not take it.
    pub async fn update_rule(
        &self,
        by: &Caller,
        request: UpdateRuleRequest,
        deadline: Instant,
    ) -> Result<RuleView, Fault> {
        must_be_admin(by, &request.namespace)?;
        let time_ms = self.parts.consensus.time_ms();
        self.change(deadline, move |book| {
            let UpdateRuleRequest { namespace, id, scope, resource, access, priority, who } = &request;
            let before = rules(book, namespace)?.remove(id).ok_or_else(|| no_rule(namespace, id))?;
            let rule = RuleView {
                scope: scope.clone().unwrap_or(before.scope),
                resource: resource.clone().unwrap_or(before.resource),
                access: access.unwrap_or(before.access),
                priority: priority.unwrap_or(before.priority),
                who: who.clone(),
                time_ms,
                id: before.id,
            };
            let compiled = Rule::compile(namespace, &rule)?;
            // One that was made before there was this check can be changed otherwise.
            if resource.is_some() {
                compiled.pattern.check_known()?;
            }
            put(book, namespace, rule)
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
    /// [`Code::Denied`] to who is no admin, [`Code::NotFound`] if there is none, or why the group did not take it.
    pub async fn delete_rule(
        &self,
        by: &Caller,
        namespace: Namespace,
        id: String,
        deadline: Instant,
    ) -> Result<(), Fault> {
        must_be_admin(by, &namespace)?;
        self.change(deadline, move |book| {
            if !rules(book, &namespace)?.contains_key(&id) {
                return Err(no_rule(&namespace, &id));
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

fn no_rule(namespace: &Namespace, id: &str) -> Fault {
    Fault::new(Code::NotFound, format!("no rule {id:?} in namespace {namespace}"))
        .help("see `micro-node auth list rules`")
}

/// A write of a rule, in place of what is kept under its id.
fn put(book: &Book<'_>, namespace: &Namespace, rule: RuleView) -> Result<Plan<RuleView>, Fault> {
    let key = book::within(namespace, &rule.id);
    let version = book.rule(namespace, &rule.id)?.map_or(0, |(_, version)| version);
    let compares = vec![RecordCompare::version(book::rules(), key.clone(), version)];
    let then = vec![book::write(book::rules(), key, &StoredRule::Rule(rule.clone()))];
    Ok(Plan::make(compares, then, rule))
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
