//! The command line. One file per command; each shows its answer as text and as JSON.
//!
//! Three rules hold for all of them: stdout carries data and nothing else; a failure is one [`Failure`],
//! shown and turned into an exit code in one place; nothing here knows more of a node than its public client
//! does, but for [`start`], which runs one.
#![allow(
    clippy::disallowed_methods,
    reason = "the command line runs on a person's machine, never in simulation"
)]

mod audit;
mod auth;
mod blob;
mod call;
mod callee;
mod cluster;
mod completion;
mod config;
mod confirmation;
mod contact;
mod data_dir;
mod dns;
mod drain;
mod dynamic;
mod election;
mod env;
mod failure;
mod globals;
mod help;
mod hint;
mod hold;
mod input;
mod kept;
mod leash;
mod leave;
mod lines;
mod lock;
mod login;
mod man;
mod mistake;
mod network;
mod output;
mod part;
mod policy;
mod profile;
mod progress;
mod registry;
mod reset;
mod saved_login;
mod schema;
mod secret;
mod service;
mod services;
mod session;
mod shape;
mod signals;
mod start;
mod status;
mod store;
mod stream;
mod table;
mod token;
mod unit;
mod user;
mod version;

use clap::{
    Arg, ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand,
    builder::Resettable,
    error::{ContextKind, ContextValue, ErrorKind},
};
use failure::Failure;
use globals::Globals;
use output::Output;
use profile::Profile;
use std::{ffi::OsString, process::ExitCode};

const EXAMPLES: &str = "\
Examples:
  micro-node start                                   a mesh of one node, on this host only
  micro-node status                                  the cluster at a glance
  micro-node token create                            how another host joins
  micro-node helloworld call --name=Jane             a service of the mesh; --help behind it tells what it takes
  micro-node service --name shop --endpoint http://127.0.0.1:5000 -- ./shop   any program as a service
  micro-node call helloworld call '{\"name\":\"Jane\"}'
  micro-node stream helloworld stream '{\"count\":3}'   what is answered one after another
  micro-node store write greeting hello && micro-node store read greeting
  micro-node config set shop.limits.items 20         what services watch
  micro-node blob put images/logo.png ./logo.png     large files, on the disks of several nodes
  micro-node auth create account jane                who may come in; auth create rule says who may do what

Exit codes: 0 ok, 1 failed, 2 usage, 3 unreachable, 4 denied, 5 not found, 6 conflict, or \
compacted, 7 timeout, 8 unavailable, 9 outcome unknown, 130 interrupted.";

/// Framework and platform in one binary: hosts that run it form one mesh.
///
/// Every host runs one node, `micro-node start`. All other commands talk to a node: the one on this host,
/// unless `--address` says otherwise. What is no command is looked for among the services of the mesh.
#[derive(Debug, Parser)]
#[command(name = "micro-node", version, arg_required_else_help = true, disable_help_subcommand = true,
    after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Start(start::Start),
    Status(status::StatusCommand),
    Services(services::Services),
    Registry(registry::RegistryCommand),
    #[command(name = "service")]
    Offer(service::ServiceCommand),
    Call(call::Call),
    Stream(stream::Stream),
    Store(store::StoreCommand),
    Blob(blob::BlobCommand),
    Config(config::ConfigCommand),
    Lock(lock::Lock),
    Leash(leash::Leash),
    Election(election::Election),
    Auth(auth::AuthCommand),
    Audit(audit::AuditCommand),
    Login(login::LoginCommand),
    Logout(login::LogoutCommand),
    User(user::UserCommand),
    Env(env::EnvCommand),
    Token(token::TokenCommand),
    Cluster(cluster::ClusterCommand),
    Network(network::NetworkCommand),
    Policy(policy::PolicyCommand),
    Dns(dns::DnsCommand),
    Drain(drain::Drain),
    Leave(leave::Leave),
    Reset(reset::Reset),
    Completion(completion::Completion),
    Man(man::ManCommand),
    Schema(schema::SchemaCommand),
    Help(help::HelpCommand),
    Version(version::Version),
    /// A service of the mesh, with its endpoint and fields.
    #[command(external_subcommand)]
    Service(Vec<OsString>),
}

