//! `micro-node auth list`.

use super::{
    failure::Failure,
    globals::Globals,
    output::Output,
    session,
    shape::{ListShape, Shapes},
    table::{NOTHING, Table, Tone},
    unit::rfc3339,
};
use clap::{Args, ValueEnum};
use micro_sdk::client::{Account, Rule};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// List the rules or accounts of a namespace
///
/// Rules are listed in the order in which they decide. Each service that is attached is an account too, of the kind
/// service: `micro-node services` lists those.
#[derive(Debug, Args)]
#[command(
    visible_alias = "ls",
    after_help = "\
Examples:
  micro-node auth list rules
  micro-node auth list accounts --namespace acme -o json"
)]
pub(super) struct List {
    what: What,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    Rules,
    Accounts,
}

/// A rule of a namespace.
#[derive(Serialize, JsonSchema)]
pub(super) struct RuleItem<'a> {
    /// What it is called.
    id: &'a str,
    /// Whom it is about; empty for anybody.
    scope: &'a str,
    /// `granted` or `denied`.
    access: &'static str,
    /// What it is about, as `TYPE:NAME:ENDPOINT` with stars.
    resource: &'a str,
    /// Of those that apply, the highest decide; of equals, those that deny.
    priority: i32,
    /// Who made it.
    who: &'a str,
    /// When it was made: RFC 3339; none for those that a mesh begins with.
    time: Option<String>,
}

/// An account of a namespace.
#[derive(Serialize, JsonSchema)]
pub(super) struct AccountItem<'a> {
    /// Its namespace.
    namespace: &'a str,
    /// What it is called there.
    name: &'a str,
    /// `user`, `service` or `node`.
    kind: &'a str,
    /// What it may act as.
    scopes: &'a [String],
    /// Notes.
    metadata: &'a BTreeMap<String, String>,
    /// Who made it.
    who: &'a str,
    /// When it was made: RFC 3339.
    created: String,
}

/// What there is to say of the list.
#[derive(Serialize, JsonSchema)]
struct Summary {
    /// How many are listed.
    count: usize,
}

const RULES: ListShape<RuleItem<'static>, Summary> = ListShape::new("auth-rules", &["auth list rules"]);
const ACCOUNTS: ListShape<AccountItem<'static>, Summary> =
    ListShape::new("auth-accounts", &["auth list accounts"]);

pub(super) const SHAPES: Shapes = &[&RULES, &ACCOUNTS];

impl<'a> From<&'a Rule> for RuleItem<'a> {
    fn from(rule: &'a Rule) -> Self {
        let Rule { id, scope, resource, denies, priority, who, time } = rule;
        let access = access(*denies);
        RuleItem { id, scope, access, resource, priority: *priority, who, time: time.map(rfc3339) }
    }
}

impl<'a> From<&'a Account> for AccountItem<'a> {
    fn from(account: &'a Account) -> Self {
        let Account { namespace, name, kind, scopes, metadata, created, who } = account;
        AccountItem { namespace, name, kind, scopes, metadata, who, created: rfc3339(*created) }
    }
}

fn access(denies: bool) -> &'static str {
    if denies { "denied" } else { "granted" }
}

impl List {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        match self.what {
            What::Rules => {
                let rules = session::run(globals, async |node| Ok(node.auth().rules().await?))?;
                show_rules(&rules, output)
            }
            What::Accounts => {
                let accounts = session::run(globals, async |node| Ok(node.auth().accounts().await?))?;
                show_accounts(&accounts, output)
            }
        }
    }
}

fn show_rules(rules: &[Rule], output: &Output) -> Result<(), Failure> {
    if output.json() {
        let items: Vec<RuleItem<'_>> = rules.iter().map(RuleItem::from).collect();
        return output.items(&RULES, &items, &Summary { count: items.len() });
    }
    let mut table = Table::new(["ID", "SCOPE", "ACCESS", "RESOURCE", "PRIORITY"]);
    for rule in rules {
        let tone = if rule.denies { Tone::Warning } else { Tone::Plain };
        let scope = if rule.scope.is_empty() { "public".to_owned() } else { rule.scope.clone() };
        let access = access(rule.denies).to_uppercase();
        table
            .row_in(tone, [rule.id.clone(), scope, access, rule.resource.clone(), rule.priority.to_string()]);
    }
    output.table(&table, "there are no rules: everything is denied to all but the admin")
}

fn show_accounts(accounts: &[Account], output: &Output) -> Result<(), Failure> {
    if output.json() {
        let items: Vec<AccountItem<'_>> = accounts.iter().map(AccountItem::from).collect();
        return output.items(&ACCOUNTS, &items, &Summary { count: items.len() });
    }
    let mut table = Table::new(["NAME", "KIND", "SCOPES", "METADATA", "CREATED"]);
    let or_nothing = |text: String| if text.is_empty() { NOTHING.to_owned() } else { text };
    for account in accounts {
        let notes: Vec<String> =
            account.metadata.iter().map(|(name, text)| format!("{name}={text}")).collect();
        table.row([
            account.name.clone(),
            account.kind.clone(),
            or_nothing(account.scopes.join(",")),
            or_nothing(notes.join(",")),
            rfc3339(account.created),
        ]);
    }
    output.table(&table, "there are no accounts here: micro-node auth create account NAME makes one")
}
