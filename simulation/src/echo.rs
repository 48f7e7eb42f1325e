//! The echo service of each node, which says of itself that it works, as a program does that checks itself.

use crate::door::operator;
use micro_actors::registry::{AttachGuard, Care, Check, InsideHandler, Owner, Probe};
use micro_node::node::Local;
use micro_sdk::wire::{Endpoint, Fault, Instance, ServiceName, Streams};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::time::sleep;

/// The one endpoint of the echo service.
pub(crate) const ECHO: &str = "Echo.call";

/// The name of a node's own echo service.
pub(crate) fn echo_service(node: &str) -> ServiceName {
    format!("echo-{node}").parse().expect("a good name")
}

/// How often an echo service says that it works.
const VOUCH_PERIOD: Duration = Duration::from_millis(500);
/// How long it may be silent: a node that pauses for longer finds it failing, and given up after ten times as long.
const ECHO_TTL: Duration = Duration::from_secs(2);

/// Offers a node's own echo service for ever, as a program does that checks itself: anew whenever it was given up.
pub(crate) async fn offer_echo(local: &Local, node: &str) -> Infallible {
    loop {
        if let Ok(guard) = attach_echo(local, node) {
            let Instance { namespace, service, id, .. } = guard.instance();
            while local.report_health(&operator(), (namespace, service), *id, Ok(())).is_ok() {
                sleep(VOUCH_PERIOD).await;
            }
        }
        sleep(VOUCH_PERIOD).await;
    }
}

/// Offers a node's own echo service, as long as the guard lives.
fn attach_echo(local: &Local, node: &str) -> Result<AttachGuard, Fault> {
    let endpoint = Endpoint {
        name: ECHO.to_owned(),
        request_schema: "{}".to_owned(),
        response_schema: "{}".to_owned(),
        doc: "Answers what it is sent.".to_owned(),
        routes: Vec::new(),
        streams: Streams::default(),
    };
    let echo: InsideHandler = Arc::new(|_, body| Box::pin(async move { Ok(body) }));
    let check = Check {
        probe: Probe::Reported,
        interval: VOUCH_PERIOD,
        timeout: VOUCH_PERIOD,
        unhealthy_after: 1,
        healthy_after: 1,
    };
    let care = Care { check: Some(check), ttl: Some(ECHO_TTL), owner: Owner::Host };
    local.attach_inside(echo_service(node), vec![endpoint], echo, care)
}
