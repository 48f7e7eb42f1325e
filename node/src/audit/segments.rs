//! The files of the log, oldest first. Each is called by the number of its first entry.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// How many digits a number has in the name of a file: names are in the order of numbers.
const DIGITS: usize = 20;

/// The name of the file that begins with this entry.
pub(super) fn name(first: u64) -> String {
    format!("{first:0DIGITS$}.jsonl")
}

/// The files in `directory`, each by the number of its first entry. What is called otherwise is none of ours.
pub(super) fn segments(directory: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".jsonl"));
        if let Some(number) = number.filter(|number| number.len() == DIGITS) {
            found.extend(number.parse::<u64>().ok().filter(|first| *first > 0));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Where the file that begins with this entry is.
pub(super) fn path(directory: &Path, first: u64) -> PathBuf {
    directory.join(name(first))
}

/// Makes the directory, for its owner only.
pub(super) fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Opens a file for its owner only, to be written at its end.
pub(super) fn open(directory: &Path, first: u64) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path(directory, first))
}

/// Makes the names in the directory durable.
pub(super) fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// The lines of a file, without their ends, and whether something without an end follows them.
pub(super) fn lines(bytes: &[u8]) -> (impl Iterator<Item = &[u8]>, usize) {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let torn = bytes.len() - whole;
    (bytes[..whole].split_inclusive(|byte| *byte == b'\n').map(|line| &line[..line.len() - 1]), torn)
}
