//! A record as JSON and as a row.

use super::table::{NOTHING, Table, clean, cut};
pub(super) use super::unit::rfc3339;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use micro_sdk::client::Record;
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

/// The JSON form of a record. A value that is text stands in `value`, any other in `value_base64`.
#[derive(Serialize, JsonSchema)]
pub(super) struct RecordItem<'a> {
    /// Its key.
    key: &'a str,
    /// The value, if it is text.
    value: Option<&'a str>,
    /// The value in base64, if it is not text.
    value_base64: Option<String>,
    /// The revision that wrote it.
    version: u64,
    /// The revision that made it.
    created: u64,
    /// When it ends by itself, if it does: RFC 3339.
    expires: Option<String>,
    /// The lease that it ends with, if it does.
    lease: Option<u64>,
    /// Texts that are noted beside the value.
    metadata: &'a BTreeMap<String, String>,
}

impl<'a> From<&'a Record> for RecordItem<'a> {
    fn from(record: &'a Record) -> Self {
        let (value, value_base64) = text_or_base64(&record.value);
        RecordItem {
            key: &record.key,
            value,
            value_base64,
            version: record.version,
            created: record.created,
            expires: record.expires.map(rfc3339),
            lease: record.lease,
            metadata: &record.metadata,
        }
    }
}

/// A value as text if it is text, else as base64.
pub(super) fn text_or_base64(value: &Bytes) -> (Option<&str>, Option<String>) {
    match std::str::from_utf8(value) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(STANDARD.encode(value))),
    }
}

/// The time until then, as people read it.
pub(super) fn left(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::now()).unwrap_or_default()
}

/// The longest value in a listing, in characters, also in a pipe: one long value would pad every row to its length.
const VALUE_CHARS_MAX: usize = 64;
/// As many bytes as that many characters can take.
const VALUE_BYTES_SHOWN: usize = 4 * (VALUE_CHARS_MAX + 1);

/// The start of a value, on one line.
pub(super) fn excerpt(value: &[u8]) -> String {
    if value.is_empty() {
        return NOTHING.to_owned();
    }
    let start = &value[..value.len().min(VALUE_BYTES_SHOWN)];
    cut(&clean(&String::from_utf8_lossy(start)), Some(VALUE_CHARS_MAX))
}

/// How much a listing shows of each record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// The key.
    Key,
    /// Key, value, version.
    Value,
    /// And when it ends.
    Expiry,
    /// And all else.
    All,
}

/// Records as a table.
pub(super) fn listing(records: &[Record], detail: Detail) -> Table {
    let headers = ["KEY", "VALUE", "VERSION", "EXPIRY", "CREATED", "LEASE", "METADATA"];
    let columns = match detail {
        Detail::Key => 1,
        Detail::Value => 3,
        Detail::Expiry => 4,
        Detail::All => 7,
    };
    let mut table = Table::new(headers.into_iter().take(columns));
    for record in records {
        let metadata = record.metadata.iter().map(|(name, text)| format!("{name}={text}"));
        let metadata = metadata.collect::<Vec<_>>().join(",");
        let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
        let cells = [
            record.key.clone(),
            excerpt(&record.value),
            record.version.to_string(),
            or_nothing(record.expires.map(|time| super::unit::span(left(time).as_secs()))),
            record.created.to_string(),
            or_nothing(record.lease.map(|lease| lease.to_string())),
            or_nothing((!metadata.is_empty()).then_some(metadata)),
        ];
        table.row(cells.into_iter().take(columns));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &'static [u8], version: u64) -> Record {
        let created = version - 1;
        Record { key: key.to_owned(), value: value.into(), version, created, ..Record::default() }
    }

    #[test]
    fn a_listing_shows_key_value_and_version() {
        let records = [record("id1", b"{\"name\":\"Jane\"}", 42), record("id2", b"", 43)];
        let text = "\
KEY  VALUE            VERSION
id1  {\"name\":\"Jane\"}  42
id2  –                43";
        assert_eq!(listing(&records, Detail::Value).render(true, None), text);
        assert_eq!(listing(&records, Detail::Key).render(true, None), "KEY\nid1\nid2");
    }

    #[test]
    fn a_wide_listing_shows_what_else_there_is() {
        let expires = Some(SystemTime::now() + Duration::from_secs(7250));
        let metadata = BTreeMap::from([("by".to_owned(), "me".to_owned())]);
        let records = [Record { expires, metadata, lease: Some(7), ..record("id1", b"x", 42) }];
        let text = "\
KEY  VALUE  VERSION  EXPIRY  CREATED  LEASE  METADATA
id1  x      42       2h0m    41       7      by=me";
        assert_eq!(listing(&records, Detail::All).render(true, None), text);
    }

    #[test]
    fn a_listing_shows_the_start_of_a_long_value_on_one_line() {
        assert_eq!(excerpt(b"a\nb"), "a\\nb");
        assert_eq!(excerpt(&[b'x'; 64]), "x".repeat(64));
        for long in ["x".repeat(1 << 20), "日".repeat(65), "\n".repeat(65)] {
            let shown = excerpt(long.as_bytes());
            assert_eq!(shown.chars().count(), VALUE_CHARS_MAX, "{shown}");
            assert!(shown.ends_with('…'), "{shown}");
        }
    }

    #[test]
    fn json_keeps_every_byte_of_a_value() {
        let json = |record: &Record| serde_json::to_string(&RecordItem::from(record)).expect("it is JSON");
        let rest = r#""version":2,"created":1,"expires":null,"lease":null,"metadata":{}}"#;
        let text = format!(r#"{{"key":"a","value":"x","value_base64":null,{rest}"#);
        assert_eq!(json(&record("a", b"x", 2)), text);
        let bytes = format!(r#"{{"key":"a","value":null,"value_base64":"/wA=",{rest}"#);
        assert_eq!(json(&record("a", b"\xff\x00", 2)), bytes);
    }
}
