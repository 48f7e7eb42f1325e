//! A service as paths name it: how its endpoints may be written, and what they take.

use crate::node::Local;
use micro_sdk::wire::{Endpoint, Instance, InstanceId, Namespace, ServiceName};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::OnceCell;

/// How long a node that has an instance may take to tell what it takes: without an answer texts stay texts.
const DESCRIBE_PATIENCE: Duration = Duration::from_secs(2);

/// One endpoint as its service describes it.
#[derive(Debug)]
pub(super) struct Described {
    /// As the service tells it.
    pub endpoint: Endpoint,
    /// Its request schema, read.
    pub request: Value,
    /// Its response schema, read.
    pub response: Value,
}

/// A service of one namespace.
#[derive(Debug)]
pub(super) struct Offer {
    /// The tenant.
    pub namespace: Namespace,
    /// The service.
    pub service: ServiceName,
    /// Its instances: others may offer something else.
    instances: BTreeSet<InstanceId>,
    /// Its endpoints by how they may be written.
    names: BTreeMap<String, String>,
    described: OnceCell<Vec<Described>>,
}

impl Offer {
    /// What these instances offer.
    pub fn of(namespace: &Namespace, service: &ServiceName, instances: &[Instance]) -> Self {
        let endpoints: BTreeSet<&str> =
            instances.iter().flat_map(|instance| &instance.endpoints).map(String::as_str).collect();
        Offer {
            namespace: namespace.clone(),
            service: service.clone(),
            instances: ids(instances),
            names: spellings(service.as_str(), &endpoints),
            described: OnceCell::new(),
        }
    }

    /// Whether it is still what these instances offer.
    pub fn holds_for(&self, instances: &[Instance]) -> bool {
        self.instances == ids(instances)
    }

    /// The endpoint that a path means, however it is written.
    pub fn endpoint(&self, handler: Option<&str>, method: &str) -> Option<&str> {
        let plain = match handler {
            Some(handler) => format!("{handler}.{method}"),
            None => method.to_owned(),
        };
        let found = self.names.get(&plain).or_else(|| self.names.get(&folded(&plain)));
        found.map(String::as_str)
    }

    /// Its endpoints with their schemas, asked for once; nothing if nobody tells.
    pub async fn described(&self, local: &Local) -> &[Described] {
        let ask = async || -> Result<Vec<Described>, ()> {
            let endpoints = local.endpoints(&self.namespace, &self.service, DESCRIBE_PATIENCE).await;
            let endpoints = endpoints.map_err(|fault| {
                tracing::debug!(service = %self.service, %fault, "what a service takes is not known");
            })?;
            Ok(endpoints.into_iter().map(described).collect())
        };
        self.described.get_or_try_init(ask).await.map_or(&[], Vec::as_slice)
    }
}

fn ids(instances: &[Instance]) -> BTreeSet<InstanceId> {
    instances.iter().map(|instance| instance.id).collect()
}

fn described(endpoint: Endpoint) -> Described {
    let read = |schema: &str| serde_json::from_str(schema).unwrap_or(Value::Bool(true));
    Described { request: read(&endpoint.request_schema), response: read(&endpoint.response_schema), endpoint }
}

/// All ways to write the endpoints of a service: with their handler; and without it if there is no other, or if it is
/// called as the service is. Case, dashes and underscores do not matter, since languages differ in them. What is
/// written exactly comes first, then what is first in the order of names.
fn spellings(service: &str, endpoints: &BTreeSet<&str>) -> BTreeMap<String, String> {
    let handlers: BTreeSet<&str> =
        endpoints.iter().filter_map(|name| Some(name.split_once('.')?.0)).collect();
    let own = |handler: &str| handlers.len() == 1 || folded(handler) == folded(service);
    let mut names = BTreeMap::new();
    let mut add = |spelling: String, endpoint: &str| {
        names.entry(spelling).or_insert_with(|| endpoint.to_owned());
    };
    for fold in [false, true] {
        let written = |text: &str| if fold { folded(text) } else { text.to_owned() };
        for &endpoint in endpoints {
            add(written(endpoint), endpoint);
        }
        for &endpoint in endpoints {
            if let Some((handler, method)) = endpoint.split_once('.')
                && own(handler)
            {
                add(written(method), endpoint);
            }
        }
    }
    names
}

fn folded(text: &str) -> String {
    text.chars()
        .filter(|letter| !matches!(letter, '-' | '_'))
        .map(|letter| letter.to_ascii_lowercase())
        .collect()
}

/// A place for an offer that others hold too.
pub(super) type Shared = Arc<Offer>;

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::wire::NodeId;

    fn offer(service: &str, endpoints: &[&str]) -> Offer {
        let service: ServiceName = service.parse().expect("a good name");
        let instance = Instance {
            id: 1,
            namespace: Namespace::default(),
            service: service.clone(),
            version: "1".to_owned(),
            node: NodeId(1),
            endpoints: endpoints.iter().map(|name| (*name).to_owned()).collect(),
            routes: Vec::new(),
        };
        Offer::of(&Namespace::default(), &service, &[instance])
    }

    #[test]
    fn endpoints_are_found_however_they_are_written() {
        let shop = offer("shop", &["Cart.add_item", "Cart.list", "Shop.Call", "Stock.list"]);
        for (handler, method, expected) in [
            (Some("Cart"), "add_item", Some("Cart.add_item")),
            (Some("cart"), "add-item", Some("Cart.add_item")),
            (Some("Cart"), "AddItem", Some("Cart.add_item")),
            (None, "call", Some("Shop.Call")),
            (None, "list", None),
            (None, "Cart.list", Some("Cart.list")),
            (None, "stock.list", Some("Stock.list")),
            (Some("Cart"), "nothing", None),
        ] {
            assert_eq!(shop.endpoint(handler, method), expected, "{handler:?} {method}");
        }
        let sole = offer("helloworld", &["Greeter.call"]);
        assert_eq!(sole.endpoint(None, "call"), Some("Greeter.call"));
        let near = offer("a", &["A.get", "A.Get", "A.g-e-t"]);
        assert_eq!(near.endpoint(None, "Get"), Some("A.Get"));
        assert_eq!(near.endpoint(None, "GET"), Some("A.get"));
    }
}
