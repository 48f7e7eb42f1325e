//! `micro-node start --check`: what would hold, and nothing started.

use super::{Start, config};
use crate::{
    cli::{failure::Failure, output::Output, session::no_runtime},
    config::{ApiTls, Join},
};
use micro_actors::IDENTITY_FILE;
use micro_storage::disk::file_path;
use tokio::runtime::Builder;

/// Goes through the settings as a start would, and shows them.
pub(super) fn run(start: Start, output: &Output) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(no_runtime)?;
    let config = runtime.block_on(start.config())?;
    // Only a node that has not joined yet needs it.
    if let Some(Join { token: Err(fault), .. }) = &config.join
        && !file_path(&config.data_dir, IDENTITY_FILE).exists()
    {
        return Err(fault.clone().into());
    }
    if let Some(ApiTls::Files(files)) = config.http.tls {
        crate::doors::check_certificate(files)?;
    }
    config::show_settings(config.settings, output)
}
