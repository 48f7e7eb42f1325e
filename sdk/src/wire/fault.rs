//! Refusals and failures as they travel: a stable code, what happened, what to do, and whether anything was done.

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What kind of failure, stable across versions. Each door shows it its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The called service failed.
    Failed,
    /// The caller's input is wrong.
    Usage,
    /// No node could be reached.
    Unreachable,
    /// The caller is not known, or may not do this.
    Denied,
    /// There is no such thing.
    NotFound,
    /// It exists already, or has another version than the caller thought.
    Conflict,
    /// The deadline passed; nothing is known to have been done.
    Timeout,
    /// Nobody can do it just now: no instance, no quorum, too much load.
    Unavailable,
    /// A write whose outcome is not known.
    Unknown,
    /// A defect of micro-node itself.
    Internal,
    /// The called one has as many calls in work as it takes: callers are faster than it is.
    Limited,
    /// What was there at that moment was given up: the history begins later.
    Compacted,
    /// The called one knows what was asked for, and does not do it.
    Unimplemented,
    /// What was sent is longer than the called one takes.
    TooLarge,
    /// The called one would have become too slow for all its callers: nothing was done.
    Overloaded,
}

impl Code {
    /// The stable name, as in JSON and in the brackets of the command line's errors.
    pub fn name(self) -> &'static str {
        match self {
            Code::Failed => "failed",
            Code::Usage => "usage",
            Code::Unreachable => "unreachable",
            Code::Denied => "denied",
            Code::NotFound => "not_found",
            Code::Conflict => "conflict",
            Code::Timeout => "timeout",
            Code::Unavailable => "unavailable",
            Code::Unknown => "unknown",
            Code::Internal => "internal",
            Code::Limited => "limited",
            Code::Compacted => "compacted",
            Code::Unimplemented => "unimplemented",
            Code::TooLarge => "too_large",
            Code::Overloaded => "overloaded",
        }
    }

    /// The exit code of the command line.
    pub fn exit_code(self) -> u8 {
        match self {
            Code::Failed | Code::Internal => 1,
            Code::Usage | Code::TooLarge => 2,
            Code::Unreachable => 3,
            Code::Denied => 4,
            Code::NotFound | Code::Unimplemented => 5,
            Code::Conflict | Code::Compacted => 6,
            Code::Timeout => 7,
            Code::Unavailable | Code::Limited | Code::Overloaded => 8,
            Code::Unknown => 9,
        }
    }

    /// The HTTP status (RFC 9110, RFC 6585).
    pub fn http_status(self) -> u16 {
        match self {
            Code::Failed | Code::Internal => 500,
            Code::Usage => 400,
            Code::Unreachable => 502,
            Code::Denied => 403,
            Code::NotFound => 404,
            Code::Conflict => 409,
            Code::Timeout | Code::Unknown => 504,
            Code::Unavailable | Code::Overloaded => 503,
            Code::Limited => 429,
            Code::Compacted => 410,
            Code::Unimplemented => 501,
            Code::TooLarge => 413,
        }
    }
}

/// What is known of the effect of a request that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing was done: repeating is safe.
    None,
    /// It may have been done, or may yet be: repeat only with the same idempotency key.
    Unknown,
}

/// A failure as it travels. Says the code, what happened, what to do next, and whether anything was done.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize, thiserror::Error)]
pub struct Fault {
    /// The stable kind.
    pub code: Code,
    /// What happened, lowercase, without a full stop, with the value that offended.
    pub message: String,
    /// What to do next, a line each, most likely first.
    pub help: Vec<String>,
    /// Whether anything was done.
    pub effect: Effect,
}

impl Fault {
    /// A fault of which nothing was done.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let effect = if code == Code::Unknown { Effect::Unknown } else { Effect::None };
        Fault { code, message: message.into(), help: Vec::new(), effect }
    }

    /// Adds a line of help.
    #[must_use]
    pub fn help(mut self, line: impl Into<String>) -> Self {
        self.help.push(line.into());
        self
    }

    /// Marks the effect as unknown.
    #[must_use]
    pub fn effect_unknown(mut self) -> Self {
        self.effect = Effect::Unknown;
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.message, self.code.name())
    }
}
