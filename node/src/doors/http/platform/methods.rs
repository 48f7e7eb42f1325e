//! The methods of the platform's services, by path. Made once, of the descriptors of the `.proto` files.

use super::{super::problem::Refusal, schema::Schemas};
use http::Uri;
use micro_sdk::proto::DESCRIPTORS;
use prost_reflect::{DescriptorPool, MessageDescriptor, MethodDescriptor};
use std::{collections::BTreeMap, sync::OnceLock};

/// What the paths of the platform begin with. No service's name begins with a dash.
pub(in super::super) const PREFIX: &str = "/-/v1/";

/// The services, each with the word that stands for it in paths, and words that its methods' names need not repeat.
const SERVICES: [(&str, &str, &[&str]); 8] = [
    ("micro.v1.Store", "store", &[]),
    ("micro.v1.Config", "config", &["config"]),
    ("micro.v1.Registry", "registry", &[]),
    ("micro.v1.Node", "network", &[]),
    ("micro.v1.Blobs", "blob", &["blob", "blobs"]),
    ("micro.v1.Auth", "auth", &[]),
    ("micro.v1.Audit", "audit", &["audit"]),
    ("micro.v1.Policies", "policy", &["policy", "policies"]),
];

/// All methods.
pub(in super::super) struct Methods {
    methods: BTreeMap<String, Method>,
    schemas: Schemas,
}

/// One method.
pub(in super::super) struct Method {
    descriptor: MethodDescriptor,
    path: String,
    uri: Uri,
    safe: bool,
}

impl Methods {
    /// All methods that one request can be sent to.
    pub fn all() -> &'static Methods {
        static ALL: OnceLock<Methods> = OnceLock::new();
        ALL.get_or_init(|| {
            let pool =
                DescriptorPool::decode(DESCRIPTORS).expect("the descriptors are those that were compiled");
            let schemas = Schemas::of(&pool);
            let mut methods = BTreeMap::new();
            for (name, word, known) in SERVICES {
                let service = pool.get_service_by_name(name).expect("the service is in the descriptors");
                for descriptor in service.methods().filter(|method| !method.is_client_streaming()) {
                    let path = format!("{PREFIX}{word}/{}", kebab(descriptor.name(), known));
                    let method = Method::of(descriptor, path.clone());
                    assert!(methods.insert(path, method).is_none(), "each path is of one method");
                }
            }
            Methods { methods, schemas }
        })
    }

    /// The method at a path.
    pub fn at(&self, path: &str) -> Option<&Method> {
        self.methods.get(path)
    }

    /// All of them, by path.
    pub fn iter(&self) -> impl Iterator<Item = &Method> {
        self.methods.values()
    }

    /// The schemas of their messages.
    pub fn schemas(&self) -> &Schemas {
        &self.schemas
    }

    /// 404, with what there is in its place.
    pub fn nothing_at(&self, path: &str) -> Refusal {
        let service = path.strip_prefix(PREFIX).and_then(|rest| rest.split('/').next()).unwrap_or("");
        let beginning = format!("{PREFIX}{service}/");
        let near: Vec<&str> =
            self.methods.keys().map(String::as_str).filter(|known| known.starts_with(&beginning)).collect();
        let refusal = Refusal::not_found(format!("nothing of the platform is at {path:?}"));
        match near.is_empty() {
            true => refusal.help(format!("its services: {}", SERVICES.map(|(_, word, _)| word).join(", "))),
            false => refusal.help(format!("there are {}", near.join(", "))),
        }
    }
}

impl Method {
    fn of(descriptor: MethodDescriptor, path: String) -> Self {
        let uri = format!("/{}/{}", descriptor.parent_service().full_name(), descriptor.name());
        let safe = descriptor.method_descriptor_proto().options.as_ref().is_some_and(|options| {
            options.idempotency_level() == prost_types::method_options::IdempotencyLevel::NoSideEffects
        });
        Method { uri: uri.parse().expect("names of protobuf can be a path"), descriptor, path, safe }
    }

