//! The admin secret: 256 random bits in a file that only the node's user can read.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use micro_sdk::wire::{Code, Fault};
use micro_storage::FileStore;
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub(super) const FILE: &str = "admin.secret";

/// The secret of one node.
#[derive(Clone)]
pub struct AdminSecret(Zeroizing<String>);

impl AdminSecret {
    /// Whether `given` is the secret. Takes the same time however much of it is right.
    pub fn matches(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

/// Where the secret of a data directory lies.
pub(super) fn path(data_dir: &Path) -> PathBuf {
    micro_storage::disk::file_path(data_dir, FILE)
}

/// The secret of a data directory; a new one in a new directory.
pub(super) fn load(files: &dyn FileStore) -> Result<AdminSecret, Fault> {
    let failed = |error: micro_storage::StorageError| Fault::new(Code::Failed, error.to_string());
    if let Some(bytes) = files.read(FILE).map_err(failed)? {
        let text = String::from_utf8(bytes)
            .map_err(|_| Fault::new(Code::Failed, "the file of the admin secret is not text"))?;
        return Ok(AdminSecret(Zeroizing::new(text.trim().to_owned())));
    }
    let random: Zeroizing<[u8; 32]> = Zeroizing::new(super::production_seams().random());
    let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(random.as_slice()));
    files.write(FILE, secret.as_bytes()).map_err(failed)?;
    Ok(AdminSecret(secret))
}
