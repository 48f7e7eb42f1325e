//! What goes on for long is allowed at its beginning, and for as long as it goes on: it ends when its token is revoked,
//! or when no rule grants it any more.

use super::streams::Answers;
use crate::node::{Context, Local};
use futures::{StreamExt, stream};
use micro_sdk::wire::{Caller, Fault};
use tokio::sync::watch;
use tonic::Status;

/// Says whether a caller may still do what it does.
type Allowed = Box<dyn Fn(&Local, &Context) -> Result<(), Fault> + Send + Sync>;

/// Ends what goes on.
pub(super) struct Leash {
    local: Local,
    context: Context,
    allowed: Allowed,
    changes: watch::Receiver<u64>,
}

impl Leash {
    /// Holds what a caller was allowed: as long as `allowed` says so. None for those whom no rule is asked about.
    pub fn hold(
        local: &Local,
        context: &Context,
        allowed: impl Fn(&Local, &Context) -> Result<(), Fault> + Send + Sync + 'static,
    ) -> Option<Self> {
        if matches!(context.caller, Caller::Admin | Caller::Node(_)) {
            return None;
        }
        let changes = local.guard().changes();
        Some(Leash {
            local: local.clone(),
            context: context.clone().asking_again(),
            allowed: Box::new(allowed),
            changes,
        })
    }

    /// Returns once it is not allowed any more.
    pub async fn pulled(&mut self) -> Fault {
        loop {
            if let Some(token) = &self.context.token
                && let Err(error) = self.local.guard().not_revoked(token)
            {
                return error.into();
            }
            if let Err(fault) = (self.allowed)(&self.local, &self.context) {
                return fault;
            }
            // The sender lives as long as the node does.
            if self.changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// The same answers, for as long as they are allowed.
pub(super) fn held<T: Send + 'static>(answers: Answers<T>, leash: Option<Leash>) -> Answers<T> {
    let Some(leash) = leash else { return answers };
    stream::unfold(Some((answers, leash)), |held| async move {
        let (mut answers, mut leash) = held?;
        tokio::select! {
            biased;
            fault = leash.pulled() => Some((Err(Status::from(fault)), None)),
            answer = answers.next() => answer.map(|answer| (answer, Some((answers, leash)))),
        }
    })
    .boxed()
}
