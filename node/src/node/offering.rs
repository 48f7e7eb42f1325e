//! An instance that is attached here, and is asked again what it offers once its program was started anew.

use super::{introduction::Introduction, local::Local};
use futures::future::{BoxFuture, pending};
use micro_actors::{
    protobuf::{Reflection, until_gone},
    registry::AttachGuard,
};
use micro_sdk::wire::Instance;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The pause before a program is asked again whose connection has ended: one that starts anew needs about this long.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// The longest pause, for a program that stays away, or that closes what is idle.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// An instance for as long as this is kept.
pub struct Offering {
    pub(super) guard: AttachGuard,
    pub(super) introduction: Introduction,
    /// The digest of what it said when it was asked, if it was there; none if it is not asked.
    pub(super) said: Option<Option<Vec<u8>>>,
}

impl Offering {
    /// The instance, as it was attached.
    pub fn instance(&self) -> &Instance {
        self.guard.instance()
    }

    /// Returns once the instance was given up because its owner was silent for too long.
    pub fn lost(&self) -> BoxFuture<'static, ()> {
        Box::pin(self.guard.lost())
    }

    /// Keeps it until its owner is silent for too long, or ends it: as what its program says now, and says later.
    pub(super) fn register(self, local: &Local, told: [u8; 32]) {
        let watch = self.said.is_some().then(|| {
            let (anew, local) = (self.anew(local), local.clone());
            tokio::spawn(async move { anew.await.register(&local, told) })
        });
        local.system.registry().hold(self.guard, told, watch);
    }

    /// Returns once the program says something else than it did: attached a second time, as what it says now. What was
    /// attached before stays until it is dropped, so that the service is known all the time.
    pub fn anew(&self, local: &Local) -> BoxFuture<'static, Offering> {
        let Some(said) = self.said.clone() else { return Box::pin(pending()) };
        let (introduction, local) = (self.introduction.clone(), local.clone());
        Box::pin(async move {
            let mut pause = PAUSE_MIN;
            loop {
                let began = Instant::now();
                let was_there = until_gone(introduction.address).await;
                if was_there && began.elapsed() > PAUSE_MAX {
                    pause = PAUSE_MIN;
                }
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
                if let Some(offering) = ask_again(&local, &introduction, &said).await {
                    return offering;
                }
            }
        })
    }
}

/// What a program offers now, if it says something else than it has `said`.
async fn ask_again(local: &Local, introduction: &Introduction, said: &Option<Vec<u8>>) -> Option<Offering> {
    let service = &introduction.service;
    let asked = match Reflection::ask(introduction.address).await {
        Ok(asked) => asked,
        Err(fault) => {
            tracing::warn!(%service, %fault, "what an instance offers since it was started anew is not known");
            return None;
        }
    };
    let digest = asked.digest();
    if digest.is_none() || digest == *said {
        return None;
    }
    match local.attach_as(introduction.clone(), Some(asked)) {
        Ok(offering) => {
            tracing::info!(%service, "an instance offers something else since it was started anew");
            Some(offering)
        }
        Err(fault) => {
            tracing::warn!(%service, %fault, "what an instance offers since it was started anew can't be offered");
            None
        }
    }
}
