//! The digest of a message, as chitchat writes it: what is known of each node, in few numbers.
//!
//! Read in place. chitchat's own reading of it makes a map with a text for each node, which of all that gossip does in
//! a mesh of hundreds would be the most.

use super::address_of;
use micro_sdk::wire::NodeId;
use std::net::{IpAddr, SocketAddr};

/// Magic number, protocol version and kind, which come before the digest.
pub(super) const HEADER_BYTES: usize = 4;
/// The place of the kind in the header.
pub(super) const KIND_PLACE: usize = 3;
/// The kind that asks: with a digest, and the mesh's name behind it.
pub(super) const SYN: u8 = 0;
/// The kind that answers: with a digest, and news behind it.
pub(super) const SYN_ACK: u8 = 1;
/// What chitchat writes of a node.
pub(super) const ENTRY_BYTES: usize = 69;

/// What a digest says of a life of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    pub(super) generation: u64,
    pub(super) address: SocketAddr,
    /// The newest heartbeat, the last collected version and the newest version.
    pub(super) versions: [u64; 3],
}

impl<'a> Entry<'a> {
    /// Reads the next one; none if it is garbled.
    pub(super) fn read(bytes: &mut &'a [u8]) -> Option<Self> {
        let name_bytes = usize::from(u16::from_le_bytes(array(bytes)?));
        let name = std::str::from_utf8(take(bytes, name_bytes)?).ok()?;
        let generation = number(bytes)?;
        let ip: IpAddr = match array::<1>(bytes)? {
            [4] => array::<4>(bytes)?.into(),
            [6] => array::<16>(bytes)?.into(),
            _ => return None,
        };
        let address = SocketAddr::new(ip, u16::from_le_bytes(array(bytes)?));
        Some(Entry { name, generation, address, versions: [number(bytes)?, number(bytes)?, number(bytes)?] })
    }

    /// The node, if it is named as we name nodes.
    pub(super) fn node(&self) -> Option<NodeId> {
        let node = self.name.parse().ok()?;
        let is_ours = !self.name.bytes().any(|byte| byte.is_ascii_uppercase());
        (is_ours && self.address == address_of(node)).then_some(node)
    }
}

/// How many a digest names, at its beginning.
pub(super) fn count(digest: &mut &[u8]) -> Option<u16> {
    array(digest).map(u16::from_le_bytes)
}

/// Takes the next bytes, if there are so many.
pub(super) fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn array<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    take(bytes, N)?.try_into().ok()
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    array(bytes).map(u64::from_le_bytes)
}

#[cfg(test)]
pub(super) mod written {
    use super::*;
    use chitchat::{ChitchatId, Serializable};

    /// A message with these nodes in its digest, by name and generation, each at this address, and something behind it.
    pub(in crate::gossip) fn message(
        kind: u8,
        nodes: &[(String, u64)],
        address: impl Fn(&str) -> SocketAddr,
        behind: &[u8],
    ) -> Vec<u8> {
        let mut bytes = vec![0x53, 0xb0, 0, kind];
        u16::try_from(nodes.len()).expect("few").serialize(&mut bytes);
        for (name, generation) in nodes {
            ChitchatId::new(name.clone(), *generation, address(name)).serialize(&mut bytes);
            for number in [20_000, 0, 90] {
                u64::serialize(&number, &mut bytes);
            }
        }
        bytes.extend_from_slice(behind);
        bytes
    }

    /// The same of nodes that are named as we name them.
    pub(in crate::gossip) fn of_nodes(kind: u8, nodes: impl IntoIterator<Item = (u64, u64)>) -> Vec<u8> {
        let named: Vec<(String, u64)> =
            nodes.into_iter().map(|(node, generation)| (NodeId(node).to_string(), generation)).collect();
        let address = |name: &str| address_of(name.parse().expect("it is a node"));
        message(kind, &named, address, &[1, 0, b'c'])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_chitchat_writes_is_read() {
        let message = written::of_nodes(SYN, [(7, 3), (0xabc, 1 << 40)]);
        assert_eq!(message.len(), HEADER_BYTES + 2 + 2 * ENTRY_BYTES + 3);
        let mut rest = &message[HEADER_BYTES..];
        assert_eq!(count(&mut rest), Some(2));
        let first = Entry::read(&mut rest).expect("it is whole");
        assert_eq!((first.node(), first.generation, first.versions), (Some(NodeId(7)), 3, [20_000, 0, 90]));
        let second = Entry::read(&mut rest).expect("it is whole");
        assert_eq!((second.node(), second.generation), (Some(NodeId(0xabc)), 1 << 40));
        assert_eq!(rest, [1, 0, b'c']);
    }

    #[test]
    fn what_is_garbled_or_named_otherwise_is_no_node() {
        let whole = written::of_nodes(SYN, [(7, 3)]);
        let entry = &whole[HEADER_BYTES + 2..][..ENTRY_BYTES];
        for cut in 0..ENTRY_BYTES {
            assert_eq!(Entry::read(&mut &entry[..cut]), None, "cut at {cut}");
        }
        let node = |name: &str, address: SocketAddr| {
            let entry = Entry { name, generation: 1, address, versions: [0; 3] };
            entry.node()
        };
        let (name, address) = (NodeId(0xab).to_string(), address_of(NodeId(0xab)));
        assert_eq!(node(&name, address), Some(NodeId(0xab)));
        assert_eq!(node(&name.to_uppercase(), address), None);
        assert_eq!(node("x", address), None);
        assert_eq!(node(&name, address_of(NodeId(0xac))), None);
    }
}
