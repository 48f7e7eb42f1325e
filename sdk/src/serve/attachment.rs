//! Keeps a service attached to its node: the node announces it for as long as the stream is open.
//!
//! ```text
//!   apart ── attached ──► attached ── stream ends ──► apart     after a pause, from 0.1 s to 5 s
//!     └── refused for good ──► the end
//! ```

use super::{HealthCheck, say};
use crate::{
    chance,
    client::{Address, Node, Token},
    proto::{AttachRequest, ReportHealthRequest, attach_event::Event},
    wire::{Code, Fault, Namespace},
};
use futures::future::{BoxFuture, pending};
use std::time::Duration;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// The first pause: a node that restarts in place takes about this long.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause: how long a service may stay unannounced after its node came back.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long the node may take to confirm.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a report may take: a node on this host that takes longer has other troubles, and the next one comes soon.
const REPORT_TIMEOUT: Duration = Duration::from_secs(2);
/// How many times within its time to live a service says that it is there: two may be lost.
const REPORTS_PER_TTL: u32 = 3;

/// What it takes to attach, again and again.
pub(crate) struct Attachment {
    pub(crate) address: Option<Address>,
    pub(crate) token: Option<Token>,
    /// Who attaches, if that is not said by the two before.
    pub(crate) client: Option<Node>,
    pub(crate) namespace: Namespace,
    pub(crate) request: AttachRequest,
    /// How the node finds out whether the service works.
    pub(crate) check: Option<HealthCheck>,
    /// Is told what the service acts by, whenever that is renewed.
    pub(crate) tokens: watch::Sender<Option<Token>>,
    /// Is told which instance the service is.
    #[cfg(feature = "config")]
    pub(crate) config: Option<crate::config::Config>,
}

impl Attachment {
    /// Holds the attachment until dropped, which detaches, or until the node refuses for good: then says why.
    pub(crate) async fn hold(&self) -> Fault {
        let name = &self.request.name;
        let mut pause = PAUSE_MIN;
        // What was said last: a node that is away for an hour is told of once.
        let mut said = String::new();
        loop {
            let fault = self.attach(|| pause = PAUSE_MIN).await;
            if is_final(&fault) {
                return fault;
            }
            if fault.message != said {
                say(format_args!("{name} is not attached, trying again: {fault}"));
                said = fault.message;
            }
            // From half the pause to all of it, so that services do not come back all at once.
            sleep(pause.mul_f64(0.5 + chance::fraction() / 2.0)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Attaches and stays so. Gives the reason why no longer.
    async fn attach(&self, mut on_attached: impl FnMut()) -> Fault {
        let name = &self.request.name;
        let open = async {
            let node = self.connect().await?.with_namespace(self.namespace.clone());
            let request = node.request(self.request.clone())?;
            let events = node.registry_client().attach(request).await?.into_inner();
            Ok::<_, Fault>((node, events))
        };
        let late = || Fault::new(Code::Timeout, "the node does not confirm");
        let (node, mut events) = match timeout(CONFIRM_TIMEOUT, open).await.unwrap_or_else(|_| Err(late())) {
            Ok(opened) => opened,
            Err(fault) => return fault,
        };
        let mut confirmed = false;
        let mut reports: BoxFuture<'_, ()> = Box::pin(pending());
        loop {
            let next = async { events.message().await };
            let event = match confirmed {
                // An attached service has nothing else to wait for; a dead node ends the stream.
                true => tokio::select! {
                    biased;
                    event = next => event,
                    () = &mut reports => continue,
                },
                false => match timeout(CONFIRM_TIMEOUT, next).await {
                    Ok(event) => event,
                    Err(_) => return late(),
                },
            };
            match event.map(|event| event.map(|event| event.event)) {
                Ok(Some(Some(Event::Attached(attached)))) => {
                    say(format_args!("{name} attached to node {}", attached.node_name));
                    confirmed = true;
                    on_attached();
                    reports = Box::pin(self.report(node.clone(), attached.instance.clone()));
                    #[cfg(feature = "config")]
                    self.config.iter().for_each(|config| config.attached(&attached.instance));
                }
                // It sends no more calls, and ends the stream when those in flight are done.
                Ok(Some(Some(Event::Draining(_)))) => say(format_args!("{name}: its node is draining")),
                Ok(Some(Some(Event::Token(given)))) => {
                    self.tokens.send_replace(Some(Token::new(given.token)));
                }
                // An event of a newer node.
                Ok(Some(None)) => {}
                Ok(None) => return Fault::new(Code::Unreachable, "the node let go of it"),
                Err(status) => return Fault::from(status),
            }
        }
    }

    /// Reports how the service is, and that it is there, for as long as it is attached.
    async fn report(&self, node: Node, instance: String) {
        let alive = Some(self.request.ttl_ms).filter(|ttl_ms| *ttl_ms > 0);
        let alive = alive.map(|ttl_ms| Duration::from_millis(ttl_ms) / REPORTS_PER_TTL);
        let checked = self.check.as_ref().and_then(HealthCheck::reports_every);
        let Some(pause) = alive.into_iter().chain(checked).min() else { return pending().await };
        loop {
            let result = match &self.check {
                Some(check) => check.run().await,
                None => Ok(()),
            };
            let request = ReportHealthRequest {
                namespace: self.namespace.to_string(),
                name: self.request.name.clone(),
                instance: instance.clone(),
                failing: result.is_err(),
                reason: result.err().map(|fault| fault.message).unwrap_or_default(),
            };
            // One that is lost is made up for by the next; a node that is lost ends the stream.
            if let Ok(request) = node.request(request) {
                let _ = timeout(REPORT_TIMEOUT, node.registry_client().report_health(request)).await;
            }
            sleep(pause).await;
        }
    }

    async fn connect(&self) -> Result<Node, Fault> {
        if let Some(client) = &self.client {
            return client.connect_again().await;
        }
        let node = match &self.address {
            Some(address) => Node::connect_to(address.clone()).await?,
            None => Node::connect().await?,
        };
        Ok(match &self.token {
            Some(token) => node.with_token(token.clone()),
            None => node,
        })
    }
}

/// Whether asking again can't help.
fn is_final(fault: &Fault) -> bool {
    matches!(fault.code, Code::Usage | Code::Denied | Code::NotFound | Code::Conflict)
}
