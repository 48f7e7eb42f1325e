//! Offers a service to the mesh.
//!
//! A service is an ordinary HTTP server (HTTP/1.1 and HTTP/2, JSON over `POST /Handler/method`; the same as gRPC) on a
//! loopback port. It attaches to the node on its host, which announces it and passes calls on; so it can be called
//! with curl, and run in a debugger, with no mesh at all.
//!
//! ```text
//!   node ── POST /Greeter/call ──► door ──► dispatch ──► the handler
//!     ▲                                                      (deadline, panics and limits are the door's)
//!     └──────── Registry.Attach ── attachment
//! ```
//!
//! Endpoints whose request or answer is a stream are called over gRPC; all others over either.

mod about;
mod attachment;
mod conversation;
mod ctx;
mod door;
mod entry;
mod grpc;
mod health;
mod own_node;
mod program;
mod server;
mod service;

pub use conversation::{Inbox, Outbox, Streaming};
pub use ctx::Ctx;
#[doc(hidden)]
pub use entry::run;
pub use health::HealthCheck;
pub use server::Server;
pub use service::{Outcome, Service};
#[doc(hidden)]
pub use service::{decode, encode, endpoint, unknown_endpoint};

use crate::wire::Fault;
use std::{fmt, io::Write};

/// What handlers give. An error of another type is fine where it converts [into a fault](Into).
pub type Result<T, E = Fault> = std::result::Result<T, E>;

/// Offers `service` to the mesh until the process is told to end (SIGTERM or SIGINT), then finishes what is
/// in flight, for 10 s at most. A lost or restarting node is attached to again.
///
/// Where `-h`, `--help` or `--version` is the program's sole argument, it answers that on stdout and does not serve.
///
/// # Errors
/// If the node refuses the service for good: a bad name, or a caller that it doesn't trust.
pub async fn serve(service: impl Service) -> Result<()> {
    Server::new(service).run().await
}

/// Whether the program is only asked what it is, and will not serve.
#[cfg(feature = "config")]
pub(crate) fn is_asked() -> bool {
    about::Question::among(std::env::args_os().skip(1)).is_some()
}

/// Tells the person who runs the service. `eprintln!` would panic once nobody reads any more.
fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
