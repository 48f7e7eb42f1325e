//! Addresses for nodes that are reached through others, and what comes and goes there.

use super::{
    packet::{Packet, Piece},
    path::Path,
};
use crate::link::lock;
use bytes::{Bytes, BytesMut};
use micro_sdk::wire::NodeId;
use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Mutex,
        atomic::{AtomicU16, Ordering},
    },
    task::Waker,
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

/// The first address: those from here on are reserved (RFC 1112, section 4), and no host has one.
const FIRST: u32 = u32::from_be_bytes([240, 0, 0, 0]);
/// The port of all of them. QUIC takes any but 0.
const PORT: u16 = 1;
/// Nodes that have an address: more than a node can know.
const ENDS_MAX: usize = 4096;
/// Packets that have come in for quinn, or go out from it, and wait for their task: 1.5 MB. It runs at once.
const QUEUE_MAX: usize = 1024;
/// Halves that wait for the other one. They travel together.
const HALVES_MAX: usize = 64;
/// How long the way that a packet came is good for the way back, if this node knows none.
const HEARD_FOR: Duration = Duration::from_secs(10);

/// What quinn sends to nodes that are reached through others.
pub(crate) type Outbox = mpsc::Receiver<(NodeId, Bytes)>;

/// Addresses for nodes that are reached through others, and what comes and goes there.
#[derive(Debug)]
pub(crate) struct Tunnel {
    /// Whether quinn writes IPv4 addresses as IPv6 ones.
    mapped: bool,
    ends: Mutex<Ends>,
    inbox: Mutex<Inbox>,
    outbox: mpsc::Sender<(NodeId, Bytes)>,
    numbers: AtomicU16,
}

#[derive(Debug, Default)]
struct Ends {
    numbers: BTreeMap<NodeId, u32>,
    nodes: Vec<End>,
    halves: VecDeque<Packet>,
}

#[derive(Debug)]
struct End {
    node: NodeId,
    /// The way back to it, by what came last, and when that was.
    heard: Option<(Path, Instant)>,
}

#[derive(Debug, Default)]
struct Inbox {
    packets: VecDeque<(SocketAddr, Bytes)>,
    reader: Option<Waker>,
}

impl Tunnel {
    /// For a socket that has this address.
    pub(crate) fn new(socket: SocketAddr) -> (Tunnel, Outbox) {
        let (outbox, sent) = mpsc::channel(QUEUE_MAX);
        let (ends, inbox, numbers) = (Mutex::default(), Mutex::default(), AtomicU16::new(0));
        (Tunnel { mapped: socket.is_ipv6(), ends, inbox, outbox, numbers }, sent)
    }

    /// Whether this is an address that nodes have which are reached through others.
    pub(crate) fn has(address: SocketAddr) -> bool {
        number(address).is_some()
    }

    /// The address that this node has for `node`; none if there are too many.
    pub(crate) fn address(&self, node: NodeId) -> Option<SocketAddr> {
        let number = lock(&self.ends).number(node)?;
        let v4 = Ipv4Addr::from_bits(FIRST + number);
        let ip = if self.mapped { IpAddr::V6(v4.to_ipv6_mapped()) } else { IpAddr::V4(v4) };
        Some(SocketAddr::new(ip, PORT))
    }

    /// The way on which a packet of `node` has come of late, backwards.
    pub(super) fn heard(&self, node: NodeId) -> Option<Path> {
        let ends = lock(&self.ends);
        let (path, at) = ends.nodes[*ends.numbers.get(&node)? as usize].heard?;
        (at.elapsed() < HEARD_FOR).then_some(path)
    }

    /// Takes what quinn sends to such an address. What finds no room is lost.
    pub(super) fn send(&self, to: SocketAddr, contents: &[u8], segment: Option<usize>) {
        let Some(node) = number(to).and_then(|number| lock(&self.ends).node(number)) else { return };
        for packet in contents.chunks(segment.unwrap_or(contents.len()).max(1)) {
            let _ = self.outbox.try_send((node, Bytes::copy_from_slice(packet)));
        }
    }

    /// A number for the halves of a packet.
    pub(super) fn next_number(&self) -> u16 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes a packet that has arrived where its path ends, for quinn.
    pub(super) fn receive(&self, packet: Packet) {
        let (from, back) = (packet.path.from(), packet.path.reversed());
        let Some(address) = self.address(from) else { return };
        let Some(payload) = lock(&self.ends).whole(packet, back) else { return };
        let mut inbox = lock(&self.inbox);
        if inbox.packets.len() < QUEUE_MAX {
            inbox.packets.push_back((address, payload));
        }
        if let Some(reader) = inbox.reader.take() {
            drop(inbox);
            reader.wake();
        }
    }

    /// What has arrived, up to `count` packets; if nothing has, `reader` is woken when something does.
    pub(super) fn arrived(&self, count: usize, reader: &Waker) -> Vec<(SocketAddr, Bytes)> {
        let mut inbox = lock(&self.inbox);
        if inbox.packets.is_empty() {
            inbox.reader = Some(reader.clone());
            return Vec::new();
        }
        let count = count.min(inbox.packets.len());
        inbox.packets.drain(..count).collect()
    }
}

impl Ends {
    fn number(&mut self, node: NodeId) -> Option<u32> {
        if let Some(number) = self.numbers.get(&node) {
            return Some(*number);
        }
        if self.nodes.len() >= ENDS_MAX {
            return None;
        }
        let number = self.nodes.len() as u32;
        self.nodes.push(End { node, heard: None });
        self.numbers.insert(node, number);
        Some(number)
    }

