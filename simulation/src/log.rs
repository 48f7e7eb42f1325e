//! The nodes' own logs, with simulated time and the name of the node.

use std::{fmt, io};
use tracing_subscriber::{
    EnvFilter,
    filter::ParseError,
    fmt::{format::Writer, time::FormatTime},
};

/// Shows what nodes log on standard error, as far as `filter` lets it through. Once a process.
///
/// # Errors
/// If the filter can't be read.
pub fn show(filter: &str) -> Result<(), ParseError> {
    let filter = EnvFilter::try_new(filter)?;
    // Only the first call in a process can have an effect, and there is only one.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(SimulatedTime)
        .with_writer(io::stderr)
        .with_ansi(false)
        .try_init();
    Ok(())
}

struct SimulatedTime;

impl FormatTime for SimulatedTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let host = turmoil::sim_elapsed();
        match host {
            Some(now) => write!(writer, "{:>10.6}", now.as_secs_f64()),
            None => write!(writer, "{:>10}", "-"),
        }
    }
}
