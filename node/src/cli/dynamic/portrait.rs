//! The help of a service and of an endpoint, made of what the service says of itself.

use super::{
    super::table::{Table, clean},
    METHOD_DEFAULT,
    field::Field,
    request::Target,
};
use crate::request::{Kinds, Schema, Spellings};
use micro_sdk::{
    client::ServiceDescription,
    wire::{Endpoint, Streams},
};
use std::fmt::Write;

/// What a service offers.
pub(super) fn service(service: &ServiceDescription, spellings: &Spellings) -> String {
    let name = clean(&service.name);
    let mut text = format!("Usage: micro-node {name} ENDPOINT [--FIELD=VALUE]… [JSON|@FILE|-]\n");
    if !service.endpoints.is_empty() {
        let mut table = Table::new(["ENDPOINT", "WHAT IT DOES"]);
        for endpoint in &service.endpoints {
            let summary = endpoint.doc.lines().next().unwrap_or_default();
            table.row([format!("  {}", spellings.shortest(&endpoint.name)), summary.to_owned()]);
        }
        write!(text, "\nEndpoints:\n{}\n", table.render(false, None)).expect("a String takes every write");
    }
    let usual =
        if spellings.find(None, METHOD_DEFAULT).is_some() { "; without one it is `call`" } else { "" };
    write!(text, "\nmicro-node {name} ENDPOINT --help shows what one takes{usual}.")
        .expect("a String takes every write");
    text
}

/// What an endpoint takes and gives.
pub(super) fn endpoint(target: Target<'_>, endpoint: &Endpoint, response: Schema<'_>) -> String {
    let mut text = String::new();
    for line in endpoint.doc.lines() {
        writeln!(text, "{}", clean(line)).expect("a String takes every write");
    }
    let fields = Field::all(target.schema);
    let (service, name) = (clean(target.service), clean(target.endpoint));
    let usage = if fields.is_empty() { "" } else { " [--FIELD=VALUE]…" };
    let gap = if text.is_empty() { "" } else { "\n" };
    writeln!(text, "{gap}Usage: micro-node {service} {name}{usage} [JSON|@FILE|-]")
        .expect("a String takes every write");
    let Streams { client, server } = endpoint.streams;
    section(
        &mut text,
        if client { "Fields of each message" } else { "Fields" },
        &fields,
        asked,
        target.schema,
    );
    let answers = if server { "Answers, any number of them" } else { "Answer" };
    section(&mut text, answers, &Field::all(response), answered, response);
    if client {
        text.push_str("\nWithout fields, messages are read from stdin: JSON, a line each.\n");
    }
    let verb = if endpoint.streams.any() { "stream" } else { "call" };
    write!(text, "\nmicro-node {verb} {service} {name} takes headers and keys too; micro-node services {service} -o json \
                  shows the schemas.")
    .expect("a String takes every write");
    text
}

