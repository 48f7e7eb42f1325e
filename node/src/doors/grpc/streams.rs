//! Answers that go on: watches, and leases that are kept alive.
//!
//! Nothing is gathered here: the next event is asked for once HTTP/2 has room for it. What waits, waits in the store's
//! queue of that watch, which has a bound.

use super::{records, settings};
use crate::node::{Context, Local};
use futures::{Stream, StreamExt, stream};
use micro_actors::{
    MeshBackup,
    config::ConfigWatch,
    store::{LeaseRequest, Watch},
};
use micro_sdk::{
    proto::{self, BackupResponse, LeaseResponse, WatchConfigResponse, WatchResponse},
    wire::{Code, Fault},
};
use std::{pin::Pin, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tonic::{Status, Streaming};

/// How many streams of callers of one thread may be open: each may have a queue of 16 MiB, though few ever fill one, so
/// that more would only be another way to use up a host's memory.
const SEATS: usize = 4096;

/// An answer that goes on.
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The seats of those who watch, keep alive, and call services.
#[derive(Clone)]
pub(super) struct Seats(Arc<Semaphore>);

impl Default for Seats {
    fn default() -> Self {
        Seats(Arc::new(Semaphore::new(SEATS)))
    }
}

impl Seats {
    /// Takes a seat, held for as long as the stream is open.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if none is free.
    pub fn take(&self) -> Result<OwnedSemaphorePermit, Fault> {
        self.0.clone().try_acquire_owned().map_err(|_| {
            Fault::new(Code::Unavailable, format!("{SEATS} watches and other streams are open here already"))
                .help("end some, or go through another node")
        })
    }
}

/// What a watcher is sent: first from where it watches, then what happens.
pub(super) fn watching(watch: Watch, seat: OwnedSemaphorePermit) -> Answers<WatchResponse> {
    let begin = records::mark(watch.next_revision().saturating_sub(1));
    let events = watch.into_stream().map(move |event| {
        let _seat = &seat;
        event.map(records::event).map_err(Status::from)
    });
    stream::once(async move { Ok(begin) }).chain(events).boxed()
}

/// What a watcher of the configuration is sent: what is there, and then what changes.
pub(super) fn watching_config(
    watch: ConfigWatch,
    seat: OwnedSemaphorePermit,
) -> Answers<WatchConfigResponse> {
    let updates = watch.into_stream().map(move |update| {
        let _seat = &seat;
        update.map(settings::update).map_err(Status::from)
    });
    updates.boxed()
}

/// A backup, chunk by chunk.
pub(super) fn backing_up(backup: MeshBackup, seat: OwnedSemaphorePermit) -> Answers<BackupResponse> {
    let bytes = backup.bytes();
    let answers = stream::try_unfold((backup, seat), move |(mut backup, seat)| async move {
        let chunk = backup.next().await?;
        Ok(chunk.map(|chunk| (BackupResponse { chunk, bytes }, (backup, seat))))
    });
    answers.boxed()
}

/// Leases that a caller keeps alive: one answer for each request, in order.
pub(super) struct KeptLeases {
    pub local: Local,
    pub context: Context,
    pub requests: Streaming<proto::LeaseRequest>,
    pub draining: watch::Receiver<bool>,
    pub seat: OwnedSemaphorePermit,
}

impl KeptLeases {
    pub fn into_stream(self) -> Answers<LeaseResponse> {
        stream::unfold(self, |mut kept| async move { kept.next().await.map(|answer| (answer, kept)) }).boxed()
    }

    async fn next(&mut self) -> Option<Result<LeaseResponse, Status>> {
        let _held = &self.seat;
        let request = tokio::select! {
            biased;
            _ = self.draining.wait_for(|draining| *draining) => {
                let fault = Fault::new(Code::Unavailable, "the node is shutting down");
                return Some(Err(fault.help("keep the lease alive through another node").into()));
            }
            request = self.requests.message() => request,
        };
        let proto::LeaseRequest { lease } = match request {
            Ok(request) => request?,
            Err(status) => return Some(Err(status)),
        };
        let reply = self.local.keep_alive(&self.context, LeaseRequest { lease }).await;
        let reply = reply.map(|reply| LeaseResponse { lease: reply.lease, ttl_ms: reply.ttl_ms });
        Some(reply.map_err(Status::from))
    }
}
