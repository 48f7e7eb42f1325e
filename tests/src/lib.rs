//! The outside view: real `micro-node` processes, driven as a person drives them, by command line and HTTP.
//!
//! What is here knows the built programs and their documented behaviour, and nothing of their insides. The demo, the
//! developer's cluster and the integration tests are three users of one [`Cluster`].

#![allow(clippy::disallowed_methods, reason = "real processes live in real time, on the real disk")]

mod cluster;
mod command_line;
mod copy;
mod greeter;
mod hosts;
mod http;
mod javascript;
mod ledger;
mod member;
mod memory;
mod packages;
mod program;
mod python;
mod repeated;
mod shapes;
pub mod torture;
mod wait;

pub use cluster::{Cluster, Plan};
pub use command_line::{CommandLine, Outcome};
pub use copy::copy;
pub use greeter::Greeter;
pub use hosts::Hosts;
pub use http::{Answer, get, get_as, post, send};
pub use javascript::JavaScript;
pub use ledger::{Writers, check_acknowledged};
pub use member::{Member, Ready};
pub use memory::resident_kib;
pub use program::program;
pub use python::Python;
pub use repeated::repeated;
pub use shapes::Shapes;
pub use wait::{asked_to_end, until};
