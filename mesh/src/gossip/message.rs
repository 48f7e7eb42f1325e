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

use super::{RESTART_BITS, compact::unpack};
use chitchat::{ChitchatId, ChitchatMessage, Deserializable};
use micro_sdk::wire::NodeId;

/// Magic number, protocol version and kind, which come before the digest.
pub(super) const HEADER_BYTES: usize = 4;
/// Heartbeat, last collected version and newest version, which follow each id in a digest.
const NODE_DIGEST_BYTES: usize = 24;

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

/// Reads a message from `peer`, whose life is `boot`, as it travels.
pub(super) fn read(bytes: &[u8], peer: NodeId, boot: u64) -> Result<ChitchatMessage, Refusal> {
    check(&unpack(bytes).ok_or(Refusal::Garbled)?, peer, boot)
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
fn latest_life(mut bytes: &[u8], node: NodeId) -> Result<Option<u64>, Refusal> {
    let bytes = &mut bytes;
    let name = node.to_string();
    let count = u16::deserialize(bytes).map_err(|_| Refusal::Garbled)?;
    let mut latest = None;
    for _ in 0..count {
        let id = ChitchatId::deserialize(bytes).map_err(|_| Refusal::Garbled)?;
        *bytes = bytes.get(NODE_DIGEST_BYTES..).ok_or(Refusal::Garbled)?;
        if *id.node_id == *name {
            latest = latest.max(Some(id.generation_id >> RESTART_BITS));
        }
    }
    Ok(latest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `Syn` with one node in its digest, written by hand: also pins chitchat's layout.
    fn syn(node: &str, boot: u64) -> Vec<u8> {
        let mut bytes = vec![0x53, 0xb0, 0, 0, 1, 0];
        bytes.extend_from_slice(&u16::try_from(node.len()).expect("short").to_le_bytes());
        bytes.extend_from_slice(node.as_bytes());
        bytes.extend_from_slice(&(boot << RESTART_BITS).to_le_bytes());
        bytes.extend_from_slice(&[4, 127, 0, 0, 1, 80, 0]);
        bytes.extend_from_slice(&[0; NODE_DIGEST_BYTES]);
        bytes.extend_from_slice(&[1, 0, b'c']);
        bytes
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