    /// Its path in HTTP.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its path in gRPC.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Whether it only reads: then `GET` asks it too.
    pub fn is_safe(&self) -> bool {
        self.safe
    }

    /// The methods of HTTP that it takes.
    pub fn taken(&self) -> &'static str {
        if self.safe { "GET, HEAD, POST" } else { "POST" }
    }

    /// Whether its answer goes on.
    pub fn is_stream(&self) -> bool {
        self.descriptor.is_server_streaming()
    }

    /// What it takes.
    pub fn input(&self) -> MessageDescriptor {
        self.descriptor.input()
    }

    /// What it gives.
    pub fn output(&self) -> MessageDescriptor {
        self.descriptor.output()
    }

    /// Its name in gRPC, and its place in the descriptors of its file.
    pub fn descriptor(&self) -> &MethodDescriptor {
        &self.descriptor
    }
}

/// `ListServices` as `list-services`, without the words that are known already.
fn kebab(name: &str, known: &[&str]) -> String {
    let mut words: Vec<String> = Vec::new();
    for letter in name.chars() {
        match words.last_mut() {
            Some(word) if !letter.is_ascii_uppercase() => word.push(letter),
            _ => words.push(letter.to_ascii_lowercase().to_string()),
        }
    }
    words.retain(|word| !known.contains(&word.as_str()));
    words.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_have_short_paths() {
        let methods = Methods::all();
        for (path, uri, safe, stream) in [
            ("/-/v1/store/write", "/micro.v1.Store/Write", false, false),
            ("/-/v1/store/read", "/micro.v1.Store/Read", true, false),
            ("/-/v1/store/watch", "/micro.v1.Store/Watch", true, true),
            ("/-/v1/config/get", "/micro.v1.Config/GetConfig", true, false),
            ("/-/v1/config/roll-back", "/micro.v1.Config/RollBackConfig", false, false),
            ("/-/v1/config/rotate-key", "/micro.v1.Config/RotateConfigKey", false, false),
            ("/-/v1/registry/list-services", "/micro.v1.Registry/ListServices", true, false),
            ("/-/v1/registry/attach", "/micro.v1.Registry/Attach", false, true),
            ("/-/v1/network/status", "/micro.v1.Node/Status", true, false),
            ("/-/v1/network/leave", "/micro.v1.Node/Leave", false, false),
            ("/-/v1/blob/list", "/micro.v1.Blobs/ListBlobs", true, false),
            ("/-/v1/policy/set", "/micro.v1.Policies/SetPolicy", false, false),
            ("/-/v1/policy/rehearse", "/micro.v1.Policies/RehearsePolicy", true, false),
            ("/-/v1/audit/list", "/micro.v1.Audit/ListAudit", true, true),
            ("/-/v1/audit/verify", "/micro.v1.Audit/VerifyAudit", true, false),
        ] {
            let method = methods.at(path).unwrap_or_else(|| panic!("{path} is not there"));
            assert_eq!(
                (method.uri().path(), method.is_safe(), method.is_stream()),
                (uri, safe, stream),
                "{path}"
            );
        }
        // What takes a stream of messages needs more than one request.
        assert!(
            methods.at("/-/v1/blob/put").is_none() && methods.at("/-/v1/store/keep-lease-alive").is_none()
        );
        assert!(methods.at("/-/v1/store").is_none());
    }

    #[test]
    fn what_changes_something_is_not_safe() {
        let changing = [
            "write", "delete", "set", "roll", "end", "rotate", "attach", "leave", "remove", "drain",
            "create", "transfer", "grant", "revoke", "compact", "retain", "transact", "call", "hand",
        ];
        for method in Methods::all().iter().filter(|method| method.is_safe()) {
            let name = method.path().rsplit('/').next().unwrap_or_default();
            let first = name.split('-').next().unwrap_or_default();
            assert!(!changing.contains(&first), "{} changes something", method.path());
        }
    }
}
