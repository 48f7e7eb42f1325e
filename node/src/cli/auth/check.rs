//! `micro-node auth check`.

use super::{
    failure::Failure,
    globals::Globals,
    hint,
    output::Output,
    secret, session,
    shape::{ItemShape, Shapes},
    table::{Table, Tone},
};
use clap::Args;
use micro_sdk::{
    client::{CheckedFor, Token},
    wire::{Code, Namespace},
};
use schemars::JsonSchema;
use serde::Serialize;

/// Tell whether something may be done, and why: by you, whoever a --token is of, or somebody else
///
/// Ends with 0 if it may, and with 4 if it may not.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node auth check --account jane service:billing:Refund
  micro-node auth check --token @jane.token store:crm/people:read
  micro-node auth check --anonymous service:helloworld:Greeter.call")]
pub(super) struct Check {
    /// What, as TYPE:NAME:ENDPOINT
    resource: String,

    /// An account, of this --namespace unless another is said
    #[arg(long, value_name = "NAME", conflicts_with = "anonymous")]
    account: Option<String>,

    /// The namespace of the account
    #[arg(long, value_name = "NAME", requires = "account")]
    account_namespace: Option<Namespace>,

    /// Who shows no token and comes by a listener on loopback
    #[arg(long)]
    anonymous: bool,
}

/// Whether something may be done, and why.
#[derive(Serialize, JsonSchema)]
struct CheckItem<'a> {
    /// Whether it may be done.
    granted: bool,
    /// Whom it is about, as refusals name them.
    subject: &'a str,
    /// What the account may act as.
    scopes: &'a [String],
    /// What would be done, as `TYPE:NAME:ENDPOINT`.
    resource: &'a str,
    /// The rule that decided, if one did.
    rule: Option<&'a str>,
    /// The rule that comes closest to granting it, if there is one.
    nearest: Option<&'a str>,
    /// What of that rule does not fit.
    nearest_unfit: &'a str,
    /// The same in words.
    why: &'a str,
}

const CHECK: ItemShape<CheckItem<'static>> = ItemShape::new("auth-check", &["auth check"]);

pub(super) const SHAPES: Shapes = &[&CHECK];

impl Check {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let given = secret::read("--token", globals.token.as_deref(), "MICRO_NODE_TOKEN")?;
        // The admin secret is no token: who shows that asks for themselves.
        let token = given.filter(|token| token.contains('.'));
        let subject = match (self.account, token) {
            (Some(name), _) => {
                let namespace = self.account_namespace.as_ref().unwrap_or(&globals.namespace).to_string();
                CheckedFor::Account { namespace, name }
            }
            (None, _) if self.anonymous => CheckedFor::Anonymous { loopback: true },
            (None, Some(token)) => CheckedFor::Token(Token::new(token.as_str())),
            (None, None) => CheckedFor::Caller,
        };
        let named = match &subject {
            CheckedFor::Account { name, .. } => name.clone(),
            _ => String::new(),
        };
        let checked =
            session::run(globals, async |node| match node.auth().check(subject, &self.resource).await {
                Ok(checked) => Ok(checked),
                Err(fault) => Err(hint::account(fault, &node, &named).await.into()),
            })?;
        if output.json() {
            let item = CheckItem {
                granted: checked.granted,
                subject: &checked.subject,
                scopes: &checked.scopes,
                resource: &self.resource,
                rule: checked.rule.as_deref(),
                nearest: checked.nearest.as_deref(),
                nearest_unfit: &checked.nearest_unfit,
                why: &checked.why,
            };
            output.item(&CHECK, &item)?;
        } else {
            let (word, tone) = match checked.granted {
                true => ("GRANTED", Tone::Plain),
                false => ("DENIED", Tone::Warning),
            };
            let mut table = Table::new(["ACCESS", "WHO", "RESOURCE", "WHY"]);
            table.row_in(tone, [word.to_owned(), checked.subject, self.resource, checked.why]);
            output.table(&table, "")?;
        }
        if checked.granted { Ok(()) } else { Err(Failure::Answered(Code::Denied.exit_code())) }
    }
}
