//! The head of a call: everything about it but its body.

use super::{AccountCaller, InstanceId, Namespace, ServiceName, TraceId};
use bincode::{Decode, Encode};
use std::{fmt, sync::Arc};

/// How often a call may be passed on: from the door's node to the one that has the instance.
pub const HOPS_MAX: u8 = 1;

/// Who calls, as far as the mesh has made sure of it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Caller {
    /// The operator: root or the node's own user on the local socket, or a holder of the admin secret.
    Admin,
    /// Anyone of this host who said nothing of who they are: they came by a listener on loopback.
    Anonymous,
    /// Another node of the mesh, on its own account.
    Node(super::NodeId),
    /// Whoever showed a token of this account.
    Account(Arc<AccountCaller>),
    /// Anyone at all who said nothing of who they are: they came by a listener that other hosts reach.
    Stranger,
}

impl Caller {
    /// The account, if it is one.
    pub fn account(&self) -> Option<&AccountCaller> {
        match self {
            Caller::Account(account) => Some(account),
            _ => None,
        }
    }
}

/// As refusals name it.
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Caller::Admin => f.write_str("the admin"),
            Caller::Node(_) => f.write_str("a node"),
            Caller::Anonymous | Caller::Stranger => f.write_str("an anonymous caller"),
            Caller::Account(account) => write!(f, "the account {account}"),
        }
    }
}

/// The head of a call: where to, from whom, how long, and how it is followed.
///
/// `deadline_ms` is what is left, not a time of day: it is set at the door and only shrinks, so that clocks need
/// not agree.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Head {
    /// The tenant.
    pub namespace: Namespace,
    /// The service called.
    pub service: ServiceName,
    /// The endpoint of the service, as `Handler.method`, or `method` where a service has a sole handler.
    pub endpoint: String,
    /// Who calls.
    pub caller: Caller,
    /// The trace that this call belongs to.
    pub trace: TraceId,
    /// The time left, in milliseconds. Never more than [`super::limits::DEADLINE_MS_MAX`], but for a call whose request
    /// and answer go on: that may have more, or [none](super::limits::DEADLINE_MS_NONE).
    pub deadline_ms: u32,
    /// How often the call has been passed on. Never more than [`HOPS_MAX`].
    pub hops: u8,
    /// Makes a repeated write the same write.
    pub idempotency_key: Option<u128>,
    /// Headers that the caller sent along, names in lowercase.
    pub metadata: Vec<(String, String)>,
    /// The instance that it is for, as the node has chosen at whose door it came in. None: any on the node that has it.
    pub instance: Option<InstanceId>,
    /// How often it may be attempted, if the caller has said that: the first one included.
    pub attempts: Option<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Codec, limits::HEAD_BYTES_MAX};

    #[test]
    fn layout_is_frozen() {
        let head = Head {
            namespace: Namespace::default(),
            service: "helloworld".parse().expect("a good name"),
            endpoint: "call".to_owned(),
            caller: Caller::Anonymous,
            trace: TraceId(7),
            deadline_ms: 1000,
            hops: 1,
            idempotency_key: None,
            metadata: vec![("a".to_owned(), "b".to_owned())],
            instance: Some(9),
            attempts: None,
        };
        let bytes = Codec::encode(&head);
        let golden = b"\x01\x00\x07default\x0ahelloworld\x04call\x01\x07\xfb\xe8\x03\x01\x00\x01\x01a\x01b\x01\x09\x00";
        assert_eq!(bytes, golden);
        assert_eq!(Codec::decode::<Head, HEAD_BYTES_MAX>(&bytes), Ok(head));
        assert_eq!(Codec::encode(&Caller::Stranger), b"\x01\0\x04");
    }
}
