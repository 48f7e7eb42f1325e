//! A network that is memory: sockets in one process whose datagrams arrive after a while of virtual time.

use micro_mesh::{DatagramSocket, Socket};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// Datagrams that wait in a socket. What comes on top is lost.
const QUEUE_MAX: usize = 20_000;
/// The port of all.
const PORT: u16 = 4800;

/// The network.
#[derive(Default)]
pub struct Air {
    ports: Mutex<BTreeMap<SocketAddr, Arc<Port>>>,
    /// Between whom everything is lost.
    parted: Mutex<BTreeSet<(SocketAddr, SocketAddr)>>,
    traffic: Mutex<Traffic>,
    far: Duration,
    pub regions: u64,
}

/// What all sockets have sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub datagrams: u64,
    pub bytes: u64,
}

/// When a datagram arrives, its place among all, what it holds and who has sent it.
type Arrival = Reverse<(Instant, u64, Vec<u8>, SocketAddr)>;

struct Inbox {
    arrivals: BinaryHeap<Arrival>,
    timer: Pin<Box<Sleep>>,
    reader: Option<Waker>,
}

/// A socket.
pub struct Port {
    air: Arc<Air>,
    address: SocketAddr,
    inbox: Mutex<Inbox>,
}

/// Where a node is dialled.
pub fn address(node: u64) -> SocketAddr {
    let [.., high, low] = node.to_be_bytes();
    SocketAddr::new(Ipv4Addr::new(10, 0, high, low).into(), PORT)
}

fn node_at(address: SocketAddr) -> u64 {
    let std::net::IpAddr::V4(ip) = address.ip() else { return 0 };
    u64::from(ip.to_bits() & 0xffff)
}

impl Air {
    /// One of so many regions, between which a datagram takes so long; within one it takes a millisecond.
    pub fn new(regions: u64, far: Duration) -> Self {
        Air { regions, far, ..Air::default() }
    }

    /// A node's socket.
    pub fn socket(self: &Arc<Self>, node: u64) -> Socket {
        let address = address(node);
        let timer = Box::pin(sleep_until(Instant::now()));
        let inbox = Mutex::new(Inbox { arrivals: BinaryHeap::new(), timer, reader: None });
        let port = Arc::new(Port { air: self.clone(), address, inbox });
        self.ports.lock().expect("no panic").insert(address, port.clone());
        Socket::Simulated(port)
    }

    /// Nothing comes from a node any more, or gets there.
    pub fn cut(&self, node: u64) {
        self.ports.lock().expect("no panic").remove(&address(node));
    }

    /// What two nodes send each other is lost from now on, and nobody is told.
    pub fn part(&self, one: u64, other: u64) {
        let [one, other] = [one, other].map(address);
        self.parted.lock().expect("no panic").extend([(one, other), (other, one)]);
    }

    /// What all sockets have sent so far.
    pub fn traffic(&self) -> Traffic {
        *self.traffic.lock().expect("no panic")
    }

    fn latency(&self, from: SocketAddr, to: SocketAddr) -> Duration {
        let region = |address| node_at(address) % self.regions.max(1);
        if region(from) == region(to) { Duration::from_millis(1) } else { self.far }
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Port({})", self.address)
    }
}

impl DatagramSocket for Port {
    fn try_send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let ports = self.air.ports.lock().expect("no panic");
        if !ports.contains_key(&self.address) {
            return Ok(());
        }
        let place = {
            let mut traffic = self.air.traffic.lock().expect("no panic");
            traffic.datagrams += 1;
            traffic.bytes += bytes.len() as u64;
            traffic.datagrams
        };
        if self.air.parted.lock().expect("no panic").contains(&(self.address, to)) {
            return Ok(());
        }
        let Some(port) = ports.get(&to) else { return Ok(()) };
        let mut inbox = port.inbox.lock().expect("no panic");
        if inbox.arrivals.len() < QUEUE_MAX {
            let at = Instant::now() + self.air.latency(self.address, to);
            inbox.arrivals.push(Reverse((at, place, bytes.to_vec(), self.address)));
        }
        if let Some(reader) = inbox.reader.take() {
            reader.wake();
        }
        Ok(())
    }

    fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut inbox = self.inbox.lock().expect("no panic");
        let Some(Reverse((at, ..))) = inbox.arrivals.peek() else {
            inbox.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let at = *at;
        if at > Instant::now() {
            inbox.timer.as_mut().reset(at);
            if inbox.timer.as_mut().poll(cx).is_pending() {
                inbox.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        let Reverse((_, _, bytes, from)) = inbox.arrivals.pop().expect("just seen");
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Poll::Ready(Ok((bytes.len(), from)))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
