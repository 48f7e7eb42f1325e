//! `micro-node auth delete` and `micro-node auth revoke`.

use super::{
    confirmation, done,
    failure::Failure,
    globals::Globals,
    hint,
    output::Output,
    session,
    shape::{ItemShape, Shapes},
};
use clap::{Args, Subcommand};
use micro_sdk::wire::AccountKind;
use schemars::JsonSchema;
use serde::Serialize;

/// Take a rule or an account away
#[derive(Debug, Args)]
#[command(
    visible_alias = "rm",
    after_help = "\
Examples:
  micro-node auth delete rule loopback       nobody calls services without a token any more
  micro-node auth delete account jane --yes"
)]
pub(super) struct Delete {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Take a rule away: what it gave is denied within a second on all nodes, what it took is not
    #[command(after_help = "\
Example:
  micro-node auth delete rule clerks")]
    Rule {
        /// Which one
        id: String,

        /// Only check it, and say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Take an account away: its logins and tokens end within a second on all nodes
    #[command(after_help = "\
Example:
  micro-node auth delete account jane")]
    Account {
        /// Which one
        name: String,

        /// Only check it, and say what would be done
        #[arg(long)]
        dry_run: bool,
    },
}

/// End all logins and tokens of an account or a service, on all nodes; it may log in again
///
/// A service that is attached is given another token by its node, for as long as it is: to keep it from something, make
/// a rule that denies it to service:NAME.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node auth revoke jane --yes
  micro-node auth revoke shop --kind service --yes       also if it has detached")]
pub(super) struct Revoke {
    /// Which account
    account: String,

    /// That a service is meant, by `service`: its last token outlives it by a quarter of an hour
    #[arg(long)]
    kind: Option<AccountKind>,
}

/// What became of a rule.
#[derive(Serialize, JsonSchema)]
struct RuleItem<'a> {
    /// The namespace that it was of.
    namespace: &'a str,
    /// What it was called.
    id: &'a str,
    /// Whether it is gone.
    deleted: bool,
}

/// What became of an account.
#[derive(Serialize, JsonSchema)]
struct AccountItem<'a> {
    /// The namespace that it was of.
    namespace: &'a str,
    /// What it was called.
    name: &'a str,
    /// Whether it is gone.
    deleted: bool,
}

/// What became of the logins of an account.
#[derive(Serialize, JsonSchema)]
struct RevokeItem<'a> {
    /// The namespace that it is of.
    namespace: &'a str,
    /// What it is called.
    name: &'a str,
    /// Whether its logins and tokens have ended.
    revoked: bool,
}

const RULE: ItemShape<RuleItem<'static>> = ItemShape::new("auth-delete-rule", &["auth delete rule"]);
const ACCOUNT: ItemShape<AccountItem<'static>> =
    ItemShape::new("auth-delete-account", &["auth delete account"]);
const REVOKE: ItemShape<RevokeItem<'static>> = ItemShape::new("auth-revoke", &["auth revoke"]);

pub(super) const SHAPES: Shapes = &[&RULE, &ACCOUNT, &REVOKE];

impl Delete {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let namespace = &globals.namespace;
        match self.what {
            What::Rule { id, dry_run } => {
                if !dry_run {
                    confirmation::ask(globals, &format!("Delete the rule {id} of namespace {namespace}?"))?;
                }
                session::run(globals, async |node| {
                    match node.auth().dry_run(dry_run).delete_rule(&id).await {
                        Ok(()) => Ok(()),
                        Err(fault) => Err(hint::rule(fault, &node, &id).await.into()),
                    }
                })?;
                if output.json() {
                    let item = RuleItem { namespace: namespace.as_str(), id: &id, deleted: !dry_run };
                    return output.item(&RULE, &item);
                }
                output.remark(&format!("rule {id} {}", done(dry_run, "deleted")));
            }
            What::Account { name, dry_run } => {
                let question =
                    format!("Delete the account {name} of namespace {namespace}, and end all that it does?");
                if !dry_run {
                    confirmation::ask(globals, &question)?;
                }
                session::run(globals, async |node| {
                    match node.auth().dry_run(dry_run).delete_account(&name).await {
                        Ok(()) => Ok(()),
                        Err(fault) => Err(hint::account(fault, &node, &name).await.into()),
                    }
                })?;
                if output.json() {
                    let item = AccountItem { namespace: namespace.as_str(), name: &name, deleted: !dry_run };
                    return output.item(&ACCOUNT, &item);
                }
                output.remark(&format!("account {name} {}", done(dry_run, "deleted")));
            }
        }
        Ok(())
    }
}

impl Revoke {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let (name, namespace) = (self.account, &globals.namespace);
        confirmation::ask(
            globals,
            &format!("End all logins of the account {name} of namespace {namespace}?"),
        )?;
        session::run(globals, async |node| match self.kind {
            Some(AccountKind::Service) => Ok(node.auth().revoke_service(&name).await?),
            _ => match node.auth().revoke_account(&name).await {
                Ok(()) => Ok(()),
                Err(fault) => Err(hint::account(fault, &node, &name).await.into()),
            },
        })?;
        if output.json() {
            let item = RevokeItem { namespace: namespace.as_str(), name: &name, revoked: true };
            return output.item(&REVOKE, &item);
        }
        output.remark(&format!("all logins and tokens of {name} have ended"));
        Ok(())
    }
}
