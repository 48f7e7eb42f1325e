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
use crate::node::{restore_fault, unpack_blobs};
use clap::Args;
use jiff::Timestamp;
use micro_consensus::{BackupFacts, Restoration};
use micro_sdk::{
    client::Node,
    wire::{Code, Fault},
};
use micro_storage::blob_archive::Unpacked;
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    fs::File,
    io::{BufReader, ErrorKind, Write},
    path::{Path, PathBuf},
    thread,
};
use tokio::sync::oneshot;

/// Take a backup of the whole mesh into a file
///
/// It holds all that the mesh agrees on, as of one moment, and is taken while the mesh serves. It is read once more
/// when it is written, and has its name only if it is whole. What is a secret of a node, such as the key of the seal,
/// is not in it; records and blobs are, as they are: keep the file where only you can read it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node cluster backup mesh-2026-11-26.backup
  micro-node cluster backup latest.backup --overwrite
  micro-node cluster backup small.backup --without-blobs
  micro-node cluster verify latest.backup
  micro-node cluster restore latest.backup --data-dir ./restored")]
pub(super) struct Backup {
    /// The file to write
    file: PathBuf,

    /// Also if there is such a file: it is replaced once the new one is whole
    #[arg(long)]
    overwrite: bool,

    /// Only what the mesh agrees on: the names of blobs, and not their bytes
    #[arg(long)]
    without_blobs: bool,
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
    /// How many contents of blobs are in it, each once, however many names it has; none if it was taken without.
    blobs: Option<u64>,
    /// Their bytes.
    blob_bytes: Option<u64>,
}

const BACKUP: ItemShape<BackupItem<'static>> =
    ItemShape::new("backup", &["cluster backup", "cluster verify"]);

pub(super) const SHAPES: Shapes = &[&BACKUP];

impl<'a> BackupItem<'a> {
    pub(super) fn new(file: &'a Path, found: &'a Found) -> Self {
        let Found { facts, bytes, blobs } = found;
        BackupItem {
            file,
            bytes: *bytes,
            cluster: facts.cluster.to_string(),
            node: &facts.node,
            version: &facts.version,
            taken: taken(facts),
            revision: facts.revision,
            blobs: blobs.map(|blobs| blobs.blobs),
            blob_bytes: blobs.map(|blobs| blobs.bytes),
        }
    }
}

/// What a backup was found to be.
pub(super) struct Found {
    /// What it is of.
    pub facts: BackupFacts,
    /// The length of the file.
    pub bytes: u64,
    /// The blobs in it; none if it was taken without.
    pub blobs: Option<Unpacked>,
}

/// What a person is told of the blobs in a backup.
pub(super) fn of_blobs(blobs: Option<Unpacked>) -> String {
    match blobs {
        None => "without blobs".to_owned(),
        Some(Unpacked { blobs: 0, .. }) => "there were no blobs".to_owned(),
        Some(Unpacked { blobs: 1, bytes: size }) => format!("with blobs of 1 content, {}", bytes(size)),
        Some(Unpacked { blobs, bytes: size }) => format!("with blobs of {blobs} contents, {}", bytes(size)),
    }
}

/// When a backup was taken.
fn taken(facts: &BackupFacts) -> Option<String> {
    let time = Timestamp::from_millisecond(i64::try_from(facts.time_ms).ok()?).ok()?;
    Some(time.to_string())
}

impl Backup {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let Backup { file, overwrite, without_blobs } = self;
        if file.as_os_str() == "-" {
            let fault = Fault::new(
                Code::Usage,
                "a backup is read again once it is written, so it can't go to stdout",
            );
            return Err(fault.help("name a file; one that is called so is ./-").into());
        }
        if file.exists() && !overwrite {
            let message = format!("{} is there already", file.display());
            return Err(Fault::new(Code::Conflict, message).help("replace it with --overwrite").into());
        }
        let part = Part::create(&file)?;
        let found = session::run(globals, async |node| {
            write(&node, without_blobs, &part, output).await?;
            reread(part.path.clone(), output.clone()).await
        })?;
        part.keep(&file)?;
        told(output, &file, &found, "backed up")
    }
}

impl Verify {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let found = verify(&self.file, output)?;
        told(output, &self.file, &found, "whole")
    }
}

fn told(output: &Output, file: &Path, found: &Found, done: &str) -> Result<(), Failure> {
    if output.json() {
        return output.item(&BACKUP, &BackupItem::new(file, found));
    }
    let Found { facts, bytes: size, blobs } = found;
    output.remark(&format!(
        "{done}: {}, {}, mesh {} up to revision {}, {}, taken from node {} at {}",
        file.display(),
        bytes(*size),
        facts.cluster,
        facts.revision,
        of_blobs(*blobs),
        facts.node,
        taken(facts).unwrap_or_else(|| "an unknown time".to_owned()),
    ));
    Ok(())
}

async fn write(node: &Node, without_blobs: bool, part: &Part, output: &Output) -> Result<(), Failure> {
    let mut backup = if without_blobs { node.backup_without_blobs().await? } else { node.backup().await? };
    let progress = Progress::bytes(output, "taking", backup.bytes());
    let mut written = 0;
    while let Some(chunk) = backup.next().await? {
        (&part.file).write_all(&chunk).map_err(|error| {
            failed("write", &part.path, &error).help(format!("the backup takes {}", bytes(backup.bytes())))
        })?;
        written += chunk.len() as u64;
        progress.at(written);
    }
    Ok(part.sync()?)
}

/// Reads a backup to its end on a thread of its own: a signal ends the command meanwhile, and the thread with it.
async fn reread(path: PathBuf, output: Output) -> Result<Found, Failure> {
    let (done, outcome) = oneshot::channel();
    thread::spawn(move || drop(done.send(verify(&path, &output))));
    match outcome.await {
        Ok(found) => found,
        Err(_) => {
            let message = "the thread that read the backup once more has ended early";
            Err(Fault::new(Code::Internal, message).into())
        }
    }
}

/// Reads a backup to its end.
pub(super) fn verify(path: &Path, output: &Output) -> Result<Found, Failure> {
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Fault::new(Code::Usage, format!("there is no file {}", path.display()))
            .help("micro-node cluster backup FILE makes one"),
        _ => failed("read", path, &error),
    })?;
    let length = file.metadata().map_err(|error| failed("read", path, &error))?.len();
    let restoration = Restoration::open(BufReader::new(file)).map_err(restore_fault)?;
    let facts = restoration.facts();
    let progress = Progress::bytes(output, "verifying", length);
    let rest = restoration.verify(|read| progress.at(read)).map_err(restore_fault)?;
    let unpack = |mut rest| unpack_blobs(&mut rest, None, |read| progress.at(facts.state_bytes + read));
    let blobs = rest.map(unpack).transpose().map_err(restore_fault)?;
    Ok(Found { facts, bytes: length, blobs })
}
