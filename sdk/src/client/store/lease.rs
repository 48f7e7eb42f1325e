//! A lease: records that are tied to it end together, unless somebody keeps it alive.

use super::{
    super::{Node, call::key_bytes, node::Stake},
    record::time_of,
};
use crate::{
    chance, proto,
    wire::{Code, Fault},
};
use futures::{SinkExt, channel::mpsc};
use std::{
    convert::Infallible,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout_at},
};

/// A lease is kept alive this often in its time to live, so that one attempt may fail, and another.
const TIMES: u32 = 3;
/// The pause after an attempt that failed: a tenth of the time to live, within these bounds.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A lease that is kept alive for as long as this value lives. Dropped, it ends when its time to live is over.
#[derive(Debug)]
pub struct Lease {
    node: Node,
    id: u64,
    ttl: Duration,
    lost: watch::Receiver<Option<Fault>>,
    keeper: JoinHandle<()>,
    revoke_on_drop: bool,
}

/// A lease as it is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseListing {
    /// Its id.
    pub lease: u64,
    /// How long it lives without being kept alive; zero once it is ending.
    pub ttl: Duration,
    /// When it ends.
    pub expires: SystemTime,
}

impl From<proto::list_leases_response::Lease> for LeaseListing {
    fn from(lease: proto::list_leases_response::Lease) -> Self {
        let proto::list_leases_response::Lease { lease, ttl_ms, expires_ms } = lease;
        LeaseListing { lease, ttl: Duration::from_millis(ttl_ms), expires: time_of(expires_ms) }
    }
}

impl Lease {
    /// Keeps a lease alive whose time to live began at `begun` or later.
    pub(super) fn keep(node: Node, id: u64, ttl: Duration, begun: Instant) -> Lease {
        let (tell, lost) = watch::channel(None);
        let mut keeper = Keeper { node: node.clone(), lease: id, ttl, ends: begun + ttl };
        let keeper = tokio::spawn(async move {
            let fault = keeper.run().await;
            tell.send_replace(Some(fault));
        });
        Lease { node, id, ttl, lost, keeper, revoke_on_drop: false }
    }

    /// Revokes the lease when this value is dropped, instead of leaving that to its time to live.
    #[must_use]
    pub fn revoke_on_drop(mut self) -> Lease {
        self.revoke_on_drop = true;
        self
    }

    /// Its id: what records are tied to.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// How long it lives without being kept alive.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Whether it can't be counted on any more: it has ended, or was not kept alive in time.
    pub fn is_lost(&self) -> bool {
        self.lost.borrow().is_some()
    }

    /// Waits until it can't be counted on any more, and tells why.
    pub async fn lost(&self) -> Fault {
        let mut lost = self.lost.clone();
        let fault = lost.wait_for(Option::is_some).await.ok().and_then(|fault| fault.clone());
        fault.unwrap_or_else(|| Fault::new(Code::Internal, "the lease is kept alive by nobody"))
    }

    /// Ends it, with its records. Tells how many these were.
    ///
    /// # Errors
    /// `NotFound` if it has ended; else those of a write.
    pub async fn revoke(mut self) -> Result<u32, Fault> {
        self.keeper.abort();
        self.revoke_on_drop = false;
        revoke(&self.node, self.id).await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.keeper.abort();
        if self.revoke_on_drop {
            let (node, id) = (self.node.clone(), self.id);
            // Should it fail, the lease ends a little later by itself.
            self.node.background().spawn(async move { drop(revoke(&node, id).await) });
        }
    }
}

/// Makes a lease, which is its id and how long it lives from now on.
pub(super) async fn grant(node: &Node, ttl: Duration) -> Result<(u64, Duration), Fault> {
    let key = chance::bits();
    let ttl_ms = super::milliseconds(ttl);
    let message = proto::GrantLeaseRequest { ttl_ms, idempotency_key: key_bytes(key) };
    let mut client = node.records();
    let sent = |request| async move { client.grant_lease(request).await };
    let reply = node.ask(Stake::Write(key), node.timeout(), message, sent).await?;
    Ok((reply.lease, Duration::from_millis(reply.ttl_ms)))
}

