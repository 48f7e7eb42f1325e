//! What a handler may know of the call that it answers.

use super::own_node::OwnNode;
use crate::{
    chance,
    client::Node,
    wire::{
        Code, Fault, TraceId,
        limits::{DEADLINE_MS_DEFAULT, DEADLINE_MS_MAX},
    },
};
use http::HeaderMap;
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The header with the time left, in milliseconds.
pub(crate) const DEADLINE_HEADER: &str = "micro-deadline-ms";
/// The same in calls of gRPC.
const TIMEOUT_HEADER: &str = "grpc-timeout";
/// The header with the trace id.
pub(crate) const TRACE_HEADER: &str = "micro-trace-id";
/// W3C Trace Context.
const TRACEPARENT_HEADER: &str = "traceparent";

/// The context of a call: its trace, its deadline, what the caller sent along. Handlers take it as their
/// second argument, `ctx: Ctx`, if they want it.
#[derive(Clone)]
pub struct Ctx {
    trace: TraceId,
    /// None for a call that may go on for as long as both sides wish.
    deadline: Option<Instant>,
    headers: Arc<HeaderMap>,
    own: Option<OwnNode>,
}

impl Ctx {
    /// The context that came with `headers`. A call without deadline has the default one; a call without
    /// trace starts one.
    ///
    /// # Errors
    /// `Usage` if the deadline is not a number of milliseconds.
    pub(crate) fn of(headers: HeaderMap) -> Result<Ctx, Fault> {
        let longest = Duration::from_millis(DEADLINE_MS_MAX.into());
        let ctx = Ctx::of_stream(headers)?;
        let deadline = match ctx.deadline {
            Some(deadline) => deadline.min(Instant::now() + longest),
            None => Instant::now() + Duration::from_millis(DEADLINE_MS_DEFAULT.into()),
        };
        Ok(Ctx { deadline: Some(deadline), ..ctx })
    }

