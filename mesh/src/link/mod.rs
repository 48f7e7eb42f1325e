//! One QUIC connection to a peer, and the streams on it.

mod demand;
mod dial;
mod introduction;
mod keeper;
mod peer;
mod peer_state;
mod pulse;
mod serve;
mod stream;
mod whereabouts;

pub(crate) use demand::Demand;
pub(crate) use dial::{admit, dial};
pub(crate) use introduction::introduce;
pub(crate) use keeper::keep;
pub(crate) use peer::Peer;
pub(crate) use serve::serve;
pub(crate) use stream::{GatherError, Outgoing, StreamGuard, gather};

use crate::{Trust, mesh::Inner, prelude::Life, relay::Tunnel, routing::LinkMetric, tls::in_words};
use micro_sdk::wire::NodeId;
use pulse::Pulse;
use quinn::{ConnectionError, TransportErrorCode, VarInt};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::{sync::Notify, time::Instant};

/// Codes of QUIC's connection close. Stable: peers of other versions read them.
pub(crate) mod close_code {
    use quinn::VarInt;
    /// The node shuts down.
    pub(crate) const LEAVING: VarInt = VarInt::from_u32(0x10);
    /// There is a better connection between the two.
    pub(crate) const DUPLICATE: VarInt = VarInt::from_u32(0x11);
    /// The peer may not be here; the reason says why.
    pub(crate) const REFUSED: VarInt = VarInt::from_u32(0x12);
    /// Another life of the peer has been linked that supersedes this one.
    pub(crate) const SUPERSEDED: VarInt = VarInt::from_u32(0x13);
    /// The peer was removed from the mesh.
    pub(crate) const REMOVED: VarInt = VarInt::from_u32(0x16);
    /// What the connection was for is done.
    pub(crate) const DONE: VarInt = VarInt::from_u32(0x14);
    /// The peer has been silent, though its QUIC was not.
    pub(crate) const SILENT: VarInt = VarInt::from_u32(0x15);
    /// A certificate that the connection was made with does not count any more.
    pub(crate) const EXPIRED: VarInt = VarInt::from_u32(0x17);
    /// Nothing was on it for a while. Who has begun something just then may do so again: it was not seen.
    pub(crate) const IDLE: VarInt = VarInt::from_u32(0x18);
}

/// Codes of stream resets and stops.
pub(crate) mod stream_code {
    use quinn::VarInt;
    /// Whoever wanted the stream has gone away.
    pub(crate) const CANCELLED: VarInt = VarInt::from_u32(1);
    /// More was sent than is taken.
    pub(crate) const TOO_LARGE: VarInt = VarInt::from_u32(2);
    /// The stream began in a way that is not known here.
    pub(crate) const UNKNOWN: VarInt = VarInt::from_u32(3);
}

/// Why a connection that a peer's certificate would allow is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Too many are known.
    #[error("this node is not taken")]
    NotTaken,
    /// It was forgotten.
    #[error("this node was removed from the mesh")]
    Removed,
    /// Another life of it has been linked that supersedes this one.
    #[error("another process runs as this node, or has run since")]
    Superseded,
    /// Its certificate is of an authority that is not believed any more.
    #[error("the certificate is of an authority that is not believed any more")]
    Unbelieved,
}

impl Refusal {
    pub(crate) fn code(self) -> VarInt {
        match self {
            Refusal::NotTaken | Refusal::Unbelieved => close_code::REFUSED,
            Refusal::Removed => close_code::REMOVED,
            Refusal::Superseded => close_code::SUPERSEDED,
        }
    }
}

/// How often a link is pinged at least.
const PING_INTERVAL: Duration = Duration::from_secs(1);

/// The certificates that a connection was made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// How many this node had used before, in this life.
    pub(crate) own: u64,
    /// How many the peer had used before, in its life.
    pub(crate) peer: u64,
    /// When the first of the two ends.
    pub(crate) ends: SystemTime,
}

/// How a link's packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkKind {
    /// From one host to the other.
    Direct,
    /// Over other nodes.
    Relayed,
}

/// One connection to a peer.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) connection: quinn::Connection,
    pub(crate) kind: LinkKind,
    /// The peer that its certificate names.
    pub(crate) peer: NodeId,
    /// Which end dialled.
    pub(crate) opened_by: NodeId,
    /// The peer's life.
    pub(crate) life: Life,
    /// Grows with each connection of this node.
    pub(crate) order: u64,
    /// When it was made.
    pub(crate) born: Instant,
    pub(crate) terms: Terms,
    /// After how long without an answer no way leads over it any more.
    timeout: Duration,
    /// Another link to the peer is used for what is begun now.
    superseded: AtomicBool,
    pulse: Mutex<Pulse>,
    streams: AtomicUsize,
    lanes: AtomicUsize,
    /// Grows with each use: streams begun, packets passed on.
    uses: AtomicU64,
    /// What that was when somebody looked last who found it changed, and when that was.
    idle: Mutex<(u64, Instant)>,
    drained: Notify,
}

