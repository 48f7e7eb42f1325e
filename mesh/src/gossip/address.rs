//! Where chitchat sends what is for a node.
//!
//! Messages ride on links, so what chitchat takes for addresses only has to name nodes. Those at which nodes are
//! dialled don't: two behind different routers may tell the same.

use micro_sdk::wire::NodeId;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The first half of all: what is sent to it is discarded everywhere (RFC 6666).
const PREFIX: u128 = 0x0100_0000_0000_0000 << 64;
/// chitchat takes any but 0.
const PORT: u16 = 1;

/// The address that stands for `node`.
pub(super) fn address_of(node: NodeId) -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::from_bits(PREFIX | u128::from(node.0))), PORT)
}

/// The node that an address stands for, if it stands for one.
pub(super) fn node_at(address: SocketAddr) -> Option<NodeId> {
    let IpAddr::V6(ip) = address.ip() else { return None };
    u64::try_from(ip.to_bits() ^ PREFIX).ok().map(NodeId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_of_one_node() {
        for node in [0, 1, u64::MAX] {
            let address = address_of(NodeId(node));
            assert_eq!((node_at(address), address.port()), (Some(NodeId(node)), PORT));
        }
        assert_eq!(address_of(NodeId(0xab)).to_string(), "[100::ab]:1");
        for other in ["127.0.0.1:1", "[::1]:1", "[100:0:0:1::ab]:1"] {
            assert_eq!(node_at(other.parse().expect("an address")), None);
        }
    }
}
