//! The values of the file: each is read by what reads the flag of the same meaning, so that what a file takes is what
//! the flag takes.

use super::super::{
    AUDIT_FILES, DOOR_THREADS, Extent, LogFormat, Voters, acme, dns, label, links, log, loopback,
    storage::{COPIES, LOG_KEPT, SNAPSHOT_EVERY, TRANSACTION_OPS},
};
use crate::{cli::unit, config::Limit};
use clap::ValueEnum;
use micro_actors::acme::Domain;
use micro_mesh::{JoinToken, Price};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};
use serde_json::{Map, json};
use std::{borrow::Cow, fmt, marker::PhantomData, ops::RangeInclusive};

/// A value, as the text that its flag would be given.
pub(super) struct Value<M> {
    text: String,
    meaning: PhantomData<fn() -> M>,
}

/// What a value means.
pub(super) trait Meaning {
    /// What it has to be, for people.
    const EXPECTED: &'static str;
    /// Its type in JSON Schema, and what else that can say of it.
    fn schema() -> serde_json::Value;
    /// Whether it is a number in the file.
    const NUMBER: bool;
    /// Whether it is a text in the file.
    const TEXT: bool;
    /// Whether it is true or false in the file.
    const TRUTH: bool;

    /// Refuses what it can't be.
    ///
    /// # Errors
    /// With the reason.
    fn check(text: &str) -> Result<(), String>;
}

impl<M> Serialize for Value<M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de, M: Meaning> Deserialize<'de> for Value<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading(PhantomData))
    }
}

impl<M: Meaning> JsonSchema for Value<M> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let said = M::schema();
        Schema::from(said.as_object().cloned().unwrap_or_else(Map::new))
    }
}

struct Reading<M>(PhantomData<M>);

impl<M: Meaning> Reading<M> {
    fn take<E: Error>(self, text: String) -> Result<Value<M>, E> {
        M::check(&text).map_err(E::custom)?;
        Ok(Value { text, meaning: PhantomData })
    }
}

