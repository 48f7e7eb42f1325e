//! Where a node stands.

use bincode::{Decode, Encode};

/// Where a node stands, as its operator says. Empty where nothing was said. Voters are spread over zones.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Place {
    /// The cloud, or the owner's name for a building.
    pub cloud: String,
    /// The region in it.
    pub region: String,
    /// The zone in that: what fails together.
    pub zone: String,
}
