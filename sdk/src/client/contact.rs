//! The way of a watch to its node: when it is asked again once it is lost, for how long, and who is told.

use crate::{chance, wire::Fault};
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// The first pause before a node is asked again: a new leader is there after about as long.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest one: how long a watch may lag behind a node that came back.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long a node is asked in vain before a watch ends: longer than its restart.
const PATIENCE: Duration = Duration::from_secs(60);

/// What becomes of a watch's way to its node. Nothing that is watched is lost by it, but it comes late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contact {
    /// The node does not answer any more, for this reason. It is asked again.
    Lost(Fault),
    /// It answers again, or another one does.
    Regained,
}

/// Who is told.
type Listener = Arc<dyn Fn(Contact) + Send + Sync>;

/// Asks again, within a budget of time.
#[derive(Clone)]
pub(super) struct Reconnection {
    pub patience: Duration,
    pub listener: Option<Listener>,
    /// How often a node was asked in vain, and since when.
    failing: Option<(u32, Instant)>,
}

impl Default for Reconnection {
    fn default() -> Reconnection {
        Reconnection { patience: PATIENCE, listener: None, failing: None }
    }
}

impl fmt::Debug for Reconnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reconnection { patience, failing, .. } = self;
        f.debug_struct("Reconnection").field("patience", patience).field("failing", failing).finish()
    }
}

impl Reconnection {
    /// The node has answered.
    pub fn answered(&mut self) {
        if self.failing.take().is_some() {
            self.tell(|| Contact::Regained);
        }
    }

    /// The node was lost, or asked in vain. Waits until it may be asked again.
    ///
    /// # Errors
    /// The same fault, once that went on for too long.
    pub async fn pause(&mut self, fault: Fault) -> Result<(), Fault> {
        let (times, since) = self.failing.unwrap_or((0, Instant::now()));
        if since.elapsed() >= self.patience {
            return Err(fault);
        }
        self.failing = Some((times + 1, since));
        if times == 0 {
            self.tell(|| Contact::Lost(fault));
        }
        let pause = (PAUSE_MIN * 2u32.saturating_pow(times.min(8))).min(PAUSE_MAX);
        // From half the pause to all of it, so that watchers do not come back all at once.
        sleep(pause.mul_f64(0.5 + chance::fraction() / 2.0)).await;
        Ok(())
    }

    fn tell(&self, contact: impl FnOnce() -> Contact) {
        if let Some(listener) = &self.listener {
            listener(contact());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Code;
    use std::sync::Mutex;

    #[tokio::test(start_paused = true)]
    async fn a_loss_and_its_end_are_told_once_and_patience_ends() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = told.clone();
        let listener: Listener = Arc::new(move |contact| heard.lock().expect("nobody panics").push(contact));
        let mut contact = Reconnection { listener: Some(listener), ..Reconnection::default() };
        let fault = Fault::new(Code::Unreachable, "gone");
        contact.answered();
        for _ in 0..3 {
            contact.pause(fault.clone()).await.expect("there is time");
        }
        contact.answered();
        contact.answered();
        let expected = [Contact::Lost(fault.clone()), Contact::Regained];
        assert_eq!(*told.lock().expect("nobody panics"), expected);
        let began = Instant::now();
        while contact.pause(fault.clone()).await.is_ok() {}
        let asked = began.elapsed();
        assert!(asked >= PATIENCE && asked <= PATIENCE + PAUSE_MAX, "{asked:?}");
    }
}