/// A list of fields under a heading; where there are none, what the whole value is.
fn section(
    text: &mut String,
    heading: &str,
    fields: &[Field<'_>],
    row: fn(&Field<'_>) -> [String; 2],
    whole: Schema<'_>,
) {
    let mut table = Table::new(["FIELD", "WHAT IT IS"]);
    for field in fields {
        let [shown, about] = row(field);
        table.row([format!("  {shown}"), about]);
    }
    let body = match (fields.is_empty(), whole.kinds().shown()) {
        (false, _) => table.render(false, None),
        (true, kinds) if kinds.is_empty() || kinds == "an object" => return,
        (true, kinds) => format!("  {}", kinds),
    };
    write!(text, "\n{heading}:\n{body}\n").expect("a String takes every write");
}

/// A field as it is typed, and what it is.
fn asked(field: &Field<'_>) -> [String; 2] {
    [flag(field), about(field, "repeat it for more; each: ")]
}

fn flag(field: &Field<'_>) -> String {
    let name = field.name();
    match field.schema {
        Some(_) if field.is_switch() => format!("--{name}[=false]"),
        Some(schema) => format!("--{name}={}", placeholder(schema)),
        None => format!("--{name}=VALUE"),
    }
}

/// A field as it is answered, and what it is.
fn answered(field: &Field<'_>) -> [String; 2] {
    let kind = field.schema.map_or_else(String::new, |schema| match schema.choices() {
        choices if choices.is_empty() => word(schema.kinds()).to_lowercase(),
        // They are what they are.
        choices => choices.join("|"),
    });
    [format!("{}  {kind}", field.name()), about(field, "each: ")]
}

/// What is to be put in for a value, as one word.
fn placeholder(schema: Schema<'_>) -> String {
    let choices = schema.choices();
    if !choices.is_empty() {
        return choices.join("|");
    }
    word(schema.kinds()).to_owned()
}

fn word(kinds: Kinds) -> &'static str {
    match kinds {
        Kinds { string: true, .. } => "TEXT",
        Kinds { array: true, .. } => "LIST",
        Kinds { number: true, .. } => "NUMBER",
        Kinds { integer: true, .. } => "INTEGER",
        Kinds { boolean: true, .. } => "BOOLEAN",
        Kinds { object: true, .. } => "JSON",
        _ => "VALUE",
    }
}

/// What the service says of a field, and what else there is to know: of a list, what `each` of it is.
fn about(field: &Field<'_>, each: &str) -> String {
    let Some(schema) = field.schema else { return String::new() };
    let mut words: Vec<String> = schema.description().map(first_paragraph).into_iter().collect();
    if schema.kinds().array {
        let items = schema.items().map(Schema::kinds).unwrap_or_default();
        words.push(format!("[{each}{}]", word(items).to_lowercase()));
    }
    if let Some(default) = schema.default() {
        words.push(format!("[default: {default}]"));
    }
    if field.required {
        words.push("[required]".to_owned());
    }
    words.join(" ")
}

/// The first paragraph of a comment, on one line.
fn first_paragraph(text: &str) -> String {
    text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeSet;

    fn greeter() -> Endpoint {
        Endpoint {
            name: "Greeter.call".to_owned(),
            request_schema: String::new(),
            response_schema: String::new(),
            doc: "Says hello.\n\nTo whoever asks.".to_owned(),
            routes: Vec::new(),
            streams: Streams::default(),
        }
    }

    #[test]
    fn a_service_shows_its_endpoints() {
        let description = ServiceDescription {
            name: "helloworld".to_owned(),
            instances: Vec::new(),
            endpoints: vec![greeter()],
        };
        let spellings = Spellings::of("helloworld", &BTreeSet::from(["Greeter.call"]));
        let text = "\
Usage: micro-node helloworld ENDPOINT [--FIELD=VALUE]… [JSON|@FILE|-]

Endpoints:
  call  Says hello.

micro-node helloworld ENDPOINT --help shows what one takes; without one it is `call`.";
        assert_eq!(service(&description, &spellings), text);
    }

    #[test]
    fn an_endpoint_shows_what_it_takes_and_gives() {
        let request = json!({
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "description": "Whom to greet,\nby name.\n\nMore."},
                "loud": {"type": "boolean", "default": false},
                "tags": {"type": "array", "items": {"type": "string"}},
                "place": {"type": "object", "properties": {"zip": {"type": "integer", "description": "Where."}}},
                "kind": {"enum": ["big", "small"]},
            },
        });
        let response = json!({"properties": {
            "msg": {"type": "string", "description": "The greeting."},
            "tags": {"type": "array", "items": {"type": "string"}},
        }});
        let schema = Schema::of(&request);
        let target = Target { service: "helloworld", endpoint: "call", schema };
        let text = "\
Says hello.

To whoever asks.

Usage: micro-node helloworld call [--FIELD=VALUE]… [JSON|@FILE|-]

Fields:
  --kind=big|small
  --loud[=false]       [default: false]
  --name=TEXT          Whom to greet, by name. [required]
  --place.zip=INTEGER  Where.
  --tags=LIST          [repeat it for more; each: text]

Answer:
  msg  text   The greeting.
  tags  list  [each: text]

micro-node call helloworld call takes headers and keys too; micro-node services helloworld -o json shows the schemas.";
        assert_eq!(endpoint(target, &greeter(), Schema::of(&response)), text);
        let streamed = Endpoint { streams: Streams { client: true, server: true }, ..greeter() };
        let text = self::endpoint(target, &streamed, Schema::of(&response));
        for part in
            ["Fields of each message:", "Answers, any number of them:", "from stdin", "micro-node stream "]
        {
            assert!(text.contains(part), "no {part:?}: {text}");
        }
        let nothing = json!({"type": "string"});
        let target = Target { service: "a", endpoint: "b", schema: Schema::of(&nothing) };
        let text = endpoint(target, &greeter(), Schema::of(&nothing));
        assert!(text.contains("Fields:\n  a text\n") && text.contains("Answer:\n  a text\n"), "{text}");
    }
}
