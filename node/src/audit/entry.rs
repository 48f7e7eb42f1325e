//! One line of the audit log.

use super::Digest;
use jiff::{Timestamp, fmt::temporal::DateTimePrinter};
use micro_actors::audit::AuditEvent;
use serde::{Deserialize, Serialize};
use std::time::SystemTime;

/// How times are written: all as long as each other, so that they are in the order of their texts.
const TIMES: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// An entry. Keys may be added, never renamed; what does not apply is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// Its number: each one more than that of the entry before.
    pub seq: u64,
    /// When, as RFC 3339 in UTC.
    pub time: String,
    /// `decision`; or of the log itself: `started`, `ended`, `dropped`, `torn`, `retired`.
    pub event: String,
    /// `admin`, `node`, `account`, `anonymous` or `stranger`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub caller: String,
    /// The account, as NAMESPACE/NAME: the caller's, or the one that somebody wants to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The user of this host, at the unix socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// What was to be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// To what.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource: String,
    /// What of it, such as `create account jane`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Whose that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// `allowed`, `denied` or `failed`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub verdict: String,
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// `socket`, `proxy`, `api`, `mesh`, `admission` or `process`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub door: String,
    /// The address or the node at its other side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// The trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// How many: the same once more within a second; entries that were dropped; bytes that were torn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The last entry that was given up with its file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub through: Option<u64>,
    /// The hash of that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// The hash of the line before; zeroes in the very first.
    pub prev: String,
}

impl Entry {
    /// A decision.
    pub(super) fn decision(event: AuditEvent) -> Self {
        Entry {
            time: written(event.time),
            event: "decision".to_owned(),
            caller: event.caller.to_owned(),
            account: event.account,
            uid: event.origin.uid(),
            action: event.action.to_owned(),
            resource: event.resource,
            about: event.about,
            namespace: event.namespace,
            verdict: event.verdict.name().to_owned(),
            why: event.why,
            door: event.origin.door().to_owned(),
            peer: event.origin.peer(),
            trace: event.trace.map(|trace| trace.to_string()),
            ..Entry::default()
        }
    }

    /// Something about the log itself.
    pub(super) fn of_log(event: &str, now: SystemTime) -> Self {
        Entry { time: written(now), event: event.to_owned(), ..Entry::default() }
    }

    /// The line, given its number and the hash of the one before.
    pub(super) fn line(mut self, seq: u64, prev: Digest) -> Vec<u8> {
        (self.seq, self.prev) = (seq, prev.to_string());
        serde_json::to_vec(&self).expect("texts and numbers are always JSON")
    }

    /// Reads a line.
    pub(super) fn parse(line: &[u8]) -> Option<(Self, Digest)> {
        let entry: Entry = serde_json::from_slice(line).ok()?;
        let prev = entry.prev.parse().ok()?;
        Some((entry, prev))
    }
}

/// A time as entries have it.
pub(super) fn written(time: SystemTime) -> String {
    Timestamp::try_from(time).map(|time| TIMES.timestamp_to_string(&time)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_actors::audit::Asker;
    use micro_sdk::wire::Caller;
    use std::time::Duration;

    #[test]
    fn a_line_is_read_back_and_its_form_is_frozen() {
        let event = AuditEvent::refused(Asker::of(&Caller::Stranger), "enter", "/x", "a \"b\"\n");
        let entry = Entry::decision(event);
        let line = entry.clone().line(7, Digest::NONE);
        let zeroes = "0".repeat(64);
        let expected = format!(
            r#"{{"seq":7,"time":"1970-01-01T00:00:00.000Z","event":"decision","caller":"stranger","action":"enter","resource":"/x","verdict":"denied","why":"a \"b\"\n","door":"process","prev":"{zeroes}"}}"#
        );
        assert_eq!(String::from_utf8(line.clone()).as_deref(), Ok(expected.as_str()));
        let read = Entry { seq: 7, prev: zeroes, ..entry };
        assert_eq!(Entry::parse(&line), Some((read, Digest::NONE)));
        assert_eq!(Entry::parse(b"{}"), None);
    }

    #[test]
    fn times_are_in_the_order_of_their_texts() {
        let at = |ms| written(SystemTime::UNIX_EPOCH + Duration::from_millis(ms));
        assert!(at(999) < at(1000) && at(1000) < at(1001) && at(59_999) < at(60_000));
    }
}
