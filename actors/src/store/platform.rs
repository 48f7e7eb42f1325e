//! The store's actor.

use crate::{
    Invocation, Platform,
    machines::{MachineId, envelope},
    store::{
        DeleteReply, DeleteRequest, LIST_LIMIT_MAX, ListReply, ListRequest, ReadReply, ReadRequest, Record,
        StoreCommand, Value, WriteReply, WriteRequest,
        command::StoreOutcome,
        record::{check_key, split_state_value},
    },
};
use bincode::Decode;
use bytes::Bytes;
use futures::future::BoxFuture;
use micro_consensus::{Consensus, ProposeError};
use micro_sdk::wire::{
    Code, Codec, Fault, Seams,
    limits::{PROPOSAL_BYTES_MAX, VALUE_BYTES_MAX},
};
use micro_storage::{Family, ScanRange, StateStore, StorageError};
use std::sync::Arc;
use tokio::{
    sync::oneshot,
    time::{Duration, Instant, sleep},
};

/// The name of the store service.
pub const STORE: &str = "store";
/// The bytes of one page of a list: what fits a reply with room to spare.
const PAGE_BYTES_MAX: usize = 4 << 20;
/// The pause before a write whose outcome is unknown is proposed again: a new leader needs a moment.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// The store's actor.
pub struct StoreService {
    consensus: Consensus,
    state: Arc<dyn StateStore>,
    seams: Seams,
}

impl StoreService {
    /// Serves the records that `consensus` keeps in `state`.
    pub fn new(consensus: Consensus, state: Arc<dyn StateStore>, seams: Seams) -> Self {
        StoreService { consensus, state, seams }
    }

    /// The same for callers on another thread: called on that thread's runtime.
    #[must_use]
    pub fn fork(&self) -> Self {
        StoreService {
            consensus: self.consensus.fork(),
            state: self.state.clone(),
            seams: self.seams.clone(),
        }
    }

