//! What a program says of its instance beside what is called: short texts by name, which travel by gossip.

use std::collections::BTreeMap;

/// The most entries of one instance.
pub const ENTRIES_MAX: usize = 16;
/// The bytes of all names and values of one instance. All that a node tells has to fit 64 KiB: with more, a few dozen
/// instances would fill it.
pub const BYTES_MAX: usize = 1024;
/// The longest name: that of a DNS label, as with other names.
const NAME_BYTES_MAX: usize = 63;

/// Why something can't be metadata.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// A name that is none.
    #[error(
        "{0:?} is not a metadata name: it takes 1 to 63 letters, digits, '-', '_' and '.', and begins and ends with a letter or digit"
    )]
    Name(String),
    /// A value that could not be shown.
    #[error("the metadata {0:?} has a value with control characters")]
    Value(String),
    /// Too many.
    #[error("an instance has at most {ENTRIES_MAX} metadata entries, not {0}")]
    Entries(usize),
    /// Too much.
    #[error("an instance has at most {BYTES_MAX} bytes of metadata, names and values together, not {0}")]
    Bytes(usize),
}

/// Whether these can be the metadata of an instance.
///
/// # Errors
/// Which limit is passed, and by what.
pub fn check(metadata: &BTreeMap<String, String>) -> Result<(), MetadataError> {
    if metadata.len() > ENTRIES_MAX {
        return Err(MetadataError::Entries(metadata.len()));
    }
    let bytes = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > BYTES_MAX {
        return Err(MetadataError::Bytes(bytes));
    }
    for (name, value) in metadata {
        if !is_name(name) {
            return Err(MetadataError::Name(name.chars().take(NAME_BYTES_MAX + 1).collect()));
        }
        if value.chars().any(char::is_control) {
            return Err(MetadataError::Value(name.clone()));
        }
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    let inner = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte));
    bytes.len() <= NAME_BYTES_MAX && inner && edge(bytes.first()) && edge(bytes.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn metadata_has_names_and_bounds() {
        for good in [&[][..], &[("zone", "b")], &[("a.b-c_d", "ü =,"), ("X9", "")]] {
            assert_eq!(check(&of(good)), Ok(()), "{good:?}");
        }
        for bad in ["", "-a", "a-", "a b", "a=b", "a/b", "ü", &"a".repeat(64)] {
            assert!(matches!(check(&of(&[(bad, "")])), Err(MetadataError::Name(_))), "{bad:?}");
        }
        assert_eq!(check(&of(&[("a", "b\nc")])), Err(MetadataError::Value("a".to_owned())));
        let most: BTreeMap<_, _> = (0..16).map(|number| (format!("n{number:02}"), "v".repeat(61))).collect();
        assert_eq!(check(&most), Ok(()));
        let mut more = most.clone();
        more.insert("x".to_owned(), String::new());
        assert_eq!(check(&more), Err(MetadataError::Entries(17)));
        let mut longer = most;
        longer.insert("n00".to_owned(), "v".repeat(62));
        assert_eq!(check(&longer), Err(MetadataError::Bytes(1025)));
    }
}
