//! The SDK against a fake node, over real sockets. One binary, so that it is linked once.
#![cfg(feature = "serve")]
#![allow(clippy::disallowed_methods, reason = "real sockets live in real time")]

mod client;
mod expansion;
mod fake_node;
mod fake_store;
mod serving;
mod store;
mod streaming;
