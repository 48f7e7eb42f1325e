//! How the store is changed: each change is one command in the log, as one revision.

use crate::{
    machines::{MachineId, envelope},
    store::{
        CompactReply, CompactRequest, DeleteRangeReply, DeleteRangeRequest, DeleteReply, DeleteRequest,
        GrantRequest, LeaseReply, LeaseRequest, RetainRequest, RevokeReply, StoreService, TransactReply,
        TransactRequest, WriteReply, WriteRequest,
        command::{Branches, Done, Op, StoreCommand, StoreOutcome},
        record::{check_key, check_ttl},
        transaction::put,
    },
};
use bytes::Bytes;
use futures::{FutureExt, future::ready};
use micro_consensus::{Consensus, ProposeError};
use micro_sdk::wire::{Code, Codec, Fault, limits::PROPOSAL_BYTES_MAX};
use tokio::time::{Duration, Instant, sleep};

/// The pause before a write whose outcome is unknown is proposed again: a new leader needs a moment.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// The largest outcome that is read.
const OUTCOME_BYTES_MAX: usize = PROPOSAL_BYTES_MAX;

impl StoreService {
    /// Writes a record. `key` makes a repeated write the same write.
    ///
    /// # Errors
    /// [`Code::Usage`] beyond the limits, [`Code::Conflict`] if the version is another, [`Code::NotFound`] if the lease
    /// has ended, or why the group did not take it.
    pub fn write(
        &self,
        request: WriteRequest,
        key: Option<u128>,
        deadline: Instant,
    ) -> impl Future<Output = Result<WriteReply, Fault>> + use<> {
        // Proposed here and now, so that who waits carries nothing but what it waits with.
        let if_version = request.if_version;
        let command = match put(&request) {
            Ok(put) => StoreCommand::Write { put, if_version, idempotency_key: key },
            Err(fault) => return ready(Err(fault)).right_future(),
        };
        let proposed = self.propose_while(envelope(MachineId::Store, &command), key.is_some(), deadline);
        let name = request.key;
        let written = move |outcome: Result<StoreOutcome, Fault>| match outcome? {
            StoreOutcome::Written { version } => Ok(WriteReply { version }),
            StoreOutcome::Conflict { version } => Err(conflict(&name, if_version, version)),
            other => Err(refusal(other)),
        };
        proposed.map(written).left_future()
    }

