//! Which service a gRPC call is for, by its path `/package.Service/Method` and its metadata.
//!
//! | first of these | is called |
//! |---|---|
//! | the metadata `micro-service: NAME` | `NAME`; the path may be `/Method` alone, where it has a sole handler |
//! | a service that lists `package.Service.Method` among its endpoints | that one |
//! | the package, dots as dashes: `acme.shop.v1` | `acme-shop-v1`, else `acme-shop`, else `shop`, whichever is there |
//! | no package: `/Shop/Method` | `shop` |

use http::HeaderMap;
use micro_actors::registry::Table;
use micro_sdk::wire::{Code, Fault, Namespace, ServiceName};

/// Names the service to call.
pub(in crate::doors::grpc) const SERVICE_HEADER: &str = "micro-service";
/// Names the tenant.
const NAMESPACE_HEADER: &str = "micro-namespace";

/// What is called.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::doors) struct Target {
    pub namespace: Namespace,
    pub service: ServiceName,
    /// `package.Service.Method`
    pub endpoint: String,
}

impl Target {
    /// What a request is for. `own` is the caller's tenant, for who names none.
    ///
    /// # Errors
    /// [`Code::Usage`] for what is no name, [`Code::NotFound`] for what is no path of gRPC.
    pub(super) fn of(
        path: &str,
        headers: &HeaderMap,
        own: Option<&Namespace>,
        table: &Table,
    ) -> Result<Target, Fault> {
        let usage = |error: micro_sdk::wire::NameError| Fault::new(Code::Usage, error.to_string());
        let said = |name: &str| match &headers.get_all(name).iter().collect::<Vec<_>>()[..] {
            [] => Ok(None),
            [value] => Ok(Some(value.to_str().unwrap_or(""))),
            // Which of them is meant, whoever stands before this node may have decided otherwise.
            _ => Err(Fault::new(Code::Usage, format!("the metadata {name} is there more than once"))),
        };
        let namespace = match said(NAMESPACE_HEADER)? {
            Some(namespace) => namespace.parse().map_err(usage)?,
            None => own.cloned().unwrap_or_default(),
        };
        let nothing = || {
            Fault::new(Code::NotFound, format!("nothing is at {path:?}"))
                .help("a path of gRPC is /package.Service/Method")
        };
        let path = path.strip_prefix('/').ok_or_else(nothing)?;
        let (grpc, method) = path.split_once('/').map_or((None, path), |(grpc, method)| (Some(grpc), method));
        if !grpc.is_none_or(is_name) || !is_name(method) || method.contains('.') {
            return Err(nothing());
        }
        let service = match (said(SERVICE_HEADER)?, grpc) {
            (Some(service), _) => service.parse().map_err(usage)?,
            (None, Some(grpc)) => service_of(grpc, &namespace, table).ok_or_else(nothing)?,
            (None, None) => return Err(nothing()),
        };
        let endpoint = grpc.map_or_else(|| method.to_owned(), |grpc| format!("{grpc}.{method}"));
        Ok(Target { namespace, service, endpoint })
    }
}

/// The service that a service of gRPC, named with its package, belongs to.
pub(in crate::doors::grpc) fn service_of(
    grpc: &str,
    namespace: &Namespace,
    table: &Table,
) -> Option<ServiceName> {
    let offers = table.offers_grpc(namespace, grpc).cloned();
    offers.or_else(|| by_package(grpc, namespace, table))
}

/// Whether a part of a path is made of names of protobuf, with dots between them.
fn is_name(text: &str) -> bool {
    text.split('.').all(|word| {
        word.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

/// The service that goes by the package: the first that is there, else the first at all.
fn by_package(grpc: &str, namespace: &Namespace, table: &Table) -> Option<ServiceName> {
    let (package, own) = grpc.rsplit_once('.').unwrap_or(("", grpc));
    let package = if package.is_empty() { own } else { package };
    let plain = package.to_ascii_lowercase().replace('_', "-");
    let words: Vec<&str> = plain.split('.').collect();
    let unversioned = match words.split_last() {
        Some((last, rest)) if is_version(last) && !rest.is_empty() => rest,
        _ => &words[..],
    };
    let names = [words.join("-"), unversioned.join("-"), unversioned.last()?.to_string()];
    let names: Vec<ServiceName> = names.iter().filter_map(|name| name.parse().ok()).collect();
    let there = names.iter().find(|name| !table.instances(namespace, name).is_empty());
    there.or(names.first()).cloned()
}

/// `v1`, `v1beta2` and the like.
fn is_version(word: &str) -> bool {
    word.strip_prefix('v').is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};
    use micro_sdk::wire::{Instance, NodeId};

    fn table() -> Table {
        let instance = |namespace: &str, service: &str, endpoint: &str| Instance {
            id: 1,
            namespace: namespace.parse().expect("a good name"),
            service: service.parse().expect("a good name"),
            version: "1".to_owned(),
            node: NodeId(1),
            endpoints: vec![endpoint.to_owned()],
            routes: Vec::new(),
            streams: Vec::new(),
            metadata: std::collections::BTreeMap::new(),
            health: micro_sdk::wire::Health::Passing,
        };
        Table::of([
            instance("default", "helloworld", "Greeter.call"),
            instance("default", "till", "acme.pay.v1.Till.Open"),
            instance("default", "zzz", "acme.pay.v1.Till.Open"),
            instance("default", "shop", "Cart.add"),
            instance("other", "here", "acme.pay.v1.Till.Open"),
        ])
    }

    fn found(path: &str, headers: &[(&'static str, &'static str)]) -> Result<String, Code> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let target = Target::of(path, &headers, None, &table()).map_err(|fault| fault.code)?;
        Ok(format!("{}/{} {}", target.namespace, target.service, target.endpoint))
    }

    #[test]
    fn the_service_is_the_one_that_a_newcomer_expects() {
        for (path, headers, target) in [
            ("/helloworld.Greeter/Call", &[][..], "default/helloworld helloworld.Greeter.Call"),
            ("/acme.pay.v1.Till/Close", &[], "default/till acme.pay.v1.Till.Close"),
            ("/acme.pay.v1.Till/Open", &[("micro-service", "zzz")], "default/zzz acme.pay.v1.Till.Open"),
            ("/acme.pay.v1.Till/Open", &[("micro-namespace", "other")], "other/here acme.pay.v1.Till.Open"),
            ("/acme.shop.v1.Cart/Add", &[], "default/shop acme.shop.v1.Cart.Add"),
            ("/Shop/Add", &[], "default/shop Shop.Add"),
            ("/acme.big_one.v1.Cart/Add", &[], "default/acme-big-one-v1 acme.big_one.v1.Cart.Add"),
        ] {
            assert_eq!(found(path, headers).as_deref(), Ok(target), "{path}");
        }
    }

    #[test]
    fn what_is_no_path_of_grpc_is_nothing() {
        for path in ["/", "/a", "/a/", "//b", "/a/b/c", "/a..b/c", "/a/b.c", "/a-b/c", "/1/b", "/a/%62", "*"]
        {
            assert_eq!(found(path, &[]), Err(Code::NotFound), "{path}");
        }
        for headers in [("micro-service", "No Name"), ("micro-namespace", "")] {
            assert_eq!(found("/a.B/C", &[headers]), Err(Code::Usage));
        }
        for name in ["micro-service", "micro-namespace"] {
            assert_eq!(found("/a.B/C", &[(name, "one"), (name, "two")]), Err(Code::Usage));
        }
    }
}
