//! `micro-node store restore`.

use super::{
    Place, confirmation,
    copy::{Copy, CopyItem},
    database::Database,
    failure::Failure,
    globals::Globals,
    output::Output,
    progress::Progress,
    session,
    shape::{ItemShape, Shapes},
    snapshot::document::{Head, Reader},
};
use clap::Args;
use futures::stream;
use micro_sdk::wire::{Code, Fault};
use std::{
    fs::File,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Write the records of a snapshot into a database, as far as they are not there already
///
/// The file is read to its end first: a damaged one changes nothing. Up to 1,024 records are one entry of the log, and
/// a restore that was cut short goes on where it was when it is run again. Records keep values, metadata and expiry,
/// and get new versions; those that have expired meanwhile are left out.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node store restore crm.snapshot                       into the database that it was taken of
  micro-node store restore crm.snapshot --database copy
  micro-node store restore crm.snapshot --dry-run --replace   what would be written and deleted
  micro-node store restore crm.snapshot --replace --yes")]
pub(super) struct Restore {
    /// The snapshot
    file: PathBuf,

    /// Also delete the records that are in the database and not in the snapshot
    #[arg(long)]
    replace: bool,

    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

const RESTORE: ItemShape<CopyItem> = ItemShape::new("store-restore", &["store restore"]);

pub(super) const SHAPES: Shapes = &[&RESTORE];

impl Restore {
    pub(super) fn run(self, place: &Place, globals: &Globals, output: &Output) -> Result<(), Failure> {
        place.refuse_table()?;
        let Restore { file: path, replace, dry_run } = self;
        let file = File::open(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Fault::new(Code::Usage, format!("there is no file {}", path.display()))
                .help("micro-node store snapshot FILE makes one"),
            _ => Fault::new(Code::Usage, format!("cannot read {}: {error}", path.display())),
        })?;
        let head = verify(&file, &path, output).map_err(|fault| fault.help("nothing was changed"))?;
        let database = place.database.clone().unwrap_or(head.database);
        if replace && !dry_run {
            let question = format!(
                "delete the records of database {database:?} that are not in {}, and write the others?",
                path.display()
            );
            confirmation::ask(globals, &question)?;
        }
        let mut item = session::run(globals, async |node| {
            let target = Database::new(&node, &database);
            let reader = Reader::open(&file, &path)?;
            Ok(Copy { target, replace, dry_run, output }.run(stream::iter(reader)).await?)
        })?;
        item.database = database;
        if output.json() {
            return output.item(&RESTORE, &item);
        }
        item.tell(output);
        Ok(())
    }
}

/// Reads a snapshot to its end; what it is of.
fn verify(file: &File, path: &Path, output: &Output) -> Result<Head, Fault> {
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let progress = Progress::bytes(output, "verifying", length);
    let mut reader = Reader::open(file, path)?;
    while let Some(placed) = reader.next() {
        placed?;
        progress.at(reader.bytes());
    }
    Ok(reader.head().clone())
}
