//! A record as a line of JSON, as exports and snapshots have it.

use super::item::{rfc3339, text_or_base64};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use jiff::Timestamp;
use micro_sdk::client::Record;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::SystemTime};

/// A record as one line. One of a snapshot has a table, one of an export none.
#[derive(Debug, Default, Serialize, JsonSchema, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Line {
    /// The table that it is in; only in a snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) table: Option<String>,
    /// Its key.
    key: String,
    /// Its value, if that is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// Its value in base64, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    /// For people: whoever writes the record anew makes a new version.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    /// When it ends by itself: RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    /// Texts that are noted beside the value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
}

impl From<Record> for Line {
    fn from(record: Record) -> Line {
        let (value, value_base64) = text_or_base64(&record.value);
        Line {
            table: None,
            value: value.map(str::to_owned),
            value_base64,
            key: record.key,
            version: Some(record.version),
            expires: record.expires.map(rfc3339),
            metadata: record.metadata,
        }
    }
}

impl Line {
    /// The same in a table that the line names.
    pub(super) fn of(self, table: String) -> Line {
        Line { table: Some(table), ..self }
    }

    /// The record that it is of.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn record(self) -> Result<Record, String> {
        if self.key.is_empty() {
            return Err("it has no key".to_owned());
        }
        let value = match (self.value, self.value_base64) {
            (Some(text), None) => Bytes::from(text),
            (None, Some(base64)) => {
                STANDARD.decode(base64).map_err(|error| format!("value_base64: {error}"))?.into()
            }
            _ => return Err("it has to have one of value and value_base64".to_owned()),
        };
        let expires: Option<Timestamp> = match self.expires {
            Some(expires) => Some(expires.parse().map_err(|error| format!("expires: {error}"))?),
            None => None,
        };
        Ok(Record {
            key: self.key,
            value,
            version: self.version.unwrap_or_default(),
            expires: expires.map(SystemTime::from),
            metadata: self.metadata,
            ..Record::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_record_comes_back_from_its_line() {
        let expires = Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_000_000_123));
        let metadata = BTreeMap::from([("by".to_owned(), "me".to_owned())]);
        for value in [&b"text"[..], b"", b"\xff\x00"] {
            let (key, value) = ("a".to_owned(), Bytes::from(value));
            let record =
                Record { key, value, version: 7, expires, metadata: metadata.clone(), ..Record::default() };
            let text = serde_json::to_string(&Line::from(record.clone())).expect("it is JSON");
            assert!(!text.contains("table"), "{text}");
            let line: Line = serde_json::from_str(&text).expect("it is a line");
            assert_eq!(line.record(), Ok(record), "{text}");
        }
    }

    #[test]
    fn a_line_that_is_no_record_is_told_why() {
        for (text, why) in [
            (r#"{"key":"a"}"#, "one of value and value_base64"),
            (r#"{"key":"a","value":"x","value_base64":"eA=="}"#, "one of value and value_base64"),
            (r#"{"key":"a","value_base64":"?"}"#, "value_base64: "),
            (r#"{"key":"a","value":"x","expires":"soon"}"#, "expires: "),
        ] {
            let line: Line = serde_json::from_str(text).expect("it is a line");
            let refusal = line.record().expect_err("it is no record");
            assert!(refusal.contains(why), "{text}: {refusal}");
        }
    }
}
