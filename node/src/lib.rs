//! The node as a process: its assembly, its doors, and the command line in front of it.

pub mod audit;
mod busy_poll;
pub mod cli;
pub mod config;
mod doors;
pub mod node;
mod request;

pub use node::{Card, Host, Node};
