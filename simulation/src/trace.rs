//! What happened in a run, in order: the thing that two runs of one seed must have in common.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

/// A 64-bit FNV-1a digest (Fowler, Noll, Vo): small, and good enough where nobody attacks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fnv(pub u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// Adds `bytes`.
    pub fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// Adds a number.
    pub fn add_number(&mut self, number: u64) {
        self.add(&number.to_le_bytes());
    }

    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> u64 {
        let mut digest = Fnv::default();
        digest.add(bytes);
        digest.0
    }
}

/// Everything in order: lines for people, a digest for comparison. Clones write to the same trace.
#[derive(Clone, Default)]
pub struct Trace {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    now: Duration,
    lines: Vec<String>,
    digest: Fnv,
    datagrams: u64,
    bytes: u64,
    on_stderr: bool,
}

/// How much a trace holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceTotals {
    /// Lines.
    pub lines: u64,
    /// UDP datagrams sent.
    pub datagrams: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Of all lines and of every byte of every datagram, with time, sender and receiver.
    pub hash: u64,
}

impl Trace {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds the trace")
    }

    /// Shows lines on standard error as they come, too.
    pub fn show(&self) {
        self.inner().on_stderr = true;
    }

    /// Simulated time: of the host that runs just now, else the last one seen.
    pub fn now(&self) -> Duration {
        let mut inner = self.inner();
        if let Some(now) = turmoil::sim_elapsed() {
            inner.now = now;
        }
        inner.now
    }

    /// Tells the trace the time outside of any host.
    pub fn set_now(&self, now: Duration) {
        self.inner().now = now;
    }

    /// Adds a line: who it is about, and what happened.
    pub fn line(&self, who: &str, what: impl fmt::Display) {
        let now = self.now();
        let line = format!("{:>10.6} {who:<6} {what}", now.as_secs_f64());
        let mut inner = self.inner();
        inner.digest.add(line.as_bytes());
        if inner.on_stderr {
            eprintln!("{line}");
        }
        inner.lines.push(line);
    }

    /// Adds a datagram as it is sent.
    pub fn datagram(&self, from: SocketAddr, to: SocketAddr, content: &[u8]) {
        let now = self.now();
        let mut inner = self.inner();
        inner.datagrams += 1;
        inner.bytes += content.len() as u64;
        inner.digest.add_number(now.as_nanos() as u64);
        for end in [from, to] {
            inner.digest.add(end.to_string().as_bytes());
        }
        inner.digest.add(content);
    }

    /// How much there is, and its digest.
    pub fn totals(&self) -> TraceTotals {
        let inner = self.inner();
        TraceTotals {
            lines: inner.lines.len() as u64,
            datagrams: inner.datagrams,
            bytes: inner.bytes,
            hash: inner.digest.0,
        }
    }

    /// All lines as one text.
    pub fn text(&self) -> String {
        let mut text = self.inner().lines.join("\n");
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_fnv_1a() {
        assert_eq!(Fnv::of(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(Fnv::of(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(Fnv::of(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_datagram_changes_the_hash() {
        let [one, other] = [Trace::default(), Trace::default()];
        let end: SocketAddr = "192.168.0.1:9000".parse().expect("an address");
        one.datagram(end, end, b"x");
        other.datagram(end, end, b"y");
        assert_ne!(one.totals().hash, other.totals().hash);
        assert_eq!(one.totals().bytes, 1);
    }
}
