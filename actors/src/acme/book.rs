//! What is kept of certificates, as records of the store's reserved database in the namespace `default`, and how it is
//! changed.
//!
//! | table | key | value |
//! |---|---|---|
//! | `acme-accounts` | directory | [`StoredAccount`] |
//! | `acme-certificates` | domain, space, directory | [`StoredCertificate`], until a while after it has ended |
//! | `acme-setbacks` | domain, space, directory | [`Setback`]: orders that came to nothing |
//! | `acme-challenges` | domain | [`Challenge`], for as long as an order may take |
//! | `acme-turns` | `order` | whose turn it is to order: the node, for as long as it keeps it alive |
//!
//! Nodes that were told of different directories have different certificates: were there one record for both, they
//! would order against each other without an end. Private keys are sealed (`auth/locker`); the answer to a challenge
//! is none. Stored: structs are new versions when they change.

use crate::{
    acme::{
        Domain,
        plan::{Setback, Validity},
    },
    store::{
        Glimpse, Record, RecordCompare, RecordOp, StoreService, TablePath, TransactRequest, WriteRequest,
    },
};
use bincode::{Decode, Encode};
use micro_sdk::wire::{Code, Codec, Fault, Namespace, NodeId, Seams, limits::VALUE_BYTES_MAX};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// How long a node has its turn without keeping it alive. Until then nobody takes over from one that has crashed; a
/// leader that is elected meanwhile must not cost a node that lives its turn.
const TURN_MS: u64 = 30_000;
/// How long the answer to a challenge is kept: twice as long as an order may take.
const CHALLENGE_MS: u64 = 600_000;
/// How long a certificate is kept behind its end, and failures behind the last one: nobody wants its name any more.
const KEPT_MS: u64 = 30 * 24 * 3_600_000;
/// The key of the one record of turns.
const TURN: &str = "order";
/// How long a look or a change may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The mesh's account at an authority.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct StoredAccount {
    /// Who it is and its key, in JSON, sealed.
    pub sealed: Vec<u8>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}

/// A certificate as it is kept.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct StoredCertificate {
    /// The certificate, and behind it those that lead to an authority that callers know, each in DER.
    pub chain: Vec<Vec<u8>>,
    /// Its private key in PKCS#8, sealed.
    pub sealed_key: Vec<u8>,
    pub validity: Validity,
}

/// What the authority wants to see at a domain (RFC 8737, 3): the hash of the challenge's token and the account.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Challenge {
    pub digest: [u8; 32],
}

/// What is kept of one domain, and the version of its certificate's record.
#[derive(Default)]
pub(crate) struct Kept {
    pub certificate: Option<(StoredCertificate, u64)>,
    pub setback: Option<Setback>,
}

/// The right to order, until it is given up or not kept alive: the revision that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn(u64);

fn table(name: &'static str) -> TablePath {
    TablePath::reserved(Namespace::default(), name)
}

fn accounts() -> TablePath {
    table("acme-accounts")
}

fn certificates() -> TablePath {
    table("acme-certificates")
}

fn setbacks() -> TablePath {
    table("acme-setbacks")
}

fn challenges() -> TablePath {
    table("acme-challenges")
}

fn turns() -> TablePath {
    table("acme-turns")
}

fn decode<T: Decode<()>>(record: &Record) -> Result<T, Fault> {
    Codec::decode::<T, VALUE_BYTES_MAX>(&record.value.0).map_err(|error| {
        Fault::new(Code::Failed, format!("what is kept of certificates can't be read: {error}"))
            .help("if another node runs a newer build, update this one")
    })
}

fn write<T: Encode>(table: TablePath, key: impl Into<String>, value: &T, ttl_ms: u64) -> RecordOp {
    RecordOp::Write(WriteRequest { ttl_ms, ..WriteRequest::new(table, key, Codec::encode(value)) })
}

