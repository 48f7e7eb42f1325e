//! Secrets that the platform keeps as records, and that any node may need: sealed wherever they lie.
//!
//! They are sealed with the key of the authority's seal, which is a file on each voter. A node that does not vote has
//! the leader seal and open them, over their link, and keeps them in its memory alone. What is sealed begins with what
//! it is and whose. So one does not stand in for another, and nobody has the leader open what is kept under the same
//! key and is no business of theirs: the authority, the keys that sign, those of the configuration.

use crate::{
    auth::{AUTH, AuthState},
    kit::Leader,
};
use bincode::{Decode, Encode};
use micro_sdk::wire::{ClusterId, Code, Fault, Seams};
use std::fmt;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// What is sealed begins so: no other seal does.
const SEALED_AS: &[u8] = b"locker/1";

/// What a secret is, and whose. No name in it has a zero byte.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Label {
    /// The key of the mesh's account at a certificate authority, by the address of its directory.
    AcmeAccount(String),
    /// The key of a certificate that callers of the HTTP api are shown, by its domain.
    TlsKey(String),
}

impl Label {
    /// What the secret stands behind.
    fn prefix(&self) -> Result<Vec<u8>, Fault> {
        let (kind, name) = match self {
            Label::AcmeAccount(directory) => ("acme-account", directory),
            Label::TlsKey(domain) => ("tls-key", domain),
        };
        if name.contains('\0') {
            return Err(Fault::new(Code::Usage, "the name of a secret holds no zero byte"));
        }
        Ok([SEALED_AS, &[0], kind.as_bytes(), &[0], name.as_bytes(), &[0]].concat())
    }
}

/// Endpoint `seal-secret`: answers with the sealed secret.
#[derive(Encode, Decode)]
pub(super) struct SealRequest {
    label: Label,
    secret: Vec<u8>,
}

/// Endpoint `open-secret`: answers with the secret; none if another mesh sealed it.
#[derive(Encode, Decode)]
pub(super) struct OpenRequest {
    label: Label,
    sealed: Vec<u8>,
}

/// Seals and opens such secrets. Clones share everything.
#[derive(Clone)]
pub(crate) struct Locker {
    pub state: AuthState,
    pub leader: Leader,
}

impl fmt::Debug for Locker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locker")
    }
}

impl Locker {
    /// Seals a secret.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if nobody has the key just now.
    pub async fn seal(&self, label: &Label, secret: &[u8], deadline: Instant) -> Result<Vec<u8>, Fault> {
        let request = SealRequest { label: label.clone(), secret: secret.to_vec() };
        match self.seal_here(&request) {
            Err(fault) if fault.code == Code::Unavailable => {
                self.leader.ask(AUTH, "seal-secret", &request, no_keys, deadline).await
            }
            sealed => sealed,
        }
    }

    /// Opens what [`seal`](Self::seal) made; none if it was sealed by another mesh, whose backup this one was made of.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if nobody has the key just now.
    pub async fn open(
        &self,
        label: &Label,
        sealed: &[u8],
        deadline: Instant,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
        let request = OpenRequest { label: label.clone(), sealed: sealed.to_vec() };
        let opened = match self.open_here(&request) {
            Err(fault) if fault.code == Code::Unavailable => {
                self.leader.ask(AUTH, "open-secret", &request, no_keys, deadline).await
            }
            opened => opened,
        };
        Ok(opened?.map(Zeroizing::new))
    }

    /// Seals on a node that has the key.
    pub(super) fn seal_here(&self, request: &SealRequest) -> Result<Vec<u8>, Fault> {
        let key = self.state.proven_seal_key()?.ok_or_else(no_keys)?;
        let secret = Zeroizing::new([request.label.prefix()?, request.secret.clone()].concat());
        Ok(key.seal(self.seams(), self.cluster(), &secret))
    }

    /// Opens on a node that has the key.
    pub(super) fn open_here(&self, request: &OpenRequest) -> Result<Option<Vec<u8>>, Fault> {
        let key = self.state.proven_seal_key()?.ok_or_else(no_keys)?;
        let prefix = request.label.prefix()?;
        let opened = key.open(self.cluster(), &request.sealed).ok();
        Ok(opened.and_then(|opened| opened.strip_prefix(&prefix[..]).map(<[u8]>::to_vec)))
    }

    fn seams(&self) -> &Seams {
        &self.leader.seams
    }

    fn cluster(&self) -> ClusterId {
        self.leader.mesh.cluster()
    }
}

fn no_keys() -> Fault {
    Fault::new(Code::Unavailable, "this node has not got the key that opens the mesh's secrets")
        .help("only voters have it, a new one after a moment: see `micro-node status`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_stands_in_for_another() {
        let prefix = |label: Label| label.prefix().expect("it has no zero byte");
        let labels = ["a", "b", "a\u{1}"].map(str::to_owned);
        let all: Vec<Vec<u8>> = labels
            .iter()
            .flat_map(|name| [Label::AcmeAccount(name.clone()), Label::TlsKey(name.clone())])
            .map(prefix)
            .collect();
        for (at, one) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|other| !other.starts_with(one) && !one.starts_with(other)));
        }
        assert_eq!(prefix(Label::TlsKey("a".to_owned())), b"locker/1\0tls-key\0a\0");
        assert!(Label::TlsKey("a\0b".to_owned()).prefix().is_err());
    }
}
