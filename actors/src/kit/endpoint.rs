//! How callers name endpoints, and what they mean.

use super::conversation::RAW;
use crate::spelling::{folded, nearest};
use micro_sdk::wire::{Code, Fault, Instance};

/// The endpoint of an instance that speaks gRPC and does not tell its methods: it is called by any, and answers itself
/// what it does not have.
pub const ANY_METHOD: &str = "*";

/// Whether an endpoint stands for all that a service is asked: it is passed on as it is, and nothing is known of it.
pub fn is_opaque(endpoint: &str) -> bool {
    [RAW, ANY_METHOD].contains(&endpoint)
}

/// Why a service can't be called by the names of endpoints, if that is what its endpoint is for.
pub fn uncallable(service: &str, endpoint: &str) -> Option<Fault> {
    let not_found = |message: String| Fault::new(Code::NotFound, message);
    match endpoint {
        RAW => Some(
            not_found(format!("service {service:?} takes requests of HTTP as they are"))
                .help(format!("send them to the HTTP api, below /{service}")),
        ),
        ANY_METHOD => Some(
            not_found(format!("service {service:?} speaks gRPC, and does not tell what its methods take"))
                .help("a client of gRPC calls it at the proxy with the messages that it takes")
                .help("to call it with JSON, turn on reflection in it, or offer it with its descriptors"),
        ),
        _ => None,
    }
}

/// Whether an instance takes any method of gRPC.
pub(super) fn takes_any(instance: &Instance) -> bool {
    instance.endpoints.iter().any(|name| name == ANY_METHOD)
}

/// The full name of the endpoint that was asked for: `Handler.method`, the handler with its package or without it, or
/// `method` alone of a sole handler, or of the one that is called as the service is.
pub(super) fn endpoint(instance: &Instance, asked: &str) -> Result<String, Fault> {
    let dotted = asked.replace('/', ".");
    if instance.endpoints.contains(&dotted) && dotted != ANY_METHOD {
        return Ok(dotted);
    }
    if let Some(full) = shortened(instance, &dotted) {
        return Ok(full.to_owned());
    }
    if let Some(full) = spelled_otherwise(instance, &dotted) {
        return Ok(full.to_owned());
    }
    let service = instance.service.as_str();
    if let Some(fault) = instance.endpoints.iter().find_map(|name| uncallable(service, name)) {
        return Err(fault);
    }
    let known = instance.endpoints.join(", ");
    let message = format!("service {:?} has no endpoint {asked:?}", instance.service.as_str());
    let fault = Fault::new(Code::NotFound, message);
    let fault = match resembling(instance, &dotted) {
        Some(near) => fault.help(format!("did you mean `{near}`?")),
        None => fault,
    };
    Err(fault
        .help(format!("its endpoints: {known}"))
        .help(format!("`micro-node services {}` shows what they take", instance.service)))
}

/// The endpoint that is spelled much like the one that was asked for: as much of its name as was said.
fn resembling<'i>(instance: &'i Instance, asked: &str) -> Option<&'i str> {
    let dots = asked.matches('.').count();
    let end = |name: &'i String| {
        let before = name.rmatch_indices('.').nth(dots).map_or(0, |(at, _)| at + 1);
        &name[before..]
    };
    // What was said as it is may be several: that is no slip.
    nearest(asked, instance.endpoints.iter().map(end)).filter(|near| folded(near) != folded(asked))
}

/// The endpoint that is meant by the end of its name, if it can't be another.
pub(super) fn shortened<'i>(instance: &'i Instance, asked: &str) -> Option<&'i str> {
    let split = |name: &'i String| name.rsplit_once('.').map(|(handler, _)| (handler, name.as_str()));
    let ends = |name: &str| name.strip_suffix(asked).is_some_and(|before| before.ends_with('.'));
    let of = |handler: &str| {
        instance.endpoints.iter().filter_map(split).find(|(other, name)| *other == handler && ends(name))
    };
    let mut handlers: Vec<&str> =
        instance.endpoints.iter().filter_map(split).map(|(handler, _)| handler).collect();
    handlers.sort_unstable();
    handlers.dedup();
    let meant = match (asked.contains('.'), handlers.as_slice()) {
        (false, [sole]) => of(sole),
        (false, several) => {
            let own = |handler: &&&str| folded(bare(handler)) == folded(instance.service.as_str());
            several.iter().find(own).and_then(|own| of(own))
        }
        (true, _) => {
            let mut found = instance.endpoints.iter().filter_map(split).filter(|(_, name)| ends(name));
            found.next().filter(|_| found.next().is_none())
        }
    };
    meant.map(|(_, name)| name)
}

