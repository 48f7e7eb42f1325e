//! What a node tells the others of an instance, by gossip.

use micro_sdk::wire::{Health, Instance, NodeId, Route, Streams, metadata};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Announcements are under keys that begin so: `svc/NAMESPACE/SERVICE/INSTANCE`.
const PREFIX: &str = "svc/";
/// Those of a drained node, which takes no calls, are under keys that begin so, and go on in the same way.
const DRAINED_PREFIX: &str = "drained/";

/// What an announcement says beside its key. Short names, since it travels often.
#[derive(Serialize, Deserialize)]
struct Announcement {
    /// The version.
    v: String,
    /// The endpoints.
    e: Vec<String>,
    /// Explicit routes: which of the endpoints, method, path, host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    r: Vec<(usize, String, String, String)>,
    /// Streams: which of the endpoints, whether the caller says any number of messages, whether the service does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    s: Vec<(usize, bool, bool)>,
    /// Metadata.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    m: BTreeMap<String, String>,
    /// How it is, unless it works: `failing` or `unknown`, why, and since when in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    h: Option<(String, String, u64)>,
}

impl Announcement {
    fn of(instance: &Instance) -> Self {
        let place = |name: &String| instance.endpoints.iter().position(|endpoint| endpoint == name);
        let routes = instance.routes.iter().filter_map(|(endpoint, route)| {
            let Route { method, path, host } = route.clone();
            Some((place(endpoint)?, method, path, host))
        });
        let streams = instance.streams.iter();
        let streams =
            streams.filter_map(|(endpoint, of)| Some((place(endpoint)?, of.client, of.server))).collect();
        let (version, endpoints) = (instance.version.clone(), instance.endpoints.clone());
        let name = instance.health.name().to_owned();
        let health = match &instance.health {
            Health::Passing => None,
            Health::Unknown => Some((name, String::new(), 0)),
            Health::Failing { reason, since_ms } => Some((name, reason.clone(), *since_ms)),
        };
        let metadata = instance.metadata.clone();
        Announcement { v: version, e: endpoints, r: routes.collect(), s: streams, m: metadata, h: health }
    }

    /// The endpoints whose requests or answers are streams.
    fn streams(&self) -> Vec<(String, Streams)> {
        let stream = |(place, client, server): &(usize, bool, bool)| {
            Some((self.e.get(*place)?.clone(), Streams { client: *client, server: *server }))
        };
        self.s.iter().filter_map(stream).collect()
    }

    /// How it is. A word of a newer build is nothing that this one may call.
    fn health(&self) -> Health {
        match &self.h {
            None => Health::Passing,
            Some((name, reason, since_ms)) if name == "failing" => {
                Health::Failing { reason: reason.clone(), since_ms: *since_ms }
            }
            Some(_) => Health::Unknown,
        }
    }

    /// The routes, without those that this build would not take.
    fn routes(&self) -> Vec<(String, Route)> {
        let route = |(place, method, path, host): &(usize, String, String, String)| {
            let route = Route { method: method.clone(), path: path.clone(), host: host.clone() };
            let endpoint = self.e.get(*place)?.clone();
            route.check().is_ok().then_some((endpoint, route))
        };
        self.r.iter().filter_map(route).collect()
    }
}

/// The gossip key of an instance.
pub(super) fn announcement_key(instance: &Instance) -> String {
    format!("{PREFIX}{}/{}/{:016x}", instance.namespace, instance.service, instance.id)
}

/// The same of an instance on a drained node.
pub(super) fn drained_key(instance: &Instance) -> String {
    announcement_key(instance).replacen(PREFIX, DRAINED_PREFIX, 1)
}

/// The gossip value of an instance.
pub(super) fn announcement_value(instance: &Instance) -> String {
    serde_json::to_string(&Announcement::of(instance)).expect("strings always have a JSON form")
}

/// Reads an announcement; none if it is not one, or of a newer build.
pub(super) fn read(node: NodeId, key: &str, value: &str) -> Option<Instance> {
    read_behind(PREFIX, node, key, value)
}

/// The same of an instance on a drained node.
pub(super) fn read_drained(node: NodeId, key: &str, value: &str) -> Option<Instance> {
    read_behind(DRAINED_PREFIX, node, key, value)
}

