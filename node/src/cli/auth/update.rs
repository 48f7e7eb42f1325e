//! `micro-node auth update`.

use super::{
    create::Access,
    done,
    failure::Failure,
    globals::Globals,
    hint,
    list::{AccountItem, RuleItem},
    output::Output,
    session,
    shape::{ItemShape, Shapes},
    unit,
};
use clap::{ArgGroup, Args, Subcommand};
use micro_sdk::client::{AccountChange, RuleChange};

/// Change a rule or an account, in one step
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node auth update account jane --add-scope support --metadata team=billing
  micro-node auth update account jane --remove-scope billing     ends its logins and tokens
  micro-node auth update rule billing --resource 'service:billing:*' --priority 20
  micro-node auth update rule guests --access denied")]
pub(super) struct Update {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Rule(UpdateRule),
    Account(UpdateAccount),
}

/// Make another of a rule; what is not said stays as it is
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true))]
#[command(after_help = "\
Examples:
  micro-node auth update rule clerks --access denied
  micro-node auth update rule clerks --resource 'service:shop:Cart.*' --priority 5")]
struct UpdateRule {
    /// Which one
    id: String,

    /// Whom it is about: a scope, service:NAME, *, +, NAMESPACE/SCOPE, public or loopback
    #[arg(long, group = "change")]
    scope: Option<String>,

    /// What it is about, as TYPE:NAME:ENDPOINT
    #[arg(long, group = "change")]
    resource: Option<String>,

    /// Whether it gives or takes
    #[arg(long, group = "change")]
    access: Option<Access>,

    /// Of those that apply, the highest decide
    #[arg(long, group = "change", allow_negative_numbers = true)]
    priority: Option<i32>,

    /// Only check it, and say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// Give an account other scopes and notes
///
/// If it loses a scope, all its logins and tokens end on all nodes. One that it gains counts from its next token on:
/// within a quarter of an hour, or when it logs in again.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true))]
#[command(after_help = "\
Examples:
  micro-node auth update account jane --add-scope manager
  micro-node auth update account jane --remove-scope clerk --metadata team=west")]
struct UpdateAccount {
    /// Which one
    name: String,

    /// What it may act as besides; may be given several times
    #[arg(long = "add-scope", value_name = "SCOPE", value_delimiter = ',', group = "change")]
    add_scopes: Vec<String>,

    /// What it may act as no more; may be given several times
    #[arg(long = "remove-scope", value_name = "SCOPE", value_delimiter = ',', group = "change")]
    remove_scopes: Vec<String>,

    /// A note that is set, or taken away by an empty TEXT; may be given several times
    #[arg(long = "metadata", value_name = "NAME=TEXT", value_parser = unit::pair, group = "change")]
    metadata: Vec<(String, String)>,

    /// Only check it, and say what would be done
    #[arg(long)]
    dry_run: bool,
}

const RULE: ItemShape<RuleItem<'static>> = ItemShape::new("auth-updated-rule", &["auth update rule"]);
const ACCOUNT: ItemShape<AccountItem<'static>> =
    ItemShape::new("auth-updated-account", &["auth update account"]);

pub(super) const SHAPES: Shapes = &[&RULE, &ACCOUNT];

impl Update {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        match self.what {
            What::Rule(rule) => rule.run(globals, output),
            What::Account(account) => account.run(globals, output),
        }
    }
}

impl UpdateRule {
    fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let UpdateRule { id, scope, resource, access, priority, dry_run } = self;
        let denies = access.map(|access| access == Access::Denied);
        let change = RuleChange { scope, resource, denies, priority };
        let rule = session::run(globals, async |node| {
            match node.auth().dry_run(dry_run).update_rule(id.clone(), change).await {
                Ok(rule) => Ok(rule),
                Err(fault) => Err(hint::rule(fault, &node, &id).await.into()),
            }
        })?;
        if output.json() {
            return output.item(&RULE, &RuleItem::from(&rule));
        }
        output.remark(&format!("rule {} {}", rule.id, done(dry_run, "changed")));
        Ok(())
    }
}

impl UpdateAccount {
    fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let UpdateAccount { name, add_scopes, remove_scopes, metadata, dry_run } = self;
        let ends = !remove_scopes.is_empty();
        let change = AccountChange { add_scopes, remove_scopes, metadata: metadata.into_iter().collect() };
        let account = session::run(globals, async |node| {
            match node.auth().dry_run(dry_run).update_account(name.clone(), change).await {
                Ok(account) => Ok(account),
                Err(fault) => Err(hint::account(fault, &node, &name).await.into()),
            }
        })?;
        if output.json() {
            return output.item(&ACCOUNT, &AccountItem::from(&account));
        }
        let ended = match (ends, dry_run) {
            (true, true) => ", and all its logins and tokens would end",
            (true, false) => ", and all its logins and tokens have ended",
            (false, _) => "",
        };
        output.remark(&format!("account {} {}{ended}", account.name, done(dry_run, "changed")));
        Ok(())
    }
}
