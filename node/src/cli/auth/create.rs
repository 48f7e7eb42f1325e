//! `micro-node auth create`.

use super::{
    done,
    failure::Failure,
    globals::Globals,
    list::{AccountItem, RuleItem},
    output::{Format, Output},
    secret, session,
    shape::{ItemShape, Shapes},
    unit,
};
use clap::{Args, Subcommand, ValueEnum};
use micro_sdk::{
    client::{NewAccount, NewRule, Token},
    wire::AccountKind,
};
use schemars::JsonSchema;
use serde::Serialize;

/// The variable with the secret of the account that is made.
const SECRET: &str = "MICRO_NODE_ACCOUNT_SECRET";

/// Make a rule or an account
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node auth create account jane --scope billing --scope support > jane.secret
  micro-node auth create account mailer --kind service --secret @mailer.secret
  micro-node auth create rule billing --scope billing --resource 'service:billing:*' --priority 10
  micro-node auth create rule no-wiping --scope '*' --resource 'service:*:Wipe' --access denied --priority 10
  micro-node auth create rule guests --scope 'acme/*' --resource 'blob:shared/*:read'")]
pub(super) struct Create {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Rule(CreateRule),
    Account(CreateAccount),
}

/// Make a rule of a namespace
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node auth create rule clerks --scope clerk --resource 'service:shop:*'
  micro-node auth create rule no-refunds --scope clerk --resource 'service:shop:Refunds.*' --access denied --priority 10
  micro-node auth create rule readers --scope reader --resource 'store:orders:read'")]
struct CreateRule {
    /// What to call it
    id: String,

    /// Whom it is about: a scope, service:NAME, *, +, NAMESPACE/SCOPE, public or loopback
    #[arg(long)]
    scope: String,

    /// What it is about, as TYPE:NAME:ENDPOINT
    #[arg(long)]
    resource: String,

    /// Whether it gives or takes
    #[arg(long, default_value = "granted")]
    access: Access,

    /// Of those that apply, the highest decide
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    priority: i32,

    /// Only check it, and say what would be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Access {
    Granted,
    Denied,
}

/// Make an account of a namespace; a secret that the node makes for it is printed, this once
///
/// With -o name it is printed on stderr.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node auth create account jane --scope clerk
  micro-node auth create account jane --scope clerk --secret @jane.secret")]
struct CreateAccount {
    /// What to call it
    name: String,

    /// What it is for: user, service or node
    #[arg(long, default_value = "user")]
    kind: AccountKind,

    /// What it may act as; may be given several times
    #[arg(long = "scope", visible_alias = "scopes", value_name = "SCOPE", value_delimiter = ',')]
    scopes: Vec<String>,

    /// A note; may be given several times
    #[arg(long = "metadata", value_name = "NAME=TEXT", value_parser = unit::pair)]
    metadata: Vec<(String, String)>,

    /// Its secret, as @FILE or - for stdin, instead of one that the node makes [env: MICRO_NODE_ACCOUNT_SECRET]
    #[arg(long, value_name = "@FILE|-", allow_hyphen_values = true)]
    secret: Option<String>,

    /// Only check it, and say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// An account that was made.
#[derive(Serialize, JsonSchema)]
struct CreatedItem<'a> {
    /// The account.
    #[serde(flatten)]
    account: AccountItem<'a>,
    /// The secret that the node made for it, shown this once; none if it was given one.
    secret: Option<&'a str>,
}

const RULE: ItemShape<RuleItem<'static>> = ItemShape::new("auth-rule", &["auth create rule"]);
const ACCOUNT: ItemShape<CreatedItem<'static>> = ItemShape::new("auth-account", &["auth create account"]);

pub(super) const SHAPES: Shapes = &[&RULE, &ACCOUNT];

impl Create {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        match self.what {
            What::Rule(rule) => rule.run(globals, output),
            What::Account(account) => account.run(globals, output),
        }
    }
}

impl CreateRule {
    fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let CreateRule { id, scope, resource, access, priority, dry_run } = self;
        let new = NewRule { scope, resource, denies: access == Access::Denied, priority };
        let rule = session::run(globals, async |node| {
            Ok(node.auth().dry_run(dry_run).create_rule(id, new).await?)
        })?;
        if output.json() {
            return output.item(&RULE, &RuleItem::from(&rule));
        }
        output.remark(&format!("rule {} {}", rule.id, done(dry_run, "made")));
        Ok(())
    }
}

impl CreateAccount {
    fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let secret = secret::read("--secret", self.secret.as_deref(), SECRET)?;
        let new = NewAccount {
            kind: self.kind,
            scopes: self.scopes,
            metadata: self.metadata.into_iter().collect(),
            secret: secret.map(|secret| Token::new(secret.as_str())),
        };
        let created = session::run(globals, async |node| {
            Ok(node.auth().dry_run(self.dry_run).create_account(self.name, new).await?)
        })?;
        let secret = created.secret.as_ref().map(Token::expose);
        if output.json() {
            // Names are all that this format has, and the secret is not shown again.
            if let Some(secret) = secret.filter(|_| output.format() == Format::Name) {
                output.error(&format!("the secret of the account, shown this once: {secret}"));
            }
            let item = CreatedItem { account: AccountItem::from(&created.account), secret };
            return output.item(&ACCOUNT, &item);
        }
        let name = &created.account.name;
        if let Some(secret) = secret {
            output.text(secret)?;
            output.remark(&format!("account {name} is made; this is its secret, shown this once"));
        } else {
            output.remark(&format!("account {name} {}", done(self.dry_run, "made")));
        }
        Ok(())
    }
}
