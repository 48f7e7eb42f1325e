//! Names of files that come from outside this crate.

use crate::StorageError;

/// The longest name that every file system takes.
const NAME_BYTES_MAX: usize = 255;

/// Checks that `name` names a file within a directory and nothing else: letters, digits, `.`, `-` and `_`, with no dot
/// at the start, so that it is neither a path nor one of our own temporary files.
///
/// # Errors
/// [`StorageError::Io`] with the kind `InvalidInput`.
pub(crate) fn check(name: &str) -> Result<(), StorageError> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.starts_with('.') || !name.bytes().all(good) {
        return Err(StorageError::refused(format!("{name:?} is not the name of a file")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_name_is_never_a_path() {
        for good in ["a", "MANIFEST-000005", "000012.sst", "admin_secret"] {
            assert!(check(good).is_ok(), "{good:?} was refused");
        }
        for bad in ["", ".", "..", ".a", "a/b", "/a", "a\\b", "a\0", "ü", &"a".repeat(256)] {
            assert!(check(bad).is_err(), "{bad:?} was taken for a name");
        }
    }
}
