//! What clients do meanwhile, and what they were told.

mod client;
mod echo;
mod history;
mod probe;
mod register;

pub use client::{Client, DEADLINE};
pub use history::{Asked, History, Op, OpId, Tally, Told};

use crate::machine::Shared;
use std::rc::Rc;
use tokio::task::spawn_local;

/// The keys that all clients fight for: few, so that they meet.
pub const KEYS: [&str; 6] = ["k0", "k1", "k2", "k3", "k4", "k5"];

/// Clients of each kind on every node.
const REGISTERS: usize = 2;

/// Starts all clients of one start of a node, as tasks of its host.
pub fn start(shared: &Rc<Shared>, clients: impl Fn(&str) -> Client) {
    for number in 0..REGISTERS {
        spawn_local(register::run(clients(&format!("register{number}")), shared.clone()));
    }
    spawn_local(echo::run(clients("echo"), shared.clone()));
    spawn_local(probe::run(clients("probe"), shared.clone()));
}
