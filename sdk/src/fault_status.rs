//! How a [`Fault`] crosses gRPC, and what other people's statuses mean as one.
//!
//! The gRPC code and message are for every client there is; the exact fault (help lines, effect) rides beside
//! them in a binary metadata entry, so that our own clients lose nothing.

use crate::wire::{Code, Codec, Fault};
use tonic::{Status, TimeoutExpired, metadata::MetadataValue};

/// The metadata entry of a status that holds the exact [`Fault`], as [`Codec`] encodes it.
pub const FAULT_METADATA: &str = "micro-fault-bin";

/// The largest encoded fault: with base64 and the message beside it, it stays well below the 16 KiB of
/// headers that HTTP/2 clients take by default.
const FAULT_BYTES_MAX: usize = 4096;

/// The longest plain message beside it. Percent-encoding may make it three times as long.
const MESSAGE_BYTES_MAX: usize = 1024;

impl From<Fault> for Status {
    /// The status that carries `fault`. A fault too long for a header loses its last help lines, then the end
    /// of its message.
    fn from(fault: Fault) -> Status {
        let message = head(&fault.message, MESSAGE_BYTES_MAX).to_owned();
        let mut status = Status::new(grpc_code(fault.code), message);
        let exact = MetadataValue::from_bytes(&Codec::encode(&fitted(fault)));
        status.metadata_mut().insert_bin(FAULT_METADATA, exact);
        status
    }
}

impl From<Status> for Fault {
    /// The exact fault where the status carries one, else the nearest: a foreign failure that may come after
    /// the work was done has an unknown effect.
    fn from(status: Status) -> Fault {
        let exact = status.metadata().get_bin(FAULT_METADATA).and_then(|value| value.to_bytes().ok());
        if let Some(fault) = exact.and_then(|bytes| Codec::decode::<Fault, FAULT_BYTES_MAX>(&bytes).ok()) {
            return fault;
        }
        let message = match status.message() {
            "" => status.code().description().to_lowercase(),
            message => message.to_owned(),
        };
        let (code, effect_unknown) = fault_code(&status);
        let fault = Fault::new(code, message);
        if effect_unknown { fault.effect_unknown() } else { fault }
    }
}

/// The gRPC status of each kind of fault.
fn grpc_code(code: Code) -> tonic::Code {
    match code {
        Code::Failed => tonic::Code::Unknown,
        Code::Usage => tonic::Code::InvalidArgument,
        Code::Denied => tonic::Code::PermissionDenied,
        Code::NotFound => tonic::Code::NotFound,
        // "The client should retry at a higher level (e.g., restarting a read-modify-write sequence)".
        Code::Conflict => tonic::Code::Aborted,
        // "May be returned even if the operation has completed successfully": so it suits both.
        Code::Timeout | Code::Unknown => tonic::Code::DeadlineExceeded,
        Code::Unreachable | Code::Unavailable => tonic::Code::Unavailable,
        Code::Internal => tonic::Code::Internal,
        // What gRPC says of a message that is too long.
        Code::Limited | Code::TooLarge | Code::Overloaded => tonic::Code::ResourceExhausted,
        // "The operation was attempted past the valid range".
        Code::Compacted => tonic::Code::OutOfRange,
        Code::Unimplemented => tonic::Code::Unimplemented,
    }
}

/// The kind of fault of a foreign status, and whether something may have been done in spite of it.
fn fault_code(status: &Status) -> (Code, bool) {
    match status.code() {
        tonic::Code::InvalidArgument | tonic::Code::OutOfRange => (Code::Usage, false),
        tonic::Code::Unauthenticated | tonic::Code::PermissionDenied => (Code::Denied, false),
        tonic::Code::NotFound => (Code::NotFound, false),
        tonic::Code::Unimplemented => (Code::Unimplemented, false),
        tonic::Code::AlreadyExists | tonic::Code::Aborted | tonic::Code::FailedPrecondition => {
            (Code::Conflict, false)
        }
        // tonic's server answers CANCELLED when the deadline that the caller sent has passed, as nobody else does.
        tonic::Code::Cancelled if status.message() == TimeoutExpired(()).to_string() => (Code::Timeout, true),
        tonic::Code::DeadlineExceeded => (Code::Timeout, true),
        tonic::Code::ResourceExhausted => (Code::Limited, false),
        tonic::Code::Unavailable => (Code::Unavailable, true),
        tonic::Code::Ok
        | tonic::Code::Cancelled
        | tonic::Code::Unknown
        | tonic::Code::Internal
        | tonic::Code::DataLoss => (Code::Failed, true),
    }
}

