//! How manifests change: decided from what is there, and made if that is still there.

use super::{
    BlobName, BlobService, DeleteBlobRequest, PutBlobReply, PutBlobRequest,
    limits::ANSWERED_MS,
    record::{self, Answered, Asked, Copies, Manifest, copies, decode, manifests, put_key, puts, write},
};
use crate::store::{Glimpse, RecordCompare, RecordOp, TransactReply, TransactRequest, WriteRequest};
use micro_sdk::wire::{Code, Fault, NodeId};
use micro_storage::StoredBlob;
use tokio::time::Instant;

/// How often a change is decided anew because somebody was faster.
const ATTEMPTS_MAX: u32 = 20;

/// A put that was answered before.
struct AnsweredPut {
    asked: Asked,
    copies: u32,
    version: u64,
}

impl AnsweredPut {
    /// What it was answered.
    ///
    /// # Errors
    /// [`Code::Conflict`] if it is another put than `request` of a content with this hash.
    fn reply(
        self,
        request: &PutBlobRequest,
        stored: StoredBlob,
        members: usize,
    ) -> Result<PutBlobReply, Fault> {
        let StoredBlob { hash, bytes } = stored;
        // Where no number was said, the node that took it had its own.
        let copies_wanted = request.wanted(self.asked.wanted);
        if self.asked != request.asked(hash, copies_wanted) {
            let message = "this idempotency key was used for another put before: nothing was done";
            return Err(Fault::new(Code::Conflict, message)
                .help("take a new key for each put; the same one only to repeat a put as it was"));
        }
        let AnsweredPut { version, copies, .. } = self;
        let copies_possible = possible(copies_wanted, members);
        Ok(PutBlobReply { version, hash, bytes, copies, copies_wanted, copies_possible })
    }
}

/// How many of the wanted copies there can be on so many nodes.
fn possible(wanted: u32, members: usize) -> u32 {
    wanted.min(u32::try_from(members.max(1)).unwrap_or(u32::MAX))
}

/// What is there of a name.
struct Found {
    /// The version of the blob, 0 if there is none.
    version: u64,
    /// When it was made.
    created_ms: Option<u64>,
}

fn found(glimpse: &Glimpse<'_>, key: &str) -> Result<Found, Fault> {
    let Some(record) = glimpse.record(&manifests(), key)? else {
        return Ok(Found { version: 0, created_ms: None });
    };
    let created_ms = Some(decode::<Manifest>(&record)?.created_ms);
    Ok(Found { version: record.version, created_ms })
}

/// What the put with the idempotency key of `request` was, if there was one lately.
fn answered(glimpse: &Glimpse<'_>, put_key: Option<&str>) -> Result<Option<AnsweredPut>, Fault> {
    let Some(key) = put_key else { return Ok(None) };
    let Some(record) = glimpse.record(&puts(), key)? else { return Ok(None) };
    let Answered { asked, copies } = decode(&record)?;
    Ok(Some(AnsweredPut { asked, copies, version: record.version }))
}

impl BlobService {
    /// Refuses a put whose condition does not hold, unless it was made before and may only be repeated.
    pub(super) async fn check_version(
        &self,
        request: &PutBlobRequest,
        deadline: Instant,
    ) -> Result<(), Fault> {
        match self.look_for(request, false, deadline).await? {
            (_, Some(_)) => Ok(()),
            (Found { version, .. }, None) => check(&request.name, request.if_version, version),
        }
    }

    /// What is there of the name that a put gives, and what was answered if it is repeated, at one moment.
    async fn look_for(
        &self,
        request: &PutBlobRequest,
        stale: bool,
        deadline: Instant,
    ) -> Result<(Found, Option<AnsweredPut>), Fault> {
        let key = request.name.key(&request.namespace);
        let put_key = request.idempotency_key.map(|key| put_key(&request.namespace, key));
        let look =
            move |glimpse: &Glimpse<'_>| Ok((found(glimpse, &key)?, answered(glimpse, put_key.as_deref())?));
        self.store.glimpse(stale, deadline, look).await
    }

    /// What this put was answered before, if it is repeated and this replica knows of it; the group is asked later.
    ///
    /// # Errors
    /// [`Code::Conflict`] if its idempotency key was another put's.
    pub(super) async fn repeated(
        &self,
        request: &PutBlobRequest,
        stored: StoredBlob,
        deadline: Instant,
    ) -> Result<Option<PutBlobReply>, Fault> {
        let (_, answered) = self.look_for(request, true, deadline).await?;
        let members = self.parts.members().len();
        answered.map(|answered| answered.reply(request, stored, members)).transpose()
    }

