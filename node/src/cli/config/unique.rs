//! Reads a document in which no object names a key twice: which of the two was meant, nobody can say.

use micro_sdk::wire::{Code, Fault};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::{cell::RefCell, fmt};

/// Reads a document. What the reader itself has to say is the inner result.
///
/// # Errors
/// [`Code::Usage`] with the path of a key that is named twice.
pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Result<Value, D::Error>, Fault> {
    let twice = RefCell::new(None);
    let read = Unique { path: "", twice: &twice }.deserialize(deserializer);
    match twice.into_inner() {
        Some(path) => {
            Err(Fault::new(Code::Usage, format!("the document names {path} twice"))
                .help("keep one of the two"))
        }
        None => Ok(read),
    }
}

/// Reads what is at a path, and says which key was there already.
#[derive(Clone, Copy)]
struct Unique<'p> {
    path: &'p str,
    twice: &'p RefCell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(Unique { ..self })? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let path = if self.path.is_empty() { name.clone() } else { format!("{}.{name}", self.path) };
            if values.contains_key(&name) {
                self.twice.replace(Some(path));
                return Err(A::Error::custom("a key is named twice"));
            }
            let value = map.next_value_seed(Unique { path: &path, ..self })?;
            values.insert(name, value);
        }
        Ok(values.into())
    }
}
