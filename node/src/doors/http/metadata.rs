//! What the headers of a request say about the call: its trace, its deadline, its key, and what it carries along.

use super::REQUEST_ID;
use crate::doors::claims::is_kept_back;
use http::{HeaderMap, HeaderName, HeaderValue};
use micro_actors::{is_reserved, policy::ATTEMPTS_MAX};
use micro_sdk::wire::{Code, Fault, TraceId};
use std::time::Duration;

/// Says how many milliseconds a call may take.
const DEADLINE_HEADER: &str = "micro-deadline-ms";
/// Says how often a call may be attempted.
const ATTEMPTS_HEADER: &str = "micro-attempts";
/// Makes a repeated write the same write.
const KEY_HEADER: &str = "idempotency-key";
/// How many headers a call may carry along, and how long all of them.
const METADATA_ENTRIES_MAX: usize = 32;
const METADATA_BYTES_MAX: usize = 8 << 10;

/// The time that a request gives to its call.
///
/// # Errors
/// [`Code::Usage`] for what is no number above 0.
pub(super) fn deadline(headers: &HeaderMap) -> Result<Option<Duration>, Fault> {
    let Some(value) = headers.get(DEADLINE_HEADER) else { return Ok(None) };
    let ms = value.to_str().ok().and_then(|text| text.parse::<u32>().ok()).filter(|ms| *ms > 0);
    let ms =
        ms.ok_or_else(|| Fault::new(Code::Usage, format!("{DEADLINE_HEADER} takes a number above 0")))?;
    Ok(Some(Duration::from_millis(ms.into())))
}

/// How often a request lets its call be attempted, the first one included.
///
/// # Errors
/// [`Code::Usage`] for what is no number from 1 to 10.
pub(in crate::doors) fn attempts(headers: &HeaderMap) -> Result<Option<u8>, Fault> {
    let Some(value) = headers.get(ATTEMPTS_HEADER) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    let number = number.filter(|number| (1..=ATTEMPTS_MAX).contains(number));
    number.map(Some).ok_or_else(|| {
        Fault::new(Code::Usage, format!("{ATTEMPTS_HEADER} takes a number from 1 to {ATTEMPTS_MAX}"))
    })
}

/// The idempotency key of a request: 1 to 32 hexadecimal digits, also as a UUID, also in quotes.
///
/// # Errors
/// [`Code::Usage`] for anything else.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<u128>, Fault> {
    let Some(value) = headers.get(KEY_HEADER) else { return Ok(None) };
    let digits = value.to_str().unwrap_or("").trim_matches('"').replace('-', "");
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let key = u128::from_str_radix(&digits, 16).ok().filter(|_| plain);
    key.map(Some).ok_or_else(|| {
        Fault::new(Code::Usage, format!("{KEY_HEADER} takes a UUID, or 1 to 32 hexadecimal digits"))
    })
}

/// The trace that a request says it belongs to: that of its `traceparent` (W3C Trace Context), else its `x-request-id`,
/// where that is a UUID or as many digits, as proxies and people's clients make them.
pub(in crate::doors) fn trace_of(headers: &HeaderMap) -> Option<TraceId> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let parent = text("traceparent").and_then(|parent| id(parent.split('-').nth(1)?));
    parent.or_else(|| text(REQUEST_ID.as_str()).and_then(|own| id(&own.replace('-', ""))))
}

/// An id of 32 hexadecimal digits; 0 is none.
fn id(digits: &str) -> Option<TraceId> {
    let plain = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let trace = u128::from_str_radix(digits, 16).ok().filter(|trace| plain && *trace != 0);
    trace.map(TraceId)
}

/// The headers that a call carries along, checked and sorted.
///
/// # Errors
/// [`Code::Usage`] for what can't be sent, and over the limits.
pub(in crate::doors) fn metadata(
    given: impl IntoIterator<Item = (String, String)>,
) -> Result<Vec<(String, String)>, Fault> {
    let mut metadata = Vec::new();
    let mut bytes = 0;
    for (name, value) in given {
        let name = name.to_ascii_lowercase();
        bytes += name.len() + value.len();
        let header = HeaderName::from_bytes(name.as_bytes()).ok();
        let Some(header) = header.filter(|_| HeaderValue::from_str(&value).is_ok()) else {
            return Err(Fault::new(Code::Usage, format!("{name:?} is not a header that can be sent")));
        };
        let hop = matches!(
            name.as_str(),
            "host" | "content-length" | "content-type" | "transfer-encoding" | "connection"
        );
        if hop || is_reserved(&name) {
            return Err(Fault::new(Code::Usage, format!("the header {name:?} is set by the node")));
        }
        if is_kept_back(&header) {
            let message =
                format!("the header {name:?} says who calls or where from: no caller is believed that");
            return Err(Fault::new(Code::Usage, message));
        }
        metadata.push((name, value));
    }
    if metadata.len() > METADATA_ENTRIES_MAX || bytes > METADATA_BYTES_MAX {
        let message =
            format!("at most {METADATA_ENTRIES_MAX} headers of {METADATA_BYTES_MAX} bytes are carried along");
        return Err(Fault::new(Code::Usage, message));
    }
    metadata.sort();
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))])
    }

    #[test]
    fn traces_are_read_from_traceparent() {
        let told = |name: &'static str, value: &'static str| {
            trace_of(&HeaderMap::from_iter([(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )]))
        };
        let trace = told("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        assert_eq!(trace.map(|trace| trace.to_string()).as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
        assert_eq!(told("traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01"), None);
        assert_eq!(told("traceparent", "nonsense"), None);
        assert_eq!(told("x-request-id", "0af76519-16cd-43dd-8448-eb211c80319c"), trace);
        assert_eq!(told("x-request-id", "0AF7651916CD43DD8448EB211C80319C"), trace);
        assert_eq!(told("x-request-id", "mine-7"), None);
        assert_eq!(told("x-request-id", "+af7651916cd43dd8448eb211c80319c"), None);
    }

    #[test]
    fn keys_are_hexadecimal() {
        assert_eq!(idempotency_key(&HeaderMap::new()), Ok(None));
        for (text, key) in [
            ("2a", 42),
            ("\"2a\"", 42),
            ("00000000-0000-0000-0000-00000000002a", 42),
            ("ffffffffffffffffffffffffffffffff", u128::MAX),
        ] {
            assert_eq!(idempotency_key(&header(KEY_HEADER, text)), Ok(Some(key)), "{text}");
        }
        for text in ["", "-", "x", "+1", "1ffffffffffffffffffffffffffffffff"] {
            assert!(idempotency_key(&header(KEY_HEADER, text)).is_err(), "{text}");
        }
    }

    #[test]
    fn deadlines_are_numbers_above_0() {
        assert_eq!(deadline(&header(DEADLINE_HEADER, "250")), Ok(Some(Duration::from_millis(250))));
        for text in ["0", "-1", "1s", "", "99999999999"] {
            assert!(deadline(&header(DEADLINE_HEADER, text)).is_err(), "{text}");
        }
    }
}
