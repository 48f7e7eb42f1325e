//! What a node logs, and how: to stderr, for people or for programs.

use crate::cli::output::Output;
use clap::ValueEnum;
use micro_sdk::wire::{Code, Fault};
use std::{
    env,
    io::{self, IsTerminal},
};
use tracing_subscriber::{EnvFilter, fmt};

/// How to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// A line for people.
    Pretty,
    /// A line of JSON for programs.
    Json,
}

impl LogFormat {
    /// What suits whoever reads stderr.
    pub(super) fn fitting() -> Self {
        if io::stderr().is_terminal() { LogFormat::Pretty } else { LogFormat::Json }
    }
}

/// Starts logging, for the life of the process.
///
/// # Errors
/// If the filter in the environment can't be read.
pub(super) fn init(format: LogFormat, output: &Output) -> Result<(), Fault> {
    let filter = filter(output.verbosity())?;
    let logger = fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match format {
        LogFormat::Json => logger.json().flatten_event(true).try_init(),
        LogFormat::Pretty => {
            let color = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
            logger.with_ansi(color).with_target(output.verbosity() > 0).try_init()
        }
    };
    started.map_err(|error| Fault::new(Code::Internal, format!("logging can't be started: {error}")))
}

/// The filter of `MICRO_NODE_LOG`, else of `RUST_LOG`, else what fits the verbosity. A target is a prefix, so
/// `micro` stands for all our crates.
fn filter(verbosity: i16) -> Result<EnvFilter, Fault> {
    let given = ["MICRO_NODE_LOG", "RUST_LOG"]
        .into_iter()
        .find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()).map(|value| (name, value)));
    let Some((name, directives)) = given else {
        return Ok(EnvFilter::new(match verbosity {
            ..=-1 => "error",
            // openraft warns of every retry; what an operator has to know of it is in the status.
            0 => "warn,micro=info,openraft=error",
            1 => "info,micro=debug",
            2.. => "debug",
        }));
    };
    EnvFilter::builder().parse(&directives).map_err(|error| {
        Fault::new(Code::Usage, format!("{name}={directives:?} is not a log filter: {error}"))
            .help("write it as warn,micro=info")
    })
}
