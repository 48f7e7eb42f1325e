//! One tool: an endpoint of a service, as `SERVICE.HANDLER.METHOD`, or a method of the platform, as `store.write`. The
//! two are never mistaken for each other, since no service is called as one of the platform is.

use super::{
    super::{
        offer::{Described, Offer},
        platform::{Method, Methods, PREFIX},
    },
    schema,
};
use crate::doors::credentials::is_open;
use rmcp::model::{Tool, ToolAnnotations};
use serde_json::{Map, Value};
use std::sync::Arc;

/// What an endpoint of a service is as a tool.
pub(super) fn of_service(offer: &Offer, described: &Described) -> Tool {
    let endpoint = &described.endpoint;
    let name = format!("{}.{}", offer.service, endpoint.name);
    // Nothing else says that an endpoint only reads.
    let reads = endpoint.routes.iter().any(|route| route.method == "GET");
    let taken = match endpoint.streams.client {
        true => schema::taken_in_stream(&described.request),
        false => schema::taken(&described.request),
    };
    let given = match endpoint.streams.server {
        true => Some(schema::given_in_stream(&described.response)),
        false => schema::given(&described.response),
    };
    tool(name, &endpoint.doc, taken, given, reads)
}

/// What a method of the platform is as a tool.
pub(super) fn of_platform(method: &Method) -> Tool {
    let (schemas, descriptor) = (Methods::all().schemas(), method.descriptor());
    let doc = schemas.comment(&descriptor.parent_file(), descriptor.path());
    let whole = |name: &str| schema::with_parts(schemas.all(), name);
    let (input, output) = (whole(method.input().full_name()), whole(method.output().full_name()));
    tool(name(method), &doc, schema::taken(&input), schema::given(&output), method.is_safe())
}

fn tool(
    name: String,
    doc: &str,
    taken: Map<String, Value>,
    given: Option<Map<String, Value>>,
    reads: bool,
) -> Tool {
    let doc = Some(doc.to_owned().into()).filter(|_| !doc.is_empty());
    // Whether what is not only read destroys anything, or can be repeated, nobody says.
    let hints = ToolAnnotations::from_raw(None, Some(reads), None, None, None);
    let tool = Tool::new_with_raw(name, doc, taken).with_annotations(hints);
    match given {
        Some(given) => tool.with_raw_output_schema(Arc::new(given)),
        None => tool,
    }
}

fn name(method: &Method) -> String {
    method.path().trim_start_matches(PREFIX).replace('/', ".")
}

/// The methods of the platform that are tools: those that answer once. What lets people in and out hands out tokens,
/// which are no business of a program that thinks.
pub(super) fn platform() -> impl Iterator<Item = &'static Method> {
    Methods::all().iter().filter(|method| is_tool(method))
}

fn is_tool(method: &Method) -> bool {
    !method.is_stream() && !is_open(method.uri().path())
}

/// The method of the platform that is the tool of this name.
pub(super) fn platform_by(name: &str) -> Option<&'static Method> {
    let (service, method) = name.split_once('.')?;
    Methods::all().at(&format!("{PREFIX}{service}/{method}")).filter(|method| is_tool(method))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_of_the_platform_are_found_by_their_names() {
        for method in platform() {
            let name = name(method);
            let found = platform_by(&name).unwrap_or_else(|| panic!("{name} is not found"));
            assert_eq!(found.path(), method.path());
            assert!(name.len() <= 64 && !name.contains(['/', ' ']), "{name}");
            let tool = of_platform(method);
            assert!(tool.input_schema["type"] == "object" && tool.output_schema.is_some(), "{name}");
        }
        assert!(platform_by("store.write").is_some_and(|method| !method.is_safe()));
        for none in ["store.watch", "auth.login", "auth.refresh", "auth.logout", "store", "store.no", ""] {
            assert!(platform_by(none).is_none(), "{none} is a tool");
        }
    }
}