/// Runs the command that the process was given, and says how the process is to end.
pub fn main() -> ExitCode {
    let profile = Profile::load();
    if let Some(answered) = completion::answer(profile.as_ref().unwrap_or(&Profile::default())) {
        return answered;
    }
    let command = || match &profile {
        Ok(profile) => Globals::begin_with(profile, without_empty_variables(Cli::command())),
        Err(_) => without_empty_variables(Cli::command()),
    };
    let parsed = matches_of(command, std::env::args_os().collect())
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (mut cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return mistake::refuse(mistake::as_typed(error, command(), std::env::args_os())),
    };
    let output = Output::new(&cli.globals);
    if let (Command::Start(_), Some((_, flags))) = (&cli.command, matches.subcommand()) {
        let known = Globals::refuse_typed(&matches, "start");
        let completed =
            known.and_then(|()| start::complete(command(), std::env::args_os(), flags, output.verbosity()));
        match completed {
            Ok(start) => cli.command = Command::Start(start),
            Err(failure) => return failure.report(&output),
        }
    }
    // Whom files can't lead astray, a broken one does not stop; and a name that nobody knows is mended by `env`.
    let settled = match &cli.command {
        Command::Start(_)
        | Command::Leash(_)
        | Command::Completion(_)
        | Command::Man(_)
        | Command::Schema(_)
        | Command::Help(_)
        | Command::Version(_) => Ok(profile.unwrap_or_default()),
        command => {
            let mends = matches!(command, Command::Env(_));
            profile.and_then(|profile| match cli.globals.complete(&matches, &profile) {
                Err(failure) if !mends => Err(failure),
                _ => Ok(profile),
            })
        }
    };
    match settled.and_then(|profile| run(cli, &profile, &output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.fitting(takes(&matches, "stale")).report(&output),
    }
}

/// Reads the words that the process was given. What `call` does not know are fields of the request, which stand behind
/// all else then.
fn matches_of(command: impl Fn() -> clap::Command, words: Vec<OsString>) -> Result<ArgMatches, clap::Error> {
    let first = command().try_get_matches_from(&words);
    let (mut rest, mut fields) = (words, Vec::new());
    let mut unknown = first.as_ref().err().and_then(|error| field_in(&rest, error));
    while let Some(at) = unknown {
        let named = rest.remove(at);
        // Its value is behind the sign, or is the next word.
        let apart = !named.to_string_lossy().contains('=');
        fields.push(named);
        if apart && rest.get(at).is_some_and(|next| !next.to_string_lossy().starts_with('-')) {
            fields.push(rest.remove(at));
        }
        let all = rest.iter().cloned().chain(["--".into()]).chain(fields.iter().cloned());
        match command().try_get_matches_from(all) {
            Ok(matches) => return Ok(matches),
            Err(error) => unknown = field_in(&rest, &error),
        }
    }
    first
}

/// Where the word stands in a line of `call` that is not known, if that is what is wrong, and it looks like a field.
fn field_in(words: &[OsString], error: &clap::Error) -> Option<usize> {
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg) else { return None };
    if error.kind() != ErrorKind::UnknownArgument
        || !unknown.starts_with("--")
        || words.contains(&"--".into())
    {
        return None;
    }
    let command = words.iter().skip(1).position(|word| word == "call")? + 1;
    let is_it = |word: &OsString| {
        let word = word.to_string_lossy();
        word.strip_prefix(unknown.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    Some(command + words[command..].iter().position(is_it)?)
}

/// Whether the command that was given has an argument, given or not.
fn takes(matches: &ArgMatches, argument: &str) -> bool {
    match matches.subcommand() {
        Some((_, below)) => takes(below, argument),
        None => matches.try_contains_id(argument).is_ok(),
    }
}

/// An empty variable says nothing, as in the environment files of systemd; to clap it would be a value.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let empty = |arg: &Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| if empty(&arg) { arg.env(Resettable::Reset) } else { arg })
        .mut_subcommands(without_empty_variables)
}

fn run(cli: Cli, profile: &Profile, output: &Output) -> Result<(), Failure> {
    let globals = &cli.globals;
    match cli.command {
        Command::Start(command) => command.run(output),
        Command::Status(command) => command.run(globals, output),
        Command::Services(command) => command.run(globals, output),
        Command::Registry(command) => command.run(globals, output),
        Command::Offer(command) => command.run(globals, output),
        Command::Call(command) => command.run(globals, output),
        Command::Stream(command) => command.run(globals, output),
        Command::Store(command) => command.run(globals, output),
        Command::Blob(command) => command.run(globals, output),
        Command::Config(command) => command.run(globals, output),
        Command::Lock(command) => command.run(globals, output),
        Command::Leash(command) => command.run().map(|never| match never {}),
        Command::Election(command) => command.run(globals, output),
        Command::Auth(command) => command.run(globals, output),
        Command::Audit(command) => command.run(globals, output),
        Command::Login(command) => command.run(globals, output),
        Command::Logout(command) => command.run(globals, output),
        Command::User(command) => command.run(globals, output),
        Command::Env(command) => command.run(profile, globals, output),
        Command::Token(command) => command.run(globals, output),
        Command::Cluster(command) => command.run(globals, output),
        Command::Network(command) => command.run(globals, output),
        Command::Policy(command) => command.run(globals, output),
        Command::Dns(command) => command.run(globals, output),
        Command::Drain(command) => command.run(globals, output),
        Command::Leave(command) => command.run(globals, output),
        Command::Reset(command) => command.run(globals, output),
        Command::Completion(command) => command.run(output),
        Command::Man(command) => command.run(output),
        Command::Schema(command) => command.run(output),
        Command::Help(command) => command.run(output),
        Command::Version(command) => command.run(output),
        Command::Service(words) => dynamic::run(words, &names(), globals, output),
    }
}

/// What the commands are called.
fn names() -> Vec<String> {
    let command = Cli::command();
    let shown = command.get_subcommands().filter(|below| !below.is_hide_set());
    let names = shown.flat_map(clap::Command::get_name_and_visible_aliases);
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_a_command_takes_is_known_whether_it_was_given_or_not() {
        for (line, stale) in [
            (&["store", "read", "a"][..], true),
            (&["store", "list", "--stale"], true),
            (&["config", "get", "a"], true),
            (&["config", "set", "a", "1"], false),
            (&["store", "write", "a", "1"], false),
            (&["auth", "list", "rules"], false),
            (&["someone", "call"], false),
        ] {
            let line = std::iter::once(&"micro-node").chain(line);
            let matches = Cli::command().try_get_matches_from(line).expect("the line is right");
            assert_eq!(takes(&matches, "stale"), stale, "{matches:?}");
        }
    }

    #[test]
    fn every_command_has_help_with_an_example() {
        let mut commands: Vec<_> = Cli::command().get_subcommands().cloned().collect();
        while let Some(command) = commands.pop() {
            assert!(command.get_about().is_some(), "{} says nothing of itself", command.get_name());
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            // What only holds others shows theirs.
            let within = command.has_subcommands();
            assert!(within || help.starts_with("Example"), "{} shows no example", command.get_name());
            commands.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn a_flag_that_takes_a_secret_has_no_variable_shown() {
        let mut command = Cli::command();
        let help = command.render_long_help().to_string();
        assert!(help.contains("MICRO_NODE_TOKEN") && !help.contains("env: MICRO_NODE_TOKEN="), "{help}");
    }
}
