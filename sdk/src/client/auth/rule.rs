//! Rules: who may do what, or may not.

use super::{Auth, missing, time_of};
use crate::{
    client::{Token, node::Stake},
    proto::{self, check_request::Subject},
    wire::Fault,
};
use std::time::SystemTime;

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it is called in its namespace.
    pub id: String,
    /// Whom it is about.
    pub scope: String,
    /// What it is about: `type:name:endpoint`, with stars.
    pub resource: String,
    /// Whether it takes, instead of giving.
    pub denies: bool,
    /// Of those that apply, the highest decide; of equals, those that take.
    pub priority: i32,
    /// Who made it.
    pub who: String,
    /// When it was made; none for those that a mesh begins with.
    pub time: Option<SystemTime>,
}

impl From<proto::Rule> for Rule {
    fn from(rule: proto::Rule) -> Rule {
        let proto::Rule { id, scope, resource, denies, priority, who, time_ms } = rule;
        Rule { id, scope, resource, denies, priority, who, time: (time_ms > 0).then(|| time_of(time_ms)) }
    }
}

/// A rule that is to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRule {
    /// Whom it is about: a scope of accounts, `service:NAME` for one service, `*` for all accounts of the namespace,
    /// `+`
    /// for those of any, `NAMESPACE/SCOPE`, `public` or `loopback`.
    pub scope: String,
    /// What it is about: `type:name:endpoint`, with stars.
    pub resource: String,
    /// Whether it takes, instead of giving.
    pub denies: bool,
    /// Of those that apply, the highest decide.
    pub priority: i32,
}

/// What of a rule is to be another; what is none stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleChange {
    /// Whom it is about.
    pub scope: Option<String>,
    /// What it is about.
    pub resource: Option<String>,
    /// Whether it takes, instead of giving.
    pub denies: Option<bool>,
    /// Of those that apply, the highest decide.
    pub priority: Option<i32>,
}

/// Whom a check is about.
#[derive(Clone, Debug)]
pub enum CheckedFor {
    /// The caller.
    Caller,
    /// An account of a namespace.
    Account {
        /// The tenant.
        namespace: String,
        /// The account.
        name: String,
    },
    /// Whose token this is.
    Token(Token),
    /// Who shows nothing.
    Anonymous {
        /// By a listener on loopback.
        loopback: bool,
    },
}

/// What the rules say, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Whether it may be done.
    pub granted: bool,
    /// Whom it is about, as refusals name them.
    pub subject: String,
    /// What the account may act as.
    pub scopes: Vec<String>,
    /// The rule that decided.
    pub rule: Option<String>,
    /// The rule that comes closest to granting it.
    pub nearest: Option<String>,
    /// What of that rule does not fit.
    pub nearest_unfit: String,
    /// In words.
    pub why: String,
}

impl Auth {
    /// Makes a rule of this namespace.
    ///
    /// # Errors
    /// `Conflict` if there is one of this id, `Usage` if it can't be read; else as every request.
    pub async fn create_rule(&self, id: impl Into<String>, rule: NewRule) -> Result<Rule, Fault> {
        let NewRule { scope, resource, denies, priority } = rule;
        let (namespace, id, dry_run) = (self.namespace(), id.into(), self.dry_run);
        let message = proto::CreateRuleRequest { namespace, id, scope, resource, denies, priority, dry_run };
        let mut client = self.node.auth_client();
        let sent = |request| async move { client.create_rule(request).await };
        let response = self.node.ask(Stake::Call, self.node.timeout(), message, sent).await?;
        response.rule.map(Rule::from).ok_or_else(|| missing("the rule"))
    }

    /// The rules of this namespace, in the order in which they decide.
    ///
    /// # Errors
    /// As every request.
    pub async fn rules(&self) -> Result<Vec<Rule>, Fault> {
        let mut client = self.node.auth_client();
        let sent = |request| async move { client.list_rules(request).await };
        let message = proto::ListRulesRequest { namespace: self.namespace() };
        let response = self.node.ask(Stake::Read, self.node.timeout(), message, sent).await?;
        Ok(response.rules.into_iter().map(Rule::from).collect())
    }

    /// Makes another of a rule, in one step: there is no moment without it.
    ///
    /// # Errors
    /// `NotFound` if there is none, `Usage` if it can't be read; else as every request.
    pub async fn update_rule(&self, id: impl Into<String>, change: RuleChange) -> Result<Rule, Fault> {
        let RuleChange { scope, resource, denies, priority } = change;
        let (namespace, id, dry_run) = (self.namespace(), id.into(), self.dry_run);
        let message = proto::UpdateRuleRequest { namespace, id, scope, resource, denies, priority, dry_run };
        let mut client = self.node.auth_client();
        let sent = |request| async move { client.update_rule(request).await };
        let response = self.node.ask(Stake::Call, self.node.timeout(), message, sent).await?;
        response.rule.map(Rule::from).ok_or_else(|| missing("the rule"))
    }

    /// Takes a rule away.
    ///
    /// # Errors
    /// `NotFound` if there is none; else as every request.
    pub async fn delete_rule(&self, id: impl Into<String>) -> Result<(), Fault> {
        let (namespace, id, dry_run) = (self.namespace(), id.into(), self.dry_run);
        let message = proto::DeleteRuleRequest { namespace, id, dry_run };
        let mut client = self.node.auth_client();
        let sent = |request| async move { client.delete_rule(request).await };
        self.node.ask(Stake::Call, self.node.timeout(), message, sent).await.map(drop)
    }

    /// What the rules of this namespace say of a request for `resource`, as `type:name:endpoint`, and why.
    ///
    /// # Errors
    /// `NotFound` if there is no such account, `Denied` if the token is not good, or the caller may not read rules and
    /// asks about others; else as every request.
    pub async fn check(&self, subject: CheckedFor, resource: impl Into<String>) -> Result<Checked, Fault> {
        let mut account_namespace = String::new();
        let subject = match subject {
            CheckedFor::Caller => None,
            CheckedFor::Account { namespace, name } => {
                account_namespace = namespace;
                Some(Subject::Account(name))
            }
            CheckedFor::Token(token) => Some(Subject::Token(token.expose().to_owned())),
            CheckedFor::Anonymous { loopback } => Some(Subject::AnonymousOnLoopback(loopback)),
        };
        let (namespace, resource) = (self.namespace(), resource.into());
        let message = proto::CheckRequest { namespace, resource, account_namespace, subject };
        let mut client = self.node.auth_client();
        let sent = |request| async move { client.check(request).await };
        let response = self.node.ask(Stake::Read, self.node.timeout(), message, sent).await?;
        let proto::CheckResponse { granted, subject, scopes, rule, nearest, nearest_unfit, why } = response;
        Ok(Checked { granted, subject, scopes, rule, nearest, nearest_unfit, why })
    }
}
