//! Accounts: whoever is not root, a node or nobody in particular.

use crate::auth::secret::SecretHash;
use bincode::{Decode, Encode};
use micro_sdk::wire::{AccountCaller, AccountKind, AccountName, Code, Fault, Namespace, SCOPES_MAX, Scope};
use std::collections::BTreeMap;

/// The metadata of one account at most, names and texts together: notes, not data.
const METADATA_BYTES_MAX: usize = 4 << 10;

/// An account as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Account {
    pub kind: AccountKind,
    pub scopes: Vec<Scope>,
    pub metadata: BTreeMap<String, String>,
    pub secret: SecretHash,
    /// The number of its state: grows with each change that ends what it had before, over deletion and return too.
    pub generation: u64,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// Who made it.
    pub who: String,
}

/// An account as it is shown: without anything of its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountView {
    /// Its tenant.
    pub namespace: Namespace,
    /// What it is called there.
    pub name: AccountName,
    /// What it is for.
    pub kind: AccountKind,
    /// What it may act as.
    pub scopes: Vec<Scope>,
    /// Notes.
    pub metadata: BTreeMap<String, String>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// Who made it.
    pub who: String,
}

impl Account {
    pub fn caller(&self, namespace: &Namespace, name: &AccountName) -> AccountCaller {
        AccountCaller {
            namespace: namespace.clone(),
            name: name.clone(),
            kind: self.kind,
            scopes: self.scopes.clone(),
        }
    }

    pub fn view(self, namespace: &Namespace, name: AccountName) -> AccountView {
        let Account { kind, scopes, metadata, created_ms, who, .. } = self;
        AccountView { namespace: namespace.clone(), name, kind, scopes, metadata, created_ms, who }
    }
}

impl AccountView {
    /// It as a caller.
    pub fn caller(&self) -> AccountCaller {
        let AccountView { namespace, name, kind, scopes, .. } = self;
        AccountCaller {
            namespace: namespace.clone(),
            name: name.clone(),
            kind: *kind,
            scopes: scopes.clone(),
        }
    }
}

/// Refuses more scopes or metadata than an account may have.
pub(crate) fn check(scopes: &[Scope], metadata: &BTreeMap<String, String>) -> Result<(), Fault> {
    if scopes.len() > SCOPES_MAX {
        let message =
            format!("{} scopes are more than the {SCOPES_MAX} that an account may have", scopes.len());
        return Err(Fault::new(Code::Usage, message));
    }
    let bytes: usize = metadata.iter().map(|(name, text)| name.len() + text.len()).sum();
    if bytes > METADATA_BYTES_MAX {
        let message = format!("{bytes} bytes of metadata are more than the limit of {METADATA_BYTES_MAX}");
        return Err(Fault::new(Code::Usage, message).help("keep it in the store"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::wire::Codec;

    #[test]
    fn layout_is_frozen() {
        let account = Account {
            kind: AccountKind::Service,
            scopes: vec!["ops".parse().expect("a good scope")],
            metadata: [("a".to_owned(), "b".to_owned())].into(),
            secret: SecretHash { salt: [1; 16], hash: [2; 32], memory_kib: 3, passes: 4 },
            generation: 5,
            created_ms: 6,
            who: "w".to_owned(),
        };
        let secret = [&[1; 16][..], &[2; 32], b"\x03\x04"].concat();
        let golden = [&b"\x01\0\x01\x01\x03ops\x01\x01a\x01b"[..], &secret, b"\x05\x06\x01w"].concat();
        assert_eq!(Codec::encode(&account), golden);
    }
}
