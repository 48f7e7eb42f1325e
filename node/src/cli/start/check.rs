//! `micro-node start --check`: what would hold, and nothing started.

use super::{Start, config};
use crate::{
    cli::{failure::Failure, output::Output, session::no_runtime},
    config::{ApiTls, Join},
};
use micro_actors::IDENTITY_FILE;
use micro_sdk::wire::{Code, Fault};
use micro_storage::disk::file_path;
use rustix::fs::{Access, access};
use std::path::Path;
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
    check_data_dir(&config.data_dir)?;
    if let Some(ApiTls::Files(files)) = config.http.tls {
        crate::doors::check_certificate(files)?;
    }
    config::show_settings(config.settings, output)
}

/// Refuses a data directory that this user could not write to, or not make.
fn check_data_dir(data_dir: &Path) -> Result<(), Fault> {
    let there = data_dir.ancestors().find(|path| path.exists());
    let there = there.unwrap_or(Path::new(".")).to_owned();
    let why = match there.is_dir() {
        false => "is no directory".to_owned(),
        true => match access(&there, Access::WRITE_OK | Access::EXEC_OK) {
            Ok(()) => return Ok(()),
            Err(error) => format!("can't be written by this user: {}", std::io::Error::from(error)),
        },
    };
    let dir = data_dir.display();
    Err(Fault::new(Code::Usage, format!("the data directory {dir} can't be used: {} {why}", there.display()))
        .help("choose a place that this user may write to: --data-dir DIR"))
}