    /// Deletes a record.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn delete(
        &self,
        request: DeleteRequest,
        key: Option<u128>,
        deadline: Instant,
    ) -> Result<DeleteReply, Fault> {
        check_key(&request.key)?;
        let command = StoreCommand::Delete {
            key: request.table.state_key(&request.key),
            if_version: request.if_version,
            idempotency_key: key,
        };
        match self.propose(&command, key, deadline).await? {
            StoreOutcome::Deleted { deleted } => Ok(DeleteReply { deleted }),
            StoreOutcome::Conflict { version } => Err(conflict(&request.key, request.if_version, version)),
            other => Err(refusal(other)),
        }
    }

    /// Deletes the first records of a range, as one revision: as many as one entry may. The reply says whether there
    /// are more.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn delete_range(
        &self,
        request: DeleteRangeRequest,
        key: Option<u128>,
        deadline: Instant,
    ) -> Result<DeleteRangeReply, Fault> {
        let keys = request.range.state_range();
        let op = Op::DeleteRange { from: keys.start.to_vec(), to: keys.end.to_vec(), limit: request.limit };
        let transaction = Branches { then: vec![op], ..Branches::default() };
        let command = StoreCommand::Transact { transaction, idempotency_key: key };
        match self.propose(&command, key, deadline).await? {
            StoreOutcome::Transacted { revision, done, .. } => match done[..] {
                [Done::Deleted { count, more }] => Ok(DeleteRangeReply { deleted: count, more, revision }),
                _ => Err(unexpected(&done)),
            },
            other => Err(refusal(other)),
        }
    }

    /// Compares and does one list of operations or the other, all of it or nothing.
    ///
    /// # Errors
    /// As [`write`](Self::write), and [`Code::Usage`] if it changes or reads more than one entry may. Comparisons that
    /// don't hold are no error.
    pub async fn transact(
        &self,
        request: TransactRequest,
        key: Option<u128>,
        deadline: Instant,
    ) -> Result<TransactReply, Fault> {
        request.check_count(self.transaction_ops)?;
        self.transact_own(request, key, deadline).await
    }

    /// The same for services of the platform, which have no more operations than one entry may change.
    ///
    /// # Errors
    /// As [`transact`](Self::transact).
    pub(crate) async fn transact_own(
        &self,
        request: TransactRequest,
        key: Option<u128>,
        deadline: Instant,
    ) -> Result<TransactReply, Fault> {
        let command = StoreCommand::Transact { transaction: request.branches()?, idempotency_key: key };
        match self.propose(&command, key, deadline).await? {
            StoreOutcome::Transacted { revision, held, done } => request.reply(revision, held, done),
            other => Err(refusal(other)),
        }
    }

    /// Makes a lease.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn grant(
        &self,
        request: GrantRequest,
        key: Option<u128>,
        deadline: Instant,
    ) -> Result<LeaseReply, Fault> {
        check_ttl(request.ttl_ms)?;
        let command = StoreCommand::Grant { ttl_ms: request.ttl_ms, idempotency_key: key };
        match self.propose(&command, key, deadline).await? {
            StoreOutcome::Leased { lease, ttl_ms } => Ok(LeaseReply { lease, ttl_ms }),
            other => Err(refusal(other)),
        }
    }

    /// Lets a lease live for another time to live from now on.
    ///
    /// # Errors
    /// [`Code::NotFound`] if it has ended, or why the group did not take it.
    pub async fn keep_alive(&self, request: LeaseRequest, deadline: Instant) -> Result<LeaseReply, Fault> {
        // Done twice it is as good as done once.
        let command = StoreCommand::KeepAlive { lease: request.lease };
        match self.propose_again(&command, deadline).await? {
            StoreOutcome::Leased { lease, ttl_ms } => Ok(LeaseReply { lease, ttl_ms }),
            other => Err(refusal(other)),
        }
    }

    /// Ends a lease with its records.
    ///
    /// # Errors
    /// [`Code::NotFound`] if it has ended, or why the group did not take it.
    pub async fn revoke(
        &self,
        request: LeaseRequest,
        key: Option<u128>,
        deadline: Instant,
    ) -> Result<RevokeReply, Fault> {
        let command = StoreCommand::Revoke { lease: request.lease, idempotency_key: key };
        match self.propose(&command, key, deadline).await? {
            StoreOutcome::Revoked { count, more } => Ok(RevokeReply { deleted: count, more }),
            other => Err(refusal(other)),
        }
    }

    /// Gives up the history up to a revision. Repeated writes are still known again.
    ///
    /// # Errors
    /// [`Code::Usage`] for a revision that is not there yet, or why the group did not take it.
    pub async fn compact(&self, request: CompactRequest, deadline: Instant) -> Result<CompactReply, Fault> {
        let last = self.history(deadline).await?.revision;
        if request.revision > last {
            let message = format!("revision {} is not there yet: the last is {last}", request.revision);
            return Err(Fault::new(Code::Usage, message)
                .help("see how far the history goes: micro-node store history"));
        }
        let command = StoreCommand::Compact { revision: request.revision };
        match self.propose_again(&command, deadline).await? {
            StoreOutcome::Compacted { revision } => Ok(CompactReply { compacted: revision }),
            other => Err(refusal(other)),
        }
    }

    /// Sets how much history is kept.
    ///
    /// # Errors
    /// Why the group did not take it.
    pub async fn retain(&self, request: RetainRequest, deadline: Instant) -> Result<(), Fault> {
        let command = StoreCommand::Retain { revisions: request.revisions, bytes: request.bytes };
        match self.propose_again(&command, deadline).await? {
            StoreOutcome::Retained => Ok(()),
            other => Err(refusal(other)),
        }
    }

    /// Ends what is due. Tells whether more is.
    pub(super) async fn expire(&self, deadline: Instant) -> Result<bool, Fault> {
        match self.propose(&StoreCommand::Expire, None, deadline).await? {
            StoreOutcome::Expired { more, .. } => Ok(more),
            other => Err(refusal(other)),
        }
    }

    /// Proposes a change. One with an idempotency key is proposed again while its outcome is unknown and time is left:
    /// done twice, it is still done once.
    async fn propose(
        &self,
        command: &StoreCommand,
        key: Option<u128>,
        deadline: Instant,
    ) -> Result<StoreOutcome, Fault> {
        self.propose_while(envelope(MachineId::Store, command), key.is_some(), deadline).await
    }

    /// Proposes a change that may be done twice.
    async fn propose_again(&self, command: &StoreCommand, deadline: Instant) -> Result<StoreOutcome, Fault> {
        self.propose_while(envelope(MachineId::Store, command), true, deadline).await
    }

    /// The one place where changes are proposed: it is on its way when this returns, and what is returned waits for it.
    fn propose_while(
        &self,
        command: Bytes,
        repeatable: bool,
        deadline: Instant,
    ) -> impl Future<Output = Result<StoreOutcome, Fault>> + use<> {
        let again = repeatable.then(|| (self.consensus.clone(), command.clone()));
        let first = self.consensus.propose(command, deadline);
        // No async block: one that waits for what it was given has room for it twice, and so has each around it.
        first.then(move |answer| match (answer, again) {
            (Ok((_, outcome)), _) => ready(outcome_of(&outcome)).left_future(),
            // On the heap, since it is seldom, and each write that waits would carry it.
            (Err(ProposeError::Unknown(why)), Some((consensus, command))) => {
                let repeated =
                    async move { outcome_of(&repeated(&consensus, command, deadline, why).await?) };
                repeated.boxed().right_future()
            }
            (Err(error), _) => ready(Err(error.into())).left_future(),
        })
    }
}

