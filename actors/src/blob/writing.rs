//! How manifests change: decided from what is there, and made if that is still there.

use super::{
    BlobName, BlobService, DeleteBlobRequest, PutBlobRequest,
    record::{self, Copies, Manifest, copies, decode, manifests, write},
};
use crate::store::{Glimpse, RecordCompare, RecordOp, TransactReply, TransactRequest};
use micro_sdk::wire::{Code, Fault, Namespace, NodeId};
use micro_storage::StoredBlob;
use tokio::time::Instant;

/// How often a change is decided anew because somebody was faster.
const ATTEMPTS_MAX: u32 = 20;

impl BlobService {
    /// Refuses a put whose condition does not hold.
    pub(super) async fn check_version(
        &self,
        request: &PutBlobRequest,
        deadline: Instant,
    ) -> Result<(), Fault> {
        let (found, _) = self.found(&request.namespace, &request.name, deadline).await?;
        check(&request.name, request.if_version, found)
    }

    /// The version of a blob, 0 if there is none, and when it was made.
    async fn found(
        &self,
        namespace: &Namespace,
        name: &BlobName,
        deadline: Instant,
    ) -> Result<(u64, Option<u64>), Fault> {
        let key = name.key(namespace);
        let look = move |glimpse: &Glimpse<'_>| {
            let Some(record) = glimpse.record(&manifests(), &key)? else { return Ok((0, None)) };
            Ok((record.version, Some(decode::<Manifest>(&record)?.created_ms)))
        };
        self.store.glimpse(false, deadline, look).await
    }

    /// Gives a blob its name. Returns its version.
    pub(super) async fn commit(
        &self,
        request: &PutBlobRequest,
        stored: StoredBlob,
        holders: Vec<NodeId>,
        deadline: Instant,
    ) -> Result<u64, Fault> {
        let StoredBlob { hash, bytes } = stored;
        let where_it_is = Copies { hash, bytes, wanted: request.wanted(), holders };
        for _ in 0..ATTEMPTS_MAX {
            let (version, created_ms) = self.found(&request.namespace, &request.name, deadline).await?;
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
            let key = request.name.key(&request.namespace);
            let then = vec![
                RecordOp::Write(write(manifests(), &key, &manifest)),
                RecordOp::Write(write(copies(), &key, &where_it_is)),
            ];
            let reply =
                self.transact(RecordCompare::version(manifests(), key, version), then, deadline).await?;
            if reply.held {
                return Ok(reply.revision);
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
            let (version, _) = self.found(&request.namespace, &request.name, deadline).await?;
            check(&request.name, request.if_version, version)?;
            if version == 0 {
                return Ok(false);
            }
            let key = request.name.key(&request.namespace);
            let then = vec![
                RecordOp::Delete { table: manifests(), key: key.clone() },
                RecordOp::Delete { table: copies(), key: key.clone() },
            ];
            let reply =
                self.transact(RecordCompare::version(manifests(), key, version), then, deadline).await?;
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
        Ok(self.transact(RecordCompare::version(copies(), key, version), then, deadline).await?.held)
    }

    async fn transact(
        &self,
        compare: RecordCompare,
        then: Vec<RecordOp>,
        deadline: Instant,
    ) -> Result<TransactReply, Fault> {
        // A key of its own for each: repeated inside it is done once.
        let key = u128::from_le_bytes(self.parts.seams.random());
        let request = TransactRequest { compares: vec![compare], then, otherwise: Vec::new() };
        self.store.transact(request, Some(key), deadline).await
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
