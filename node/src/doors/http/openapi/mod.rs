//! `/openapi.json`: what can be called here and by whom (OpenAPI 3.1.0), made anew for each that asks.
//!
//! It tells of each endpoint that the caller may call, and of those methods of the platform that rules let the caller
//! use for anything: who may do what there depends on what it is done to.

mod component;
mod operation;
mod platform;

use super::{Door, Entry, offer::Described, platform::Method};
use component::Components;
use futures::future::join_all;
use micro_actors::{RAW, is_opaque};
use operation::{Operation, described_at};
use serde_json::{Map, Value, json};

/// The document for a caller and a tenant.
pub(super) async fn document(door: &Door, entry: &Entry<'_>) -> Value {
    let mut components = Components::default();
    let mut paths = Map::new();
    let offers = door.routes().offers(&entry.namespace);
    let may_call = |service: &str, endpoint: &str| {
        door.local.would_call(&entry.context, &entry.namespace, service, endpoint)
    };
    // Each is asked for at most once, and those that are known answer at once.
    join_all(offers.iter().map(|offer| offer.described(&door.local))).await;
    for offer in &offers {
        // What takes all as it is says nothing of them.
        let open = |one: &&Described| {
            !is_opaque(&one.endpoint.name) && may_call(offer.service.as_str(), &one.endpoint.name)
        };
        let described = offer.described(&door.local).await;
        let service = offer.service.as_str();
        if described.iter().any(|one| one.endpoint.name == RAW) && may_call(service, &format!("/{service}")) {
            paths.insert(format!("/{service}"), raw(service));
        }
        for described in described.iter().filter(open) {
            for operation in described_at(offer, described, &mut components) {
                add(&mut paths, operation);
            }
        }
    }
    let may = |method: &Method| method.would_serve(&door.local, entry);
    platform::operations(&mut components, may).into_iter().for_each(|operation| add(&mut paths, operation));
    platform::documents().into_iter().for_each(|operation| add(&mut paths, operation));
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "micro-node",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!("Services of the namespace {}, as this node knows them.", entry.namespace),
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": components.into_schemas(),
            "responses": {"Problem": {
                "description": "Why not (RFC 9457).",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            }},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    })
}

/// The place of a service that takes HTTP as it is: what may be asked there is its own to say.
fn raw(service: &str) -> Value {
    json!({
        "summary": format!("{service} takes HTTP as it is"),
        "description": format!(
            "All methods at this path and below it are passed on to the program behind {service}, which describes them itself."
        ),
    })
}

/// Adds an operation; where there is one already, that one stays.
fn add(paths: &mut Map<String, Value>, operation: Operation) {
    let Operation { path, method, document } = operation;
    let path = paths.entry(path).or_insert_with(|| json!({}));
    if let Value::Object(methods) = path {
        methods.entry(method).or_insert(document);
    }
}
