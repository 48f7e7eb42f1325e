//! Who asks, and where they came in.

use micro_sdk::wire::{Caller, NodeId, TraceId};
use std::net::{IpAddr, SocketAddr};

/// Where a request came in, as the door has made sure of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// This node's own process.
    #[default]
    Process,
    /// The unix socket: a process that runs as this user, as the kernel tells.
    Socket {
        /// The user.
        uid: u32,
    },
    /// The gRPC proxy.
    Proxy(SocketAddr),
    /// The HTTP api.
    Api(SocketAddr),
    /// The DNS door. Of a datagram, the address is the one that it names, and nobody has made sure of it.
    Dns(SocketAddr),
    /// Another node of the mesh, which passed it on.
    Mesh(NodeId),
    /// The mesh listener: a node that is no member yet.
    Admission(SocketAddr),
}

impl Origin {
    /// The door's name.
    pub fn door(&self) -> &'static str {
        match self {
            Origin::Process => "process",
            Origin::Socket { .. } => "socket",
            Origin::Proxy(_) => "proxy",
            Origin::Api(_) => "api",
            Origin::Dns(_) => "dns",
            Origin::Mesh(_) => "mesh",
            Origin::Admission(_) => "admission",
        }
    }

    /// The user of this host, if it is known.
    pub fn uid(&self) -> Option<u32> {
        match self {
            Origin::Socket { uid } => Some(*uid),
            _ => None,
        }
    }

    /// The other side: an address, or a node.
    pub fn peer(&self) -> Option<String> {
        match self {
            Origin::Process | Origin::Socket { .. } => None,
            Origin::Proxy(address)
            | Origin::Api(address)
            | Origin::Dns(address)
            | Origin::Admission(address) => Some(address.to_string()),
            Origin::Mesh(node) => Some(node.to_string()),
        }
    }

    /// The address of the other side, if it has one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Origin::Proxy(address)
            | Origin::Api(address)
            | Origin::Dns(address)
            | Origin::Admission(address) => Some(address.ip()),
            _ => None,
        }
    }
}

/// Who asks for something, where they came in, and in which trace. Making one allocates nothing.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// Who.
    pub caller: &'a Caller,
    /// Where.
    pub origin: Origin,
    /// The trace, if the request belongs to one already.
    pub trace: Option<TraceId>,
    /// Whether the same is asked once more, before or after: then only a refusal is news.
    pub again: bool,
    /// What of the resource, where a rule knows no more than its kind: `create account jane`. Empty for nothing.
    pub about: &'a str,
}

impl<'a> Asker<'a> {
    /// One of whom nothing else is known.
    pub fn of(caller: &'a Caller) -> Self {
        Asker { caller, origin: Origin::Process, trace: None, again: false, about: "" }
    }

    /// The same about something.
    #[must_use]
    pub fn about(self, about: &'a str) -> Self {
        Asker { about, ..self }
    }
}
