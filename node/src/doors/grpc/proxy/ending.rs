//! What ends a call whose request and answer go on, beside the two that talk.

use crate::doors::grpc::leash::Leash;
use micro_actors::{STOP_GRACE, shut_down};
use micro_sdk::wire::{Code, Fault};
use std::{future::pending, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// The time and the permission that a call has.
pub(super) struct Ending {
    deadline: Option<(Instant, Duration)>,
    leash: Option<Leash>,
    draining: watch::Receiver<bool>,
    /// When it ends because the node stops, once it does: however often it is asked meanwhile.
    stop: Option<Instant>,
}

impl Ending {
    pub(super) fn new(time: Option<Duration>, leash: Option<Leash>, draining: watch::Receiver<bool>) -> Self {
        let deadline = time.map(|time| (Instant::now() + time, time));
        Ending { deadline, leash, draining, stop: None }
    }

    /// Returns when the call has to end, and why. May be dropped and asked again.
    pub(super) async fn come(&mut self) -> Fault {
        let Ending { deadline, leash, draining, stop } = self;
        let late = async {
            let Some((at, time)) = deadline else { return pending().await };
            sleep_until(*at).await;
            Fault::new(Code::Timeout, format!("the call was not over within its {} ms", time.as_millis()))
                .effect_unknown()
        };
        let forbidden = async {
            match leash {
                Some(leash) => leash.pulled().await,
                None => pending().await,
            }
        };
        let stopped = async {
            // The sender lives as long as the doors do; when it is gone, so is the node.
            let _ = draining.wait_for(|draining| *draining).await;
            sleep_until(*stop.get_or_insert_with(|| Instant::now() + STOP_GRACE)).await;
            shut_down()
        };
        tokio::select! {
            biased;
            fault = late => fault,
            fault = forbidden => fault,
            fault = stopped => fault,
        }
    }
}
