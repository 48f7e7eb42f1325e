//! `micro-node auth`: accounts, rules, keys, and what they decide.

mod check;
mod create;
mod delete;
mod inspect;
mod keys;
mod list;
mod update;

use super::{
    confirmation,
    failure::{self, Failure},
    globals::{self, Globals},
    hint,
    output::{self, Output},
    secret, session,
    shape::{self, Shapes},
    table, unit,
};
use clap::{Args, Subcommand};

/// What has become, or would become, of what a command is about.
fn done(dry_run: bool, what: &str) -> String {
    if dry_run { format!("would be {what}: nothing is done") } else { format!("is {what}") }
}

const EXAMPLES: &str = "\
Examples:
  micro-node auth create account jane --scope billing > jane.secret
  micro-node auth create rule billing --scope billing --resource 'service:billing:*'
  micro-node auth create rule crm --scope '*' --resource 'store:crm/*:read'
  micro-node auth check --account jane service:billing:Refund
  micro-node auth list rules
  micro-node auth update account jane --add-scope support
  micro-node auth delete account jane

A resource is TYPE:NAME:ENDPOINT, and * stands for any text in each part:
  service:NAME:HANDLER.METHOD      store:DATABASE/TABLE:read|write    config:PATH:read|write|secrets
  blob:NAME:read|write             registry:SERVICE:read|write        network:members|tokens|status|…:read|write
  auth:accounts|rules|keys:read|write
A rule's scope says whom it is about: a scope of accounts, service:NAME for one service, * for all accounts of its \
namespace, + for those of any, NAMESPACE/SCOPE for those of another, public for anybody, loopback for who comes from \
this host and is not known. \
The rules of the highest priority decide, and of equals those that deny; what no rule is about is denied. A rule is \
about what belongs to its --namespace; what belongs to the whole mesh is decided by the rules of default.

Only admins change rules, and may do everything with accounts: root, the node's user, and accounts with the scope \
admin of the same namespace or of default. Whoever else has the right auth:accounts:write makes, changes and ends \
accounts of the kind user with scopes that they have themselves.";

/// Accounts and rules: who may come in, and who may do what
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct AuthCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::List),
    Create(create::Create),
    Update(update::Update),
    Delete(delete::Delete),
    Revoke(delete::Revoke),
    Check(check::Check),
    Inspect(inspect::Inspect),
    Keys(keys::Keys),
}

pub(super) const SHAPES: &[Shapes] = &[
    check::SHAPES,
    create::SHAPES,
    delete::SHAPES,
    inspect::SHAPES,
    keys::SHAPES,
    list::SHAPES,
    update::SHAPES,
];

impl AuthCommand {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        match self.verb {
            Verb::List(verb) => verb.run(globals, output),
            Verb::Create(verb) => verb.run(globals, output),
            Verb::Update(verb) => verb.run(globals, output),
            Verb::Delete(verb) => verb.run(globals, output),
            Verb::Revoke(verb) => verb.run(globals, output),
            Verb::Check(verb) => verb.run(globals, output),
            Verb::Inspect(verb) => verb.run(globals, output),
            Verb::Keys(verb) => verb.run(globals, output),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn every_verb_has_help_with_an_example() {
        let command = crate::cli::Cli::command();
        let auth = command.find_subcommand("auth").expect("it is a command");
        for verb in auth.get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Example"), "auth {} shows no example", verb.get_name());
        }
    }
}
