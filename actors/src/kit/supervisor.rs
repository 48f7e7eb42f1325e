//! Starts the actors of platform services and starts them anew when they fail.
//!
//! ```text
//!   Supervisor ── store
//!              ├─ auth          each linked: its failure arrives here,
//!              ├─ registry      and a new actor takes its place
//!              └─ network
//! ```

use crate::kit::{
    Directory, Platform,
    platform::{Message, PlatformActor},
};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The pause before the first restart in a row.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest pause: an actor that fails at once every time costs next to nothing then.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// After this long without a failure the pauses start over.
const CALM: Duration = Duration::from_secs(60);

/// A platform service with its history.
struct Child {
    platform: Arc<dyn Platform>,
    failures_in_a_row: u32,
    failed_at: Option<Instant>,
}

/// Supervises the platform actors of one node.
pub struct Supervisor {
    directory: Directory,
}

/// What the supervisor is sent.
pub enum SupervisorMessage {
    /// The pause after a failure is over.
    Restart(&'static str),
}

/// The children, by name, and the names by actor.
pub struct Children {
    by_name: BTreeMap<&'static str, Child>,
    names: BTreeMap<ActorId, &'static str>,
}

impl Supervisor {
    /// Starts `platforms` under a new supervisor; `directory` finds them from then on.
    ///
    /// # Errors
    /// If an actor does not start.
    pub async fn start(
        directory: Directory,
        platforms: Vec<Arc<dyn Platform>>,
    ) -> Result<ActorRef<SupervisorMessage>, ractor::SpawnErr> {
        // Unnamed: ractor's names are global to the process, which may hold many nodes.
        let (supervisor, _task) = Actor::spawn(None, Supervisor { directory }, platforms).await?;
        Ok(supervisor)
    }

    async fn spawn(
        &self,
        myself: &ActorRef<SupervisorMessage>,
        children: &mut Children,
        name: &'static str,
    ) -> Result<(), ActorProcessingErr> {
        let Some(child) = children.by_name.get(name) else { return Ok(()) };
        let platform = child.platform.clone();
        let (actor, _task) =
            Actor::spawn_linked(None, PlatformActor, platform.clone(), myself.get_cell()).await?;
        children.names.insert(actor.get_id(), name);
        let actor: ActorRef<Message> = actor;
        self.directory.insert(&*platform, actor);
        Ok(())
    }
}

impl Actor for Supervisor {
    type Msg = SupervisorMessage;
    type State = Children;
    type Arguments = Vec<Arc<dyn Platform>>;

    async fn pre_start(
        &self,
        myself: ActorRef<SupervisorMessage>,
        platforms: Vec<Arc<dyn Platform>>,
    ) -> Result<Children, ActorProcessingErr> {
        let mut children = Children { by_name: BTreeMap::new(), names: BTreeMap::new() };
        for platform in platforms {
            let name = platform.name();
            children.by_name.insert(name, Child { platform, failures_in_a_row: 0, failed_at: None });
            self.spawn(&myself, &mut children, name).await?;
        }
        Ok(children)
    }

    async fn handle(
        &self,
        myself: ActorRef<SupervisorMessage>,
        message: SupervisorMessage,
        children: &mut Children,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SupervisorMessage::Restart(name) => self.spawn(&myself, children, name).await,
        }
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<SupervisorMessage>,
        event: SupervisionEvent,
        children: &mut Children,
    ) -> Result<(), ActorProcessingErr> {
        let SupervisionEvent::ActorFailed(actor, why) = event else { return Ok(()) };
        let Some(name) = children.names.remove(&actor.get_id()) else { return Ok(()) };
        let restarts = self.directory.gone(name);
        tracing::error!(actor = name, restarts, %why, "a platform actor failed and is started anew");
        let Some(child) = children.by_name.get_mut(name) else { return Ok(()) };
        let now = Instant::now();
        if child.failed_at.is_none_or(|at| now - at > CALM) {
            child.failures_in_a_row = 0;
        }
        child.failed_at = Some(now);
        let pause = PAUSE_MAX.min(PAUSE_MIN * 2u32.saturating_pow(child.failures_in_a_row));
        child.failures_in_a_row = (child.failures_in_a_row + 1).min(16);
        myself.send_after(pause, move || SupervisorMessage::Restart(name));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Invocation;
    use bytes::Bytes;
    use futures::future::BoxFuture;
    use micro_sdk::wire::{Caller, Code, Fault, Head, Namespace, TraceId};

    struct Fragile;

    impl Platform for Fragile {
        fn name(&self) -> &'static str {
            "fragile"
        }

        fn permits(&self) -> usize {
            1
        }

        fn handle(self: Arc<Self>, call: Invocation) -> BoxFuture<'static, Result<Bytes, Fault>> {
            Box::pin(async move {
                match call.head.endpoint.as_str() {
                    "panic" => panic!("as asked"),
                    "wait" => std::future::pending().await,
                    _ => Ok(call.body),
                }
            })
        }
    }

    fn call(endpoint: &str) -> Invocation {
        let head = Head {
            namespace: Namespace::default(),
            service: "fragile".parse().expect("a good name"),
            endpoint: endpoint.to_owned(),
            caller: Caller::Admin,
            trace: TraceId(1),
            deadline_ms: 200,
            hops: 0,
            idempotency_key: None,
            metadata: Vec::new(),
            instance: None,
            attempts: None,
        };
        Invocation { head, body: Bytes::from_static(b"x") }
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_restarts_the_actor_and_is_counted() {
        let directory = Directory::default();
        Supervisor::start(directory.clone(), vec![Arc::new(Fragile)]).await.expect("it starts");
        assert_eq!(directory.call(call("echo")).await, Ok(Bytes::from_static(b"x")));
        let fault = directory.call(call("panic")).await.expect_err("it panicked");
        assert_eq!(fault.code, Code::Internal);
        assert!(fault.message.contains("as asked"), "{fault}");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(directory.call(call("echo")).await, Ok(Bytes::from_static(b"x")));
        assert_eq!(directory.actors()[0].restarts, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_beyond_the_permits_are_refused_and_the_deadline_ends_a_wait() {
        let directory = Directory::default();
        Supervisor::start(directory.clone(), vec![Arc::new(Fragile)]).await.expect("it starts");
        let (waiting, refused) = tokio::join!(directory.call(call("wait")), async {
            tokio::task::yield_now().await;
            directory.call(call("echo")).await
        });
        assert_eq!(waiting.map_err(|fault| fault.code), Err(Code::Timeout));
        assert_eq!(refused.map_err(|fault| fault.code), Err(Code::Unavailable));
    }
}
