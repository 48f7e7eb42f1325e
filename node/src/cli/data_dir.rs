//! Where a node keeps its files when nothing else was said.

use super::failure::Failure;
use etcetera::{BaseStrategy, base_strategy::Xdg};
use micro_sdk::wire::{Code, Fault};
use std::path::{Path, PathBuf};

/// Where a node of root keeps its files.
const ROOT_DIR: &str = "/var/lib/micro-node";

/// The directory that was given, made absolute, or the default: `/var/lib/micro-node` for root, else
/// `micro-node` in the user's data home (`$XDG_DATA_HOME`, `~/.local/share`).
///
/// # Errors
/// If there is no home directory to take the default from.
pub(super) fn choose(given: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = given {
        // A node outlives the directory that it was started from, and messages should name the place for
        // everyone.
        let absolute = std::path::absolute(path);
        return absolute.map_err(|error| {
            Fault::new(Code::Usage, format!("--data-dir {path:?} names no place: {error}")).into()
        });
    }
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from(ROOT_DIR));
    }
    let home = Xdg::new().map_err(|_| {
        Fault::new(Code::Usage, "there is no home directory to keep data in")
            .help("say where: --data-dir DIR")
    })?;
    Ok(home.data_dir().join("micro-node"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_was_given_is_taken_and_made_absolute() {
        assert_eq!(choose(Some(Path::new("/a/b"))).expect("it is a path"), Path::new("/a/b"));
        assert!(choose(Some(Path::new("b"))).expect("it is a path").is_absolute());
    }
}
