//! What the node says of a call to the instance that answers it: its trace, and who calls. Callers can't say it: what
//! they send under these names is refused or dropped at the doors.

use http::{HeaderMap, HeaderName, HeaderValue, header::InvalidHeaderValue};
use micro_sdk::wire::{Caller, Head};

/// W3C Trace Context.
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACE: HeaderName = HeaderName::from_static("micro-trace-id");
/// `admin`, `node`, `anonymous`, or `account`.
const CALLER: HeaderName = HeaderName::from_static("micro-caller");
/// The account: its name, its namespace, and its scopes, if it has any, with commas between them.
const ACCOUNT: HeaderName = HeaderName::from_static("micro-account");
const ACCOUNT_NAMESPACE: HeaderName = HeaderName::from_static("micro-account-namespace");
const ACCOUNT_SCOPES: HeaderName = HeaderName::from_static("micro-account-scopes");

/// Whether a node has sent this, to what it takes for an instance, on behalf of somebody else. Where it comes from says
/// nothing then of who asks.
pub fn is_passed_on(headers: &HeaderMap) -> bool {
    headers.contains_key(CALLER)
}

/// What a node says that asks something of an instance by itself, which its owner could have meant for another.
pub(crate) const OF_NODE: (&str, &str) = ("micro-caller", "node");

/// How many there are at most.
pub(super) const HEADERS_MAX: usize = 5;
/// What the names of the node's own headers begin with.
const RESERVED_PREFIX: &str = "micro-";

/// Whether a header is the node's own to set. To a server that is given headers as variables, `_` and `-` are the same
/// (RFC 3875, 4.1.18).
pub fn is_reserved(name: &str) -> bool {
    header_begins_with(name, RESERVED_PREFIX)
}

/// Whether the name of a header begins with `prefix`, of lower case, to such a server.
pub fn header_begins_with(name: &str, prefix: &str) -> bool {
    let mut letters = name.bytes().map(|byte| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() });
    prefix.bytes().all(|byte| letters.next() == Some(byte))
}

/// The headers for a call with this head. A `traceparent` among its metadata stays the only one, since it names the
/// caller's place in the trace more exactly. It may be none at all, so that the trace is told beside it; else the
/// node's own says everything.
pub(super) fn of(head: &Head) -> Vec<(HeaderName, Result<HeaderValue, InvalidHeaderValue>)> {
    let mut headers = Vec::with_capacity(HEADERS_MAX);
    let trace = head.trace.to_string();
    if !head.metadata.iter().any(|(name, _)| TRACEPARENT == name.as_str()) {
        let parent = ["00-", &trace, "-", &trace[16..], "-01"].concat();
        headers.push((TRACEPARENT, HeaderValue::try_from(parent).map(passing)));
    } else {
        headers.push((TRACE, HeaderValue::try_from(trace).map(passing)));
    }
    let caller = match &head.caller {
        Caller::Admin => "admin",
        Caller::Node(_) => "node",
        Caller::Anonymous | Caller::Stranger => "anonymous",
        Caller::Account(account) => {
            let scopes: Vec<&str> = account.scopes.iter().map(|scope| scope.as_str()).collect();
            headers.push((ACCOUNT, account.name.to_string().try_into()));
            headers.push((ACCOUNT_NAMESPACE, account.namespace.to_string().try_into()));
            if !scopes.is_empty() {
                headers.push((ACCOUNT_SCOPES, scopes.join(",").try_into()));
            }
            "account"
        }
    };
    headers.push((CALLER, Ok(HeaderValue::from_static(caller))));
    headers
}

/// A value that the next call does not have: HTTP/2 is told not to remember it, which takes both ends longer than to
/// send it (RFC 7541, 6.2.3).
pub(super) fn passing(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::auth::tests::account;
    use micro_sdk::wire::{Namespace, TraceId};

    pub fn head(caller: Caller) -> Head {
        Head {
            namespace: Namespace::default(),
            service: "shop".parse().expect("a good name"),
            endpoint: "Cart.add".to_owned(),
            caller,
            trace: TraceId(7),
            deadline_ms: 1,
            hops: 0,
            idempotency_key: None,
            metadata: Vec::new(),
            instance: None,
            attempts: None,
        }
    }

    #[test]
    fn a_name_is_reserved_however_it_is_written() {
        for reserved in ["micro-caller", "Micro-Caller", "micro_caller", "micro-"] {
            assert!(is_reserved(reserved), "{reserved}");
        }
        for free in ["micro", "x-micro-caller", "microscope", ""] {
            assert!(!is_reserved(free), "{free}");
        }
    }

    #[test]
    fn a_place_in_a_trace_is_told_once() {
        let mut head = head(Caller::Admin);
        let told = |head: &Head| of(head).swap_remove(0).0;
        assert_eq!(told(&head), "traceparent");
        head.metadata.push(("TraceParent".to_owned(), "00-7-7-01".to_owned()));
        assert_eq!(told(&head), "micro-trace-id");
    }

    #[test]
    fn an_instance_is_told_who_calls() {
        let told = |caller: Caller| {
            let head = head(caller);
            let headers = of(&head).into_iter();
            let line = |(name, value): (HeaderName, Result<HeaderValue, _>)| {
                let value = value.expect("names are text");
                format!("{name}: {}", value.to_str().expect("names are text"))
            };
            let headers: Vec<String> = headers.skip(1).map(line).collect();
            headers.join("\n")
        };
        assert_eq!(told(Caller::Admin), "micro-caller: admin");
        assert_eq!(told(Caller::Stranger), "micro-caller: anonymous");
        assert_eq!(
            told(account("acme", &[])),
            "micro-account: jane\nmicro-account-namespace: acme\nmicro-caller: account"
        );
        assert_eq!(
            told(account("acme", &["billing", "crm"])),
            "micro-account: jane\nmicro-account-namespace: acme\nmicro-account-scopes: billing,crm\nmicro-caller: account"
        );
    }
}
