//! What a peer may say in gossip.
//!
//! chitchat believes whatever it is told, and by design a node passes on what others have told it. So this is
//! checked before chitchat sees a message:
//!
//! - it came over a link, so that its sender holds a certificate of this mesh;
//! - it is of chitchat's format, and not longer than chitchat would send;
//! - its digest names the sender, as the certificate does, and in no later life than its hello.
//!
//! The mesh id is checked by chitchat. An `Ack` has no digest, so only the first two apply to it.
//!
//! What is passed on about third nodes is not refused, or one liar could make all others refuse each other.
//! Later lives of this node and of linked ones, and names that are no nodes, are left out of the members
//! instead. What remains is believed: a node of the mesh can make others look alive, and change what those
//! seem to offer that nobody here is linked to. Every connection is checked against a certificate again.

use super::{
    RESTART_BITS,
    compact::unpack,
    digest::{Entry, HEADER_BYTES, count},
    halves::{apart, ids_in, without_news},
};
use chitchat::{ChitchatMessage, Deserializable};
use micro_sdk::wire::NodeId;

/// Why a message is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("it is garbled")]
    Garbled,
    #[error("it is for chitchat's own tests")]
    Unknown,
    #[error("it does not name its sender")]
    Unsigned,
    #[error("it names its sender in life {0}, which has not begun")]
    Future(u64),
}

/// A message for chitchat.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) message: ChitchatMessage,
    /// The peer is to be sent a digest too: what chitchat answers holds none.
    pub(super) owed_digest: bool,
    /// The ids that it names.
    pub(super) ids: usize,
}

/// Reads a message from `peer`, whose life is `boot`, as it travels, where so many ids are `known`.
pub(super) fn read(bytes: &[u8], peer: NodeId, boot: u64, known: usize) -> Result<Heard, Refusal> {
    let mut long = unpack(bytes).ok_or(Refusal::Garbled)?;
    let message = check(&long, peer, boot)?;
    let ids = ids_in(&long);
    if !apart(&long, known) {
        return Ok(Heard { message, owed_digest: false, ids });
    }
    // Which mesh it is for it does not say then: its link is one of this mesh.
    long = without_news(&long).ok_or(Refusal::Garbled)?;
    let message = ChitchatMessage::deserialize(&mut &long[..]).map_err(|_| Refusal::Garbled)?;
    Ok(Heard { message, owed_digest: true, ids })
}

/// The same as chitchat writes it.
fn check(bytes: &[u8], peer: NodeId, boot: u64) -> Result<ChitchatMessage, Refusal> {
    let message = ChitchatMessage::deserialize(&mut &bytes[..]).map_err(|_| Refusal::Garbled)?;
    let has_digest = match &message {
        ChitchatMessage::Syn { .. } | ChitchatMessage::SynAck { .. } => true,
        ChitchatMessage::Ack { .. } | ChitchatMessage::BadCluster => false,
        #[allow(unreachable_patterns)] // chitchat has one more in its own tests.
        _ => return Err(Refusal::Unknown),
    };
    if has_digest {
        let latest = latest_life(&bytes[HEADER_BYTES..], peer)?.ok_or(Refusal::Unsigned)?;
        if latest > boot {
            return Err(Refusal::Future(latest));
        }
    }
    Ok(message)
}

/// The latest life of `node` that a digest names.
fn latest_life(mut digest: &[u8], node: NodeId) -> Result<Option<u64>, Refusal> {
    let name = node.to_string();
    let mut latest = None;
    for _ in 0..count(&mut digest).ok_or(Refusal::Garbled)? {
        let entry = Entry::read(&mut digest).ok_or(Refusal::Garbled)?;
        if entry.name == name {
            latest = latest.max(Some(entry.generation >> RESTART_BITS));
        }
    }
    Ok(latest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gossip::digest::{SYN, written};

    /// A `Syn` with one node in its digest.
    fn syn(node: &str, boot: u64) -> Vec<u8> {
        let address = |_: &str| ([127, 0, 0, 1], 80).into();
        written::message(SYN, &[(node.to_owned(), boot << RESTART_BITS)], address, &[1, 0, b'c'])
    }

    #[test]
    fn a_peer_speaks_as_itself_and_of_lives_that_have_begun() {
        let peer = NodeId(7);
        let own_name = peer.to_string();
        assert!(matches!(check(&syn(&own_name, 3), peer, 3), Ok(ChitchatMessage::Syn { .. })));
        assert_eq!(check(&syn(&own_name, 4), peer, 3), Err(Refusal::Future(4)));
        assert_eq!(check(&syn(&NodeId(8).to_string(), 3), peer, 3), Err(Refusal::Unsigned));
        assert_eq!(check(&syn("nobody", 3), peer, 3), Err(Refusal::Unsigned));
    }

    #[test]
    fn garbled_messages_are_refused() {
        let good = syn(&NodeId(7).to_string(), 3);
        for cut in 0..good.len() {
            assert!(check(&good[..cut], NodeId(7), 3).is_err(), "cut at {cut}");
        }
        assert_eq!(check(b"hello", NodeId(7), 3), Err(Refusal::Garbled));
    }
}
