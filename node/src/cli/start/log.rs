//! What a node logs, and how: to stderr, for people or for programs.

use crate::cli::output::Output;
use clap::ValueEnum;
use micro_sdk::wire::{Code, Fault};
use std::{
    env,
    io::{self, IsTerminal},
};
use tracing_subscriber::{EnvFilter, fmt, reload};

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

/// Changes what is logged, while the process runs.
pub(super) struct LogSwitch {
    verbosity: i16,
    turn: Turn,
}

/// Puts another filter in the place of the one that there is.
type Turn = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send>;

impl LogSwitch {
    /// Logs what `directives` let through from now on, or without any what it did at the start.
    ///
    /// # Errors
    /// If they can't be read.
    pub(super) fn set(&self, directives: Option<&str>) -> Result<(), Fault> {
        let filter = match directives {
            Some(directives) => parse("log", directives)?,
            None => filter(self.verbosity)?,
        };
        (self.turn)(filter).map_err(|error| Fault::new(Code::Internal, error.to_string()))
    }
}

/// Starts logging, for the life of the process.
///
/// # Errors
/// If the filter in the environment can't be read.
pub(super) fn init(format: LogFormat, output: &Output) -> Result<LogSwitch, Fault> {
    let verbosity = output.verbosity();
    let logger = fmt().with_env_filter(filter(verbosity)?).with_writer(io::stderr);
    let (started, turn): (_, Turn) = match format {
        LogFormat::Json => {
            let logger = logger.json().flatten_event(true).with_filter_reloading();
            let switch = logger.reload_handle();
            (logger.try_init(), Box::new(move |filter| switch.reload(filter)))
        }
        LogFormat::Pretty => {
            let color = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
            let logger = logger.with_ansi(color).with_target(verbosity > 0).with_filter_reloading();
            let switch = logger.reload_handle();
            (logger.try_init(), Box::new(move |filter| switch.reload(filter)))
        }
    };
    started.map_err(|error: Box<dyn std::error::Error + Send + Sync>| {
        Fault::new(Code::Internal, format!("logging can't be started: {error}"))
    })?;
    Ok(LogSwitch { verbosity, turn })
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
    parse(name, &directives)
}

/// The filter in `directives`, which are called `name`.
fn parse(name: &str, directives: &str) -> Result<EnvFilter, Fault> {
    EnvFilter::builder().parse(directives).map_err(|error| {
        Fault::new(Code::Usage, format!("{name}={directives:?} is not a log filter: {error}"))
            .help("write it as warn,micro=info")
    })
}
