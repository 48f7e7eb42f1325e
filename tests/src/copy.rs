//! Copies of data directories.

use anyhow::Context;
use std::{fs, path::Path};

/// Copies a file, or a folder with all that is in it.
///
/// # Errors
/// If something can't be read or written.
pub fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if !from.is_dir() {
        fs::copy(from, to).with_context(|| from.display().to_string())?;
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
