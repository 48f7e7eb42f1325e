//! Nodes, as a route names them: by what they are called and where they stand.

use super::star::{is_pattern, means};
use crate::registry::NodeTraits;
use serde::{Deserialize, Serialize};

/// The longest of these names: nodes start with no longer one.
const NAME_BYTES_MAX: usize = 63;

/// Nodes that are as it says. What is left out may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodePattern {
    /// The cloud that they stand in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud: Option<TraitPattern>,
    /// The region in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<TraitPattern>,
    /// The zone in that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<TraitPattern>,
    /// What they are called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<TraitPattern>,
}

/// A name of a node, of a cloud, a region or a zone, or all that begin so: `eu-west-1`, `eu-*`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraitPattern(String);

impl NodePattern {
    /// Whether a node is meant.
    pub fn means(&self, node: &NodeTraits) -> bool {
        let NodePattern { cloud, region, zone, name } = self;
        let place = &node.place;
        let told = [(cloud, &place.cloud), (region, &place.region), (zone, &place.zone), (name, &node.name)];
        told.iter().all(|(pattern, text)| pattern.as_ref().is_none_or(|pattern| means(&pattern.0, text)))
    }

    /// Whether it says anything of a node.
    pub fn is_empty(&self) -> bool {
        *self == NodePattern::default()
    }
}

impl TryFrom<String> for TraitPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if !is_pattern(&text) {
            return Err(format!(
                "{text:?} names nothing: it has at least a letter, and a star at the end alone"
            ));
        }
        let good = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte));
        match good && text.len() <= NAME_BYTES_MAX {
            true => Ok(TraitPattern(text)),
            false => Err(format!(
                "{text:?} is of no node: names, clouds, regions and zones have up to 63 of letters, digits, '-', '_' and '.'"
            )),
        }
    }
}

impl From<TraitPattern> for String {
    fn from(pattern: TraitPattern) -> Self {
        pattern.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_mesh::Place;

    #[test]
    fn a_node_is_meant_that_is_all_that_is_said() {
        let text = str::to_owned;
        let place = Place { cloud: text("aws"), region: text("eu-west-1"), zone: text("a") };
        let node = NodeTraits { name: text("alpha"), place };
        for (pattern, meant) in [
            ("{}", true),
            (r#"{"cloud": "aws"}"#, true),
            (r#"{"cloud": "aws", "region": "eu-*", "zone": "a"}"#, true),
            (r#"{"cloud": "aws", "zone": "b"}"#, false),
            (r#"{"name": "alpha"}"#, true),
            (r#"{"name": "al"}"#, false),
        ] {
            let read: NodePattern = serde_json::from_str(pattern).expect("a good pattern");
            assert_eq!(read.means(&node), meant, "{pattern}");
        }
        // One that tells of no place is not in a place that is named.
        let nowhere = NodeTraits { name: text("beta"), place: Place::default() };
        let eu: NodePattern = serde_json::from_str(r#"{"region": "eu-*"}"#).expect("a good pattern");
        assert!(!eu.means(&nowhere));
    }
}
