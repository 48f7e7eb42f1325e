//! One query to one server: over UDP, and over TCP if the answer has no room in a datagram.

use hickory_proto::{
    op::{Edns, Message, MessageType, Query},
    rr::{Name, RecordType},
};
use micro_sdk::wire::{Code, Fault};
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::{Instant, timeout},
};

/// How long a datagram is waited for before it counts as lost: far longer than a node of this host takes.
const DATAGRAM_PATIENCE: Duration = Duration::from_secs(1);
/// How often it is sent.
const DATAGRAM_TRIES: u32 = 3;
/// The longest answer that is taken in a datagram: what crosses every network in one piece.
const DATAGRAM_BYTES: u16 = 1232;

/// A server that is asked.
pub(super) struct Resolver {
    pub server: SocketAddr,
    /// How long it may take in all.
    pub patience: Duration,
}

/// An answer, and how it came.
pub(super) struct Resolved {
    pub message: Message,
    pub server: SocketAddr,
    /// `udp` or `tcp`.
    pub transport: &'static str,
    pub took: Duration,
}

impl Resolver {
    /// Asks for the records of a type that a name has.
    ///
    /// # Errors
    /// [`Code::Unreachable`] if nobody answers, [`Code::Failed`] if what is answered is nothing of DNS.
    pub(super) async fn ask(&self, name: &Name, kind: RecordType) -> Result<Resolved, Fault> {
        let mut query = Message::query();
        query.metadata.recursion_desired = true;
        query.add_query(Query::query(name.clone(), kind));
        let mut edns = Edns::new();
        edns.set_max_payload(DATAGRAM_BYTES);
        query.set_edns(edns);
        let began = Instant::now();
        let asking = async {
            let bytes = query.to_vec().map_err(io::Error::other)?;
            let answer = self.by_datagram(&query, &bytes).await?;
            match answer.metadata.truncation {
                false => Ok((answer, "udp")),
                true => Ok((self.by_stream(&query, &bytes).await?, "tcp")),
            }
        };
        let answered: io::Result<_> =
            timeout(self.patience, asking).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let (message, transport) = answered.map_err(|error| self.fault(&error))?;
        Ok(Resolved { message, server: self.server, transport, took: began.elapsed() })
    }

    async fn by_datagram(&self, query: &Message, bytes: &[u8]) -> io::Result<Message> {
        let any: SocketAddr = match self.server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(self.server).await?;
        let mut packet = vec![0; usize::from(u16::MAX)];
        for _ in 0..DATAGRAM_TRIES {
            socket.send(bytes).await?;
            let until = Instant::now() + DATAGRAM_PATIENCE;
            while let Ok(length) = tokio::time::timeout_at(until, socket.recv(&mut packet)).await {
                if let Some(answer) = answer_to(query, &packet[..length?]) {
                    return Ok(answer);
                }
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    async fn by_stream(&self, query: &Message, bytes: &[u8]) -> io::Result<Message> {
        let mut stream = TcpStream::connect(self.server).await?;
        let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes()[..], bytes].concat()).await?;
        let mut packet = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut packet).await?;
        answer_to(query, &packet).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn fault(&self, error: &io::Error) -> Fault {
        let server = self.server;
        let here = "`micro-node config view` shows where the DNS of a node is";
        match error.kind() {
            io::ErrorKind::InvalidData => {
                Fault::new(Code::Failed, format!("what {server} answers is no answer of DNS")).help(here)
            }
            io::ErrorKind::TimedOut => {
                Fault::new(Code::Unreachable, format!("no DNS answers at {server} in time")).help(here)
            }
            _ => Fault::new(Code::Unreachable, format!("no DNS answers at {server}: {error}")).help(here),
        }
    }
}

/// The answer to a query, if the packet is it: others may send something too.
fn answer_to(query: &Message, packet: &[u8]) -> Option<Message> {
    let answer = Message::from_vec(packet).ok()?;
    let same = answer.metadata.id == query.metadata.id && answer.queries == query.queries;
    (same && answer.metadata.message_type == MessageType::Response).then_some(answer)
}
