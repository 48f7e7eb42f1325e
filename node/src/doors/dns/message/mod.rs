//! Messages of DNS (RFC 1035): a query's bytes made the bytes of its answer, within what the other side takes.
//!
//! What is no query is not answered at all, so that no two servers can be made to answer each other for ever. All else
//! is, with the same number and question.

use super::zone::Answer;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};

/// The longest query that is read: a name, and what resolvers put into EDNS(0), paddings included.
pub(super) const QUERY_BYTES_MAX: usize = 4096;
/// What every resolver takes in a datagram (RFC 1035, 4.2.1).
const DATAGRAM_BYTES_MIN: usize = 512;
/// What is sent in a datagram at most, whatever the other side would take: no network on the way has to take it apart
/// (DNS flag day 2020).
const DATAGRAM_BYTES_MAX: u16 = 1232;
/// The head of a message: number, flags and four counts.
const HEAD_BYTES: usize = 12;
/// How many records may stand behind a question: that of EDNS(0), and a signature, which nobody looks at.
const ADDITIONALS_MAX: u16 = 2;

/// How a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// An answer as it is sent.
#[derive(Debug)]
pub(super) struct Answered {
    pub bytes: Vec<u8>,
    /// Its code, for the count.
    pub rcode: u16,
}

/// What a packet begins with.
struct Head {
    id: u16,
    flags: u16,
    /// Questions, answers, authorities, additionals.
    counts: [u16; 4],
}

impl Head {
    fn read(packet: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
        Some(Head { id: word(0)?, flags: word(2)?, counts: [word(4)?, word(6)?, word(8)?, word(10)?] })
    }

    fn is_response(&self) -> bool {
        self.flags & 0x8000 != 0
    }

    fn opcode(&self) -> OpCode {
        OpCode::from_u8((self.flags >> 11 & 0xf) as u8)
    }

    fn recursion_desired(&self) -> bool {
        self.flags & 0x0100 != 0
    }

    /// Whether there is one question and nothing that does not belong to one. The counts are believed no further: each
    /// record that is not there would be room set aside for it.
    fn is_one_question(&self) -> bool {
        matches!(self.counts, [1, 0, 0, additionals] if additionals <= ADDITIONALS_MAX)
    }
}

/// The answer to a packet, as `answer` has it for its question; none to what is no query.
pub(super) fn reply(
    packet: &[u8],
    transport: Transport,
    answer: impl FnOnce(&Query) -> Answer,
) -> Option<Answered> {
    let head = Head::read(packet).filter(|head| packet.len() >= HEAD_BYTES && !head.is_response())?;
    let mut response = Message::new(head.id, MessageType::Response, head.opcode());
    response.metadata.recursion_desired = head.recursion_desired();
    if head.opcode() != OpCode::Query {
        return encode(response, ResponseCode::NotImp, DATAGRAM_BYTES_MIN);
    }
    let query =
        Some(packet).filter(|_| head.is_one_question()).and_then(|packet| Message::from_vec(packet).ok());
    let Some(query) = query else { return encode(response, ResponseCode::FormErr, DATAGRAM_BYTES_MIN) };
    let room = match (transport, &query.edns) {
        (Transport::Tcp, _) => usize::from(u16::MAX),
        (Transport::Udp, None) => DATAGRAM_BYTES_MIN,
        (Transport::Udp, Some(edns)) => usize::from(edns.max_payload().min(DATAGRAM_BYTES_MAX)),
    };
    let room = room.max(DATAGRAM_BYTES_MIN);
    response.queries.clone_from(&query.queries);
    if let Some(asked) = &query.edns {
        let mut edns = Edns::new();
        edns.set_max_payload(DATAGRAM_BYTES_MAX).set_dnssec_ok(asked.flags().dnssec_ok);
        response.edns = Some(edns);
        if asked.version() != 0 {
            return encode(response, ResponseCode::BADVERS, room);
        }
    }
    let Answer { code, authoritative, answers, authorities, additionals } = answer(&query.queries[0]);
    response.metadata.authoritative = authoritative;
    (response.answers, response.authorities, response.additionals) = (answers, authorities, additionals);
    encode(response, code, room)
}

/// The bytes of a response, of at most `room`. What is said besides is the first to be left out; then all is, and the
/// other side told to ask again over TCP.
fn encode(mut response: Message, code: ResponseCode, room: usize) -> Option<Answered> {
    response.metadata.response_code = code;
    let whole = |response: &Message| match response.to_vec() {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            tracing::error!(%error, "an answer of DNS can't be written: that is a defect");
            None
        }
    };
    let mut bytes = whole(&response)?;
    if bytes.len() > room {
        response.additionals.clear();
        bytes = whole(&response)?;
    }
    if bytes.len() > room {
        response.answers.clear();
        response.authorities.clear();
        response.metadata.truncation = true;
        bytes = whole(&response)?;
    }
    Some(Answered { bytes, rcode: code.into() })
}

#[cfg(test)]
mod tests;
