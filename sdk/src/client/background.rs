//! What a client does after its value was dropped: what it held is given back.

use std::{future::Future, sync::Arc};
use tokio::{runtime::Handle, sync::watch};

/// The tasks of one connection that nobody waits for. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Background {
    running: Arc<watch::Sender<usize>>,
}

impl Default for Background {
    fn default() -> Self {
        Background { running: Arc::new(watch::Sender::new(0)) }
    }
}

/// One of them, for as long as it runs: also if its runtime ends it early.
struct Running(Arc<watch::Sender<usize>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

impl Background {
    /// Runs `task`, if this is called where there is a runtime.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let Ok(runtime) = Handle::try_current() else { return };
        self.running.send_modify(|running| *running += 1);
        let running = Running(self.running.clone());
        runtime.spawn(async move {
            let _running = running;
            task.await;
        });
    }

    /// Waits until none runs.
    pub async fn idle(&self) {
        // The sender lives as long as this value, so that there is no error.
        let _ = self.running.subscribe().wait_for(|running| *running == 0).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::{Instant, sleep};

    #[tokio::test(start_paused = true)]
    async fn idle_waits_for_all_and_for_none() {
        let background = Background::default();
        let begun = Instant::now();
        background.idle().await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        for seconds in [1, 3, 2] {
            background.spawn(sleep(Duration::from_secs(seconds)));
        }
        background.idle().await;
        assert_eq!(begun.elapsed().as_secs(), 3);
    }
}
