//! What admission keeps, and this node's access to it.

use crate::auth::{CertificateRecord, NodeRecord, SealKey};
use bincode::{Decode, Encode};
use bytes::Bytes;
use micro_mesh::{Authority, Trust};
use micro_sdk::wire::{ClusterId, Code, Codec, Fault, NodeId, limits::PROPOSAL_BYTES_MAX};
use micro_storage::{Family, FileStore, ScanRange, StateStore};
use std::sync::Arc;

pub(crate) const AUTHORITY_KEY: &[u8] = b"authority";
pub(crate) const TRUST_KEY: &[u8] = b"trust";
pub(crate) const CERTIFICATE_PREFIX: &[u8] = b"certificate/";
pub(crate) const TOKEN_PREFIX: &[u8] = b"token/";
pub(crate) const NODE_PREFIX: &[u8] = b"node/";
pub(crate) const GONE_PREFIX: &[u8] = b"gone/";
pub(crate) const REMOVALS_KEY: &[u8] = b"removals";
/// Nodes that are gone and remembered, at most: all that leave a mesh of many hundred hosts, each of which is replaced
/// every day, in the time for which they are remembered, come to a few ten thousand.
pub(crate) const GONE_MAX: usize = 1 << 16;
/// The file that holds the key of the seal.
const SEAL_FILE: &str = "seal.key";

/// A join token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct TokenRecord {
    pub expires: u64,
    pub used: Option<NodeRecord>,
}

pub(crate) fn token_key(hash: &[u8; 32]) -> Bytes {
    [TOKEN_PREFIX, hash].concat().into()
}

pub(crate) fn node_key(node: NodeId) -> Bytes {
    [NODE_PREFIX, node.to_string().as_bytes()].concat().into()
}

pub(crate) fn certificate_key(node: NodeId) -> Bytes {
    [CERTIFICATE_PREFIX, node.to_string().as_bytes()].concat().into()
}

pub(crate) fn gone_key(node: NodeId) -> Bytes {
    [GONE_PREFIX, node.to_string().as_bytes()].concat().into()
}

/// The number in the row of [`REMOVALS_KEY`].
pub(crate) fn removals(row: &[u8]) -> Option<u64> {
    Codec::decode::<u64, 16>(row).ok()
}

fn failed(error: impl std::fmt::Display) -> Fault {
    Fault::new(Code::Failed, error.to_string())
}

/// This node's access to what admission keeps: the sealed authority in the state, the key of the seal in a file.
#[derive(Clone)]
pub struct AuthState {
    cluster: ClusterId,
    state: Arc<dyn StateStore>,
    files: Arc<dyn FileStore>,
}

impl AuthState {
    /// Access for a node of `cluster`.
    pub fn new(cluster: ClusterId, state: Arc<dyn StateStore>, files: Arc<dyn FileStore>) -> Self {
        AuthState { cluster, state, files }
    }

