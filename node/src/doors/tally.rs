//! What the doors count of themselves, for `/metrics`: connections of each, what they refused, and the answers of the
//! HTTP api.

use micro_actors::audit::Origin;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Semaphore, time::Instant};

/// Connections that one door serves at once: far more than services and people on a host need, and few enough that
/// their buffers stay below what a small host has.
pub(super) const CONNECTIONS_MAX: usize = 4096;

/// The statuses of HTTP: all answers have one of these.
const STATUS_MIN: usize = 100;
const STATUS_COUNT: usize = 500;

/// The codes of DNS that are answered with: all are below (RFC 6895, 2.3).
const RCODE_COUNT: usize = 24;

/// Up to how many microseconds the answers of one class took: from what a call of a service on this host takes to the
/// default deadline. The last class has all others.
pub(super) const LATENCY_US: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 2_500_000,
    10_000_000,
];

/// The doors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DoorName {
    /// gRPC on the unix socket.
    Socket,
    /// gRPC on a port.
    Proxy,
    /// HTTP.
    Api,
    /// DNS over TCP; what comes as datagrams has no connection.
    Dns,
}

impl DoorName {
    /// All of them.
    pub const ALL: [DoorName; 4] = [DoorName::Socket, DoorName::Proxy, DoorName::Api, DoorName::Dns];

    /// The door that a request came in at.
    pub fn of(origin: Origin) -> Option<Self> {
        match origin {
            Origin::Socket { .. } => Some(DoorName::Socket),
            Origin::Proxy(_) => Some(DoorName::Proxy),
            Origin::Api(_) => Some(DoorName::Api),
            Origin::Dns(_) => Some(DoorName::Dns),
            Origin::Process | Origin::Mesh(_) | Origin::Admission(_) => None,
        }
    }

    /// As people and programs read it.
    pub fn as_str(self) -> &'static str {
        match self {
            DoorName::Socket => "socket",
            DoorName::Proxy => "proxy",
            DoorName::Api => "api",
            DoorName::Dns => "dns",
        }
    }
}

/// What is counted of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Too many connections of an address.
    Connections,
    /// Too many requests of an address whose callers are not known.
    Unknown,
    /// Too many requests of an account.
    Account,
    /// Too many logins.
    Login,
    /// No handshake, or no head of a request, in time.
    Late,
    /// Too many requests of a connection that were taken back.
    Resets,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 6] =
        [Reason::Connections, Reason::Unknown, Reason::Account, Reason::Login, Reason::Late, Reason::Resets];

    /// As metrics have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Connections => "connections",
            Reason::Unknown => "unknown",
            Reason::Account => "account",
            Reason::Login => "login",
            Reason::Late => "late",
            Reason::Resets => "resets",
        }
    }
}

/// The connections of one door.
pub(super) struct Connections {
    /// One for each connection that may be open.
    pub permits: Arc<Semaphore>,
    /// Permits that are held for the connections that come next.
    pub awaited: AtomicUsize,
    /// Those that were ever taken.
    pub taken: AtomicU64,
}

impl Default for Connections {
    fn default() -> Self {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        Connections { permits, awaited: AtomicUsize::new(0), taken: AtomicU64::new(0) }
    }
}

impl Connections {
    /// How many are open.
    pub fn open(&self) -> usize {
        let free = self.permits.available_permits() + self.awaited.load(Ordering::Relaxed);
        CONNECTIONS_MAX.saturating_sub(free)
    }
}

/// The counters of all doors.
pub(super) struct Tally {
    began: Instant,
    connections: [Connections; DoorName::ALL.len()],
    statuses: [AtomicU64; STATUS_COUNT],
    latencies: [AtomicU64; LATENCY_US.len() + 1],
    latency_sum_us: AtomicU64,
    rcodes: [AtomicU64; RCODE_COUNT],
    refused: [[AtomicU64; Reason::ALL.len()]; DoorName::ALL.len()],
}

impl Tally {
    /// Nothing counted, beginning now.
    pub fn new() -> Arc<Self> {
        Arc::new(Tally {
            began: Instant::now(),
            connections: Default::default(),
            statuses: std::array::from_fn(|_| AtomicU64::new(0)),
            latencies: Default::default(),
            latency_sum_us: AtomicU64::new(0),
            rcodes: Default::default(),
            refused: Default::default(),
        })
    }

    /// The connections of a door.
    pub fn connections(&self, door: DoorName) -> &Connections {
        &self.connections[door as usize]
    }

    /// Counts what a door refused before anything was done for it.
    pub fn refused(&self, door: DoorName, reason: Reason) {
        self.refused[door as usize][reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was so.
    pub fn refusals(&self, door: DoorName, reason: Reason) -> u64 {
        self.refused[door as usize][reason as usize].load(Ordering::Relaxed)
    }

    /// How long the doors have been open.
    pub fn uptime(&self) -> Duration {
        self.began.elapsed()
    }

    /// Counts an answer of the HTTP api.
    pub fn answered(&self, status: u16, took: Duration) {
        if let Some(count) = usize::from(status).checked_sub(STATUS_MIN).and_then(|at| self.statuses.get(at))
        {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let class = LATENCY_US.partition_point(|most| *most < us);
        self.latencies[class].fetch_add(1, Ordering::Relaxed);
        self.latency_sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Counts an answer of the DNS door.
    pub fn resolved(&self, rcode: u16) {
        if let Some(count) = self.rcodes.get(usize::from(rcode)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many answers of DNS there were with each code, without those that there were none of.
    pub fn rcodes(&self) -> Vec<(u16, u64)> {
        let counts = (0..).zip(self.rcodes.iter().map(|count| count.load(Ordering::Relaxed)));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// How many answers there were of each status, without those that there were none of.
    pub fn statuses(&self) -> Vec<(u16, u64)> {
        let counts = (100..).zip(self.statuses.iter().map(|count| count.load(Ordering::Relaxed)));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// How many answers took up to each of [`LATENCY_US`], then all; and the sum of their times.
    pub fn latencies(&self) -> (Vec<u64>, Duration) {
        let mut sum = 0;
        let cumulated = self.latencies.iter().map(|count| {
            sum += count.load(Ordering::Relaxed);
            sum
        });
        (cumulated.collect(), Duration::from_micros(self.latency_sum_us.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_are_counted_by_status_and_by_time() {
        let tally = Tally::new();
        for (status, us) in [(200, 50), (200, 100), (404, 101), (504, 99_000_000), (0, 1), (1000, 1)] {
            tally.answered(status, Duration::from_micros(us));
        }
        assert_eq!(tally.statuses(), [(200, 2), (404, 1), (504, 1)]);
        let (latencies, sum) = tally.latencies();
        assert_eq!((latencies[0], latencies[1], latencies.last()), (4, 5, Some(&6)));
        assert_eq!(sum, Duration::from_micros(99_000_253));
        assert!(latencies.is_sorted());
    }
}