fn outcome_of(encoded: &[u8]) -> Result<StoreOutcome, Fault> {
    Codec::decode::<_, OUTCOME_BYTES_MAX>(encoded).map_err(|error| {
        let message = format!("the outcome of a write is garbled: {error}");
        Fault::new(Code::Internal, message).effect_unknown()
    })
}

/// The one place where changes are repeated: `why` says what is not known of the first try. A later one that did
/// nothing says nothing of that one.
async fn repeated(
    consensus: &Consensus,
    command: Bytes,
    deadline: Instant,
    why: String,
) -> Result<Bytes, ProposeError> {
    while Instant::now() + RETRY_PAUSE < deadline {
        tracing::debug!(why, "a change that may be repeated is proposed again");
        sleep(RETRY_PAUSE).await;
        match consensus.propose(command.clone(), deadline).await {
            Ok((_, outcome)) => return Ok(outcome),
            Err(ProposeError::Unknown(_)) => {}
            Err(_) => break,
        }
    }
    Err(ProposeError::Unknown(why))
}

fn conflict(key: &str, wanted: Option<u64>, version: u64) -> Fault {
    if version == 0 {
        let wanted = wanted.unwrap_or(0);
        return Fault::new(Code::Conflict, format!("{key} does not exist, so it is not at version {wanted}"));
    }
    let message = match wanted {
        Some(0) | None => format!("{key} exists already, at version {version}"),
        Some(wanted) => format!("{key} is at version {version}, not {wanted}"),
    };
    Fault::new(Code::Conflict, message).help("read it again and decide anew")
}

fn refusal(outcome: StoreOutcome) -> Fault {
    match outcome {
        StoreOutcome::NoLease { lease } => {
            Fault::new(Code::NotFound, format!("there is no lease {lease}, or not any more"))
                .help("grant another, and write again what belonged to it")
        }
        StoreOutcome::KeyUsed => Fault::new(
            Code::Conflict,
            "this idempotency key was used for another change before: nothing was done",
        )
        .help("take a new key for each change; the same one only to repeat a change as it was"),
        StoreOutcome::Refused { why } => Fault::new(Code::Usage, why).help("do it in several steps"),
        StoreOutcome::Invalid { why } => {
            Fault::new(Code::Internal, format!("the command was not understood: {why}"))
        }
        other => unexpected(&other),
    }
}

/// An outcome of another kind of command: most likely that of an earlier one with the same idempotency key.
fn unexpected(outcome: &impl std::fmt::Debug) -> Fault {
    Fault::new(Code::Usage, format!("the outcome is that of another request: {outcome:?}"))
        .help("use each idempotency key for one request")
        .effect_unknown()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of what waits for a write.
    fn bytes<F>(_: impl Fn(&StoreService, WriteRequest, Option<u128>, Instant) -> F) -> usize {
        size_of::<F>()
    }

    /// Each write is moved to the heap and about there. Where it waits in blocks for what it was given, each of them
    /// holds that twice, and to copy it took a twentieth of all CPU under load.
    #[test]
    fn a_write_that_waits_is_small() {
        let bytes = bytes(StoreService::write);
        assert!(bytes <= 512, "{bytes} bytes");
    }
}