    /// Writes a record. `key` makes a repeated write the same write.
    ///
    /// # Errors
    /// [`Code::Usage`] beyond the limits, [`Code::Conflict`] if the version is another, or why the group did not take
    /// it.
    pub async fn write(
        &self,
        request: WriteRequest,
        key: Option<u128>,
        deadline: Instant,
    ) -> Result<WriteReply, Fault> {
        check_key(&request.key)?;
        if request.value.0.len() > VALUE_BYTES_MAX {
            let message = format!(
                "a value of {} bytes is larger than the limit of {VALUE_BYTES_MAX} bytes",
                request.value.0.len()
            );
            return Err(Fault::new(Code::Usage, message).help("split it over several records"));
        }
        let command = StoreCommand::Write {
            key: request.table.state_key(&request.key),
            value: request.value,
            if_version: request.if_version,
            idempotency_key: key,
        };
        match self.propose(&command, key, deadline).await? {
            StoreOutcome::Written { version } => Ok(WriteReply { version }),
            other => Err(refusal(&request.key, request.if_version, other)),
        }
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
            other => Err(refusal(&request.key, request.if_version, other)),
        }
    }

    /// Proposes a change. One with an idempotency key is proposed again while its outcome is unknown and time is left:
    /// done twice, it is still done once. This is the one place where writes are repeated.
    async fn propose(
        &self,
        command: &StoreCommand,
        key: Option<u128>,
        deadline: Instant,
    ) -> Result<StoreOutcome, Fault> {
        let command = envelope(MachineId::Store, command);
        let outcome = loop {
            match self.consensus.propose(command.clone(), deadline).await {
                Ok((_, outcome)) => break outcome,
                Err(ProposeError::Unknown(why))
                    if key.is_some() && Instant::now() + RETRY_PAUSE < deadline =>
                {
                    tracing::debug!(why, "a write with an idempotency key is proposed again");
                    sleep(RETRY_PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        Codec::decode::<_, PROPOSAL_BYTES_MAX>(&outcome).map_err(|error| {
            Fault::new(Code::Internal, format!("the outcome of a write is garbled: {error}")).effect_unknown()
        })
    }

    /// Reads a record.
    ///
    /// # Errors
    /// Why the read can't be made linearizable, unless it asks for the replica as it is.
    pub async fn read(&self, request: ReadRequest, deadline: Instant) -> Result<ReadReply, Fault> {
        check_key(&request.key)?;
        if !request.stale {
            self.consensus.barrier(deadline).await?;
        }
        let value = self.state.get(Family::Store, &request.table.state_key(&request.key)).map_err(broken)?;
        let record = value.map(|value| record(request.key, &value)).transpose()?;
        Ok(ReadReply { record })
    }

    /// Lists records.
    ///
    /// # Errors
    /// As [`read`](Self::read), and [`Code::Usage`] beyond the limit.
    pub async fn list(&self, request: ListRequest, deadline: Instant) -> Result<ListReply, Fault> {
        let limit = match request.limit {
            0 => LIST_LIMIT_MAX,
            limit if limit <= LIST_LIMIT_MAX => limit,
            limit => {
                let message = format!("{limit} records at once are more than the limit of {LIST_LIMIT_MAX}");
                return Err(
                    Fault::new(Code::Usage, message).help("list page by page: the next after the last key")
                );
            }
        } as usize;
        if !request.stale {
            self.consensus.barrier(deadline).await?;
        }
        let prefix = request.table.state_prefix();
        let mut range = ScanRange::prefix(&request.table.state_key(&request.prefix));
        if !request.after.is_empty() && request.after >= request.prefix {
            range = range.after(&request.table.state_key(&request.after));
        }
        let (done, waiting) = oneshot::channel();
        let state = self.state.clone();
        let scan = move || drop(done.send(state.scan(Family::Store, range, limit + 1, PAGE_BYTES_MAX)));
        self.seams.blocking.run(Box::new(scan));
        let pairs = waiting.await.map_err(|_| Fault::new(Code::Unavailable, "the node is shutting down"))?;
        let pairs = pairs.map_err(broken)?;
        // A page ends early when it is full of bytes: then there may be more too.
        let full = pairs.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() >= PAGE_BYTES_MAX;
        let more = pairs.len() > limit || full;
        let records = pairs.into_iter().take(limit).map(|(key, value)| {
            let key = String::from_utf8(key[prefix.len()..].to_vec());
            record(key.map_err(|_| garbled())?, &value)
        });
        Ok(ListReply { records: records.collect::<Result<_, _>>()?, more })
    }
}

fn broken(error: StorageError) -> Fault {
    Fault::new(Code::Failed, format!("the state can't be read: {error}"))
        .help("see the node's log; other nodes have the same records")
}

fn garbled() -> Fault {
    broken(StorageError::Corrupt {
        what: "a record".to_owned(),
        detail: "it is cut short or garbled".to_owned(),
    })
}

fn record(key: String, value: &Bytes) -> Result<Record, Fault> {
    let (version, bytes) = split_state_value(value).ok_or_else(garbled)?;
    Ok(Record { key, value: Value(value.slice_ref(bytes)), version })
}

fn refusal(key: &str, wanted: Option<u64>, outcome: StoreOutcome) -> Fault {
    match outcome {
        StoreOutcome::Conflict { version: 0 } => {
            let wanted = wanted.unwrap_or(0);
            Fault::new(Code::Conflict, format!("{key} does not exist, so it is not at version {wanted}"))
        }
        StoreOutcome::Conflict { version } => {
            let message = match wanted {
                Some(0) | None => format!("{key} exists already, at version {version}"),
                Some(wanted) => format!("{key} is at version {version}, not {wanted}"),
            };
            Fault::new(Code::Conflict, message).help("read it again and decide anew")
        }
        StoreOutcome::Invalid { why } => {
            Fault::new(Code::Internal, format!("the command was not understood: {why}"))
        }
        _ => Fault::new(Code::Internal, "the outcome is that of another command").effect_unknown(),
    }
}

fn decode<T: Decode<()>>(body: &[u8]) -> Result<T, Fault> {
    Codec::decode::<T, PROPOSAL_BYTES_MAX>(body).map_err(|error| Fault::new(Code::Usage, error.to_string()))
}

impl Platform for StoreService {
    fn name(&self) -> &'static str {
        STORE
    }

    fn permits(&self) -> usize {
        // As many as proposals may wait: each is a record in flight.
        16_384
    }

    fn handle(self: Arc<Self>, call: Invocation) -> BoxFuture<'static, Result<Bytes, Fault>> {
        Box::pin(async move {
            let deadline = Instant::now() + Duration::from_millis(call.head.deadline_ms.into());
            let key = call.head.idempotency_key;
            let body = &call.body;
            Ok(match call.head.endpoint.as_str() {
                "write" => Codec::encode(&self.write(decode(body)?, key, deadline).await?).into(),
                "read" => Codec::encode(&self.read(decode(body)?, deadline).await?).into(),
                "list" => Codec::encode(&self.list(decode(body)?, deadline).await?).into(),
                "delete" => Codec::encode(&self.delete(decode(body)?, key, deadline).await?).into(),
                other => {
                    return Err(Fault::new(Code::NotFound, format!("the store has no endpoint {other:?}")));
                }
            })
        })
    }
}