/// The endpoint that is meant by a name, or by the end of one, whose case, dashes and underscores are those of another
/// language: no two endpoints of a service differ in these alone. None if it could be several, or a method alone of a
/// service with several handlers.
fn spelled_otherwise<'i>(instance: &'i Instance, asked: &str) -> Option<&'i str> {
    let of_one = |one: &String, other: &String| {
        one.rsplit_once('.').map(|(handler, _)| handler) == other.rsplit_once('.').map(|(handler, _)| handler)
    };
    if !asked.contains('.') && !instance.endpoints.iter().all(|name| of_one(name, &instance.endpoints[0])) {
        return None;
    }
    let asked = folded(asked);
    let means = |name: &&String| {
        folded(name).strip_suffix(&asked).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    let named = instance.endpoints.iter().filter(|name| !is_opaque(name));
    let mut found = named.filter(means);
    found.next().filter(|_| !asked.is_empty() && found.next().is_none()).map(String::as_str)
}

/// A handler without its package.
fn bare(handler: &str) -> &str {
    handler.rsplit_once('.').map_or(handler, |(_, bare)| bare)
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::wire::{Namespace, NodeId};

    fn instance(endpoints: &[&str]) -> Instance {
        Instance {
            id: 1,
            namespace: Namespace::default(),
            service: "shop".parse().expect("a good name"),
            version: "1".to_owned(),
            node: NodeId(1),
            endpoints: endpoints.iter().map(|name| (*name).to_owned()).collect(),
            routes: Vec::new(),
            streams: Vec::new(),
            metadata: std::collections::BTreeMap::new(),
            health: micro_sdk::wire::Health::Passing,
        }
    }

    #[test]
    fn a_method_alone_reaches_a_sole_handler() {
        let sole = instance(&["Cart.add", "Cart.list"]);
        assert_eq!(endpoint(&sole, "add"), Ok("Cart.add".to_owned()));
        assert_eq!(endpoint(&sole, "Cart/list"), Ok("Cart.list".to_owned()));
        assert_eq!(endpoint(&sole, "Cart.list"), Ok("Cart.list".to_owned()));
        for asked in ["cart.add", "ADD", "Cart/a_dd"] {
            assert_eq!(endpoint(&sole, asked), Ok("Cart.add".to_owned()), "{asked}");
        }
        let two = instance(&["Cart.add", "Stock.add"]);
        assert_eq!(endpoint(&two, "stock.Add"), Ok("Stock.add".to_owned()));
        let fault = endpoint(&two, "add").expect_err("it could be either");
        assert!(fault.help[0].contains("Cart.add, Stock.add"), "{fault:?}");
        for (slip, meant) in [("Cart.ad", "Cart.add"), ("lst", "list"), ("stok.add", "Stock.add")] {
            let several = instance(&["Cart.add", "Cart.list", "Stock.add", "Stock.list"]);
            let fault = endpoint(&several, slip).expect_err("it is none of them");
            assert_eq!(fault.help[0], format!("did you mean `{meant}`?"));
        }
        assert_eq!(endpoint(&instance(&["Cart.add", "Shop.add"]), "add"), Ok("Shop.add".to_owned()));
    }

    #[test]
    fn the_package_of_a_handler_may_be_left_out() {
        let sole = instance(&["acme.v1.Cart.Add", "acme.v1.Cart.List"]);
        for asked in ["Add", "Cart.Add", "Cart/Add", "v1.Cart.Add", "acme.v1.Cart.Add"] {
            assert_eq!(endpoint(&sole, asked), Ok("acme.v1.Cart.Add".to_owned()), "{asked}");
        }
        for asked in ["dd", "art.Add", "Stock.Add", ".Add", ""] {
            assert!(endpoint(&sole, asked).is_err(), "{asked}");
        }
        let two = instance(&["acme.v1.Cart.Add", "acme.v2.Cart.Add"]);
        assert!(endpoint(&two, "Cart.Add").is_err(), "it could be either");
        assert_eq!(endpoint(&two, "v2.Cart.Add"), Ok("acme.v2.Cart.Add".to_owned()));
    }
}
