//! `micro-node auth delete` and `micro-node auth revoke`.

use super::{confirmation, failure::Failure, globals::Globals, output::Output, session};
use clap::{Args, Subcommand};
use micro_sdk::wire::AccountKind;

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
    Rule {
        /// Which one
        id: String,
    },
    /// Take an account away: its logins and tokens end within a second on all nodes
    Account {
        /// Which one
        name: String,
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

impl Delete {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let namespace = &globals.namespace;
        match self.what {
            What::Rule { id } => {
                confirmation::ask(globals, &format!("Delete the rule {id} of namespace {namespace}?"))?;
                session::run(globals, async |node| Ok(node.auth().delete_rule(&id).await?))?;
                output.remark(&format!("rule {id} is deleted"));
            }
            What::Account { name } => {
                let question =
                    format!("Delete the account {name} of namespace {namespace}, and end all that it does?");
                confirmation::ask(globals, &question)?;
                session::run(globals, async |node| Ok(node.auth().delete_account(&name).await?))?;
                output.remark(&format!("account {name} is deleted"));
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
            _ => Ok(node.auth().revoke_account(&name).await?),
        })?;
        output.remark(&format!("all logins and tokens of {name} have ended"));
        Ok(())
    }
}
