//! The command tree with what is there just now: services, their endpoints and fields, accounts, nodes and the like.

use super::{
    super::{Cli, dynamic, profile::Profile},
    names::Names,
    typed::Typed,
};
use crate::request::{Schema, Spellings};
use clap::{Arg, Command, CommandFactory};
use clap_complete::engine::{ArgValueCandidates, SubcommandCandidates};
use micro_sdk::client::ServiceDescription;
use serde_json::Value;
use std::collections::BTreeSet;

/// The arguments that are names of what is there, by the command that they are of.
const NAMED: &[(&str, &str, Names)] = &[
    ("", "target", Names::Environments),
    ("env get", "name", Names::Environments),
    ("env set", "name", Names::Environments),
    ("env del", "name", Names::Environments),
    ("schema", "shape", Names::Shapes),
    ("services", "name", Names::Services),
    ("registry get", "name", Names::Services),
    ("registry watch", "name", Names::Services),
    ("registry deregister", "name", Names::Services),
    ("registry report", "name", Names::Services),
    ("policy set", "service", Names::Services),
    ("policy get", "service", Names::Services),
    ("policy check", "service", Names::Services),
    ("policy delete", "service", Names::Services),
    ("call", "service", Names::Callable),
    ("call", "endpoint", Names::Endpoints),
    ("call", "instance", Names::Instances),
    ("stream", "service", Names::Callable),
    ("stream", "endpoint", Names::Endpoints),
    ("status", "name", Names::NodesAndServices),
    ("drain", "node", Names::Nodes),
    ("network ping", "node", Names::Nodes),
    ("network explain", "nodes", Names::Nodes),
    ("audit verify", "node", Names::Nodes),
    ("audit list", "account", Names::Accounts),
    ("cluster remove", "node", Names::Nodes),
    ("cluster transfer", "node", Names::Nodes),
    ("auth check", "account", Names::Accounts),
    ("auth revoke", "account", Names::Accounts),
    ("auth update account", "name", Names::Accounts),
    ("auth delete account", "name", Names::Accounts),
    ("auth update rule", "id", Names::Rules),
    ("auth delete rule", "id", Names::Rules),
    ("login", "account", Names::Accounts),
    ("store", "database", Names::Databases),
    ("store", "table", Names::Tables),
];

/// The commands, and behind them what the words that are typed so far lead to.
pub(super) fn command(profile: &Profile) -> Command {
    let typed = Typed::read(profile);
    let candidates = |names: Names| {
        let (typed, profile) = (typed.clone(), profile.clone());
        move || names.candidates(typed.as_ref(), &profile)
    };
    let command = NAMED.iter().fold(Cli::command(), |command, (path, arg, names)| {
        let path: Vec<&str> = path.split_whitespace().collect();
        named(command, &path, arg, &ArgValueCandidates::new(candidates(*names)))
    });
    let command = command.add(SubcommandCandidates::new(candidates(Names::Callable)));
    let command = with_one_name_each(command);
    match typed.as_ref().and_then(|typed| typed.describe(typed.service.as_deref()?)) {
        Some(service) => command.subcommand(as_command(&service)),
        None => command,
    }
}

/// Has an argument of the command at `path` be one of these.
fn named(command: Command, path: &[&str], arg: &str, candidates: &ArgValueCandidates) -> Command {
    match path {
        [] => command.mut_args(|one| if one.get_id() == arg { one.add(candidates.clone()) } else { one }),
        [verb, below @ ..] => command.mut_subcommands(|one| {
            if one.get_name() == *verb { named(one, below, arg, candidates) } else { one }
        }),
    }
}

/// Has other names of commands understood, and not offered beside the first.
fn with_one_name_each(command: Command) -> Command {
    let others: Vec<String> = command.get_all_aliases().map(str::to_owned).collect();
    command.visible_alias(None).aliases(others).mut_subcommands(with_one_name_each)
}

/// A service as a command: its endpoints, each with its fields.
fn as_command(service: &ServiceDescription) -> Command {
    let names: BTreeSet<&str> = service.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
    let spellings = Spellings::of(&service.name, &names);
    let endpoints = service.endpoints.iter().map(|endpoint| {
        let taken = serde_json::from_str(&endpoint.request_schema).unwrap_or(Value::Bool(true));
        let about = endpoint.doc.lines().next().unwrap_or_default().to_owned();
        // However it is written, its fields follow; one way is offered.
        let typed = spellings.typed(&endpoint.name);
        let others = BTreeSet::from([spellings.shortest(&endpoint.name), endpoint.name.as_str()]);
        let others = others.into_iter().filter(|name| *name != typed).map(str::to_owned).collect::<Vec<_>>();
        let command = Command::new(typed).aliases(others).about(about);
        without_globals(command.args(fields(&taken)))
    });
    without_globals(Command::new(service.name.clone()).subcommands(endpoints))
}

fn fields(taken: &Value) -> Vec<Arg> {
    let mut ids = BTreeSet::new();
    let mut args = Vec::new();
    // A service may call its fields what it likes, and clap asks more of the name of a flag.
    let plain = |name: &str| !name.starts_with('-') && !name.contains(['=', ' ']);
    for field in dynamic::fields(Schema::of(taken)).into_iter().filter(|field| plain(&field.name())) {
        // A field comes before a flag of micro-node itself that is called the same.
        let id = field.name().replace('-', "_");
        if ids.insert(id.clone()) {
            let arg = Arg::new(id).long(field.name()).num_args(usize::from(!field.is_switch()));
            let choices = field.schema.map(Schema::choices).unwrap_or_default();
            let help = field.schema.and_then(Schema::description).and_then(|text| text.lines().next());
            let choices: Vec<String> = choices.into_iter().map(str::to_owned).collect();
            let arg = arg.help(help.unwrap_or_default().to_owned());
            args.push(if choices.is_empty() { arg } else { arg.value_parser(choices) });
        }
    }
    args
}

/// Hides the flags of micro-node itself, which come before a service.
fn without_globals(mut command: Command) -> Command {
    for global in Cli::command().get_arguments() {
        let id = global.get_id().clone();
        if command.get_arguments().all(|arg| *arg.get_id() != id) {
            command = command.arg(Arg::new(id.clone()).long(format!("micro-node-{id}")).hide(true));
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_there() {
        for (path, arg, _) in NAMED {
            let command = Cli::command();
            let found =
                path.split_whitespace().try_fold(&command, |command, verb| command.find_subcommand(verb));
            let found = found.unwrap_or_else(|| panic!("there is no command {path:?}"));
            assert!(found.get_arguments().any(|one| one.get_id() == *arg), "{path} has no {arg}");
        }
    }
}
