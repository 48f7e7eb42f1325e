//! The command tree with what is there just now: services, their endpoints and fields, and environments.

use super::super::{Cli, dynamic, globals::Globals, profile::Profile, session, shape};
use crate::request::{Schema, Spellings};
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate, SubcommandCandidates};
use micro_actors::is_opaque;
use micro_sdk::{
    client::{Node, ServiceDescription, ServiceListing},
    wire::{Fault, ServiceName},
};
use serde_json::Value;
use std::{collections::BTreeSet, env, ffi::OsString, time::Duration};

/// How long a node may take. Who presses a key waits for it, and a list without services is a list too.
const PATIENCE: Duration = Duration::from_millis(700);

/// The commands, and behind them what the words that are typed so far lead to.
pub(super) fn command(profile: &Profile) -> Command {
    let typed = Typed::read(profile);
    let environments: Vec<String> = profile.environments().keys().cloned().collect();
    let named = move || environments.iter().map(CompletionCandidate::new).collect::<Vec<_>>();
    let asked = typed.clone();
    let services = move || asked.as_ref().map(Typed::services).unwrap_or_default();
    let asked = typed.clone();
    let callable = move || asked.as_ref().map(Typed::callable).unwrap_or_default();
    let asked = typed.clone();
    let endpoints = move || asked.as_ref().map(Typed::endpoints_of_call).unwrap_or_default();
    let shapes =
        || shape::all().iter().map(|shape| CompletionCandidate::new(shape.title().name)).collect::<Vec<_>>();
    let called = callable.clone();
    let calls = move |command: Command| {
        command
            .mut_arg("service", |arg| arg.add(ArgValueCandidates::new(called.clone())))
            .mut_arg("endpoint", |arg| arg.add(ArgValueCandidates::new(endpoints.clone())))
            // What is changed moves behind the rest: so all that have a place are, in their order.
            .mut_arg("body", |arg| arg)
    };
    let one = |command: Command| {
        let named = named.clone();
        command.mut_arg("name", |arg| arg.add(ArgValueCandidates::new(named)))
    };
    let known = |names: fn(&Typed) -> Vec<CompletionCandidate>| {
        let asked = typed.clone();
        ArgValueCandidates::new(move || asked.as_ref().map(names).unwrap_or_default())
    };
    let node = |command: Command| command.mut_arg("node", |arg| arg.add(known(Typed::nodes)));
    let account = |name: &'static str| {
        let known = known(Typed::accounts);
        move |command: Command| command.mut_arg(name, |arg| arg.add(known))
    };
    let command = Cli::command()
        .mut_arg("target", |arg| arg.add(ArgValueCandidates::new(named.clone())))
        .mut_subcommand("services", |command| {
            command.mut_arg("name", |arg| arg.add(ArgValueCandidates::new(services.clone())))
        })
        .mut_subcommand("registry", |command| {
            let named = |command: Command| {
                let services = services.clone();
                command.mut_arg("name", |arg| arg.add(ArgValueCandidates::new(services)))
            };
            ["get", "watch", "deregister", "report"]
                .into_iter()
                .fold(command, |command, verb| command.mut_subcommand(verb, named))
        })
        .mut_subcommand("policy", |command| {
            let named = |command: Command| {
                let services = services.clone();
                command.mut_arg("service", |arg| arg.add(ArgValueCandidates::new(services)))
            };
            ["set", "get", "check", "delete"]
                .into_iter()
                .fold(command, |command, verb| command.mut_subcommand(verb, named))
        })
        .mut_subcommand("call", |command| calls(command).mut_arg("fields", |arg| arg))
        .mut_subcommand("stream", &calls)
        .mut_subcommand("schema", |command| {
            command.mut_arg("shape", |arg| arg.add(ArgValueCandidates::new(shapes)))
        })
        .mut_subcommand("env", |command| {
            command.mut_subcommand("get", one).mut_subcommand("set", one).mut_subcommand("del", one)
        })
        .mut_subcommand("status", |command| {
            command.mut_arg("name", |arg| {
                arg.add(known(|typed| typed.nodes().into_iter().chain(typed.services()).collect()))
            })
        })
        .mut_subcommand("drain", node)
        .mut_subcommand("network", |command| {
            command.mut_subcommand("ping", node).mut_subcommand("explain", |command| {
                command.mut_arg("nodes", |arg| arg.add(known(Typed::nodes)))
            })
        })
        .mut_subcommand("audit", |command| command.mut_subcommand("verify", node))
        .mut_subcommand("cluster", |command| {
            command.mut_subcommand("remove", node).mut_subcommand("transfer", node)
        })
        .mut_subcommand("auth", |command| {
            let rule = |command: Command| command.mut_arg("id", |arg| arg.add(known(Typed::rules)));
            command
                .mut_subcommand("check", account("account"))
                .mut_subcommand("revoke", account("account"))
                .mut_subcommand("update", |command| {
                    command.mut_subcommand("account", account("name")).mut_subcommand("rule", rule)
                })
                .mut_subcommand("delete", |command| {
                    command.mut_subcommand("account", account("name")).mut_subcommand("rule", rule)
                })
        })
        .add(SubcommandCandidates::new(callable));
    let command = with_one_name_each(command);
    match typed.as_ref().and_then(|typed| typed.describe(typed.service.as_deref()?)) {
        Some(service) => command.subcommand(as_command(&service)),
        None => command,
    }
}

