//! How often what lost to other writers is tried again.

use crate::{
    chance,
    wire::{Code, Fault},
};
use std::time::Duration;
use tokio::time::sleep;

/// How often a change is decided anew. With sixteen writers of one record each of them gets through within as many
/// rounds; a record that is fought over for longer wants another design.
const ATTEMPTS_MAX: u32 = 16;
/// The first pause: about as long as a write takes.
const PAUSE_MIN: Duration = Duration::from_millis(2);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// The budget of one change.
#[derive(Debug, Default)]
pub(super) struct Attempts(u32);

impl Attempts {
    /// Waits before the next attempt at `what`.
    ///
    /// # Errors
    /// `Conflict` once the budget is used up.
    pub async fn pause(&mut self, what: impl FnOnce() -> String) -> Result<(), Fault> {
        let Some(pause) = self.next() else {
            let message =
                format!("{} was changed by others each of {ATTEMPTS_MAX} times: nothing was changed", what());
            return Err(Fault::new(Code::Conflict, message).help("try again, or let fewer write it at once"));
        };
        // Anything up to the pause, so that those who collided don't collide again.
        sleep(pause.mul_f64(chance::fraction())).await;
        Ok(())
    }

    /// The longest pause before the next attempt, if there is to be one.
    fn next(&mut self) -> Option<Duration> {
        self.0 += 1;
        (self.0 < ATTEMPTS_MAX).then(|| (PAUSE_MIN * 2u32.pow(self.0 - 1)).min(PAUSE_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_ends() {
        let mut attempts = Attempts::default();
        let pauses: Vec<Duration> = std::iter::from_fn(|| attempts.next()).collect();
        assert_eq!(pauses.len() as u32, ATTEMPTS_MAX - 1);
        assert!(pauses.is_sorted() && pauses[0] == PAUSE_MIN && pauses.ends_with(&[PAUSE_MAX]), "{pauses:?}");
    }
}
