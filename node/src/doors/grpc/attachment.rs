//! What an attached service is told for as long as it is attached: which instance it is, its tokens, that the node
//! drains.

use crate::node::{Local, Offering};
use futures::{Stream, future::BoxFuture, stream};
use micro_actors::auth::{Secret, ServiceTokenRequest, TokenError};
use micro_sdk::{
    proto::{AttachEvent, Attached, Draining, ServiceToken, attach_event::Event},
    wire::{Code, Fault},
};
use std::time::Duration;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tonic::Status;

/// How long the node waits before it tries again to have a token made: nobody leads, perhaps.
const RETRY: Duration = Duration::from_secs(2);
/// How long a token is at least left as it is, though this node does not take it: the key that signed it may be younger
/// than what this node has heard of.
const SETTLE: Duration = Duration::from_millis(200);
/// How long making a token may take.
const TOKEN_DEADLINE: Duration = Duration::from_secs(5);

/// One attachment. The instance stays attached for as long as somebody holds this.
pub(super) struct Attachment {
    local: Local,
    offering: Offering,
    /// Ready once its owner was silent for too long.
    lost: BoxFuture<'static, ()>,
    /// Ready once it offers something else.
    anew: BoxFuture<'static, Offering>,
    service: ServiceTokenRequest,
    draining: watch::Receiver<bool>,
    /// The token that the service has, and since when.
    last: Option<(Secret, Instant)>,
}

/// What is told next.
enum Next {
    Attached,
    Token(Instant),
    Nothing,
}

impl Attachment {
    pub fn new(
        local: &Local,
        offering: Offering,
        service: ServiceTokenRequest,
        draining: watch::Receiver<bool>,
    ) -> Self {
        let (lost, anew) = (offering.lost(), offering.anew(local));
        Attachment { local: local.clone(), offering, lost, anew, service, draining, last: None }
    }

    /// It is another instance from now on. The one before is detached.
    fn replace(&mut self, offering: Offering) {
        self.lost = offering.lost();
        self.anew = offering.anew(&self.local);
        self.offering = offering;
    }

    /// What the service is told, until the node drains.
    pub fn events(self) -> impl Stream<Item = Result<AttachEvent, Status>> + Send {
        stream::unfold((self, Next::Attached), |(mut attachment, next)| async move {
            let (event, next) = match next {
                Next::Attached => (Ok(attachment.attached()), Next::Token(Instant::now())),
                Next::Token(due) => attachment.after(due).await,
                Next::Nothing => return None,
            };
            let event = event.map(|event| AttachEvent { event: Some(event) });
            Some((event.map_err(Status::from), (attachment, next)))
        })
    }

    fn attached(&self) -> Event {
        let instance = self.offering.instance();
        Event::Attached(Attached {
            instance: format!("{:016x}", instance.id),
            node: instance.node.to_string(),
            node_name: self.local.node_name(instance.node),
        })
    }

    /// A token once it is `due`, or once the last one is not taken any more, unless the node drains before.
    async fn after(&mut self, mut due: Instant) -> (Result<Event, Fault>, Next) {
        let mut decides = self.local.guard().changes();
        loop {
            let anew = tokio::select! {
                biased;
                // The sender lives as long as the doors do; when it is gone, so is the node.
                _ = self.draining.wait_for(|draining| *draining) => {
                    return (Ok(Event::Draining(Draining {})), Next::Nothing);
                }
                () = &mut self.lost => return (Err(silent()), Next::Nothing),
                offering = &mut self.anew => Some(offering),
                // The guard lives as long as the node does.
                Ok(()) = decides.changed() => {
                    let overdue = overdue(&self.local, self.last.as_ref());
                    due = overdue.map_or(due, |overdue| due.min(overdue));
                    continue;
                }
                () = sleep_until(due) => None,
            };
            if let Some(offering) = anew {
                self.replace(offering);
                return (Ok(self.attached()), Next::Token(due));
            }
            let deadline = Instant::now() + TOKEN_DEADLINE;
            match self.local.service_token(self.service.clone(), deadline).await {
                Ok(made) => {
                    let token = made.access.expose().to_owned();
                    let next = Instant::now() + Duration::from_secs(made.life_s) * 2 / 3;
                    self.last = Some((made.access, Instant::now()));
                    let given = Event::Token(ServiceToken { token, life_s: made.life_s });
                    return (Ok(given), Next::Token(next));
                }
                Err(fault) => {
                    tracing::debug!(%fault, service = %self.service.service, "no token could be made for a service");
                    due = Instant::now() + RETRY;
                }
            }
        }
    }
}

/// Why an attachment ends whose program says nothing.
fn silent() -> Fault {
    Fault::new(Code::Unavailable, "the instance was given up: nothing was heard of it for too long")
        .help("attach again")
}

/// When the last token has to be replaced though its time is not over: at once if it was revoked, or if its key was
/// given up.
fn overdue(local: &Local, last: Option<&(Secret, Instant)>) -> Option<Instant> {
    let (token, made) = last?;
    let verified = local.guard().verify(token.expose());
    matches!(verified, Err(TokenError::Revoked | TokenError::UnknownKey)).then(|| *made + SETTLE)
}
