//! `micro-node audit verify`.

use super::{
    data_dir,
    failure::Failure,
    globals::Globals,
    output::Output,
    session,
    shape::{ItemShape, Shapes},
};
use crate::audit::{Break, Digest, Trail};
use clap::Args;
use micro_sdk::client::{AuditBreak, AuditVerification};
use std::path::PathBuf;

/// The exit code where something is wrong.
const BROKEN: u8 = 1;

/// Read the log through: whether each entry is as it was written, and none is missing
///
/// The exit code is 1 if not, and file and line are named. It prints the hash of the last entry: keep it elsewhere, and
/// `--head` tells later that all up to there is what it was.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node audit verify
  micro-node audit verify -o json | jq -r .item.head > head.kept
  micro-node audit verify --head $(cat head.kept)
  micro-node audit verify --data-dir ./alpha         without a node")]
pub(super) struct Verify {
    /// The hash of an entry that has to be there, as it was printed once
    #[arg(long, value_name = "HASH")]
    head: Option<Digest>,

    /// Read the files in this data directory instead of asking a node
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

const VERIFICATION: ItemShape<AuditVerification> = ItemShape::new("audit-verification", &["audit verify"]);

pub(super) const SHAPES: Shapes = &[&VERIFICATION];

impl Verify {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let found = match &self.data_dir {
            Some(given) => read(&data_dir::choose(Some(given))?, self.head)?,
            None => {
                let head = self.head.map(|head| head.to_string());
                session::run(globals, async |node| Ok(node.verify_audit(head.as_deref()).await?))?
            }
        };
        if output.json() {
            output.item(&VERIFICATION, &found)?;
        } else {
            for AuditBreak { file, line, why } in &found.breaks {
                output.error(&format!("{file}:{line}: {why}"));
            }
            output.text(&found.head)?;
            let sound = if found.breaks.is_empty() { "sound" } else { "broken" };
            let AuditVerification { entries, files, first, last, .. } = &found;
            output.remark(&format!("{sound}: {entries} entries, {first} to {last}, in {files} files"));
        }
        if found.breaks.is_empty() { Ok(()) } else { Err(Failure::Answered(BROKEN)) }
    }
}

fn read(data_dir: &std::path::Path, head: Option<Digest>) -> Result<AuditVerification, Failure> {
    let found = Trail::verify_in(data_dir, head)?;
    let wrong = |Break { file, line, why }| AuditBreak { file, line, why };
    Ok(AuditVerification {
        files: found.files as u64,
        entries: found.entries,
        first: found.numbers.0,
        last: found.numbers.1,
        head: found.head.to_string(),
        breaks: found.breaks.into_iter().map(wrong).collect(),
    })
}
