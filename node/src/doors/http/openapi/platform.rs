//! The platform in the document: its services under the reserved prefix, and what the door tells of itself.

use super::{
    super::platform::{Method, Methods, PLACE},
    component::Components,
    operation::{Operation, content, operation, queries},
};
use serde_json::{Value, json};

/// The operations of those methods of the platform that `may` be used, and what they refer to.
pub(super) fn operations(components: &mut Components, may: impl Fn(&Method) -> bool) -> Vec<Operation> {
    let methods = Methods::all();
    let mut operations = Vec::new();
    for method in methods.iter().filter(|method| may(method)) {
        for message in [method.input(), method.output()] {
            components.add_with_parts(methods.schemas().all(), message.full_name());
        }
        let descriptor = method.descriptor();
        let doc = methods.schemas().comment(&descriptor.parent_file(), descriptor.path());
        let reference = |name: &str| json!({"$ref": format!("{PLACE}{name}")});
        let (input, output) = (method.input(), reference(method.output().full_name()));
        let answer = match method.is_stream() {
            true => {
                json!({"text/event-stream": {"schema": output}, "application/x-ndjson": {"schema": output}})
            }
            false => content("application/json", &output),
        };
        let tag = method.path().trim_start_matches("/-/v1/").split('/').next().unwrap_or_default();
        let tag = format!("/-/v1/{tag}");
        let mut post = operation(descriptor.full_name(), &doc, &tag, answer.clone());
        post["requestBody"] = json!({"content": content("application/json", &reference(input.full_name()))});
        let at = |method_name: &str, document| {
            let path = method.path().to_owned();
            Operation { path, method: method_name.to_owned(), document }
        };
        operations.push(at("post", post));
        if method.is_safe() {
            let mut get = operation(&format!("{}.get", descriptor.full_name()), &doc, &tag, answer);
            let schema = methods.schemas().all().get(input.full_name()).cloned().unwrap_or_default();
            get["parameters"] = queries(&schema, &[]).into();
            operations.push(at("get", get));
        }
    }
    operations
}

/// What the door tells of itself.
pub(super) fn documents() -> Vec<Operation> {
    let status = json!({"type": "object", "properties": {"status": {"type": "string"}}});
    let json_of = |schema: &Value| content("application/json", schema);
    let documents = [
        ("/health", "health", "Whether the process answers.", json_of(&status)),
        ("/ready", "ready", "Whether the node should be sent work.", json_of(&status)),
        (
            "/metrics",
            "metrics",
            "What the node counts, as Prometheus reads it.",
            content("text/plain", &json!({"type": "string"})),
        ),
        (
            "/.well-known/jwks.json",
            "jwks",
            "The public keys that tokens of accounts are verified with (RFC 7517).",
            content("application/jwk-set+json", &json!({"type": "object"})),
        ),
        ("/openapi.json", "openapi", "This document.", json_of(&json!({"type": "object"}))),
    ];
    let operation = |(path, id, doc, content): (&str, &str, &str, Value)| Operation {
        path: path.to_owned(),
        method: "get".to_owned(),
        document: operation(id, doc, "node", content),
    };
    documents.map(operation).into()
}
