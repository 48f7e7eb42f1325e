//! chitchat's messages, shorter.
//!
//! Each of them but the last of three begins with a digest: of all nodes that are known, dead ones included, the id,
//! the newest heartbeat and the versions. chitchat writes 69 bytes for a node, most of which are known from the rest
//! or nought: the id in hexadecimal, an address that says the same again, numbers of eight bytes. Here it is about
//! 17, and in a mesh of hundreds digests are nearly all that is sent.
//!
//! ```text
//! form u8: 0 as chitchat has written it
//!          1 header 4 bytes, count u16 LE, then for each node: id u64 LE, and as LEB128 the life, the restart, the
//!            heartbeat, the last collected version and the newest version; then the rest as chitchat has written it
//! ```

use super::{
    RESTART_BITS, address_of,
    digest::{Entry, HEADER_BYTES, KIND_PLACE, SYN, SYN_ACK, count, take},
    transport::{IDS_MAX, LONG_BYTES_MAX},
};
use chitchat::{ChitchatId, Serializable};
use micro_sdk::wire::NodeId;

const PLAIN: u8 = 0;
const COMPACT: u8 = 1;
/// LEB128 of 64 bits has no more bytes.
const VARINT_BYTES_MAX: u32 = 10;

/// Writes a message of chitchat's behind what `into` holds.
pub(super) fn pack(message: &[u8], into: &mut Vec<u8>) {
    let start = into.len();
    if pack_digest(message, into).is_none() {
        into.truncate(start);
        into.push(PLAIN);
        into.extend_from_slice(message);
    }
}

/// Writes a message with a digest of nodes; none if it is another one.
fn pack_digest(message: &[u8], into: &mut Vec<u8>) -> Option<()> {
    let (header, mut rest) = message.split_at_checked(HEADER_BYTES)?;
    if ![SYN, SYN_ACK].contains(&header[KIND_PLACE]) {
        return None;
    }
    into.push(COMPACT);
    into.extend_from_slice(header);
    let named = count(&mut rest)?;
    into.extend_from_slice(&named.to_le_bytes());
    for _ in 0..named {
        let entry = Entry::read(&mut rest)?;
        into.extend_from_slice(&entry.node()?.0.to_le_bytes());
        put(entry.generation >> RESTART_BITS, into);
        put(entry.generation & ((1 << RESTART_BITS) - 1), into);
        entry.versions.into_iter().for_each(|version| put(version, into));
    }
    into.extend_from_slice(rest);
    Some(())
}

/// Reads a message, as chitchat writes it; none if it is garbled, or would be longer than one may be.
pub(super) fn unpack(bytes: &[u8]) -> Option<Vec<u8>> {
    match bytes.split_first()? {
        (&PLAIN, message) => Some(message.to_vec()),
        (&COMPACT, packed) => unpack_digest(packed),
        _ => None,
    }
}

fn unpack_digest(mut packed: &[u8]) -> Option<Vec<u8>> {
    let packed = &mut packed;
    let mut message = take(packed, HEADER_BYTES)?.to_vec();
    let named = count(packed).filter(|named| usize::from(*named) <= IDS_MAX)?;
    message.extend_from_slice(&named.to_le_bytes());
    for _ in 0..named {
        let node = NodeId(u64::from_le_bytes(take(packed, size_of::<u64>())?.try_into().ok()?));
        let (life, restart) = (get(packed)?, get(packed)?);
        if life >> (u64::BITS - RESTART_BITS) != 0 || restart >> RESTART_BITS != 0 {
            return None;
        }
        let generation = (life << RESTART_BITS) | restart;
        ChitchatId::new(node.to_string(), generation, address_of(node)).serialize(&mut message);
        for _ in 0..3 {
            message.extend_from_slice(&get(packed)?.to_le_bytes());
        }
    }
    message.extend_from_slice(packed);
    (message.len() <= LONG_BYTES_MAX).then_some(message)
}

/// Writes a number as LEB128: seven bits in a byte, the lowest first.
fn put(mut number: u64, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

fn get(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for place in 0..VARINT_BYTES_MAX {
        let byte = take(bytes, 1)?[0];
        let bits = u64::from(byte & 0x7f);
        number |= bits.checked_shl(7 * place).filter(|shifted| shifted >> (7 * place) == bits)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gossip::digest::written::of_nodes;

    /// A message with these nodes in its digest, each in a life, and something behind it.
    fn message(kind: u8, nodes: &[(u64, u64)]) -> Vec<u8> {
        of_nodes(kind, nodes.iter().map(|(node, life)| (*node, life << RESTART_BITS)))
    }

    fn packed(message: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        pack(message, &mut bytes);
        bytes
    }

    #[test]
    fn a_digest_is_a_quarter_as_long_and_comes_out_as_it_was() {
        let nodes: Vec<(u64, u64)> =
            (0..200u64).map(|node| (node.wrapping_mul(0x9e37_79b9_7f4a_7c15), 3)).collect();
        for kind in [SYN, SYN_ACK] {
            let long = message(kind, &nodes);
            let short = packed(&long);
            assert!(short.len() * 4 < long.len(), "{} of {} bytes", short.len(), long.len());
            assert_eq!(unpack(&short).as_ref(), Some(&long));
        }
        for message in [message(0, &[]), message(0, &[(1, u64::MAX >> RESTART_BITS)]), message(2, &[(1, 1)])]
        {
            assert_eq!(unpack(&packed(&message)), Some(message));
        }
    }

    #[test]
    fn what_is_no_digest_of_nodes_stays_as_it_is() {
        let mut foreign = message(0, &[(7, 1)]);
        // The first digit of the id, which comes behind the count and the length of the name.
        foreign[HEADER_BYTES + 4] = b'x';
        for other in [foreign, message(0, &[(7, 1)])[..20].to_vec(), b"hello".to_vec(), Vec::new()] {
            assert_eq!(packed(&other)[0], PLAIN);
            assert_eq!(unpack(&packed(&other)), Some(other));
        }
    }

    #[test]
    fn garbled_bytes_are_refused() {
        let good = packed(&message(0, &[(7, 3), (8, 1)]));
        for cut in 0..good.len() - 3 {
            assert_eq!(unpack(&good[..cut]), None, "cut at {cut}");
        }
        assert_eq!(unpack(&[7]), None);
        let mut long = vec![COMPACT, 0x53, 0xb0, 0, 0, 0xff, 0xff];
        long.extend(std::iter::repeat_n([0; 13], usize::from(u16::MAX)).flatten());
        assert_eq!(unpack(&long), None, "it names more than may be");
        assert_eq!(get(&mut &[0xff; 10][..]), None);
        assert_eq!(get(&mut &[0x80; 11][..]), None);
        for number in [0, 127, 128, u64::MAX] {
            let mut bytes = Vec::new();
            put(number, &mut bytes);
            assert_eq!(get(&mut &bytes[..]), Some(number));
        }
    }
}