    /// The key of the seal, if this node was given it.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn seal_key(&self) -> Result<Option<SealKey>, Fault> {
        let damaged = |error: &dyn std::fmt::Display| {
            Fault::new(Code::Failed, format!("the file {SEAL_FILE} can't be used: {error}")).help(
                "restore it from a copy; another voter that has a good one gives it to this node by itself",
            )
        };
        let bytes = self.files.read(SEAL_FILE).map_err(|error| damaged(&error))?;
        let key = bytes.map(|bytes| SealKey::from_bytes(&bytes)).transpose();
        key.map_err(|error| damaged(&error))
    }

    /// The key of the seal, if this node was given it and it opens the mesh's authority: so what it does not open was
    /// sealed elsewhere.
    ///
    /// # Errors
    /// If the state can't be read.
    pub fn proven_seal_key(&self) -> Result<Option<SealKey>, Fault> {
        let Some(sealed) = self.sealed_authority()? else { return Ok(None) };
        let key = self.seal_key().ok().flatten();
        Ok(key.filter(|key| key.open(self.cluster, &sealed).is_ok()))
    }

    /// Keeps the key of the seal.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn keep_seal_key(&self, key: &SealKey) -> Result<(), Fault> {
        self.files.write(SEAL_FILE, key.as_bytes()).map_err(failed)
    }

    /// The sealed authority, if the group has one.
    ///
    /// # Errors
    /// If the state can't be read.
    pub fn sealed_authority(&self) -> Result<Option<Bytes>, Fault> {
        self.row(AUTHORITY_KEY)
    }

    /// The authorities that the mesh believes; none if it has had one only, and all know which.
    ///
    /// # Errors
    /// If the state can't be read.
    pub fn trust(&self) -> Result<Option<Trust>, Fault> {
        let row = self.row(TRUST_KEY)?;
        row.map(|row| Trust::decode(&row)).transpose().map_err(failed)
    }

    /// The certificate that a node uses, as it told last.
    ///
    /// # Errors
    /// If the state can't be read.
    pub fn certificate(&self, node: NodeId) -> Result<Option<CertificateRecord>, Fault> {
        let row = self.row(&certificate_key(node))?;
        row.map(|row| Codec::decode::<_, PROPOSAL_BYTES_MAX>(&row)).transpose().map_err(failed)
    }

    /// The public key of a node, as it was certified; none if nothing is known of it.
    ///
    /// # Errors
    /// If the state can't be read.
    pub(crate) fn public_key(&self, node: NodeId) -> Result<Option<Vec<u8>>, Fault> {
        if let Some(certificate) = self.certificate(node)? {
            return Ok(Some(certificate.public_key));
        }
        Ok(self.node(node)?.map(|record| record.public_key))
    }

    /// Whether a node has left or was removed.
    ///
    /// # Errors
    /// If the state can't be read.
    pub(crate) fn is_gone(&self, node: NodeId) -> Result<bool, Fault> {
        Ok(self.row(&gone_key(node))?.is_some())
    }

    fn row(&self, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        self.state.get(Family::Auth, key).map_err(failed)
    }

    /// The authority, unsealed.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if this node has no key to the seal or the group has no authority yet.
    pub fn authority(&self) -> Result<Authority, Fault> {
        let missing = |what: &str| Fault::new(Code::Unavailable, format!("this node has no {what} yet"));
        let sealed = self.sealed_authority()?.ok_or_else(|| missing("copy of the mesh's authority"))?;
        let key = self.seal_key()?.ok_or_else(|| missing("key to the mesh's authority"))?;
        let opened = key.open(self.cluster, &sealed);
        let opened = opened.map_err(|error| {
            Fault::new(Code::Failed, format!("the mesh's authority can't be opened: {error}")).help(format!(
                "the file {SEAL_FILE} is damaged: restore it from a copy, or from another voter"
            ))
        })?;
        Authority::decode(&opened).map_err(failed)
    }

    /// Finds out whether the key of the seal opens the authority.
    ///
    /// # Errors
    /// Why it does not. A node that has neither yet is well.
    pub fn check_seal(&self, votes: bool) -> Result<(), Fault> {
        let key = self.seal_key()?;
        match (key, self.sealed_authority()?) {
            (Some(_), Some(_)) => self.authority().map(drop),
            (None, Some(_)) if votes => Err(Fault::new(
                Code::Failed,
                format!("the file {SEAL_FILE} is missing, though this node votes"),
            )),
            _ => Ok(()),
        }
    }

    /// How many nodes have left or were removed. Cheap: [`gone`](Self::gone) has changed when this has.
    ///
    /// # Errors
    /// If the state can't be read.
    pub fn removals(&self) -> Result<u64, Fault> {
        Ok(self.row(REMOVALS_KEY)?.and_then(|row| removals(&row)).unwrap_or(0))
    }

    /// The nodes that have left or were removed, and must not come back.
    ///
    /// # Errors
    /// If the state can't be read.
    pub fn gone(&self) -> Result<Vec<NodeId>, Fault> {
        let rows = self.state.scan(Family::Auth, ScanRange::prefix(GONE_PREFIX), GONE_MAX, usize::MAX);
        let rows = rows.map_err(failed)?;
        let id = |key: &[u8]| str::from_utf8(key.strip_prefix(GONE_PREFIX)?).ok()?.parse().ok();
        Ok(rows.iter().filter_map(|(key, _)| id(key)).collect())
    }

    /// What is known of a node that was let in.
    ///
    /// # Errors
    /// If the state can't be read.
    pub fn node(&self, node: NodeId) -> Result<Option<NodeRecord>, Fault> {
        let row = self.row(&node_key(node))?;
        row.map(|row| Codec::decode::<_, PROPOSAL_BYTES_MAX>(&row)).transpose().map_err(failed)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use micro_sdk::wire::{AccountCaller, AccountKind, Blocking, Caller, Clock, Entropy, Job, Seams, Timer};
    use micro_storage::{Batch, memory};
    use ring::rand::{SecureRandom, SystemRandom};
    use std::time::{Duration, SystemTime};

    struct Production;

    impl Clock for Production {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
        }
    }

    impl Entropy for Production {
        #[expect(clippy::disallowed_methods, reason = "tests of seals need real chance")]
        fn fill(&self, bytes: &mut [u8]) {
            SystemRandom::new().fill(bytes).expect("the operating system gives random bytes");
        }
    }

    impl Blocking for Production {
        fn run(&self, job: Job) {
            job();
        }
    }

    impl Timer for Production {
        fn after(&self, _: Duration, job: Job) {
            job();
        }
    }

    /// Seams for tests: a clock that stands still, real chance, blocking work at once.
    pub(crate) fn seams() -> Seams {
        Seams { clock: Arc::new(Production), entropy: Arc::new(Production), blocking: Arc::new(Production) }
    }

    /// A caller with the account `jane`, a user's.
    pub(crate) fn account(namespace: &str, scopes: &[&str]) -> Caller {
        Caller::Account(Arc::new(AccountCaller {
            namespace: namespace.parse().expect("a good name"),
            name: "jane".parse().expect("a good name"),
            kind: AccountKind::User,
            scopes: scopes.iter().map(|scope| scope.parse().expect("a good scope")).collect(),
        }))
    }

    #[test]
    fn a_key_that_does_not_open_the_authority_is_found_out() {
        let storage = memory::open(&memory::MemoryDisk::new(), Arc::new(Production));
        let storage = storage.expect("a new disk is sound");
        let (seams, cluster) = (seams(), ClusterId(7));
        let state = AuthState::new(cluster, storage.state.clone(), storage.files.clone());
        assert_eq!(state.check_seal(true), Ok(()), "there is nothing to open yet");
        let key = SealKey::generate(&seams);
        let authority = Authority::generate(cluster, seams.clock.now());
        let mut batch = Batch::default();
        batch.put(Family::Auth, AUTHORITY_KEY, key.seal(&seams, cluster, &authority.encode()));
        storage.state.write(batch).expect("the disk is well");
        assert_eq!(state.check_seal(false), Ok(()), "a learner has no key");
        assert!(state.check_seal(true).is_err(), "a voter has one");
        state.keep_seal_key(&key).expect("the disk is well");
        assert_eq!(state.check_seal(true), Ok(()));
        assert!(state.proven_seal_key().expect("the disk is well").is_some());
        for damaged in [&b"short"[..], &[7; 32]] {
            storage.files.write(SEAL_FILE, damaged).expect("the disk is well");
            let fault = state.check_seal(true).expect_err("it opens nothing");
            assert_eq!(fault.code, Code::Failed);
            assert!(state.proven_seal_key().expect("the disk is well").is_none());
        }
    }
}
