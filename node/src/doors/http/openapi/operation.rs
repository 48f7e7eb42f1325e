//! One endpoint of a service as operations: at the path of its name, and at each path of its own.

use super::{
    super::offer::{Described, Offer},
    component::Components,
};
use micro_sdk::wire::{Route, Segment, Streams};
use serde_json::{Value, json};

/// A stream, each message of which is as the schema says.
const LINES: &str = "application/x-ndjson";

/// One operation.
pub(super) struct Operation {
    /// Where it is.
    pub path: String,
    /// The method of HTTP, in lowercase.
    pub method: String,
    /// The operation itself.
    pub document: Value,
}

/// The operations of an endpoint.
pub(super) fn described_at(
    offer: &Offer,
    described: &Described,
    components: &mut Components,
) -> Vec<Operation> {
    let endpoint = &described.endpoint;
    let id = format!("{}.{}", offer.service, endpoint.name);
    let request = components.add(&format!("{id}.request"), &described.request);
    let response = components.add(&format!("{id}.response"), &described.response);
    let Streams { client, server } = endpoint.streams;
    let answers = match server {
        true => json!({LINES: {"schema": &response}, "text/event-stream": {"schema": &response}}),
        false => content("application/json", &response),
    };
    let operation = |id: String| {
        let mut document = operation(&id, &endpoint.doc, offer.service.as_str(), answers.clone());
        document["responses"]["204"] = json!({"description": "It answers nothing."});
        document
    };
    let body =
        |schema: &Value| if client { json!({"content": content(LINES, schema)}) } else { body(schema) };
    let mut named = operation(id.clone());
    named["requestBody"] = body(&request);
    let path = offer.path_of(&endpoint.name);
    let mut operations = vec![Operation { path: path.clone(), method: "post".to_owned(), document: named }];
    // Its fields may stand in the query, if they are those of one message.
    if !client {
        let mut document = operation(format!("{id}.get"));
        document["parameters"] = queries(&described.request, &[]).into();
        operations.push(Operation { path, method: "get".to_owned(), document });
    }
    for (number, route) in endpoint.routes.iter().enumerate() {
        let mut document = operation(format!("{id}.{}", number + 1));
        let captured = captured(route);
        let mut parameters: Vec<Value> = captured.iter().map(|name| path_parameter(name)).collect();
        match route.method.as_str() {
            "GET" | "DELETE" => parameters.extend(queries(&described.request, &captured)),
            _ => document["requestBody"] = body(&request),
        }
        document["parameters"] = parameters.into();
        if !route.host.is_empty() {
            document["servers"] = json!([{"url": format!("http://{}", route.host)}]);
        }
        let (path, method) = (template(route), route.method.to_ascii_lowercase());
        operations.push(Operation { path, method, document });
    }
    operations
}

/// An operation without parameters, which answers so.
pub(super) fn operation(id: &str, doc: &str, tag: &str, content: Value) -> Value {
    let summary = doc.lines().next().unwrap_or_default();
    json!({
        "operationId": id,
        "summary": summary,
        "description": doc,
        "tags": [tag],
        "responses": {
            "200": {"description": "The answer.", "content": content},
            "default": {"$ref": "#/components/responses/Problem"},
        },
    })
}

/// Content of one kind.
pub(super) fn content(kind: &str, schema: &Value) -> Value {
    json!({kind: {"schema": schema}})
}

/// A body of each kind that is taken.
fn body(schema: &Value) -> Value {
    json!({"content": {
        "application/json": {"schema": schema},
        "application/x-www-form-urlencoded": {"schema": schema},
        "multipart/form-data": {"schema": schema},
    }})
}

/// The fields of an object as parameters of a query, but for those that are known.
pub(super) fn queries(schema: &Value, known: &[String]) -> Vec<Value> {
    let required =
        |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let properties = schema["properties"].as_object().into_iter().flatten();
    let parameter = |(name, property): (&String, &Value)| {
        json!({
            "name": name,
            "in": "query",
            "required": required(name),
            "description": property.get("description").cloned().unwrap_or_else(|| json!("")),
            "schema": plain_value(schema, property),
        })
    };
    properties.filter(|(name, _)| !known.contains(name)).map(parameter).collect()
}

/// What a property of `whole` takes, as far as that is a value or a list of values. What is more than that is described
/// where the whole is.
fn plain_value(whole: &Value, property: &Value) -> Value {
    let own = property["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/"));
    let property = own.map_or(property, |name| &whole["$defs"][name]);
    let mut kind = json!({});
    if property["type"] == "object" {
        return kind;
    }
    for word in ["type", "enum", "format", "minimum", "maximum", "pattern"] {
        if let Some(value) = property.get(word) {
            kind[word] = value.clone();
        }
    }
    if let Some(items) = property.get("items") {
        kind["items"] = plain_value(whole, items);
    }
    kind
}

fn path_parameter(name: &str) -> Value {
    json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
}

fn captured(route: &Route) -> Vec<String> {
    let field = |segment| match segment {
        Segment::One(name) | Segment::Rest(name) => Some(name.to_owned()),
        Segment::Literal(_) => None,
    };
    route.segments().filter_map(field).collect()
}

/// The path of a route as OpenAPI writes it, which has no field for all that is left.
fn template(route: &Route) -> String {
    let segments = route.segments().map(|segment| match segment {
        Segment::Literal(text) => format!("/{text}"),
        Segment::One(name) | Segment::Rest(name) => format!("/{{{name}}}"),
    });
    segments.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_of_each_field_what_it_takes() {
        let schema = json!({
            "properties": {
                "age": {"type": "integer", "minimum": 0, "maximum": 150},
                "color": {"$ref": "#/$defs/Color"},
                "colors": {"type": "array", "items": {"$ref": "#/$defs/Color"}},
                "id": {"type": "string", "pattern": "^[0-9]+$"},
                "place": {"$ref": "#/$defs/Place"},
            },
            "$defs": {
                "Color": {"type": "string", "enum": ["RED"]},
                "Place": {"type": "object", "properties": {"zip": {"type": "integer"}}},
            },
        });
        let schemas: Vec<Value> =
            queries(&schema, &["id".to_owned()]).into_iter().map(|one| one["schema"].clone()).collect();
        let color = json!({"type": "string", "enum": ["RED"]});
        let age = json!({"type": "integer", "minimum": 0, "maximum": 150});
        assert_eq!(schemas, [age, color.clone(), json!({"type": "array", "items": color}), json!({})]);
    }
}
