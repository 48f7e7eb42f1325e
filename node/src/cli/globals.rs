//! The flags that every command takes.

use super::{failure::Failure, output::Format, profile::Profile, saved_login, unit};
use anstream::ColorChoice;
use clap::{
    ArgAction, ArgMatches, Args, Command, ValueEnum, builder::FalseyValueParser, parser::ValueSource,
};
use micro_sdk::{
    client::{Address, default_socket, named_socket},
    wire::Namespace,
};
use std::time::Duration;

/// When to colour.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Even into a pipe.
    Always,
    /// Not at all.
    Never,
}

impl Color {
    /// The choice in anstream's words.
    pub(super) fn choice(self) -> ColorChoice {
        match self {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        }
    }
}

/// The flags that every command takes. No command has a flag of its own by one of these names.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Globals {
    /// The environment to talk to, as `micro-node env` lists them [default: what `micro-node env set` said last]
    #[arg(short, long, global = true, env = "MICRO_NODE_TARGET", value_name = "NAME")]
    pub(super) target: Option<String>,

    /// The node to talk to, as unix:PATH or as HOST:PORT of its proxy [default: the node on this host]
    #[arg(long, global = true, env = "MICRO_NODE_ADDRESS", value_name = "ADDRESS", hide_env_values = true)]
    pub(super) address: Option<Address>,

    /// The admin secret or token to show at HOST:PORT, as @FILE or - for stdin [default: of your login] [env:
    /// MICRO_NODE_TOKEN, the secret itself or @FILE]
    // Read from the environment by `secret`, because clap would take a literal on the command line too.
    #[arg(long, global = true, value_name = "@FILE|-", allow_hyphen_values = true)]
    pub(super) token: Option<String>,

    /// The tenant whose services and records are meant [default: that of the environment, else of your login there,
    /// else `default`]
    #[arg(
        long,
        global = true,
        env = "MICRO_NODE_NAMESPACE",
        value_name = "NAME",
        default_value = "default",
        hide_default_value = true
    )]
    pub(super) namespace: Namespace,

    /// How to show the answer
    #[arg(
        short,
        long,
        global = true,
        env = "MICRO_NODE_OUTPUT",
        value_name = "FORMAT",
        default_value = "table"
    )]
    pub(super) output: Format,

    /// Leave out the headings of tables
    #[arg(long, global = true, env = "MICRO_NODE_NO_HEADERS", value_parser = FalseyValueParser::new())]
    pub(super) no_headers: bool,

    /// When to colour
    #[arg(long, global = true, env = "MICRO_NODE_COLOR", value_name = "WHEN", default_value = "auto")]
    pub(super) color: Color,

    /// Say more, on stderr; twice for more still
    #[arg(short, long, global = true, action = ArgAction::Count, env = "MICRO_NODE_VERBOSE")]
    pub(super) verbose: u8,

    /// Say nothing on stderr but errors
    #[arg(short, long, global = true, env = "MICRO_NODE_QUIET", value_parser = FalseyValueParser::new())]
    pub(super) quiet: bool,

    /// How long to wait for an answer, as 10s, 500ms or 1m30s
    #[arg(long, global = true, env = "MICRO_NODE_TIMEOUT", value_name = "TIME", default_value = "10s",
          value_parser = unit::duration)]
    pub(super) timeout: Duration,

    /// Answer yes to every question
    #[arg(short, long, global = true, env = "MICRO_NODE_YES", value_parser = FalseyValueParser::new())]
    pub(super) yes: bool,

    /// The environment that the address is of; none where an address was given.
    #[arg(skip)]
    pub(super) environment: Option<String>,

    /// The namespace, if it was given and not only meant.
    #[arg(skip)]
    pub(super) namespace_given: Option<Namespace>,
}

/// The port of a node on this host that was told nothing else.
const LOOPBACK: &str = "127.0.0.1:8081";

impl Globals {
    /// Has the flags begin with what files say, where neither an argument nor a variable does.
    pub(super) fn begin_with(profile: &Profile, mut command: Command) -> Command {
        if let Some(name) = profile.output.and_then(|format| format.to_possible_value()) {
            command = command.mut_arg("output", |arg| arg.default_value(name.get_name().to_owned()));
        }
        if let Some(timeout) = profile.timeout {
            command = command
                .mut_arg("timeout", |arg| arg.default_value(format!("{}ms", timeout.as_millis().max(1))));
        }
        command
    }

    /// Finds out which node and which namespace are meant: what an argument says comes before what a variable says,
    /// that before the files, and of two that come the same way, the address before the environment.
    ///
    /// # Errors
    /// If an environment is meant that nobody knows, or an address and an environment are.
    pub(super) fn complete(&mut self, matches: &ArgMatches, profile: &Profile) -> Result<(), Failure> {
        let typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        if typed("address") && typed("target") {
            return Err(Failure::usage("--address and --target both say where to go\nleave one of them out"));
        }
        let mut meant = None;
        if self.address.is_none() || typed("target") {
            let name = self.target.as_deref().unwrap_or_else(|| profile.target());
            let environment = profile.environment(name)?;
            meant.clone_from(&environment.namespace);
            self.address = match (&environment.address, &self.address) {
                // The variable leads elsewhere, and is not what is meant.
                (None, Some(_)) => Some(here()),
                (address, _) => address.clone(),
            };
            self.environment = Some(name.to_owned());
        }
        if matches.value_source("namespace") != Some(ValueSource::DefaultValue) {
            self.namespace_given = Some(self.namespace.clone());
            return Ok(());
        }
        // Who logs in says where: a login before says nothing of the next.
        let follow = matches.subcommand_name() != Some("login");
        let meant = profile.namespace.clone().or(meant);
        let meant = meant.or_else(|| saved_login::namespace(&self.port()?).filter(|_| follow));
        self.namespace = meant.unwrap_or_default();
        Ok(())
    }

    /// Refuses what says which node to talk to, and how, for a command that talks to none: it would be meant for
    /// another node than the one that it is about.
    ///
    /// # Errors
    /// If one of them was typed.
    pub(super) fn refuse_typed(matches: &ArgMatches, command: &str) -> Result<(), Failure> {
        let typed = |id: &&str| matches.value_source(id) == Some(ValueSource::CommandLine);
        match ["target", "address", "token", "namespace", "timeout"].into_iter().find(typed) {
            None => Ok(()),
            Some(flag) => Err(Failure::usage(format!(
                "--{flag} is for commands that talk to a node, and `micro-node {command}` runs one\n\
                 leave it out: what the node has is said by --data-dir, --socket, --api, --proxy and --mesh-listen"
            ))),
        }
    }

    /// The environment to keep something for.
    ///
    /// # Errors
    /// If an address was given instead of one.
    pub(super) fn environment(&self) -> Result<&str, Failure> {
        self.environment.as_deref().ok_or_else(|| {
            Failure::usage(
                "an address was given, and what is kept is kept for environments\n\
                 add it as one: micro-node env add NAME HOST:PORT",
            )
        })
    }

    /// The port that logins are for, if it is not a socket that is meant: that asks for none.
    fn port(&self) -> Option<Address> {
        match self.address.clone().unwrap_or_else(here) {
            Address::Unix(_) => None,
            port => Some(port),
        }
    }
}

/// The node on this host, as it is found where nothing was said.
fn here() -> Address {
    let socket = default_socket();
    match named_socket().is_some() || socket.exists() {
        true => Address::Unix(socket),
        false => LOOPBACK.parse().expect("it is an address"),
    }
}
