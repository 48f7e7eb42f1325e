//! `micro-node store snapshot`.

pub(super) mod document;

use super::{
    Place,
    database::Database,
    failure::Failure,
    globals::Globals,
    item::rfc3339,
    output::Output,
    part::{Part, failed},
    session,
    shape::{ItemShape, Shapes},
};
use clap::Args;
use document::{Composer, Head, SCHEMA};
use futures::{StreamExt, pin_mut};
use micro_sdk::{
    client::Node,
    wire::{Code, Fault},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    io::{self, BufWriter, Write, stdout},
    path::PathBuf,
    time::SystemTime,
};

/// How many records there are between two words of progress.
const PROGRESS_EVERY: u64 = 10_000;

/// Take a snapshot of a database into a file: the records of all its tables, as of one moment
///
/// It is taken while the database is in use. The file has its name only once it is whole, and carries a hash. Records
/// that end with a lease are left out: they belong to who holds it. Records are in it as they are: keep the file where
/// only you can read it. A copy of all databases, with the past and the configuration, is micro-node cluster backup.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node store snapshot default.snapshot
  micro-node store snapshot crm.snapshot --database crm --overwrite
  micro-node store snapshot - --database crm | gzip > crm.snapshot.gz
  micro-node store restore crm.snapshot --database copy")]
pub(super) struct Snapshot {
    /// The file to write, or - for stdout
    file: PathBuf,

    /// Also if there is such a file: it is replaced once the new one is whole
    #[arg(long, visible_alias = "force")]
    overwrite: bool,
}

/// A snapshot that was taken.
#[derive(Serialize, JsonSchema)]
struct SnapshotItem {
    /// The file.
    file: PathBuf,
    /// The namespace of the database.
    namespace: String,
    /// The database.
    database: String,
    /// The records are as of this revision.
    revision: u64,
    /// RFC 3339.
    time: String,
    /// How many records are in it.
    records: u64,
    /// How many were left out, since they end with leases.
    left_out: u64,
}

const TAKEN: ItemShape<SnapshotItem> = ItemShape::new("store-snapshot-taken", &["store snapshot"]);

pub(super) const SHAPES: Shapes = &[&TAKEN, &document::SNAPSHOT];

impl Snapshot {
    pub(super) fn run(self, place: &Place, globals: &Globals, output: &Output) -> Result<(), Failure> {
        place.refuse_table()?;
        let Snapshot { file, overwrite } = &self;
        if file.as_os_str() == "-" {
            let to = BufWriter::new(stdout().lock());
            let unwritten = |error: &io::Error| Failure::of_stdout(error);
            let item = session::run(globals, async |node| {
                self.take(&node, place.database(), to, unwritten, output).await
            })?;
            item.tell("stdout", output);
            return Ok(());
        }
        if file.exists() && !overwrite {
            let message = format!("{} is there already", file.display());
            return Err(Fault::new(Code::Conflict, message).help("replace it with --overwrite").into());
        }
        let part = Part::create(file)?;
        let unwritten = |error: &io::Error| Failure::from(failed("write", &part.path, error));
        let item = session::run(globals, async |node| {
            let to = BufWriter::new(&part.file);
            self.take(&node, place.database(), to, unwritten, output).await
        })?;
        part.sync()?;
        part.keep(file)?;
        if output.json() {
            return output.item(&TAKEN, &item);
        }
        item.tell(&file.display().to_string(), output);
        Ok(())
    }

    /// Writes the snapshot, its end included.
    async fn take(
        &self,
        node: &Node,
        database: &str,
        to: impl Write,
        unwritten: impl Fn(&io::Error) -> Failure,
        output: &Output,
    ) -> Result<SnapshotItem, Failure> {
        let source = Database::new(node, database);
        let revision = source.revision().await?;
        let head = Head {
            schema: SCHEMA.to_owned(),
            namespace: node.namespace().to_string(),
            database: database.to_owned(),
            revision,
            time: rfc3339(SystemTime::now()),
        };
        let records = source.at(revision).await?;
        pin_mut!(records);
        let mut composer = Composer::begin(to, &head).map_err(|error| unwritten(&error))?;
        let mut left_out = 0;
        while let Some(placed) = records.next().await {
            let placed = placed?;
            if placed.record.lease.is_some() {
                left_out += 1;
                continue;
            }
            composer.record(placed).map_err(|error| unwritten(&error))?;
            if composer.records % PROGRESS_EVERY == 0 {
                output.remark(&format!("{} records so far", composer.records));
            }
        }
        let records = composer.records;
        composer.end().map_err(|error| unwritten(&error))?;
        let Head { namespace, database, time, .. } = head;
        Ok(SnapshotItem { file: self.file.clone(), namespace, database, revision, time, records, left_out })
    }
}

impl SnapshotItem {
    fn tell(&self, file: &str, output: &Output) {
        let SnapshotItem { database, revision, records, left_out, .. } = self;
        output.remark(&format!(
            "snapshot of database {database:?} at revision {revision}: {records} records in {file}"
        ));
        if *left_out > 0 {
            output.remark(&format!("{left_out} were left out, since they end with leases"));
        }
    }
}
