//! What people call a node: as they say, or as at its last start, or like its host.

use micro_sdk::wire::{Code, Fault};
use micro_storage::FileStore;
use std::ffi::CStr;

pub(super) const NAME_FILE: &str = "name";
/// The longest name: a DNS label's length, so that a node's name can become one.
const NAME_BYTES_MAX: usize = 63;
/// What a host without a usable name is called.
const NAMELESS: &str = "node";

/// The name of this start, kept for the next one.
///
/// # Errors
/// If the disk fails.
pub(super) fn choose(said: Option<&str>, files: &dyn FileStore) -> Result<String, Fault> {
    let failed = |error: micro_storage::StorageError| Fault::new(Code::Failed, error.to_string());
    let last = files.read(NAME_FILE).map_err(failed)?;
    let last = last.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok()).filter(|name| !name.is_empty());
    let name = match (said, &last) {
        (Some(said), _) => said.to_owned(),
        (None, Some(last)) => last.clone(),
        (None, None) => of_host(rustix::system::uname().nodename()),
    };
    if last.as_ref() != Some(&name) {
        files.write(NAME_FILE, name.as_bytes()).map_err(failed)?;
    }
    Ok(name)
}

/// The name of a node on a host of this name: its first label, with what no name has replaced.
fn of_host(host: &CStr) -> String {
    let host = host.to_string_lossy().to_ascii_lowercase();
    let label = host.split('.').next().unwrap_or_default();
    let clean: String = label
        .chars()
        .map(|char| if char.is_ascii_alphanumeric() { char } else { '-' })
        .take(NAME_BYTES_MAX)
        .collect();
    match clean.trim_matches('-') {
        "" => NAMELESS.to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_said_once_is_kept() {
        let folder = tempfile::tempdir().expect("there is room");
        let files = micro_storage::disk::open(folder.path()).expect("it is empty").files;
        let at_first = choose(None, &*files).expect("the disk is well");
        assert_eq!(choose(Some("b"), &*files).expect("the disk is well"), "b");
        assert_ne!(at_first, "b");
        assert_eq!(choose(None, &*files).expect("the disk is well"), "b");
    }

    #[test]
    fn a_host_s_name_becomes_a_node_s() {
        for (host, node) in [
            (c"alpha", "alpha"),
            (c"Alpha.example.org", "alpha"),
            (c"web_01", "web-01"),
            (c"_x_", "x"),
            (c"", "node"),
            (c"...", "node"),
        ] {
            assert_eq!(of_host(host), node);
        }
    }
}
