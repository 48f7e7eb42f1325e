//! How the endpoints of a service may be written.

use micro_actors::folded;
use std::collections::{BTreeMap, BTreeSet};

/// All ways to write the endpoints of a service: with their handler, and the package of that if it has one; and without
/// it if there is no other, or if it is called as the service is. Case, dashes and underscores do not matter, since
/// languages differ in them. What is written exactly comes first, then what is first in the order of names.
#[derive(Debug)]
pub(crate) struct Spellings(BTreeMap<String, String>);

impl Spellings {
    /// Those of a service with these endpoints.
    pub fn of(service: &str, endpoints: &BTreeSet<&str>) -> Self {
        let handlers: BTreeSet<&str> =
            endpoints.iter().filter_map(|name| Some(name.rsplit_once('.')?.0)).collect();
        let own = |handler: &str| handlers.len() == 1 || folded(last(handler)) == folded(service);
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
                let Some((handler, method)) = endpoint.rsplit_once('.') else { continue };
                add(written(&format!("{}.{method}", last(handler))), endpoint);
                if own(handler) {
                    add(written(method), endpoint);
                }
            }
        }
        Spellings(names)
    }

    /// The endpoint that is meant, however it is written.
    pub fn find(&self, handler: Option<&str>, method: &str) -> Option<&str> {
        let plain = match handler {
            Some(handler) => format!("{handler}.{method}"),
            None => method.to_owned(),
        };
        let found = self.0.get(&plain).or_else(|| self.0.get(&folded(&plain)));
        found.map(String::as_str)
    }

    /// The path of an endpoint below its service: its handler and its method, without the package of the handler where
    /// no other has the same.
    pub fn path(&self, endpoint: &str) -> String {
        let Some((handler, method)) = endpoint.rsplit_once('.') else { return endpoint.to_owned() };
        let bare = last(handler);
        let handler = if self.find(Some(bare), method) == Some(endpoint) { bare } else { handler };
        format!("{handler}/{method}")
    }

    /// The shortest way to write an endpoint: without its handler, where that is enough.
    pub fn shortest<'e>(&self, endpoint: &'e str) -> &'e str {
        let Some((handler, method)) = endpoint.rsplit_once('.') else { return endpoint };
        let packaged = endpoint.len() - method.len() - 1 - last(handler).len();
        let shorter = [method, &endpoint[packaged..]];
        shorter.into_iter().find(|name| self.find(None, name) == Some(endpoint)).unwrap_or(endpoint)
    }

    /// The way to type an endpoint: the shortest in lowercase, with dashes between its words.
    pub fn typed(&self, endpoint: &str) -> String {
        let shortest = self.shortest(endpoint);
        let mut typed = String::with_capacity(shortest.len());
        let mut inside = false;
        for letter in shortest.chars() {
            if letter.is_ascii_uppercase() && inside {
                typed.push('-');
            }
            inside = letter.is_ascii_lowercase() || letter.is_ascii_digit();
            typed.push(letter.to_ascii_lowercase());
        }
        if self.find(None, &typed) == Some(endpoint) { typed } else { shortest.to_owned() }
    }
}

/// The last word of a name with dots.
fn last(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, last)| last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_found_however_they_are_written() {
        let shop =
            Spellings::of("shop", &BTreeSet::from(["Cart.add_item", "Cart.list", "Shop.Call", "Stock.list"]));
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
            assert_eq!(shop.find(handler, method), expected, "{handler:?} {method}");
        }
        assert_eq!(shop.shortest("Shop.Call"), "Call");
        assert_eq!(shop.shortest("Cart.list"), "Cart.list");
        let packaged = Spellings::of(
            "shop",
            &BTreeSet::from([
                "acme.v1.Cart.Add",
                "acme.v1.Shop.Call",
                "acme.v1.Stock.Add",
                "acme.v2.Stock.Add",
            ]),
        );
        for (handler, method, expected, shortest) in [
            (None, "call", Some("acme.v1.Shop.Call"), "Call"),
            (Some("cart"), "add", Some("acme.v1.Cart.Add"), "Cart.Add"),
            (Some("acme.v1.Cart"), "Add", Some("acme.v1.Cart.Add"), "Cart.Add"),
            (Some("Stock"), "Add", Some("acme.v1.Stock.Add"), "Stock.Add"),
            (Some("acme.v2.stock"), "add", Some("acme.v2.Stock.Add"), "acme.v2.Stock.Add"),
            (None, "add", None, ""),
        ] {
            assert_eq!(packaged.find(handler, method), expected, "{handler:?} {method}");
            assert!(
                expected.is_none_or(|endpoint| packaged.shortest(endpoint) == shortest),
                "{handler:?} {method}"
            );
        }
        for (endpoint, path) in [
            ("acme.v1.Cart.Add", "Cart/Add"),
            ("acme.v1.Stock.Add", "Stock/Add"),
            ("acme.v2.Stock.Add", "acme.v2.Stock/Add"),
            ("bare", "bare"),
        ] {
            assert_eq!(packaged.path(endpoint), path);
        }
        assert_eq!(packaged.typed("acme.v1.Cart.Add"), "cart.add");
        let cased = Spellings::of("a", &BTreeSet::from(["A.PingPong", "A.add_item", "A.GET", "A.get"]));
        for (endpoint, typed) in
            [("A.PingPong", "ping-pong"), ("A.add_item", "add_item"), ("A.get", "get"), ("A.GET", "GET")]
        {
            assert_eq!(cased.typed(endpoint), typed);
        }
        let sole = Spellings::of("helloworld", &BTreeSet::from(["Greeter.call"]));
        assert_eq!(sole.find(None, "call"), Some("Greeter.call"));
        let near = Spellings::of("a", &BTreeSet::from(["A.get", "A.Get", "A.g-e-t"]));
        assert_eq!(near.find(None, "Get"), Some("A.Get"));
        assert_eq!(near.find(None, "GET"), Some("A.get"));
    }
}