/// Has other names of commands understood, and not offered beside the first.
fn with_one_name_each(command: Command) -> Command {
    let others: Vec<String> = command.get_all_aliases().map(str::to_owned).collect();
    command.visible_alias(None).aliases(others).mut_subcommands(with_one_name_each)
}

/// What is typed, without the word at its end, which is not finished.
#[derive(Clone)]
struct Typed {
    words: Vec<OsString>,
    matches: ArgMatches,
    profile: Profile,
    /// The first word that is no flag, if it may be a service.
    service: Option<String>,
}

impl Typed {
    /// Reads the words behind the `--` that a shell puts before them.
    fn read(profile: &Profile) -> Option<Self> {
        let words = env::args_os().skip_while(|word| word != "--").skip(2).collect::<Vec<_>>();
        let (_, finished) = words.split_last()?;
        // The most words that are flags of micro-node itself: then a command may follow.
        let leading = (0..=finished.len()).rev().find_map(|count| {
            let line = ["micro-node".into()].into_iter().chain(finished[..count].iter().cloned());
            let line = line.chain(["services".into()]);
            let matches = Cli::command().try_get_matches_from(line).ok()?;
            let (name, services) = matches.subcommand()?;
            let bare = name == "services" && services.get_one::<ServiceName>("name").is_none();
            bare.then_some((count, matches))
        });
        let (count, matches) = leading?;
        let service = finished.get(count).and_then(|word| word.to_str()).map(str::to_owned);
        let own = Cli::command();
        let service = service.filter(|word| own.find_subcommand(word).is_none());
        Some(Typed { words: finished.to_vec(), matches, profile: profile.clone(), service })
    }

    /// Asks the node that is meant.
    fn ask<T>(&self, work: impl AsyncFnOnce(Node) -> Result<T, Fault>) -> Option<T> {
        let mut globals = Globals::from_arg_matches(&self.matches).ok()?;
        globals.complete(&self.matches, &self.profile).ok()?;
        // What is typed next is not a token.
        if globals.token.as_deref() == Some("-") {
            return None;
        }
        globals.timeout = PATIENCE;
        session::run(&globals, async |node| Ok(work(node).await?)).ok()
    }

    fn services(&self) -> Vec<CompletionCandidate> {
        self.services_that(|_| true)
    }

    /// The services that can be called by name: those that take all as it is have no endpoints to call.
    fn callable(&self) -> Vec<CompletionCandidate> {
        self.services_that(|service| {
            service.instances.iter().flat_map(|instance| &instance.endpoints).any(|name| !is_opaque(name))
        })
    }

    fn services_that(&self, wanted: impl Fn(&ServiceListing) -> bool) -> Vec<CompletionCandidate> {
        let services = self.ask(async |node| node.services().await).unwrap_or_default();
        let candidate =
            |name: String| CompletionCandidate::new(name).help(Some("a service of the mesh".into()));
        services.into_iter().filter(wanted).map(|service| candidate(service.name)).collect()
    }

    /// The nodes of the mesh, by name.
    fn nodes(&self) -> Vec<CompletionCandidate> {
        let status = self.ask(async |node| node.status().await);
        let nodes = status.map(|status| status.nodes).unwrap_or_default();
        nodes.into_iter().map(|node| CompletionCandidate::new(node.name)).collect()
    }

    fn accounts(&self) -> Vec<CompletionCandidate> {
        let accounts = self.ask(async |node| node.auth().accounts().await).unwrap_or_default();
        accounts.into_iter().map(|account| CompletionCandidate::new(account.name)).collect()
    }

    fn rules(&self) -> Vec<CompletionCandidate> {
        let rules = self.ask(async |node| node.auth().rules().await).unwrap_or_default();
        rules.into_iter().map(|rule| CompletionCandidate::new(rule.id)).collect()
    }

    fn describe(&self, service: &str) -> Option<ServiceDescription> {
        let service: ServiceName = service.parse().ok()?;
        self.ask(async |node| node.service(service.as_str()).await)
    }

    /// The endpoints of the service behind `call` or `stream`.
    fn endpoints_of_call(&self) -> Vec<CompletionCandidate> {
        let mut behind = self.words.iter().skip_while(|word| *word != "call" && *word != "stream");
        let service = behind.nth(1).and_then(|word| word.to_str());
        let described = service.and_then(|service| self.describe(service));
        let endpoints = described.map(|service| service.endpoints).unwrap_or_default();
        endpoints.into_iter().map(|endpoint| CompletionCandidate::new(endpoint.name)).collect()
    }
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