impl Link {
    pub(crate) fn new(
        connection: quinn::Connection,
        peer: NodeId,
        opened_by: NodeId,
        life: Life,
        terms: Terms,
        inner: &Inner,
    ) -> Arc<Self> {
        let born = Instant::now();
        let relayed = Tunnel::has(connection.remote_address());
        Arc::new(Link {
            connection,
            kind: if relayed { LinkKind::Relayed } else { LinkKind::Direct },
            peer,
            opened_by,
            life,
            order: inner.next_order(),
            born,
            terms,
            timeout: inner.link_timeout,
            superseded: AtomicBool::new(false),
            pulse: Mutex::new(Pulse::new(born)),
            streams: AtomicUsize::new(0),
            lanes: AtomicUsize::new(0),
            uses: AtomicU64::new(0),
            idle: Mutex::new((0, born)),
            drained: Notify::new(),
        })
    }

    /// Whether the connection is open.
    pub(crate) fn is_open(&self) -> bool {
        self.connection.close_reason().is_none()
    }

    /// Whether the peer has answered of late.
    pub(crate) fn is_fresh(&self) -> bool {
        self.silence() < self.quiet_after()
    }

    /// After how long without an answer nothing is begun on it any more: a little later than ways are led elsewhere, so
    /// that these are there.
    pub(crate) fn quiet_after(&self) -> Duration {
        self.timeout + self.ping_interval() / 4
    }

    /// After how long without an answer what is under way on it is given up, if there is another way: one ping may be
    /// late.
    pub(crate) fn given_up_after(&self) -> Duration {
        self.timeout + self.ping_interval()
    }

    /// How long lies between two pings: two fit into the time after which it counts as dead.
    pub(crate) fn ping_interval(&self) -> Duration {
        PING_INTERVAL.min(self.timeout / 2)
    }

    /// When it will have been silent for too long for ways to lead over it.
    pub(crate) fn noticed_at(&self) -> Instant {
        self.pulse().heard() + self.timeout
    }

    /// For how long the peer has not answered.
    pub(crate) fn silence(&self) -> Duration {
        self.pulse().silence()
    }

    /// How the link is, for choosing ways; none if it is not known, or answers no more.
    pub(crate) fn measured(&self) -> Option<LinkMetric> {
        let pulse = self.pulse();
        let metric = || Some(LinkMetric::new(pulse.rtt_now()?, pulse.jitter(), pulse.loss()));
        (pulse.silence() < self.timeout).then(metric).flatten()
    }

    /// Where its other end is, of a direct one.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        let address = Some(self.connection.remote_address()).filter(|_| self.kind == LinkKind::Direct)?;
        // A socket for both versions of IP has those of the older one in the form of the newer.
        Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }

    /// What the pings tell.
    pub(crate) fn pulse(&self) -> MutexGuard<'_, Pulse> {
        lock(&self.pulse)
    }

    /// Streams under way, opened by either end.
    pub(crate) fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    /// Those of them that are no lanes: lanes are opened anew by their owners, calls and conversations are not.
    pub(crate) fn calls(&self) -> usize {
        self.streams().saturating_sub(self.lanes.load(Ordering::Relaxed))
    }

    /// Takes note of a use.
    pub(crate) fn touch(&self) {
        self.uses.fetch_add(1, Ordering::Relaxed);
    }

    /// For how long it was of no use to either end, besides for pings and gossip; looked up about once a second.
    pub(crate) fn idle(&self) -> Duration {
        let (uses, now) = (self.uses.load(Ordering::Relaxed), Instant::now());
        let idle = &mut *lock(&self.idle);
        if idle.0 != uses || self.streams() > 0 {
            *idle = (uses, now);
        }
        now.saturating_duration_since(idle.1)
    }

    /// Whether it was closed since neither end had any use for it: what was begun last has not arrived.
    pub(crate) fn was_idle(&self) -> bool {
        let done = |reason| match reason {
            ConnectionError::ApplicationClosed(close) => close.error_code == close_code::IDLE,
            _ => false,
        };
        self.connection.close_reason().is_some_and(done)
    }

    /// How late the certificates are that it was made with. Grows with each renewal at either end, and both ends find
    /// the same.
    pub(crate) fn renewals(&self) -> u64 {
        self.terms.own.saturating_add(self.terms.peer)
    }

    /// Whether another link to the peer is used for what is begun now.
    pub(crate) fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::Relaxed)
    }

    fn set_superseded(&self, superseded: bool) {
        self.superseded.store(superseded, Ordering::Relaxed);
    }

    /// Whether what the peer has shown counts at `now` for who has this `trust`.
    pub(crate) fn is_believed(&self, trust: &Trust, now: SystemTime) -> bool {
        dial::chain(&self.connection).is_ok_and(|chain| trust.verify(&chain, now).is_ok())
    }

    /// Opens a stream, waiting until the peer takes one more.
    pub(crate) async fn open(
        self: &Arc<Self>,
        priority: i32,
    ) -> Result<(Outgoing, quinn::RecvStream, StreamGuard), ConnectionError> {
        let guard = StreamGuard::new(self);
        let (send, recv) = self.connection.open_bi().await?;
        let _ = send.set_priority(priority);
        Ok((Outgoing::new(send), recv, guard))
    }

    /// Closes the connection.
    pub(crate) fn close(&self, code: VarInt, reason: &str) {
        self.connection.close(code, reason.as_bytes());
    }

    /// Resolves when a stream has ended and none is left.
    pub(crate) async fn drained(&self) {
        while self.streams() > 0 {
            self.drained.notified().await;
        }
    }
}

