//! A watch of the registry, whatever becomes of connections.
//!
//! A node that is asked begins with all that is there. So a watch that was cut off compares that with what it has told,
//! and tells the difference.

use super::{
    super::{
        Node, ServiceInstance,
        contact::{Contact, Reconnection},
        node::Stake,
    },
    RegistryAction, RegistryChange, RegistryEvent,
};
use crate::{
    proto::{self, WatchServicesResponse, watch_services_response::Event},
    wire::{Code, Fault},
};
use futures::{Stream, future::BoxFuture, stream};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tonic::Streaming;

/// Instances with their services, by node and id.
type Known = BTreeMap<(String, String), (String, ServiceInstance)>;

/// A watch that is being made up. Await it to begin it.
#[derive(Debug)]
#[must_use = "a watch begins when it is awaited"]
pub struct WatchRegistry {
    node: Node,
    name: String,
    reconnection: Reconnection,
}

/// A watch. Dropping it ends it.
#[derive(Debug)]
pub struct RegistryWatch {
    asked: WatchRegistry,
    answers: Option<Streaming<WatchServicesResponse>>,
    told: Told,
    ended: bool,
}

/// What was told, and is to be told.
#[derive(Debug, Default)]
struct Told {
    known: Known,
    /// What the node has told since it was asked, until it has told all.
    fresh: Option<Known>,
    waiting: VecDeque<RegistryEvent>,
    marked: bool,
}

impl WatchRegistry {
    pub(super) fn new(node: Node, name: String) -> WatchRegistry {
        WatchRegistry { node, name, reconnection: Reconnection::default() }
    }

    /// Ends once no node has answered for this long.
    pub fn patience(mut self, patience: Duration) -> WatchRegistry {
        self.reconnection.patience = patience;
        self
    }

    /// Tells `listener` when the node does not answer any more, and when it does again: changes come late meanwhile. It
    /// is called from within the watch, and must not block.
    pub fn on_contact(mut self, listener: impl Fn(Contact) + Send + Sync + 'static) -> WatchRegistry {
        self.reconnection.listener = Some(Arc::new(listener));
        self
    }

    async fn ask(&self) -> Result<Streaming<WatchServicesResponse>, Fault> {
        let (namespace, name) = (self.node.namespace().to_string(), self.name.clone());
        let message = proto::WatchServicesRequest { namespace, name };
        let mut client = self.node.registry_client();
        let sent = |request| async move { client.watch_services(request).await };
        // The deadline is that of the beginning: a watch itself has none.
        self.node.ask(Stake::Read, self.node.timeout(), message, sent).await
    }
}

impl IntoFuture for WatchRegistry {
    type Output = Result<RegistryWatch, Fault>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Begins the watch.
    ///
    /// # Errors
    /// `Denied`, `Usage` for a bad name; else as every request.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let answers = Some(self.ask().await?);
            let told = Told { fresh: Some(Known::new()), ..Told::default() };
            Ok(RegistryWatch { asked: self, answers, told, ended: false })
        })
    }
}

impl RegistryWatch {
    /// What is there first, a mark, and then each change; none after the fault that ended the watch: a refusal, or no
    /// node for too long. Nothing is lost if it is dropped while it waits.
    pub async fn next(&mut self) -> Option<Result<RegistryEvent, Fault>> {
        if self.ended {
            return None;
        }
        let next = self.advance().await;
        self.ended = next.is_err();
        Some(next)
    }

    /// The same as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<RegistryEvent, Fault>> + Send {
        stream::unfold(self, |mut watch| async move { watch.next().await.map(|next| (next, watch)) })
    }

    async fn advance(&mut self) -> Result<RegistryEvent, Fault> {
        loop {
            if let Some(event) = self.told.waiting.pop_front() {
                return Ok(event);
            }
            let Some(answers) = &mut self.answers else {
                match self.asked.ask().await {
                    Ok(answers) => {
                        self.answers = Some(answers);
                        self.told.fresh = Some(Known::new());
                    }
                    Err(fault) => self.recover(fault).await?,
                }
                continue;
            };
            let fault = match answers.message().await {
                Ok(Some(response)) => {
                    self.asked.reconnection.answered();
                    self.told.take(response);
                    continue;
                }
                Ok(None) => Fault::new(Code::Unavailable, "the node let go of the watch"),
                Err(status) => self.asked.node.fault(Stake::Read, self.asked.node.timeout(), status),
            };
            self.recover(fault).await?;
        }
    }

    /// Gets ready to ask again after a pause.
    async fn recover(&mut self, fault: Fault) -> Result<(), Fault> {
        self.answers = None;
        match matches!(fault.code, Code::Usage | Code::Denied | Code::NotFound | Code::Internal) {
            true => Err(fault),
            false => self.asked.reconnection.pause(fault).await,
        }
    }
}

