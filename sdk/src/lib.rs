//! What every part of micro-node shares, and what people build services with.
//!
//! - [`wire`]: the types that travel (ids, names, faults, heads), the seams of time and chance. No I/O, no tokio.
//! - `proto` (feature): gRPC stubs of a node's API, made from `sdk/proto`, and how a fault crosses gRPC.
//! - `client` (feature): a client of a node; and `model`, typed records with indexes on its store.
//! - `schema` (feature): JSON Schemas of what the client gives, for programs that print it.
//! - `config` (feature): a program's configuration, from defaults, files, the environment, the mesh and flags.
//! - `serve` (feature): attach a service to the node on this host and answer its calls.
//!
//! A service is a plain `impl` and one attribute:
//!
//! ```no_run
//! # #[cfg(feature = "serve")]
//! # mod hello {
//! use micro_sdk::prelude::*;
//!
//! #[message]
//! struct Hello {
//!     name: String,
//! }
//!
//! #[message]
//! struct Greeting {
//!     msg: String,
//! }
//!
//! struct Greeter;
//!
//! #[service]
//! impl Greeter {
//!     /// Says hello.
//!     async fn call(&self, req: Hello) -> Result<Greeting> {
//!         Ok(Greeting { msg: format!("Hello {}", req.name) })
//!     }
//! }
//!
//! #[micro_sdk::main]
//! async fn main() -> Result<()> {
//!     serve(Greeter).await
//! }
//! # }
//! # fn main() {}
//! ```

// The macros name this crate as their users do, also in its own tests.
#[cfg(all(test, feature = "serve"))]
extern crate self as micro_sdk;

#[cfg(feature = "client")]
mod chance;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "config")]
pub mod config;
#[cfg(feature = "proto")]
mod fault_status;
#[cfg(feature = "client")]
pub mod model;
#[cfg(feature = "serve")]
pub mod prelude;
#[cfg(feature = "proto")]
pub mod proto;
#[cfg(feature = "serve")]
pub mod serve;
pub mod wire;

#[cfg(feature = "client")]
pub use client::Node;
#[cfg(feature = "proto")]
pub use fault_status::FAULT_METADATA;
#[cfg(feature = "serve")]
pub use {
    micro_sdk_macros::{main, message, service},
    serve::serve,
};

/// What the expansion of the macros stands on. Not for people: it changes without notice.
#[cfg(feature = "serve")]
#[doc(hidden)]
pub mod __private {
    pub use crate::serve::{decode, encode, endpoint, run, unknown_endpoint};
    pub use bytes::Bytes;
    pub use futures::future::BoxFuture;
    pub use schemars;
    pub use serde;
}
