//! `#[endpoint(get = "/greet/{name}")]` on a method of a service: a path of its own.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use std::collections::BTreeSet;
use syn::{Attribute, Error, LitStr, Result, meta::ParseNestedMeta};

/// The methods of HTTP that there are attributes for.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// One route, as the attribute says it.
pub(crate) struct Route {
    method: String,
    path: LitStr,
    host: Option<LitStr>,
}

impl Route {
    /// Whether an attribute is one of these.
    pub(crate) fn is(attribute: &Attribute) -> bool {
        attribute.path().is_ident("endpoint")
    }

    /// The routes of a method with these attributes.
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Vec<Route>> {
        let mut routes = Vec::new();
        for attribute in attributes.iter().filter(|attribute| Route::is(attribute)) {
            let (mut ways, mut host) = (Vec::new(), None);
            attribute.parse_nested_meta(|meta: ParseNestedMeta| {
                let key = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
                if METHODS.contains(&key.as_str()) {
                    let path: LitStr = meta.value()?.parse()?;
                    check(&path)?;
                    ways.push((key.to_ascii_uppercase(), path));
                } else if key == "host" {
                    host = Some(meta.value()?.parse()?);
                } else {
                    let known = "not known here: there are `get`, `post`, `put`, `patch` and `delete` with a path, \
                                 and `host`";
                    return Err(meta.error(known));
                }
                Ok(())
            })?;
            if ways.is_empty() {
                return Err(Error::new_spanned(attribute, "no path: `#[endpoint(get = \"/greet/{name}\")]`"));
            }
            let host: Option<LitStr> = host;
            routes.extend(ways.into_iter().map(|(method, path)| Route { method, path, host: host.clone() }));
        }
        Ok(routes)
    }
}

impl ToTokens for Route {
    /// A call that adds it to an endpoint.
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Route { method, path, host } = self;
        let host = host.as_ref().map(LitStr::value).unwrap_or_default();
        tokens.extend(quote!(.route(#method, #path, #host)));
    }
}

/// What is sure to be refused by every node is refused here already. The whole of the rule is that of
/// `micro_sdk::wire::Route`.
fn check(path: &LitStr) -> Result<()> {
    let text = path.value();
    let bad = |why: &str| Err(Error::new(path.span(), format!("{text:?} is no path of a route: {why}")));
    if !text.starts_with('/') || text.len() < 2 {
        return bad("it begins with a slash, and goes on");
    }
    let mut fields = BTreeSet::new();
    for segment in text[1..].split('/') {
        let field = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        match field {
            Some(field) if !fields.insert(field.split('=').next().unwrap_or("").to_owned()) => {
                return bad("a field is there twice");
            }
            None if segment.is_empty() || segment.contains(['{', '}', '%', '?', '#', ' ']) => {
                return bad("between slashes is a plain word, {field} or {field=**}");
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    #[test]
    fn ways_are_read() {
        let attributes: [Attribute; 2] = [
            parse_quote!(#[endpoint(get = "/greet/{name}", put = "/greet")]),
            parse_quote!(#[endpoint(delete = "/x/{rest=**}", host = "a.example")]),
        ];
        let routes = Route::read(&attributes).expect("all are good");
        let told: Vec<String> = routes.iter().map(|route| route.to_token_stream().to_string()).collect();
        assert_eq!(told[0], r#". route ("GET" , "/greet/{name}" , "")"#);
        assert_eq!(told[1], r#". route ("PUT" , "/greet" , "")"#);
        assert_eq!(told[2], r#". route ("DELETE" , "/x/{rest=**}" , "a.example")"#);
    }

    #[test]
    fn what_is_no_way_is_refused_with_the_reason() {
        let cases: [(Attribute, &str); 6] = [
            (parse_quote!(#[endpoint(get = "greet")]), "slash"),
            (parse_quote!(#[endpoint(get = "/a//b")]), "plain word"),
            (parse_quote!(#[endpoint(get = "/a/x{b}")]), "plain word"),
            (parse_quote!(#[endpoint(get = "/a/{b}/{b}")]), "twice"),
            (parse_quote!(#[endpoint(fetch = "/a")]), "not known here"),
            (parse_quote!(#[endpoint(host = "a")]), "no path"),
        ];
        for (attribute, reason) in cases {
            let error = Route::read(std::slice::from_ref(&attribute)).err().expect("it is none").to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