    fn node(&self, number: u32) -> Option<NodeId> {
        self.nodes.get(number as usize).map(|end| end.node)
    }

    /// What was sent, once all of it is here.
    fn whole(&mut self, packet: Packet, back: Path) -> Option<Bytes> {
        let number = self.number(packet.path.from())?;
        self.nodes[number as usize].heard = Some((back, Instant::now()));
        let other = match packet.piece {
            Piece::Whole => return Some(packet.payload),
            Piece::First(number) => Piece::Second(number),
            Piece::Second(number) => Piece::First(number),
        };
        let fits = |half: &Packet| half.piece == other && half.path.from() == packet.path.from();
        let Some(place) = self.halves.iter().position(fits) else {
            if self.halves.len() >= HALVES_MAX {
                self.halves.pop_front();
            }
            self.halves.push_back(packet);
            return None;
        };
        let other = self.halves.remove(place)?;
        let (first, second) =
            if matches!(packet.piece, Piece::First(_)) { (packet, other) } else { (other, packet) };
        let mut payload = BytesMut::from(&first.payload[..]);
        payload.extend_from_slice(&second.payload);
        Some(payload.freeze())
    }
}

/// The number of an address that nodes have which are reached through others.
fn number(address: SocketAddr) -> Option<u32> {
    let IpAddr::V4(ip) = address.ip().to_canonical() else { return None };
    ip.to_bits().checked_sub(FIRST).filter(|number| (*number as usize) < ENDS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Context;

    const V4: &str = "127.0.0.1:80";

    fn tunnel(socket: &str) -> (Tunnel, Outbox) {
        Tunnel::new(socket.parse().expect("an address"))
    }

    fn from(node: u64, piece: Piece, payload: &'static [u8]) -> Packet {
        let path = Path::new(&[NodeId(node), NodeId(2), NodeId(3)]).expect("a path");
        Packet { path, next: 2, piece, payload: Bytes::from_static(payload) }
    }

    fn arrived(tunnel: &Tunnel) -> Vec<(SocketAddr, Bytes)> {
        tunnel.arrived(usize::MAX, Context::from_waker(Waker::noop()).waker())
    }

    #[tokio::test]
    async fn each_node_has_an_address_of_its_own_that_no_host_has() {
        for socket in [V4, "[::1]:80"] {
            let (tunnel, mut outbox) = tunnel(socket);
            let [one, two] = [1, 2].map(|node| tunnel.address(NodeId(node)).expect("there is room"));
            assert!(one != two && Tunnel::has(one) && Tunnel::has(two));
            assert_eq!(tunnel.address(NodeId(1)), Some(one));
            assert_eq!(one.is_ipv6(), socket.starts_with('['));
            tunnel.send(two, b"abcdefg", Some(3));
            let mut sent = Vec::new();
            while let Ok(packet) = outbox.try_recv() {
                sent.push(packet);
            }
            assert_eq!(sent, ["abc", "def", "g"].map(|text| (NodeId(2), Bytes::from(text))));
        }
        assert!(!Tunnel::has(V4.parse().expect("an address")));
        assert!(!Tunnel::has("[2001:db8::1]:1".parse().expect("an address")));
        assert!(!Tunnel::has("255.255.255.255:1".parse().expect("an address")));
    }

    #[tokio::test]
    async fn halves_are_put_together_in_either_order_and_never_with_others() {
        let (tunnel, _outbox) = tunnel(V4);
        let address = tunnel.address(NodeId(1)).expect("there is room");
        tunnel.receive(from(1, Piece::Second(7), b"cd"));
        tunnel.receive(from(4, Piece::First(7), b"xx"));
        tunnel.receive(from(1, Piece::First(8), b"yy"));
        assert_eq!(arrived(&tunnel), []);
        tunnel.receive(from(1, Piece::First(7), b"ab"));
        assert_eq!(arrived(&tunnel), [(address, Bytes::from("abcd"))]);
        tunnel.receive(from(1, Piece::Whole, b"e"));
        assert_eq!(arrived(&tunnel), [(address, Bytes::from("e"))]);
        let back = Path::new(&[NodeId(3), NodeId(2), NodeId(1)]);
        assert_eq!(tunnel.heard(NodeId(1)), back);
        assert_eq!(tunnel.heard(NodeId(9)), None);
    }

    #[tokio::test]
    async fn what_finds_no_room_is_lost_and_takes_no_memory() {
        let (tunnel, mut outbox) = tunnel(V4);
        let address = tunnel.address(NodeId(1)).expect("there is room");
        for _ in 0..2 * QUEUE_MAX {
            tunnel.receive(from(1, Piece::Whole, b"in"));
            tunnel.receive(from(1, Piece::First(tunnel.next_number()), b"half"));
            tunnel.send(address, b"out", None);
        }
        assert_eq!(arrived(&tunnel).len(), QUEUE_MAX);
        assert_eq!(lock(&tunnel.ends).halves.len(), HALVES_MAX);
        let mut sent = 0;
        while outbox.try_recv().is_ok() {
            sent += 1;
        }
        assert_eq!(sent, QUEUE_MAX);
        let given = (10..).take_while(|node| tunnel.address(NodeId(*node)).is_some()).count();
        assert_eq!(given, ENDS_MAX - 1);
    }
}