/// `fault`, cut so that it fits a header and the other side takes it: that counts not only the bytes but also what
/// they unfold to.
fn fitted(mut fault: Fault) -> Fault {
    while Codec::decode::<Fault, FAULT_BYTES_MAX>(&Codec::encode(&fault)).is_err() {
        if fault.help.pop().is_none() {
            // What is not the message takes a dozen bytes.
            let room = FAULT_BYTES_MAX - 64;
            fault.message.truncate(head(&fault.message, room).len());
        }
    }
    fault
}

/// The first `bytes` of `text`, or fewer, up to where a character ends.
fn head(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Effect;

    const CODES: [Code; 15] = [
        Code::Failed,
        Code::Usage,
        Code::Unreachable,
        Code::Denied,
        Code::NotFound,
        Code::Conflict,
        Code::Timeout,
        Code::Unavailable,
        Code::Unknown,
        Code::Internal,
        Code::Limited,
        Code::Compacted,
        Code::Unimplemented,
        Code::TooLarge,
        Code::Overloaded,
    ];

    #[test]
    fn a_fault_survives_the_way_through_a_status() {
        for code in CODES {
            let fault = Fault::new(code, "größer\nals gedacht").help("a").help("b\tc").effect_unknown();
            let headers = Status::from(fault.clone()).into_http::<()>().into_parts().0.headers;
            let status = Status::from_header_map(&headers).expect("it carries a status");
            assert_eq!(Fault::from(status), fault);
        }
    }

    #[test]
    fn a_huge_fault_is_cut_to_fit_a_header() {
        let huge = (0..100).fold(Fault::new(Code::NotFound, "ü".repeat(9000)), |fault, n| {
            fault.help(format!("{n} {}", "x".repeat(99)))
        });
        let status = Status::from(huge);
        assert!(status.message().len() <= MESSAGE_BYTES_MAX);
        let back = Fault::from(status);
        assert_eq!(back.code, Code::NotFound);
        assert!(back.message.starts_with("üü") && back.message.len() <= FAULT_BYTES_MAX);
    }

    #[test]
    fn help_is_dropped_before_the_message_is_cut() {
        let long = (0..100).fold(Fault::new(Code::NotFound, "m".repeat(2000)), |fault, n| {
            fault.help(format!("{n} {}", "x".repeat(99)))
        });
        let back = Fault::from(Status::from(long.clone()));
        assert_eq!(back.message, long.message);
        assert!(!back.help.is_empty() && long.help.starts_with(&back.help));
    }

    #[test]
    fn a_foreign_status_is_read_as_the_nearest_fault() {
        let cases = [
            (tonic::Code::Internal, Code::Failed, Effect::Unknown),
            (tonic::Code::Unauthenticated, Code::Denied, Effect::None),
            (tonic::Code::Unimplemented, Code::Unimplemented, Effect::None),
            (tonic::Code::FailedPrecondition, Code::Conflict, Effect::None),
            (tonic::Code::DeadlineExceeded, Code::Timeout, Effect::Unknown),
            (tonic::Code::Cancelled, Code::Failed, Effect::Unknown),
            (tonic::Code::ResourceExhausted, Code::Limited, Effect::None),
        ];
        for (from, code, effect) in cases {
            let fault = Fault::from(Status::new(from, "text"));
            assert_eq!((fault.code, fault.message.as_str(), fault.effect), (code, "text", effect));
        }
        assert!(!Fault::from(Status::new(tonic::Code::NotFound, "")).message.is_empty());
        let late = Status::from_error(Box::new(TimeoutExpired(())));
        assert_eq!(Fault::from(late).code, Code::Timeout);
    }

    #[test]
    fn garbage_in_the_metadata_is_not_taken_for_a_fault() {
        let mut status = Status::new(tonic::Code::NotFound, "no such thing");
        status.metadata_mut().insert_bin(FAULT_METADATA, MetadataValue::from_bytes(b"garbage"));
        assert_eq!(Fault::from(status), Fault::new(Code::NotFound, "no such thing"));
    }
}