/// Milliseconds since 1970.
pub(crate) fn ms_of(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Reads and changes these records, for one directory. Clones share everything.
#[derive(Clone)]
pub(crate) struct Book {
    pub store: Arc<StoreService>,
    pub seams: Seams,
    pub directory: Arc<str>,
}

impl Book {
    fn key(&self, domain: &Domain) -> String {
        format!("{domain} {}", self.directory)
    }

    /// Now, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        ms_of(self.seams.clock.now())
    }

    /// Looks at the records at one moment.
    async fn look<T: Send + 'static>(
        &self,
        stale: bool,
        look: impl FnOnce(&Glimpse<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        self.store.glimpse(stale, Instant::now() + PATIENCE, look).await
    }

    /// What is kept of a domain: as this replica has it, or certainly the latest.
    ///
    /// # Errors
    /// If it can't be read.
    pub async fn kept(&self, domain: &Domain, stale: bool) -> Result<Kept, Fault> {
        let key = self.key(domain);
        self.look(stale, move |glimpse| {
            let certificate = match glimpse.record(&certificates(), &key)? {
                Some(record) => Some((decode(&record)?, record.version)),
                None => None,
            };
            let setback = glimpse.record(&setbacks(), &key)?.map(|record| decode(&record));
            Ok(Kept { certificate, setback: setback.transpose()? })
        })
        .await
    }

    /// The mesh's account at the authority, if it has one.
    ///
    /// # Errors
    /// If it can't be read.
    pub async fn account(&self) -> Result<Option<StoredAccount>, Fault> {
        let key = self.directory.to_string();
        self.look(false, move |glimpse| {
            glimpse.record(&accounts(), &key)?.map(|record| decode(&record)).transpose()
        })
        .await
    }

    /// What the authority wants to see at a domain now, whichever node ordered; none if it wants nothing.
    ///
    /// # Errors
    /// If it can't be read.
    pub async fn challenge(&self, domain: &Domain) -> Result<Option<Challenge>, Fault> {
        let key = domain.to_string();
        self.look(false, move |glimpse| {
            glimpse.record(&challenges(), &key)?.map(|record| decode(&record)).transpose()
        })
        .await
    }

    /// Does `then` if `compare` holds. Returns the revision, if it did.
    async fn change(&self, compare: RecordCompare, then: Vec<RecordOp>) -> Result<Option<u64>, Fault> {
        let request = TransactRequest { compares: vec![compare], then, otherwise: Vec::new() };
        // A key of its own for each: repeated inside it is done once.
        let key = u128::from_le_bytes(self.seams.random());
        let reply = self.store.transact_own(request, Some(key), Instant::now() + PATIENCE).await?;
        Ok(reply.held.then_some(reply.revision))
    }

    /// Takes the turn, unless another node has it.
    ///
    /// # Errors
    /// Why the group did not take it.
    pub async fn take_turn(&self, node: NodeId) -> Result<Option<Turn>, Fault> {
        let nobody = RecordCompare::exists(turns(), TURN, false);
        let taken = self.change(nobody, vec![write(turns(), TURN, &node, TURN_MS)]).await?;
        Ok(taken.map(Turn))
    }

    /// Does `then` while this node has its turn, which lasts from now on.
    async fn in_turn(&self, turn: Turn, node: NodeId, mut then: Vec<RecordOp>) -> Result<(), Fault> {
        then.push(write(turns(), TURN, &node, TURN_MS));
        let held = self.change(RecordCompare::held(turns(), TURN, turn.0), then).await?;
        let lost = || Fault::new(Code::Unavailable, "another node orders certificates now");
        held.map(drop).ok_or_else(lost)
    }

    /// Keeps the turn.
    ///
    /// # Errors
    /// If it is another node's, or why the group did not take it. This and all below.
    pub async fn keep_turn(&self, turn: Turn, node: NodeId) -> Result<(), Fault> {
        self.in_turn(turn, node, Vec::new()).await
    }

    /// Gives the turn up.
    pub async fn end_turn(&self, turn: Turn) -> Result<(), Fault> {
        let then = vec![RecordOp::Delete { table: turns(), key: TURN.to_owned() }];
        self.change(RecordCompare::held(turns(), TURN, turn.0), then).await.map(drop)
    }

    /// Keeps the account; without one, forgets it.
    pub async fn set_account(
        &self,
        turn: Turn,
        node: NodeId,
        account: Option<&StoredAccount>,
    ) -> Result<(), Fault> {
        let key = self.directory.to_string();
        let then = match account {
            Some(account) => write(accounts(), key, account, 0),
            None => RecordOp::Delete { table: accounts(), key },
        };
        self.in_turn(turn, node, vec![then]).await
    }

    /// Has all nodes answer a challenge.
    pub async fn set_challenge(
        &self,
        turn: Turn,
        node: NodeId,
        domain: &Domain,
        challenge: &Challenge,
    ) -> Result<(), Fault> {
        let then = write(challenges(), domain.as_str(), challenge, CHALLENGE_MS);
        self.in_turn(turn, node, vec![then]).await
    }

    /// Notes that an order is under way, or has failed.
    pub async fn set_setback(
        &self,
        turn: Turn,
        node: NodeId,
        domain: &Domain,
        setback: &Setback,
    ) -> Result<(), Fault> {
        let mut then = vec![write(setbacks(), self.key(domain), setback, KEPT_MS)];
        if !setback.why.is_empty() {
            then.push(RecordOp::Delete { table: challenges(), key: domain.to_string() });
        }
        self.in_turn(turn, node, then).await
    }

    /// Keeps a certificate that was ordered: all failures before are forgotten.
    pub async fn set_certificate(
        &self,
        turn: Turn,
        node: NodeId,
        domain: &Domain,
        certificate: &StoredCertificate,
    ) -> Result<(), Fault> {
        let ttl_ms = certificate.validity.ends_ms.saturating_sub(self.now_ms()) + KEPT_MS;
        let then = vec![
            write(certificates(), self.key(domain), certificate, ttl_ms),
            RecordOp::Delete { table: setbacks(), key: self.key(domain) },
            RecordOp::Delete { table: challenges(), key: domain.to_string() },
        ];
        self.in_turn(turn, node, then).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_frozen() {
        let validity = Validity { issued_ms: 1, ends_ms: 2, ordered_ms: 3 };
        let certificate = StoredCertificate { chain: vec![vec![7, 8]], sealed_key: vec![9], validity };
        assert_eq!(Codec::encode(&certificate), b"\x01\0\x01\x02\x07\x08\x01\x09\x01\x02\x03");
        let account = StoredAccount { sealed: vec![9], created_ms: 5 };
        assert_eq!(Codec::encode(&account), b"\x01\0\x01\x09\x05");
        let setback = Setback { recent_ms: vec![4], in_row: 1, next_ms: 6, why: "w".to_owned() };
        assert_eq!(Codec::encode(&setback), b"\x01\0\x01\x04\x01\x06\x01w");
        assert_eq!(Codec::encode(&Challenge { digest: [5; 32] }), [&b"\x01\0"[..], &[5; 32]].concat());
    }
}
