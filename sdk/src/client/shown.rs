//! What a client shows with its requests to say who it is.

use super::Token;
use crate::wire::{Code, Fault};
use std::time::Duration;
use tokio::sync::watch;

/// How much of its life a token is used before the next one is asked for: two thirds.
pub(crate) fn renew_after(life: Duration) -> Duration {
    life * 2 / 3
}

/// A token, or where the newest one is.
#[derive(Clone)]
pub(crate) enum Shown {
    /// It stays as it is.
    Fixed(Token),
    /// It is renewed behind the scenes. None while there is none yet, or none any more.
    Renewed(watch::Receiver<Option<Token>>),
}

impl Shown {
    /// What is shown just now.
    ///
    /// # Errors
    /// `Unavailable` if there is none.
    pub fn token(&self) -> Result<Token, Fault> {
        match self {
            Shown::Fixed(token) => Ok(token.clone()),
            Shown::Renewed(tokens) => tokens.borrow().clone().ok_or_else(|| {
                Fault::new(
                    Code::Unavailable,
                    "there is no token to act by: the node has given none yet, or renews none",
                )
                .help("try again in a moment; after a login that has ended, log in again")
            }),
        }
    }

    /// Whether it is shown on a unix socket too, whose other end knows the process and takes it for the admin.
    pub fn is_for_sockets(&self) -> bool {
        matches!(self, Shown::Renewed(_))
    }
}
