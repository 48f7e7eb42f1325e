//! Hosts that send each other much, so that whoever relays between them has much to pass on.

use super::{Client, Journal, Tally};
use crate::machine::{Phase, Shared};
use micro_actors::registry::{AttachGuard, Care, InsideHandler};
use micro_node::node::Local;
use micro_sdk::wire::{Endpoint, Fault, ServiceName, Streams};
use std::{rc::Rc, sync::Arc, time::Duration};
use tokio::time::sleep;

/// The one endpoint of the service that sends everything back.
const BACK: &str = "Load.back";
/// What is sent at a time: fifty packets each way.
const LOAD_BYTES: usize = 64 << 10;
/// Clients of a pair. With a round trip of a quarter of a second, a pair sends two megabits a second each way, which in
/// a simulation are as many packets as there is patience for.
const CLIENTS: usize = 2;
/// The pause before more is sent.
const PAUSE: Duration = Duration::from_millis(200);

/// What was sent, in bytes, and what came back.
#[derive(Clone, Debug, Default)]
pub struct LoadJournal(Journal<usize, usize>);

impl LoadJournal {
    /// How many requests ended how.
    pub fn tally(&self) -> Tally {
        self.0.tally()
    }
}

/// The service of a node.
fn service(node: &str) -> ServiceName {
    format!("load-{node}").parse().expect("a good name")
}

/// Offers the service of a node, as long as the guard lives, if any host is to be loaded.
///
/// # Errors
/// As the node answers.
pub fn attach(local: &Local, shared: &Shared, node: &str) -> Result<Option<AttachGuard>, Fault> {
    if shared.options.loads.is_empty() {
        return Ok(None);
    }
    let endpoint = Endpoint {
        name: BACK.to_owned(),
        request_schema: "{}".to_owned(),
        response_schema: "{}".to_owned(),
        doc: "Answers what it is sent.".to_owned(),
        routes: Vec::new(),
        streams: Streams::default(),
    };
    let back: InsideHandler = Arc::new(|_, body| Box::pin(async move { Ok(body) }));
    local.attach_inside(service(node), vec![endpoint], back, Care::default()).map(Some)
}

/// Starts the clients of a node that load others.
pub(super) fn start(shared: &Rc<Shared>, clients: &impl Fn(&str) -> Client) {
    for (from, to) in shared.options.loads.clone() {
        let [from, to] = [from, to].map(|number| shared.machines[number - 1].name.clone());
        for number in 0..CLIENTS {
            let client = clients(&format!("load-{to}-{number}"));
            if client.door.name() == from {
                tokio::task::spawn_local(run(client, shared.clone(), to.clone()));
            }
        }
    }
}

/// Sends much until the storm is over.
async fn run(client: Client, shared: Rc<Shared>, to: String) {
    while shared.phase.get() <= Phase::Storm {
        if shared.phase.get() == Phase::Storm {
            let sent = client.door.send_back(service(&to), BACK, LOAD_BYTES);
            client.attempt(&shared.journals.load.0, LOAD_BYTES, sent).await;
        }
        sleep(PAUSE).await;
    }
}
