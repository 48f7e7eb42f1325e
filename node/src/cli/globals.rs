//! The flags that every command takes.

use super::{output::Format, unit};
use anstream::ColorChoice;
use clap::{ArgAction, Args, ValueEnum, builder::FalseyValueParser};
use micro_sdk::{client::Address, wire::Namespace};
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
    /// The node to talk to, as unix:PATH or as HOST:PORT of its proxy [default: the node on this host]
    #[arg(long, global = true, env = "MICRO_NODE_ADDRESS", value_name = "ADDRESS", hide_env_values = true)]
    pub(super) address: Option<Address>,

    /// The admin secret or token to show at HOST:PORT, as @FILE or - for stdin [default: of your login] [env:
    /// MICRO_NODE_TOKEN, the secret itself or @FILE]
    // Read from the environment by `secret`, because clap would take a literal on the command line too.
    #[arg(long, global = true, value_name = "@FILE|-", allow_hyphen_values = true)]
    pub(super) token: Option<String>,

    /// The tenant whose services and records are meant
    #[arg(long, global = true, env = "MICRO_NODE_NAMESPACE", value_name = "NAME", default_value = "default")]
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
}
