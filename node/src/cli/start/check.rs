//! `micro-node start --check`: what would hold, and nothing started.

use super::{Start, config};
use crate::cli::{failure::Failure, output::Output, session::no_runtime};
use tokio::runtime::Builder;

/// Goes through the settings as a start would, and shows them.
pub(super) fn run(start: Start, output: &Output) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(no_runtime)?;
    let config = runtime.block_on(start.config())?;
    if let Some(files) = config.http.tls {
        crate::doors::check_certificate(files)?;
    }
    config::show_settings(config.settings, output)
}