/// Ends a lease, with its records. Tells how many these were.
pub(super) async fn revoke(node: &Node, lease: u64) -> Result<u32, Fault> {
    let key = chance::bits();
    let message = proto::RevokeLeaseRequest { lease, idempotency_key: key_bytes(key) };
    let mut client = node.records();
    let sent = |request| async move { client.revoke_lease(request).await };
    Ok(node.ask(Stake::Write(key), node.timeout(), message, sent).await?.deleted)
}

/// Lets a lease live on, once. Tells how long it lives from now on.
pub(super) async fn keep_alive_once(node: &Node, lease: u64) -> Result<Duration, Fault> {
    let mut keeper =
        Keeper { node: node.clone(), lease, ttl: Duration::ZERO, ends: Instant::now() + node.timeout() };
    let mut asked = keeper.open().await?;
    asked.keep(&mut keeper).await?;
    Ok(keeper.ttl)
}

/// Keeps a lease alive.
struct Keeper {
    node: Node,
    lease: u64,
    ttl: Duration,
    /// Before this moment the lease has not ended by itself, whatever clocks say.
    ends: Instant,
}

/// An open stream to a node.
struct Asked {
    ask: mpsc::Sender<proto::LeaseRequest>,
    answers: tonic::Streaming<proto::LeaseResponse>,
}

impl Keeper {
    /// Returns once the lease can't be counted on any more.
    async fn run(&mut self) -> Fault {
        loop {
            let Err(fault) = self.hold().await;
            if matches!(fault.code, Code::NotFound | Code::Usage | Code::Denied) {
                return fault;
            }
            if Instant::now() >= self.ends {
                let message = format!("lease {} was not kept alive in time: {}", self.lease, fault.message);
                return Fault { message, ..fault };
            }
            // Not at once: a node that refuses connections would be asked without end.
            sleep((self.ttl / 10).clamp(PAUSE_MIN, PAUSE_MAX)).await;
        }
    }

    /// Keeps it alive over one stream for as long as that goes well.
    async fn hold(&mut self) -> Result<Infallible, Fault> {
        let mut asked = self.open().await?;
        loop {
            asked.keep(self).await?;
            sleep(self.ttl / TIMES).await;
        }
    }

    async fn open(&self) -> Result<Asked, Fault> {
        let (ask, requests) = mpsc::channel(1);
        let request = self.node.request(requests)?;
        let mut client = self.node.records();
        match timeout_at(self.ends, client.keep_lease_alive(request)).await {
            Ok(Ok(response)) => Ok(Asked { ask, answers: response.into_inner() }),
            Ok(Err(status)) => Err(self.node.fault(Stake::Read, self.ttl, status)),
            Err(_) => Err(silent()),
        }
    }
}

impl Asked {
    /// Keeps the lease alive, once.
    async fn keep(&mut self, keeper: &mut Keeper) -> Result<(), Fault> {
        let sent = Instant::now();
        let patience = match keeper.ttl {
            Duration::ZERO => keeper.ends,
            // A node that says nothing is left in time for another attempt.
            ttl => keeper.ends.min(sent + ttl / TIMES),
        };
        let answer = timeout_at(patience, async {
            let asked = self.ask.send(proto::LeaseRequest { lease: keeper.lease }).await;
            match self.answers.message().await {
                // It can't be asked any more because it has ended the stream: the answer is why.
                Ok(None) => Err(Fault::new(Code::Unavailable, "the node let go of the lease")),
                Ok(Some(answer)) if asked.is_ok() => Ok(answer),
                Ok(Some(_)) => Err(Fault::new(Code::Unavailable, "the node takes no more requests")),
                Err(status) => Err(keeper.node.fault(Stake::Read, keeper.ttl, status)),
            }
        });
        let answer = answer.await.unwrap_or_else(|_| Err(silent()))?;
        keeper.ttl = Duration::from_millis(answer.ttl_ms);
        keeper.ends = sent + keeper.ttl;
        Ok(())
    }
}

fn silent() -> Fault {
    Fault::new(Code::Unavailable, "the node gives no answer")
}