impl Told {
    /// Takes up what the node says.
    fn take(&mut self, response: WatchServicesResponse) {
        match response.event {
            Some(Event::Change(change)) => {
                let Some(change) = RegistryChange::read(change) else { return };
                let key = (change.instance.node.clone(), change.instance.id.clone());
                let known = self.fresh.as_mut().unwrap_or(&mut self.known);
                match change.action {
                    RegistryAction::Delete => drop(known.remove(&key)),
                    _ => drop(known.insert(key, (change.service.clone(), change.instance.clone()))),
                }
                if self.fresh.is_none() {
                    self.waiting.push_back(RegistryEvent::Change(change));
                }
            }
            Some(Event::Mark(_)) => {
                let fresh = self.fresh.take().unwrap_or_default();
                self.waiting.extend(difference(&self.known, &fresh).map(RegistryEvent::Change));
                self.known = fresh;
                if !self.marked {
                    self.marked = true;
                    self.waiting.push_back(RegistryEvent::Mark);
                }
            }
            // Of a newer node.
            None => {}
        }
    }
}

/// What is different; what is gone comes first.
fn difference(before: &Known, now: &Known) -> impl Iterator<Item = RegistryChange> {
    let change = |action, (service, instance): &(String, ServiceInstance)| RegistryChange {
        action,
        service: service.clone(),
        instance: instance.clone(),
    };
    let gone = before.iter().filter(|(key, _)| !now.contains_key(*key));
    let gone = gone.map(move |(_, one)| change(RegistryAction::Delete, one));
    let here = now.iter().filter_map(move |(key, one)| match before.get(key) {
        None => Some(change(RegistryAction::Create, one)),
        Some(known) if known != one => Some(change(RegistryAction::Update, one)),
        Some(_) => None,
    });
    gone.chain(here)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::watch_services_response::{Change, Mark, change::Action};

    fn change(action: Action, id: &str, version: &str) -> WatchServicesResponse {
        let (id, version, node) = (id.to_owned(), version.to_owned(), "7".to_owned());
        let instance = Some(proto::Instance { id, version, node, ..proto::Instance::default() });
        let change = Change { action: action.into(), service: "shop".to_owned(), instance };
        WatchServicesResponse { event: Some(Event::Change(change)) }
    }

    fn mark() -> WatchServicesResponse {
        WatchServicesResponse { event: Some(Event::Mark(Mark {})) }
    }

    #[test]
    fn what_is_there_comes_first_and_after_a_break_only_the_difference() {
        let mut told = Told { fresh: Some(Known::new()), ..Told::default() };
        let mut hear = |again: bool, answers: Vec<WatchServicesResponse>| {
            if again {
                told.fresh = Some(Known::new());
            }
            answers.into_iter().for_each(|answer| told.take(answer));
            let events = told.waiting.drain(..).map(|event| match event {
                RegistryEvent::Change(change) => format!("{:?} {}", change.action, change.instance.id),
                RegistryEvent::Mark => "Mark".to_owned(),
            });
            events.collect::<Vec<_>>().join(", ")
        };
        let there = || vec![change(Action::Create, "1", "a"), change(Action::Create, "2", "a"), mark()];
        assert_eq!(hear(false, there()), "Create 1, Create 2, Mark");
        assert_eq!(hear(false, vec![change(Action::Create, "3", "a")]), "Create 3");
        assert_eq!(hear(false, vec![change(Action::Delete, "1", "a")]), "Delete 1");
        assert_eq!(hear(true, there()), "Delete 3, Create 1");
        let other = vec![change(Action::Create, "1", "a"), change(Action::Create, "2", "b"), mark()];
        assert_eq!(hear(true, other), "Update 2");
    }
}
