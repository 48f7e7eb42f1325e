//! `micro-node reset`.

use super::{confirmation, data_dir, failure::Failure, globals::Globals, output::Output};
use clap::Args;
use micro_sdk::wire::{Code, Effect, Fault};
use micro_storage::{StorageError, disk};
use serde::Serialize;
use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// How long a node may take to end that was told to just before, by `leave` or a signal.
const END_PATIENCE: Duration = Duration::from_secs(3);
/// How often it is looked whether it has.
const END_LOOK: Duration = Duration::from_millis(50);

const EXAMPLES: &str = "\
Examples:
  micro-node reset
  micro-node reset --data-dir ./b --yes

A node that is still a member should leave first: micro-node leave.";

/// Wipe a data directory for a new life under a new id
///
/// All records that no other node has are lost with it. Only what micro-node made is removed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Reset {
    /// The data directory [default: $XDG_DATA_HOME/micro-node; for root /var/lib/micro-node]
    #[arg(long, env = "MICRO_NODE_DATA_DIR", value_name = "DIR", hide_env_values = true)]
    data_dir: Option<PathBuf>,
}

#[derive(Serialize)]
struct ResetItem {
    data_dir: PathBuf,
    /// What was removed.
    removed: Vec<PathBuf>,
}

impl Reset {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let data_dir = data_dir::choose(self.data_dir.as_deref())?;
        let removed = disk::owned(&data_dir);
        if !removed.is_empty() {
            let question = format!("All that the node in {} knows is lost. Go on?", data_dir.display());
            confirmation::ask(globals, &question)?;
        }
        // Also with nothing to see, for it may have been cut short before.
        wipe(&data_dir).map_err(fault)?;
        if output.json() {
            return output.item("micro-node/reset/v1", &ResetItem { data_dir, removed });
        }
        output.remark(&match removed.is_empty() {
            true => format!("there was nothing to wipe in {}", data_dir.display()),
            false => format!(
                "{} is wiped: the next start makes a new node. If the old one was a member of a mesh and has not left, \
                 tell a node of that mesh: micro-node cluster remove NAME",
                data_dir.display()
            ),
        });
        Ok(())
    }
}

/// Wipes `data_dir`, once the node on it has ended.
fn wipe(data_dir: &Path) -> Result<(), StorageError> {
    let began = Instant::now();
    loop {
        match disk::reset(data_dir) {
            Err(StorageError::InUse { .. }) if began.elapsed() < END_PATIENCE => thread::sleep(END_LOOK),
            done => return done,
        }
    }
}

fn fault(error: StorageError) -> Fault {
    match &error {
        StorageError::InUse { .. } => Fault::new(Code::Conflict, error.to_string())
            .help("a node runs on it: end it first, with `micro-node leave` or SIGTERM"),
        StorageError::Unwritable { .. } => {
            Fault::new(Code::Failed, error.to_string()).help("run this as the user that the node runs as")
        }
        _ => {
            let fault = Fault::new(Code::Failed, error.to_string());
            Fault { effect: Effect::Unknown, ..fault }
                .help("run it again once the disk is well: it goes on there")
        }
    }
}
