//! How services are named: alone, or on a certain node.

use micro_sdk::wire::{NameError, ServiceName};
use std::{fmt, str::FromStr};

/// A service, anywhere or on one node: `store`, `helloworld`, `runtime@node-b`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRef {
    /// The service.
    pub service: ServiceName,
    /// The name or id of the node that it must be on.
    pub node: Option<String>,
}

impl FromStr for ServiceRef {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (service, node) = match text.split_once('@') {
            Some((service, node)) => (service, Some(node.to_owned())),
            None => (text, None),
        };
        Ok(ServiceRef { service: service.parse()?, node })
    }
}

impl fmt::Display for ServiceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Some(node) => write!(f, "{}@{node}", self.service),
            None => self.service.fmt(f),
        }
    }
}