impl<M: Meaning> Visitor<'_> for Reading<M> {
    type Value = Value<M>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(M::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value<M>, E> {
        match M::TEXT {
            true => self.take(text.to_owned()),
            false => Err(E::invalid_type(serde::de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Value<M>, E> {
        match M::TRUTH {
            true => self.take(truth.to_string()),
            false => Err(E::invalid_type(serde::de::Unexpected::Bool(truth), &self)),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value<M>, E> {
        match M::NUMBER {
            true => self.take(number.to_string()),
            false => Err(E::invalid_type(serde::de::Unexpected::Signed(number), &self)),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value<M>, E> {
        match M::NUMBER {
            true => self.take(number.to_string()),
            false => Err(E::invalid_type(serde::de::Unexpected::Unsigned(number), &self)),
        }
    }
}

/// Makes meanings: a name, whether it is written as a `text`, as a `number`, as `either` of them or as a `truth`, what
/// is expected, its JSON Schema and what reads it.
macro_rules! meanings {
    (@ text) => { (true, false, false) };
    (@ number) => { (false, true, false) };
    (@ either) => { (true, true, false) };
    (@ truth) => { (false, false, true) };
    ($($name:ident, $written:ident, $expected:literal, $schema:tt, $read:expr;)*) => {$(
        #[doc = concat!("It is ", $expected, ".")]
        pub(super) enum $name {}

        impl Meaning for $name {
            const EXPECTED: &'static str = $expected;
            const TEXT: bool = meanings!(@ $written).0;
            const NUMBER: bool = meanings!(@ $written).1;
            const TRUTH: bool = meanings!(@ $written).2;

            fn schema() -> serde_json::Value {
                json!($schema)
            }

            fn check(text: &str) -> Result<(), String> {
                ($read)(text).map(drop).map_err(|why| why.to_string())
            }
        }
    )*};
}

meanings! {
    Name, text, "a name of a-z, 0-9 and '-'",
        {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"}, label::name;
    Label, text, "a name of letters, digits, '-', '_' and '.'",
        {"type": "string", "pattern": "^[A-Za-z0-9._-]{0,63}$"}, label::place;
    Path, text, "a path", {"type": "string", "minLength": 1}, path;
    SecretFile, text, "the path of a file that holds the secret", {"type": "string", "minLength": 1}, secret_file;
    Listener, text, "an address as \"0.0.0.0:8443\"", {"type": "string", "examples": ["0.0.0.0:8443"]}, label::listener;
    Loopback, text, "an address of this host as \"127.0.0.1:8080\"",
        {"type": "string", "examples": ["127.0.0.1:8080"]}, local;
    NameServer, text, "an address as \"127.0.0.1:8053\", or \"off\"",
        {"type": "string", "examples": ["127.0.0.1:8053", "off"]}, dns::listen;
    Dialled, text, "a place as \"alpha.example.org:8443\"",
        {"type": "string", "examples": ["alpha.example.org:8443"]}, label::place_on_network;
    Places, text, "a place as \"alpha.example.org:8443\", or several with commas between them",
        {"type": "string", "examples": ["alpha.example.org:8443", "10.0.0.1:8443,alpha.example.org:8443"]}, places;
    Truth, truth, "true or false", {"type": "boolean"}, str::parse::<bool>;
    LinkTimeout, text, "a time from \"500ms\" to \"60s\"", {"type": "string", "examples": ["2s"]}, links::timeout;
    GbPrice, text, "a price as \"aws:gcp=0.09\"", {"type": "string", "examples": ["aws:gcp=0.09"]}, str::parse::<Price>;
    Host, text, "a name as \"api.example.org\"", {"type": "string", "examples": ["api.example.org"]}, label::host;
    Origin, text, "an origin as \"https://app.example.org\"",
        {"type": "string", "examples": ["https://app.example.org"]}, label::origin;
    Certified, text, "a name as \"api.example.org\"",
        {"type": "string", "examples": ["api.example.org"]}, str::parse::<Domain>;
    Agreed, truth, "true or false", {"type": "boolean"}, str::parse::<bool>;
    Mailbox, text, "an address as \"ops@example.org\"",
        {"type": "string", "examples": ["ops@example.org"]}, acme::email;
    AuthorityUrl, text, "an address as \"https://HOST/PATH\"",
        {"type": "string", "examples": [acme::DIRECTORY]}, acme::directory;
    Voter, number, "3 or 5", {"enum": [3, 5]}, choice::<Voters>;
    Life, text, "a time from \"10s\" to \"2160h\"", {"type": "string", "examples": ["24h"]}, label::certificate_life;
    Threads, number, "a number from 0 to 64", {"type": "integer", "minimum": 0, "maximum": 64},
        |text| within(text, &DOOR_THREADS);
    Look, text, "a time up to \"1ms\", or \"off\"", {"type": "string", "examples": ["200us", "off"]}, label::busy_poll;
    Operations, number, "a number from 1024 to 4096",
        {"type": "integer", "minimum": *TRANSACTION_OPS.start(), "maximum": *TRANSACTION_OPS.end()},
        |text| within(text, &TRANSACTION_OPS);
    SnapshotEvery, number, "a number from 1000 to 10000000",
        {"type": "integer", "minimum": *SNAPSHOT_EVERY.start(), "maximum": *SNAPSHOT_EVERY.end()},
        |text| within(text, &SNAPSHOT_EVERY);
    LogKept, number, "a number from 1000 to 10000000",
        {"type": "integer", "minimum": *LOG_KEPT.start(), "maximum": *LOG_KEPT.end()}, |text| within(text, &LOG_KEPT);
    BlobCopies, number, "a number from 1 to 9",
        {"type": "integer", "minimum": *COPIES.start(), "maximum": *COPIES.end()}, |text| within(text, &COPIES);
    Bound, either, "a number above 0, or \"off\"",
        {"oneOf": [{"type": "integer", "minimum": 1, "maximum": u32::MAX}, {"const": "off"}]}, str::parse::<Limit>;
    Told, text, "\"changes\", \"all\" or \"off\"", {"enum": ["changes", "all", "off"]}, choice::<Extent>;
    Size, text, "a size as \"8MiB\"", {"type": "string", "examples": ["8MiB"]}, unit::size;
    Files, number, "a number from 2 to 10000", {"type": "integer", "minimum": 2, "maximum": 10_000},
        |text| within(text, &AUDIT_FILES);
    Filter, text, "a filter as \"warn,micro=info\"", {"type": "string", "examples": ["warn,micro=info"]}, log::directives;
    Format, text, "\"pretty\" or \"json\"", {"enum": ["pretty", "json"]}, choice::<LogFormat>;
}

fn choice<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, false).map_err(|_| {
        let all = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        format!(
            "it is one of {}",
            all.map(|value| value.get_name().to_owned()).collect::<Vec<_>>().join(", ")
        )
    })
}

fn within(text: &str, range: &RangeInclusive<usize>) -> Result<(), String> {
    match text.parse().is_ok_and(|number| range.contains(&number)) {
        true => Ok(()),
        false => Err(format!("it takes {} to {}", range.start(), range.end())),
    }
}

fn places(text: &str) -> Result<(), String> {
    text.split(',').try_for_each(|place| label::place_on_network(place).map(drop))
}

fn local(text: &str) -> Result<(), String> {
    loopback(label::listener(text)?)
}

/// Refuses what a shell would turn into a path, since no shell reads the file.
fn path(text: &str) -> Result<(), String> {
    match text {
        "" => Err("it names no place".to_owned()),
        _ if text.starts_with('~') => Err("only a shell knows what ~ is: write the whole path".to_owned()),
        _ => Ok(()),
    }
}

/// Refuses the secret itself, and does not repeat it.
fn secret_file(text: &str) -> Result<(), String> {
    match text.trim().parse::<JoinToken>() {
        Ok(_) => Err("it takes the path of a file with the token, not the token itself".to_owned()),
        Err(_) => path(text.strip_prefix('@').unwrap_or(text)),
    }
}