fn read_behind(prefix: &str, node: NodeId, key: &str, value: &str) -> Option<Instance> {
    let mut parts = key.strip_prefix(prefix)?.split('/');
    let (namespace, service, id) = (parts.next()?, parts.next()?, parts.next()?);
    let announcement: Announcement = serde_json::from_str(value).ok()?;
    Some(Instance {
        id: u64::from_str_radix(id, 16).ok()?,
        namespace: namespace.parse().ok()?,
        service: service.parse().ok()?,
        node,
        routes: announcement.routes(),
        streams: announcement.streams(),
        health: announcement.health(),
        // Of metadata that this build would not take it knows nothing.
        metadata: Some(announcement.m).filter(|told| metadata::check(told).is_ok()).unwrap_or_default(),
        version: announcement.v,
        endpoints: announcement.e,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::wire::Namespace;

    #[test]
    fn announcements_are_read_back() {
        let instance = Instance {
            id: 0xabc,
            namespace: Namespace::default(),
            service: "shop".parse().expect("a good name"),
            version: "1.2".to_owned(),
            node: NodeId(7),
            endpoints: vec!["Cart.add".to_owned()],
            routes: Vec::new(),
            streams: Vec::new(),
            metadata: BTreeMap::new(),
            health: Health::Passing,
        };
        let (key, value) = (announcement_key(&instance), announcement_value(&instance));
        assert_eq!(key, "svc/default/shop/0000000000000abc");
        assert_eq!(value, r#"{"v":"1.2","e":["Cart.add"]}"#);
        assert_eq!(read(NodeId(7), &key, &value), Some(instance.clone()));
        let drained = drained_key(&instance);
        assert_eq!(drained, "drained/default/shop/0000000000000abc");
        assert_eq!(read(NodeId(7), &drained, &value), None);
        assert_eq!(read_drained(NodeId(7), &drained, &value), Some(instance.clone()));
        let route = Route { method: "GET".to_owned(), path: "/carts/{id}".to_owned(), host: String::new() };
        let routed = Instance { routes: vec![("Cart.add".to_owned(), route)], ..instance };
        let value = announcement_value(&routed);
        assert_eq!(value, r#"{"v":"1.2","e":["Cart.add"],"r":[[0,"GET","/carts/{id}",""]]}"#);
        assert_eq!(read(NodeId(7), &key, &value), Some(routed.clone()));
        let streams = vec![("Cart.add".to_owned(), Streams { client: false, server: true })];
        let streamed = Instance { routes: Vec::new(), streams, ..routed };
        let value = announcement_value(&streamed);
        assert_eq!(value, r#"{"v":"1.2","e":["Cart.add"],"s":[[0,false,true]]}"#);
        assert_eq!(read(NodeId(7), &key, &value), Some(streamed.clone()));
        let metadata = BTreeMap::from([("zone".to_owned(), "b".to_owned())]);
        let described = Instance { streams: Vec::new(), metadata, ..streamed };
        let value = announcement_value(&described);
        assert_eq!(value, r#"{"v":"1.2","e":["Cart.add"],"m":{"zone":"b"}}"#);
        assert_eq!(read(NodeId(7), &key, &value), Some(described.clone()));
        let failing = Health::Failing { reason: "refused".to_owned(), since_ms: 7 };
        for (health, told) in
            [(failing, r#"["failing","refused",7]"#), (Health::Unknown, r#"["unknown","",0]"#)]
        {
            let ailing = Instance { metadata: BTreeMap::new(), health, ..described.clone() };
            let value = announcement_value(&ailing);
            assert_eq!(value, format!(r#"{{"v":"1.2","e":["Cart.add"],"h":{told}}}"#));
            assert_eq!(read(NodeId(7), &key, &value), Some(ailing));
        }
    }

    #[test]
    fn garbled_announcements_are_passed_over() {
        for (key, value) in [
            ("name", "alpha"),
            ("svc/default/shop", "{}"),
            ("svc/default/shop/xyz", r#"{"v":"1","e":[]}"#),
            ("svc/default/Shop/1", r#"{"v":"1","e":[]}"#),
            ("svc/default/shop/1", "not json"),
        ] {
            assert_eq!(read(NodeId(1), key, value), None, "{key} {value}");
        }
    }
}
