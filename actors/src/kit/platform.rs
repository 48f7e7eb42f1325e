//! A platform service, and the actor that runs it.

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use micro_sdk::wire::{Code, Fault, Head};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::{panic::AssertUnwindSafe, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// One call on its way through the node: the head and the body.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Everything but the body. `deadline_ms` is what was left when it was built.
    pub head: Head,
    /// The body, in the encoding of the endpoint.
    pub body: Bytes,
}

/// A platform service. One actor of it runs on every node.
pub trait Platform: Send + Sync + 'static {
    /// The name it is called by.
    fn name(&self) -> &'static str;

    /// How many calls may be in work at once. More are refused: nothing waits without a bound.
    fn permits(&self) -> usize {
        1024
    }

    /// Answers one call. Authorized already.
    fn handle(self: Arc<Self>, call: Invocation) -> BoxFuture<'static, Result<Bytes, Fault>>;
}

/// What the actor of a platform service is sent.
pub(crate) enum Message {
    /// A call, with the permit it holds until it is answered.
    Call(Invocation, OwnedSemaphorePermit, oneshot::Sender<Result<Bytes, Fault>>),
    /// A call panicked: the actor gives up, so that its supervisor starts it anew.
    Panicked(String),
}

/// Runs a platform service: takes calls off the mailbox and lets each run in a task of its own, so that one that waits
/// holds up no other.
pub(crate) struct PlatformActor;

impl Actor for PlatformActor {
    type Msg = Message;
    type State = Arc<dyn Platform>;
    type Arguments = Arc<dyn Platform>;

    async fn pre_start(
        &self,
        _myself: ActorRef<Message>,
        platform: Arc<dyn Platform>,
    ) -> Result<Arc<dyn Platform>, ActorProcessingErr> {
        Ok(platform)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        platform: &mut Arc<dyn Platform>,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Panicked(what) => Err(what.into()),
            Message::Call(call, permit, reply) => {
                let platform = platform.clone();
                tokio::spawn(async move {
                    let endpoint = call.head.endpoint.clone();
                    let answer = AssertUnwindSafe(platform.handle(call)).catch_unwind().await;
                    drop(permit);
                    let answer = answer.unwrap_or_else(|panic| {
                        let what = format!("{endpoint} panicked: {}", panic_text(&*panic));
                        let fault = Fault::new(Code::Internal, what.clone()).effect_unknown();
                        // The actor may be gone already, when many calls panicked at once.
                        drop(myself.cast(Message::Panicked(what)));
                        Err(fault.help("this is a defect of micro-node: the node's log has the details"))
                    });
                    drop(reply.send(answer));
                });
                Ok(())
            }
        }
    }
}

/// What a panic said.
fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
