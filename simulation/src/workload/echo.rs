//! A client that calls the echo service of every node.

use super::Client;
use crate::machine::{Phase, Shared};
use rand::Rng;
use std::rc::Rc;
/// The longest pause between two calls.
const THINK_MS_MAX: u64 = 400;

/// Works until the storm is over.
pub async fn run(mut client: Client, shared: Rc<Shared>) {
    while shared.phase.get() <= Phase::Storm {
        client.think(THINK_MS_MAX).await;
        if shared.phase.get() == Phase::Storm {
            let names: Vec<&str> = shared.members().map(|machine| machine.name.as_str()).collect();
            let name = names[client.rng.random_range(0..names.len())];
            client.echo(name).await;
        }
    }
}
