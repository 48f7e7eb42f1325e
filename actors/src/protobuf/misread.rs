//! Why JSON is not the message that it should be, and what would be: the values of an enum, the names of fields.

use micro_sdk::wire::{Code, Fault};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};

/// How many names are listed: more are looked up where all is described.
const LISTED_MAX: usize = 30;

/// What a field is called.
type Name = fn(&FieldDescriptor) -> &str;

/// What is wrong with `json`, in which `error` was found: [`Code::Usage`], with the place of what is wrong, and what
/// may stand there. Fields are called as `name` calls them.
pub fn misread(message: &MessageDescriptor, json: &[u8], error: &serde_json::Error, name: Name) -> Fault {
    let path = place(message.clone(), json);
    let at = path.as_ref().map_or(String::new(), |path| format!("{path}: "));
    let fault = Fault::new(Code::Usage, format!("that is no {}: {at}{error}", message.full_name()));
    let told = error.to_string();
    let fault = match wanted(message, path.as_deref().unwrap_or_default(), &told, name) {
        Some(wanted) => fault.help(wanted),
        None => fault,
    };
    fault.help("/openapi.json describes it")
}

/// The path of the value in `json` that the message can't have, if it is not the whole. It is looked for once something
/// is wrong: to keep track of paths costs those who make no mistake.
fn place(message: MessageDescriptor, json: &[u8]) -> Option<String> {
    let mut track = serde_path_to_error::Track::new();
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let tracked = serde_path_to_error::Deserializer::new(&mut deserializer, &mut track);
    DynamicMessage::deserialize(message, tracked).err()?;
    Some(track.path().to_string()).filter(|path| path != ".")
}

/// What may stand at a path of a message instead of what `error` is about.
fn wanted(message: &MessageDescriptor, path: &str, error: &str, name: Name) -> Option<String> {
    let (inside, last) = walk(message, path);
    if error.contains("unrecognized enum value") {
        let Kind::Enum(values) = last.as_ref()?.kind() else { return None };
        let names = values.values().map(|value| value.name().to_owned());
        return Some(format!("it is one of {}", listed(names)));
    }
    if error.contains("oneof") {
        let oneof = inside.oneofs().find(|oneof| error.contains(&format!("'{}'", oneof.name())))?;
        let fields = oneof.fields().map(|field| name(&field).to_owned());
        return Some(format!("give one of {}", listed(fields)));
    }
    if error.contains("unrecognized field name") {
        if inside.fields().len() == 0 {
            return Some(format!("{} has no fields", inside.full_name()));
        }
        let fields = inside.fields().map(|field| name(&field).to_owned());
        return Some(format!("the fields of {} are {}", inside.full_name(), listed(fields)));
    }
    None
}

/// The message at a path, or around the field at it, and that field.
fn walk(message: &MessageDescriptor, path: &str) -> (MessageDescriptor, Option<FieldDescriptor>) {
    let (mut inside, mut last) = (message.clone(), None);
    for step in path.split('.').filter(|step| !step.is_empty()) {
        let name = step.split('[').next().unwrap_or(step);
        let found = inside.get_field_by_json_name(name).or_else(|| inside.get_field_by_name(name));
        // The key of a map is no field.
        let Some(field) = found else { continue };
        let kind = match field.kind() {
            Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
            kind => kind,
        };
        if let Kind::Message(message) = kind {
            inside = message;
        }
        last = Some(field);
    }
    (inside, last)
}

fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    match names.get(..LISTED_MAX) {
        Some(first) if names.len() > LISTED_MAX => format!("{}, …", first.join(", ")),
        _ => names.join(", "),
    }
}