/// Locks a mutex. A panic elsewhere leaves our plain data whole, so poison is passed over.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The alert that TLS gives when no protocol is shared (RFC 7301).
const NO_APPLICATION_PROTOCOL: u8 = 120;
/// How much of a peer's words is repeated.
const REASON_CHARS_MAX: usize = 200;

/// Why a connection is gone, in plain words, as what "it" (the peer) did.
pub(crate) fn describe(error: &ConnectionError) -> String {
    match error {
        ConnectionError::VersionMismatch => "it speaks another version of QUIC".to_owned(),
        ConnectionError::TransportError(error) => {
            let reason = in_words(&error.reason);
            if reason.is_empty() { error.to_string() } else { reason.to_owned() }
        }
        ConnectionError::ConnectionClosed(close)
            if close.error_code == TransportErrorCode::crypto(NO_APPLICATION_PROTOCOL) =>
        {
            "it is of another mesh, or speaks another version of the mesh's protocol".to_owned()
        }
        ConnectionError::ConnectionClosed(close) => match words(&close.reason) {
            reason if reason.is_empty() => format!("it broke off: {}", close.error_code),
            reason => format!("it refused the handshake: {}", in_words(&reason)),
        },
        ConnectionError::ApplicationClosed(close) => {
            let reason = words(&close.reason);
            match close.error_code {
                close_code::LEAVING => format!("it has shut down ({reason})"),
                close_code::DUPLICATE => "it prefers another connection".to_owned(),
                close_code::REFUSED => format!("it refused: {reason}"),
                close_code::SUPERSEDED | close_code::REMOVED => format!("it refused: {reason}"),
                close_code::DONE => "it was done".to_owned(),
                close_code::EXPIRED => "a certificate of the link has ended".to_owned(),
                close_code::IDLE => "it was not used".to_owned(),
                code => format!("it closed the connection: {reason} (code {code})"),
            }
        }
        ConnectionError::Reset => "it has started anew, or its host has".to_owned(),
        ConnectionError::TimedOut => "nothing answers".to_owned(),
        ConnectionError::LocallyClosed => "the connection was closed here".to_owned(),
        ConnectionError::CidsExhausted => "no connection ids are left".to_owned(),
    }
}

/// Whether a connection ended because the peer shuts down.
fn has_left(error: &ConnectionError) -> bool {
    matches!(error, ConnectionError::ApplicationClosed(close) if close.error_code == close_code::LEAVING)
}

/// Why this node may not be in the mesh any more, if a connection ended because of that.
pub(crate) fn expulsion(error: &ConnectionError) -> Option<Expulsion> {
    let ConnectionError::ApplicationClosed(close) = error else { return None };
    match close.error_code {
        close_code::SUPERSEDED => Some(Expulsion::Superseded),
        close_code::REMOVED => Some(Expulsion::Removed),
        _ => None,
    }
}

/// Why a node is not let in any more, by the word of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expulsion {
    /// Another process runs as this node, or has run since its data directory was copied.
    Superseded,
    /// The mesh was told to go on without it.
    Removed,
}

/// A peer's reason, cut and cleaned.
fn words(reason: &[u8]) -> String {
    let text = String::from_utf8_lossy(reason);
    text.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect()
}
