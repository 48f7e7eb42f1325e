//! `micro-node cluster backup` and `micro-node cluster verify`.

use super::super::{
    failure::Failure,
    globals::Globals,
    output::Output,
    part::{Part, failed},
    progress::Progress,
    session,
    shape::{ItemShape, Shapes},
    unit::bytes,
};
use crate::node::restore_fault;
use clap::Args;
use jiff::Timestamp;
use micro_consensus::{BackupFacts, Restoration};
use micro_sdk::{
    client::Node,
    wire::{Code, Fault},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    fs::File,
    io::{BufReader, ErrorKind, Write},
    path::{Path, PathBuf},
};

/// Take a backup of the whole mesh into a file
///
/// It holds all that the mesh agrees on, as of one moment, and is taken while the mesh serves. It is read once more
/// when it is written, and has its name only if it is whole. What is a secret of a node, such as the key of the seal,
/// is not in it, nor are blobs; records are, as they are: keep the file where only you can read it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node cluster backup mesh-2026-11-26.backup
  micro-node cluster backup latest.backup --overwrite
  micro-node cluster verify latest.backup
  micro-node cluster restore latest.backup --data-dir ./restored")]
pub(super) struct Backup {
    /// The file to write
    file: PathBuf,

    /// Also if there is such a file: it is replaced once the new one is whole
    #[arg(long)]
    overwrite: bool,
}

/// Read a backup and say what it is of and whether it is whole
///
/// It needs no node.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  micro-node cluster verify latest.backup")]
pub(super) struct Verify {
    /// The backup
    file: PathBuf,
}

/// A backup, for programs.
#[derive(Serialize, JsonSchema)]
pub(super) struct BackupItem<'a> {
    /// The file.
    file: &'a Path,
    /// Its length.
    bytes: u64,
    /// The mesh.
    cluster: String,
    /// The node that it was taken from.
    node: &'a str,
    /// The build that took it.
    version: &'a str,
    /// RFC 3339.
    taken: Option<String>,
    /// The last revision that is in it.
    revision: u64,
}

const BACKUP: ItemShape<BackupItem<'static>> =
    ItemShape::new("backup", &["cluster backup", "cluster verify"]);

pub(super) const SHAPES: Shapes = &[&BACKUP];

impl<'a> BackupItem<'a> {
    pub(super) fn new(file: &'a Path, bytes: u64, facts: &'a BackupFacts) -> Self {
        BackupItem {
            file,
            bytes,
            cluster: facts.cluster.to_string(),
            node: &facts.node,
            version: &facts.version,
            taken: taken(facts),
            revision: facts.revision,
        }
    }
}

/// When a backup was taken.
fn taken(facts: &BackupFacts) -> Option<String> {
    let time = Timestamp::from_millisecond(i64::try_from(facts.time_ms).ok()?).ok()?;
    Some(time.to_string())
}

impl Backup {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let Backup { file, overwrite } = self;
        if file.exists() && !overwrite {
            let message = format!("{} is there already", file.display());
            return Err(Fault::new(Code::Conflict, message).help("replace it with --overwrite").into());
        }
        let part = Part::create(&file)?;
        session::run(globals, async |node| write(&node, &part, output).await)?;
        let (facts, bytes) = verify(&part.path, output)?;
        part.keep(&file)?;
        told(output, &file, bytes, &facts, "backed up")
    }
}

impl Verify {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let (facts, bytes) = verify(&self.file, output)?;
        told(output, &self.file, bytes, &facts, "whole")
    }
}

fn told(output: &Output, file: &Path, size: u64, facts: &BackupFacts, done: &str) -> Result<(), Failure> {
    if output.json() {
        return output.item(&BACKUP, &BackupItem::new(file, size, facts));
    }
    output.remark(&format!(
        "{done}: {}, {}, mesh {} up to revision {}, taken from node {} at {}",
        file.display(),
        bytes(size),
        facts.cluster,
        facts.revision,
        facts.node,
        taken(facts).unwrap_or_else(|| "an unknown time".to_owned()),
    ));
    Ok(())
}

async fn write(node: &Node, part: &Part, output: &Output) -> Result<(), Failure> {
    let mut backup = node.backup().await?;
    let progress = Progress::bytes(output, "taking", backup.bytes());
    let mut written = 0;
    while let Some(chunk) = backup.next().await? {
        (&part.file).write_all(&chunk).map_err(|error| {
            failed("write", &part.path, &error).help(format!("the backup takes {}", bytes(backup.bytes())))
        })?;
        written += chunk.len() as u64;
        progress.at(written);
    }
    part.file.sync_all().map_err(|error| failed("sync", &part.path, &error))?;
    Ok(())
}

/// Reads a backup; its facts and its length.
pub(super) fn verify(path: &Path, output: &Output) -> Result<(BackupFacts, u64), Failure> {
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Fault::new(Code::Usage, format!("there is no file {}", path.display()))
            .help("micro-node cluster backup FILE makes one"),
        _ => failed("read", path, &error),
    })?;
    let length = file.metadata().map_err(|error| failed("read", path, &error))?.len();
    let restoration = Restoration::open(BufReader::new(file)).map_err(restore_fault)?;
    let facts = restoration.facts();
    let progress = Progress::bytes(output, "verifying", facts.state_bytes);
    restoration.verify(|read| progress.at(read)).map_err(restore_fault)?;
    Ok((facts, length))
}
