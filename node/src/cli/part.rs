//! A file that a command writes: it has its name only once it is whole.

use micro_sdk::wire::{Code, Fault};
use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// A file under another name until it is whole.
pub(super) struct Part {
    /// Where it is meanwhile.
    pub(super) path: PathBuf,
    /// The file, open for writing.
    pub(super) file: File,
    kept: bool,
}

/// What a failure of a file means.
pub(super) fn failed(what: &str, path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(Code::Failed, format!("cannot {what} {}: {error}", path.display()))
}

impl Part {
    /// Starts `file`, for its owner alone: what is in it may be in clear what is sealed elsewhere.
    ///
    /// # Errors
    /// If it can't be written there.
    pub(super) fn create(file: &Path) -> Result<Self, Fault> {
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let path = file.with_file_name(name);
        let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let opened = opened.map_err(|error| {
            failed("write", &path, &error).help("choose a place that this user may write to")
        })?;
        Ok(Part { path, file: opened, kept: false })
    }

    /// Gives it its name, durably.
    ///
    /// # Errors
    /// If the disk fails.
    pub(super) fn keep(mut self, file: &Path) -> Result<(), Fault> {
        fs::rename(&self.path, file).map_err(|error| failed("write", file, &error))?;
        self.kept = true;
        let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(|error| failed("sync", directory, &error))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.kept {
            // What is not whole must not be taken for it.
            let _ = fs::remove_file(&self.path);
        }
    }
}
