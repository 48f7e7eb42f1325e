//! What a node logs, and how: to stderr, for people or for programs.

use crate::cli::output::Output;
use clap::ValueEnum;
use micro_sdk::wire::{Code, Fault};
use std::io::{self, IsTerminal};
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

/// What is logged where nobody says anything. openraft warns of every retry, and chitchat of every node that is new;
/// what an operator has to know of it is in the status. rmcp warns of what callers send with all of it, and anybody
/// may call. A target is a prefix, so `micro` stands for all our crates.
pub(super) const USUAL: &str = "warn,micro=info,openraft=error,chitchat=error,rmcp=off";

/// What suits how much a person wants to hear, if that is not as usual.
pub(super) fn fitting(verbosity: i16) -> Option<&'static str> {
    match verbosity {
        ..=-1 => Some("error"),
        0 => None,
        1 => Some("info,micro=debug"),
        2.. => Some("debug"),
    }
}

/// Refuses what is no filter.
///
/// # Errors
/// With how to write it.
pub(super) fn directives(text: &str) -> Result<String, String> {
    let read = EnvFilter::builder().parse(text);
    read.map(|_| text.to_owned()).map_err(|error| format!("write it as warn,micro=info ({error})"))
}

/// Changes what is logged, while the process runs.
pub(super) struct LogSwitch {
    turn: Turn,
}

/// Puts another filter in the place of the one that there is.
type Turn = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send>;

impl LogSwitch {
    /// Logs what `directives` let through from now on.
    ///
    /// # Errors
    /// If they can't be read.
    pub(super) fn set(&self, directives: &str) -> Result<(), Fault> {
        (self.turn)(filter(directives)?).map_err(|error| Fault::new(Code::Internal, error.to_string()))
    }
}

/// Starts logging what `directives` let through, for the life of the process.
///
/// # Errors
/// If they can't be read.
pub(super) fn init(format: LogFormat, directives: &str, output: &Output) -> Result<LogSwitch, Fault> {
    let logger = fmt().with_env_filter(filter(directives)?).with_writer(io::stderr);
    let (started, turn): (_, Turn) = match format {
        LogFormat::Json => {
            let logger = logger.json().flatten_event(true).with_filter_reloading();
            let switch = logger.reload_handle();
            (logger.try_init(), Box::new(move |filter| switch.reload(filter)))
        }
        LogFormat::Pretty => {
            let color = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
            let logger = logger.with_ansi(color).with_target(output.verbosity() > 0).with_filter_reloading();
            let switch = logger.reload_handle();
            (logger.try_init(), Box::new(move |filter| switch.reload(filter)))
        }
    };
    started.map_err(|error: Box<dyn std::error::Error + Send + Sync>| {
        Fault::new(Code::Internal, format!("logging can't be started: {error}"))
    })?;
    Ok(LogSwitch { turn })
}

fn filter(directives: &str) -> Result<EnvFilter, Fault> {
    EnvFilter::builder().parse(directives).map_err(|error| {
        Fault::new(Code::Usage, format!("{directives:?} is not a log filter: {error}"))
            .help("write it as warn,micro=info")
    })
}
