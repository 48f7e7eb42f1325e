//! The platform services of one node, by name.

use crate::kit::platform::{Invocation, Message, Platform};
use bytes::Bytes;
use micro_sdk::wire::{Code, Fault, status::ActorStatus};
use ractor::ActorRef;
use std::{
    collections::BTreeMap,
    sync::{Arc, RwLock},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::timeout,
};

struct Entry {
    /// None while it is being restarted.
    actor: Option<ActorRef<Message>>,
    permits: Arc<Semaphore>,
    restarts: u64,
}

/// How long the answer of a service may take that has itself waited until the deadline: it knows better than this place
/// what has become of the call.
const ANSWER_GRACE: Duration = Duration::from_millis(20);

/// Finds the actors of one node's platform services. Clones share everything.
#[derive(Clone, Default)]
pub struct Directory(Arc<RwLock<BTreeMap<&'static str, Entry>>>);

impl Directory {
    /// Whether there is a platform service of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.read().expect("no code panics while it holds the directory").contains_key(name)
    }

    /// The services, and how often each was restarted.
    pub fn actors(&self) -> Vec<ActorStatus> {
        let entries = self.0.read().expect("no code panics while it holds the directory");
        let status = |(name, entry): (&&str, &Entry)| ActorStatus {
            name: (*name).to_owned(),
            restarts: entry.restarts,
        };
        entries.iter().map(status).collect()
    }

    pub(crate) fn insert(&self, platform: &dyn Platform, actor: ActorRef<Message>) {
        let mut entries = self.0.write().expect("no code panics while it holds the directory");
        let fresh =
            || Entry { actor: None, permits: Arc::new(Semaphore::new(platform.permits())), restarts: 0 };
        entries.entry(platform.name()).or_insert_with(fresh).actor = Some(actor);
    }

    /// Notes that the actor of a service is gone, and returns how often it has gone by now.
    pub(crate) fn gone(&self, name: &str) -> u64 {
        let mut entries = self.0.write().expect("no code panics while it holds the directory");
        entries.get_mut(name).map_or(0, |entry| {
            entry.actor = None;
            entry.restarts += 1;
            entry.restarts
        })
    }

    /// A permit of a platform service of this node, for a caller that talks to it without its mailbox.
    ///
    /// # Errors
    /// As [`call`](Self::call), before anything is done.
    pub(crate) fn permit(&self, name: &str) -> Result<OwnedSemaphorePermit, Fault> {
        self.enter(name).map(|(_, permit)| permit)
    }

    fn enter(&self, name: &str) -> Result<(ActorRef<Message>, OwnedSemaphorePermit), Fault> {
        let entries = self.0.read().expect("no code panics while it holds the directory");
        let Some(entry) = entries.get(name) else {
            return Err(Fault::new(Code::NotFound, format!("no platform service {name:?}")));
        };
        let Some(actor) = entry.actor.clone() else { return Err(restarting(name)) };
        let permit = entry.permits.clone().try_acquire_owned().map_err(|_| {
            Fault::new(Code::Unavailable, format!("{name} has too many calls in work"))
                .help("try again later")
        })?;
        Ok((actor, permit))
    }

    /// Calls a platform service of this node and waits for its answer within the call's deadline.
    ///
    /// # Errors
    /// [`Code::NotFound`] if there is no such service, [`Code::Unavailable`] if it is busy or being restarted,
    /// [`Code::Unknown`] if the deadline passed, or what the service answers.
    pub async fn call(&self, call: Invocation) -> Result<Bytes, Fault> {
        let name = call.head.service.clone();
        let (actor, permit) = self.enter(name.as_str())?;
        let deadline = Duration::from_millis(call.head.deadline_ms.into());
        let (reply, answer) = oneshot::channel();
        actor.cast(Message::Call(call, permit, reply)).map_err(|_| restarting(name.as_str()))?;
        match timeout(deadline + ANSWER_GRACE, answer).await {
            Ok(Ok(answer)) => answer,
            // Messages in the mailbox of an actor that fails are lost, with nothing done.
            Ok(Err(_)) => Err(restarting(name.as_str())),
            Err(_) => {
                Err(Fault::new(Code::Timeout, format!("{name} did not answer in time")).effect_unknown())
            }
        }
    }
}

fn restarting(name: &str) -> Fault {
    Fault::new(Code::Unavailable, format!("{name} is being restarted")).help("try again in a moment")
}
