//! One bit that is not what was written, in each file of a data directory in turn.

use crate::{Member, Writers, check_acknowledged, copy};
use anyhow::{Context, ensure};
use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Writes before the flips: so many that log and state have something in all of their files.
const WRITES: usize = 300;

/// From one flipped bit of a table to the next: less than a block.
const FLIP_EVERY_BYTES: usize = 2048;

/// What became of the flips.
#[derive(Clone, Debug, Default)]
pub struct Flips {
    /// The files after whose flip the node did not start, or refused to read and said why.
    pub refused: Vec<PathBuf>,
    /// Those after whose flip it served all that was acknowledged: the bit meant nothing, or could be mended.
    pub served: Vec<PathBuf>,
}

/// Flips a bit in the middle of what each file of a node of one holds, and starts the node on that: it must serve all
/// that was acknowledged, or refuse to start, or to read what is damaged, and leave the file where it is.
///
/// # Errors
/// Names the file after whose flip it was otherwise.
pub async fn flip_each_file() -> anyhow::Result<Flips> {
    let scratch = tempfile::Builder::new().prefix("micro-node-").tempdir_in("/tmp")?;
    let mut member = Member::new(scratch.path(), "alpha", Vec::new())?;
    member.start(&[]).await?;
    let writers = Writers::start("flip", [member.client().await?]);
    writers.more(WRITES).await?;
    let acknowledged = writers.finish().await;
    member.stop().await?;
    // Once more, so that what was in the engine's journal gets a file of its own.
    member.start(&[]).await?;
    member.stop().await?;

    let (data, good) = (member.data_dir(), scratch.path().join("good"));
    fs::rename(&data, &good)?;
    let mut flips = Flips::default();
    for file in files(&good)? {
        let name = file.strip_prefix(&good)?.to_owned();
        copy(&good, &data)?;
        if flip(&data.join(&name))? {
            let serves =
                serves(&mut member, &acknowledged).await.with_context(|| name.display().to_string())?;
            ensure!(serves || data.join(&name).exists(), "{} was damaged, and is gone", name.display());
            if serves { flips.served.push(name) } else { flips.refused.push(name) }
        }
        fs::remove_dir_all(&data)?;
    }
    Ok(flips)
}

/// All files below `folder`.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (mut found, mut waiting) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() { waiting.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}

/// Flips one bit in the middle of what was written to `file`; false if that is nothing.
fn flip(file: &Path) -> anyhow::Result<bool> {
    let mut bytes = fs::read(file)?;
    // The log's files are filled with zeroes behind what was written.
    let Some(last) = bytes.iter().rposition(|byte| *byte != 0) else { return Ok(false) };
    bytes[last / 2] ^= 0x10;
    fs::write(file, bytes)?;
    Ok(true)
}

/// Whether the node starts and has all that was acknowledged. False if it refuses to start or to read.
async fn serves(member: &mut Member, acknowledged: &[String]) -> anyhow::Result<bool> {
    if let Err(error) = member.start(&[]).await {
        ensure!(!member.is_running(), "it neither serves nor ends: {error}");
        let code = member.ended().await?;
        let said = member.last_words();
        ensure!(code != 0 && !said.contains("panicked"), "exit code {code}\n{said}");
        return Ok(false);
    }
    match check_acknowledged(&member.client().await?, acknowledged).await {
        Ok(()) => {
            member.stop().await?;
            Ok(true)
        }
        // The engine looks at a block when it is read: then it says which.
        Err(error) if error.to_string().contains("is corrupt") => {
            // It ends by itself, since nothing can be read from that state any more.
            let code = member.ended().await?;
            ensure!(code != 0, "it ended as if all were well");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Flips a bit in the middle of what the log in `raft` holds: in what was synced and acknowledged long before its end.
/// Returns the file.
///
/// # Errors
/// If there is no log, or it can't be written.
pub fn flip_log(raft: &Path) -> anyhow::Result<PathBuf> {
    for file in files(raft)?.into_iter().filter(|file| file.extension().is_some_and(|end| end == "log")) {
        if flip(&file)? {
            return Ok(file);
        }
    }
    anyhow::bail!("there is no log in {}", raft.display())
}

/// Flips bits all over each table of the database in `state`, in place, so that a node that has them open sees it too.
///
/// # Errors
/// If there is no table, or a file can't be written.
pub fn flip_tables(state: &Path) -> anyhow::Result<()> {
    let mut tables = files(state)?;
    tables.retain(|file| file.extension().is_some_and(|end| end == "sst"));
    ensure!(!tables.is_empty(), "there is no table in {}", state.display());
    for table in tables {
        let file = fs::File::options().read(true).write(true).open(&table)?;
        // Blocks have 4 KiB and more; what lies at the end is read when the table is opened.
        for at in (0..file.metadata()?.len()).step_by(FLIP_EVERY_BYTES) {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at)?;
            file.write_all_at(&[byte[0] ^ 0x10], at)?;
        }
    }
    Ok(())
}
