//! `micro-node reset`.

use super::{
    confirmation, data_dir,
    failure::Failure,
    globals::Globals,
    output::Output,
    session::no_runtime,
    shape::{ItemShape, Shapes},
};
use crate::node::{GivenUp, nobody, rejoin};
use clap::Args;
use micro_sdk::wire::{Code, Effect, Fault, NodeId};
use micro_storage::{StorageError, disk};
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::Builder;

/// How long a node may take to end that was told to just before, by `leave` or a signal.
const END_PATIENCE: Duration = Duration::from_secs(3);
/// How often it is looked whether it has.
const END_LOOK: Duration = Duration::from_millis(50);

const EXAMPLES: &str = "\
Examples:
  micro-node reset
  micro-node reset --data-dir ./b --yes
  micro-node reset --rejoin                          its log is damaged, the other nodes are up: a new node in its place

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

    /// Keep all of it aside, and have the next start join the same mesh again, as a new node of the same name. The node
    /// gives its place up first, which needs a quorum of the others
    #[arg(long)]
    rejoin: bool,
}

/// A data directory that is fit to join as a new node.
#[derive(Serialize, JsonSchema)]
struct RejoinItem {
    /// The data directory.
    data_dir: PathBuf,
    /// The node that gave its place up.
    node: NodeId,
    /// Where its data is.
    aside: PathBuf,
}

/// A data directory that was wiped.
#[derive(Serialize, JsonSchema)]
struct ResetItem {
    /// The data directory.
    data_dir: PathBuf,
    /// What was removed.
    removed: Vec<PathBuf>,
}

const RESET: ItemShape<ResetItem> = ItemShape::new("reset", &["reset"]);
const REJOIN: ItemShape<RejoinItem> = ItemShape::new("rejoin", &["reset --rejoin"]);

pub(super) const SHAPES: Shapes = &[&RESET, &REJOIN];

impl Reset {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let data_dir = data_dir::choose(self.data_dir.as_deref())?;
        if self.rejoin {
            return come_back(data_dir, globals, output);
        }
        let removed = disk::owned(&data_dir);
        if !removed.is_empty() {
            let question = format!("All that the node in {} knows is lost. Go on?", data_dir.display());
            confirmation::ask(globals, &question)?;
        }
        // Also with nothing to see, for it may have been cut short before.
        wipe(&data_dir).map_err(fault)?;
        if output.json() {
            return output.item(&RESET, &ResetItem { data_dir, removed });
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

/// Gives the place of the node in `data_dir` up, so that its next start makes a new one there.
fn come_back(data_dir: PathBuf, globals: &Globals, output: &Output) -> Result<(), Failure> {
    if disk::owned(&data_dir).is_empty() {
        return Err(nobody(&data_dir).into());
    }
    let question = format!(
        "The node in {} gives its place in the mesh up for good, and a new one takes it. Go on?",
        data_dir.display()
    );
    confirmation::ask(globals, &question)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(no_runtime)?;
    let GivenUp { node, aside } = runtime.block_on(rejoin(&data_dir))?;
    if output.json() {
        return output.item(&REJOIN, &RejoinItem { data_dir, node, aside });
    }
    output.remark(&format!(
        "node {node} has given its place up, and its data is kept in {}. Start it as before, within an hour: it joins \
         the same mesh as a new node",
        aside.display()
    ));
    Ok(())
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
