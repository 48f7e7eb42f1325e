//! Which users of this host may connect to a port that this command opens for its node.
//!
//! A loopback port is open to every program of the host, whoever runs it. What a node passes on has been authorized,
//! and says who calls; a stranger could say anything. So it is looked up whose the other end of each connection is, in
//! the kernel's table of connections (proc_net(5), `/proc/net/tcp`).

use micro_sdk::client::{Address, Node};
use std::{
    collections::BTreeSet,
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4},
};
use tokio::net::UnixStream;

/// The kernel's table.
const TABLE: &str = "/proc/net/tcp";
/// What a line of it says of a connection that stands, and of a port that is listened at. What has ended is told to be
/// of root, whoever's it was.
const STANDS: &str = "01";
const LISTENS: &str = "0A";
/// Root may do what it likes anyway.
const ROOT: u32 = 0;

/// The users whose programs may connect: root, who runs this command, and who runs its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Neighbours(BTreeSet<u32>);

impl Neighbours {
    /// Those of a command that offers something to this node.
    ///
    /// # Errors
    /// If the system does not tell whose connections are.
    pub async fn of(node: &Node) -> io::Result<Self> {
        let table = fs::read_to_string(TABLE)?;
        let mut users = BTreeSet::from([ROOT, rustix::process::geteuid().as_raw()]);
        match node.address() {
            Address::Unix(path) => {
                users.insert(UnixStream::connect(path).await?.peer_cred()?.uid());
            }
            Address::Tcp { host, port } => users.extend(listener(&table, host, *port)),
        }
        Ok(Neighbours(users))
    }

    /// Whether who connects to `own` from `peer` may.
    pub fn admit(&self, own: SocketAddr, peer: SocketAddr) -> bool {
        let table = fs::read_to_string(TABLE);
        table.is_ok_and(|table| user(&table, peer, own).is_some_and(|user| self.0.contains(&user)))
    }
}

/// Whose the end of a connection is that is at `end`.
fn user(table: &str, end: SocketAddr, other: SocketAddr) -> Option<u32> {
    let (SocketAddr::V4(end), SocketAddr::V4(other)) = (end, other) else { return None };
    let (end, other) = (shown(end), shown(other));
    lines(table).find(|line| line.own == end && line.other == other && line.state == STANDS)?.user
}

/// Who listens where a node is called.
fn listener(table: &str, host: &str, port: u16) -> Option<u32> {
    let ip = match host.parse() {
        Ok(IpAddr::V4(ip)) => ip,
        _ if host == "localhost" => Ipv4Addr::LOCALHOST,
        _ => return None,
    };
    let at = [ip, Ipv4Addr::UNSPECIFIED].map(|ip| shown(SocketAddrV4::new(ip, port)));
    lines(table).find(|line| line.state == LISTENS && at.iter().any(|at| line.own == at))?.user
}

/// One line of the table.
struct Line<'t> {
    own: &'t str,
    other: &'t str,
    state: &'t str,
    user: Option<u32>,
}

fn lines(table: &str) -> impl Iterator<Item = Line<'_>> {
    table.lines().skip(1).filter_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (own, other, state) = (words.next()?, words.next()?, words.next()?);
        Some(Line { own, other, state, user: words.nth(3)?.parse().ok() })
    })
}

/// An address as the table has it: in the byte order of the machine.
fn shown(address: SocketAddrV4) -> String {
    format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000   998        0 1 1 0 100 0 0 10 0
   1: 0100007F:C000 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 2 1 0 20 4 30 10 -1
   2: 0100007F:1F90 0100007F:C000 01 00000000:00000000 00:00000000 00000000   998        0 3 1 0 20 4 30 10 -1
   3: 0100007F:C001 0100007F:1F90 06 00000000:00000000 03:00000F00 00000000     0        0 0 3 0
   4: garbled
";

    #[cfg(target_endian = "little")]
    #[test]
    fn the_table_tells_whose_an_end_is() {
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(user(SOME, at(0xC000), at(8080)), Some(1000));
        assert_eq!(user(SOME, at(8080), at(0xC000)), Some(998));
        assert_eq!(user(SOME, at(0xC001), at(8080)), None, "it has ended, and counts as root's no more");
        assert_eq!(user(SOME, at(0xC002), at(8080)), None);
        assert_eq!(listener(SOME, "127.0.0.1", 8080), Some(998));
        assert_eq!(listener(SOME, "localhost", 8080), Some(998));
        assert_eq!(listener(SOME, "127.0.0.2", 8080), None);
        assert_eq!(listener(SOME, "::1", 8080), None);
    }

    #[tokio::test]
    async fn a_connection_of_ones_own_is_found() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let own = listener.local_addr().expect("it has one");
        let mine = Neighbours(BTreeSet::from([rustix::process::geteuid().as_raw()]));
        let connected = tokio::net::TcpStream::connect(own).await.expect("it listens");
        let (_taken, peer) = listener.accept().await.expect("it is there");
        assert!(mine.admit(own, peer));
        assert!(!Neighbours(BTreeSet::new()).admit(own, peer));
        drop(connected);
    }
}
