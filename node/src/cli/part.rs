//! A file that a command writes: it has its name only once it is whole.

use micro_sdk::wire::{Code, Fault};
use std::{
    fs::File,
    path::{Path, PathBuf},
};
use tempfile::{Builder, NamedTempFile};

/// A file under another name until it is whole. Nobody else has that name, be it another command that writes the same
/// file. What is not whole is removed, so that it is not taken for it.
pub(super) struct Part {
    /// Where it is meanwhile.
    pub(super) path: PathBuf,
    /// The file, open for writing.
    pub(super) file: NamedTempFile,
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
        name.push(".");
        let made = Builder::new().prefix(&name).suffix(".part").tempfile_in(directory(file));
        let file = made.map_err(|error| {
            failed("write", file, &error).help("choose a place that this user may write to")
        })?;
        Ok(Part { path: file.path().to_owned(), file })
    }

    /// Waits until what was written is on the disk.
    ///
    /// # Errors
    /// If the disk fails.
    pub(super) fn sync(&self) -> Result<(), Fault> {
        self.file.as_file().sync_all().map_err(|error| failed("sync", &self.path, &error))
    }

    /// Gives it its name, durably.
    ///
    /// # Errors
    /// If the disk fails.
    pub(super) fn keep(self, file: &Path) -> Result<(), Fault> {
        self.file.persist(file).map_err(|error| failed("write", file, &error.error))?;
        let directory = directory(file);
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(|error| failed("sync", directory, &error))
    }
}

/// Where a file lies.
fn directory(file: &Path) -> &Path {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        io::{self, Write},
        os::unix::fs::PermissionsExt,
    };

    #[test]
    fn two_that_write_one_file_do_not_meet_and_what_is_not_kept_is_gone() -> io::Result<()> {
        let home = tempfile::tempdir()?;
        let file = home.path().join("a.backup");
        // What may lie there: it is nobody's business.
        fs::write(home.path().join("a.backup.part"), "precious")?;
        let parts = [0, 1].map(|_| Part::create(&file).expect("there is room"));
        for (part, content) in parts.iter().zip(["one", "two"]) {
            (&part.file).write_all(content.as_bytes())?;
            part.sync().expect("there is room");
        }
        let [first, second] = parts;
        first.keep(&file).expect("there is room");
        drop(second);
        assert_eq!(fs::read_to_string(&file)?, "one");
        assert_eq!(fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(home.path().join("a.backup.part"))?, "precious");
        assert_eq!(fs::read_dir(home.path())?.count(), 2);
        Ok(())
    }
}
