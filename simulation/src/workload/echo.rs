//! A client that calls the echo service of every node.

use super::Client;
use crate::machine::{Phase, Shared};
use micro_actors::registry::{AttachGuard, InsideHandler};
use micro_node::node::Local;
use micro_sdk::wire::{Endpoint, Fault, ServiceName, Streams};
use rand::Rng;
use std::{rc::Rc, sync::Arc};

/// The one endpoint of the echo service.
pub(super) const ECHO: &str = "Echo.call";
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

/// The name of a node's own echo service.
pub(super) fn service(node: &str) -> ServiceName {
    format!("echo-{node}").parse().expect("a good name")
}

/// Offers a node's own echo service, as long as the guard lives.
///
/// # Errors
/// As the node answers.
pub fn attach(local: &Local, node: &str) -> Result<AttachGuard, Fault> {
    let endpoint = Endpoint {
        name: ECHO.to_owned(),
        request_schema: "{}".to_owned(),
        response_schema: "{}".to_owned(),
        doc: "Answers what it is sent.".to_owned(),
        routes: Vec::new(),
        streams: Streams::default(),
    };
    let echo: InsideHandler = Arc::new(|_, body| Box::pin(async move { Ok(body) }));
    local.attach_inside(service(node), vec![endpoint], echo)
}