    /// The same of a call whose request or answer is a stream: it has the time that its caller gave it, if any.
    ///
    /// # Errors
    /// `Usage` if the deadline is not a number of milliseconds.
    pub(crate) fn of_stream(headers: HeaderMap) -> Result<Ctx, Fault> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let deadline_ms = match headers.get(DEADLINE_HEADER) {
            None => text(TIMEOUT_HEADER).and_then(timeout_ms),
            Some(value) => {
                Some(text(DEADLINE_HEADER).and_then(|text| text.parse().ok()).ok_or_else(|| {
                    Fault::new(
                        Code::Usage,
                        format!("{DEADLINE_HEADER}: {value:?} is not a number of milliseconds"),
                    )
                })?)
            }
        };
        let given = text(TRACE_HEADER).and_then(|text| text.parse().ok());
        let trace = given.or_else(|| text(TRACEPARENT_HEADER).and_then(trace_of));
        Ok(Ctx {
            trace: trace.unwrap_or_else(|| TraceId(chance::bits().max(1))),
            deadline: deadline_ms.map(|ms| Instant::now() + Duration::from_millis(ms.into())),
            headers: Arc::new(headers),
            own: None,
        })
    }

    /// The same, for a service that reaches its node so.
    pub(crate) fn of_service(self, own: Option<OwnNode>) -> Ctx {
        Ctx { own, ..self }
    }

    /// The node that the service is attached to, as the service's own account: what is called and read through it is
    /// done by the service itself, which rules name `service:NAME`, and not by the user that its process runs as. Its
    /// token is renewed by itself. Requests take the time that this call has left.
    ///
    /// # Errors
    /// `Unavailable` if the service is attached to no node, or the node has given it no token; else why the node can't
    /// be reached.
    pub async fn node(&self) -> Result<Node, Fault> {
        let own = self.own.as_ref().ok_or_else(|| {
            Fault::new(Code::Unavailable, "this service is attached to no node, so it has nobody to act by")
        })?;
        let node = own.connect(self.remaining()).await?;
        Ok(node.with_timeout(self.remaining()))
    }

    /// The trace that the call belongs to: the same on its whole way through the mesh.
    pub fn trace(&self) -> TraceId {
        self.trace
    }

    /// W3C Trace Context, as it came, to be passed on to whatever is called next.
    pub fn traceparent(&self) -> Option<&str> {
        self.metadata(TRACEPARENT_HEADER)
    }

    /// The time left. When it is over the handler is dropped, at whatever await it is. A stream whose caller has set no
    /// deadline has all the time there is.
    pub fn remaining(&self) -> Duration {
        self.deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// A header that the caller sent along, if it is text. Case does not matter.
    pub fn metadata(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

impl fmt::Debug for Ctx {
    /// Without the headers, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ctx")
            .field("trace", &self.trace)
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}

/// The trace id of a `traceparent`: `version-trace-parent-flags`. 0 is invalid.
fn trace_of(traceparent: &str) -> Option<TraceId> {
    let trace = traceparent.split('-').nth(1)?.parse().ok()?;
    (trace != TraceId(0)).then_some(trace)
}

/// The milliseconds in a `grpc-timeout`: up to eight digits and a unit; none if it is no such thing.
fn timeout_ms(text: &str) -> Option<u32> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let amount: u64 = if digits.len() <= 8 { digits.parse().ok()? } else { return None };
    let ms = match unit {
        "H" => amount * 3_600_000,
        "M" => amount * 60_000,
        "S" => amount * 1000,
        "m" => amount,
        "u" => amount.div_ceil(1000),
        "n" => amount.div_ceil(1_000_000),
        _ => return None,
    };
    Some(u32::try_from(ms).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ctx(headers: &[(&'static str, &'static str)]) -> Result<Ctx, Fault> {
        Ctx::of(
            headers
                .iter()
                .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
                .collect(),
        )
    }

    #[test]
    fn the_trace_is_the_callers() {
        const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let own = ctx(&[(TRACE_HEADER, "0000000000000000000000000000002a"), ("traceparent", TRACEPARENT)]);
        assert_eq!(own.expect("good headers").trace(), TraceId(42));
        let theirs = ctx(&[("traceparent", TRACEPARENT)]).expect("good headers");
        assert_eq!(theirs.trace().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(theirs.traceparent(), Some(TRACEPARENT));
        assert_ne!(ctx(&[("traceparent", "garbage")]).expect("good headers").trace(), TraceId(0));
    }

    #[test]
    fn timeouts_of_grpc_are_read() {
        for (text, ms) in
            [("2S", 2000), ("250m", 250), ("1u", 1), ("5n", 1), ("1M", 60_000), ("99999999H", u32::MAX)]
        {
            assert_eq!(timeout_ms(text), Some(ms), "{text}");
        }
        for bad in ["", "S", "10", "-1S", "123456789S", "1é"] {
            assert_eq!(timeout_ms(bad), None, "{bad:?}");
        }
        let near = ctx(&[("grpc-timeout", "1S")]).expect("good headers").remaining();
        assert!(near > Duration::from_millis(900) && near <= Duration::from_secs(1), "{near:?}");
    }

    #[test]
    fn the_deadline_is_bounded_and_must_be_a_number() {
        let near = ctx(&[(DEADLINE_HEADER, "1000")]).expect("good headers").remaining();
        assert!(near > Duration::from_millis(900) && near <= Duration::from_secs(1), "{near:?}");
        let far = ctx(&[(DEADLINE_HEADER, "4000000000")]).expect("good headers").remaining();
        assert!(far <= Duration::from_secs(600), "{far:?}");
        let endless = Ctx::of_stream(HeaderMap::new()).expect("good headers");
        assert_eq!(endless.remaining(), Duration::MAX, "a stream has no deadline by itself");
        for garbage in ["", "-1", "1s", "5000000000"] {
            let fault = ctx(&[(DEADLINE_HEADER, garbage)]).expect_err("it is no number");
            assert_eq!(fault.code, Code::Usage);
        }
    }
}
