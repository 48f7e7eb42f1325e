//! Keeps a login alive: the access token is renewed in time, for as long as somebody shows it.

use super::{Auth, Login};
use crate::{
    chance,
    client::{Token, shown::renew_after},
    wire::{Code, Effect},
};
use std::time::Duration;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

/// How long an access token is good when the node's and this host's clock don't agree on that: as nodes make them.
const LIFE: Duration = Duration::from_secs(15 * 60);
/// The pause before a renewal that found nobody is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Renews the access token of `login` and hands each to `tokens`, until nobody shows it any more or the login has
/// ended: then there is none.
pub(crate) async fn keep_logged_in(auth: Auth, mut login: Login, tokens: watch::Sender<Option<Token>>) {
    loop {
        let life = login.expires.elapsed().err().map_or(Duration::ZERO, |left| left.duration());
        let due = Instant::now() + renew_after(life.min(LIFE));
        tokio::select! {
            biased;
            () = tokens.closed() => return,
            () = sleep_until(due) => {}
        }
        login = loop {
            match auth.refresh(&login.refresh).await {
                Ok(next) => break next,
                // A refresh token is good once: who can't know whether it was taken must not show it again.
                Err(fault) if fault.code == Code::Denied || fault.effect == Effect::Unknown => {
                    tokens.send_replace(None);
                    return;
                }
                Err(_) => {
                    // From half the pause to all of it, so that clients do not come all at once.
                    let pause = RETRY.mul_f64(0.5 + chance::fraction() / 2.0);
                    tokio::select! {
                        biased;
                        () = tokens.closed() => return,
                        () = sleep(pause) => {}
                    }
                }
            }
        };
        tokens.send_replace(Some(login.access.clone()));
    }
}