    /// Gives a blob its name.
    pub(super) async fn commit(
        &self,
        request: &PutBlobRequest,
        stored: StoredBlob,
        holders: Vec<NodeId>,
        deadline: Instant,
    ) -> Result<PutBlobReply, Fault> {
        let StoredBlob { hash, bytes } = stored;
        let copies_wanted = request.wanted(self.parts.copies_usual);
        let copies_made = u32::try_from(holders.len()).unwrap_or(u32::MAX);
        let where_it_is = Copies { hash, bytes, wanted: copies_wanted, holders };
        let key = request.name.key(&request.namespace);
        for _ in 0..ATTEMPTS_MAX {
            let (found, answered) = self.look_for(request, false, deadline).await?;
            if let Some(answered) = answered {
                return answered.reply(request, stored, self.parts.members().len());
            }
            let Found { version, created_ms } = found;
            check(&request.name, request.if_version, version)?;
            let now_ms = self.parts.consensus.time_ms();
            let manifest = Manifest {
                hash,
                bytes,
                content_type: request.content_type.clone(),
                public: request.public,
                created_ms: created_ms.unwrap_or(now_ms),
                modified_ms: now_ms,
                who: request.who.clone(),
            };
            let mut compares = vec![RecordCompare::version(manifests(), &*key, version)];
            let mut then = vec![
                RecordOp::Write(write(manifests(), &key, &manifest)),
                RecordOp::Write(write(copies(), &key, &where_it_is)),
            ];
            if let Some(idempotency_key) = request.idempotency_key {
                let key = put_key(&request.namespace, idempotency_key);
                let answered = Answered { asked: request.asked(hash, copies_wanted), copies: copies_made };
                let remember = WriteRequest { ttl_ms: ANSWERED_MS, ..write(puts(), &key, &answered) };
                compares.push(RecordCompare::version(puts(), key, 0));
                then.push(RecordOp::Write(remember));
            }
            let reply = self.transact(compares, then, deadline).await?;
            if reply.held {
                let version = reply.revision;
                let copies_possible = possible(copies_wanted, self.parts.members().len());
                return Ok(PutBlobReply {
                    version,
                    hash,
                    bytes,
                    copies: copies_made,
                    copies_wanted,
                    copies_possible,
                });
            }
        }
        Err(too_fast(&request.name))
    }

    /// Removes a blob. Returns whether there was one. Who reads it meanwhile reads it to its end.
    ///
    /// # Errors
    /// [`Code::Conflict`] if the version is another, or why the group did not take it.
    pub async fn delete(&self, request: DeleteBlobRequest, deadline: Instant) -> Result<bool, Fault> {
        for _ in 0..ATTEMPTS_MAX {
            let key = request.name.key(&request.namespace);
            let look = move |glimpse: &Glimpse<'_>| found(glimpse, &key);
            let Found { version, .. } = self.store.glimpse(false, deadline, look).await?;
            check(&request.name, request.if_version, version)?;
            if version == 0 {
                return Ok(false);
            }
            let key = request.name.key(&request.namespace);
            let then = vec![
                RecordOp::Delete { table: manifests(), key: key.clone() },
                RecordOp::Delete { table: copies(), key: key.clone() },
            ];
            let compares = vec![RecordCompare::version(manifests(), key, version)];
            let reply = self.transact(compares, then, deadline).await?;
            if reply.held {
                self.parts.changed.notify_one();
                return Ok(true);
            }
        }
        Err(too_fast(&request.name))
    }

    /// Notes who has a blob, if nobody noted anything since `version`. Tells whether it did.
    pub(super) async fn note_copies(
        &self,
        key: &str,
        version: u64,
        now: &Copies,
        deadline: Instant,
    ) -> Result<bool, Fault> {
        let then = vec![RecordOp::Write(record::write(copies(), key, now))];
        let compares = vec![RecordCompare::version(copies(), key, version)];
        Ok(self.transact(compares, then, deadline).await?.held)
    }

    async fn transact(
        &self,
        compares: Vec<RecordCompare>,
        then: Vec<RecordOp>,
        deadline: Instant,
    ) -> Result<TransactReply, Fault> {
        // A key of its own for each: repeated inside it is done once.
        let key = u128::from_le_bytes(self.parts.seams.random());
        let request = TransactRequest { compares, then, otherwise: Vec::new() };
        self.store.transact_own(request, Some(key), deadline).await
    }
}

fn check(name: &BlobName, wanted: Option<u64>, found: u64) -> Result<(), Fault> {
    let Some(wanted) = wanted.filter(|wanted| *wanted != found) else { return Ok(()) };
    let name = name.as_str();
    let message = match (wanted, found) {
        (0, found) => format!("there is a blob {name:?} already, at version {found}"),
        (wanted, 0) => format!("there is no blob {name:?}, and so none at version {wanted}"),
        (wanted, found) => format!("blob {name:?} is at version {found}, not {wanted}"),
    };
    Err(Fault::new(Code::Conflict, message).help("see what is there: micro-node blob list"))
}

fn too_fast(name: &BlobName) -> Fault {
    let message = format!("blob {:?} was changed by others {ATTEMPTS_MAX} times in between", name.as_str());
    Fault::new(Code::Unavailable, message).help("try again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::wire::BlobHash;

    fn request(copies: u32) -> PutBlobRequest {
        PutBlobRequest {
            namespace: micro_sdk::wire::Namespace::default(),
            name: BlobName::parse("b").expect("a good name"),
            content_type: String::new(),
            public: false,
            copies,
            if_version: None,
            bytes: None,
            hash: None,
            who: String::new(),
            idempotency_key: Some(1),
        }
    }

    #[test]
    fn a_put_that_named_no_number_is_repeated_where_another_is_usual() {
        let stored = StoredBlob { hash: BlobHash([7; 32]), bytes: 5 };
        let first = || AnsweredPut { asked: request(0).asked(stored.hash, 2), copies: 2, version: 9 };
        let reply = first().reply(&request(0), stored, 3).expect("it is the same put");
        assert_eq!((reply.version, reply.copies_wanted, reply.copies_possible), (9, 2, 2));
        assert!(first().reply(&request(2), stored, 3).is_ok());
        assert_eq!(first().reply(&request(3), stored, 3).map_err(|fault| fault.code), Err(Code::Conflict));
    }

    #[test]
    fn there_are_no_more_copies_than_nodes() {
        assert_eq!((possible(4, 3), possible(2, 3), possible(3, 0)), (3, 2, 1));
    }
}
