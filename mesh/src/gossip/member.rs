//! A node, by what it tells about itself.

use micro_sdk::wire::NodeId;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

/// The key under which a node tells where else it may be dialled, with commas between the addresses.
pub(super) const ALSO_KEY: &str = "also";
/// Further addresses of a node that are taken: each is one more dial.
pub(crate) const ALSO_MAX: usize = 7;
/// The key under which a gateway tells that it is one.
pub(super) const GATEWAY_KEY: &str = "gateway";

/// What a node tells about itself, by key.
pub(super) type Values = BTreeMap<String, String>;

/// A node as gossip knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The node.
    pub node: NodeId,
    /// Which life of it: its boot counter.
    pub generation: u64,
    /// Whether it was heard of lately, over a link or through others.
    pub alive: bool,
    /// Where it is dialled.
    pub address: SocketAddr,
    /// What it tells about itself. `name`, `cloud`, `region`, `zone`, `version`, `address`,
    /// `also`, `gateway` and those that begin with `link/` are set by the mesh.
    pub values: Arc<Values>,
}

impl Member {
    /// Whether it says that it is a gateway: one that nodes of other clouds reach.
    pub fn is_gateway(&self) -> bool {
        self.values.contains_key(GATEWAY_KEY)
    }

    /// Where else it may be dialled, as it says.
    pub(super) fn also(&self) -> Vec<SocketAddr> {
        let told = self.values.get(ALSO_KEY).map_or("", String::as_str);
        told.split(',').filter_map(|address| address.parse().ok()).take(ALSO_MAX).collect()
    }
}
