//! Looks after one instance for as long as it is attached.

use super::super::{Attachment, Registry, WeakRegistry};
use std::{sync::Arc, time::Duration};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until},
};

/// What looks after an instance. Dropped, it does not any more.
pub(in super::super) struct Vigil(JoinHandle<()>);

impl Drop for Vigil {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Vigil {
    /// Looks after an instance, if there is anything to look after.
    pub fn keep(registry: &Registry, attachment: &Arc<Attachment>) -> Option<Self> {
        let watched = attachment.vitals.is_watched();
        watched.then(|| Vigil(tokio::spawn(watch(registry.downgrade(), attachment.clone()))))
    }
}

/// Makes the check when it is due, notices silence, and has the registry tell what has changed.
async fn watch(registry: WeakRegistry, attachment: Arc<Attachment>) {
    let vitals = &attachment.vitals;
    let check = vitals.check().zip(attachment.address);
    // The first one at once: nobody is led to an instance before.
    let mut next = Instant::now();
    loop {
        let due = vitals.due(Instant::now());
        tokio::select! {
            biased;
            () = vitals.reported() => {}
            () = sleep_until(due.unwrap_or(next)), if due.is_some() => {}
            () = sleep_until(next), if check.is_some() => {
                let (check, address) = check.expect("the branch is taken with a check only");
                let began = Instant::now();
                vitals.note(check.run(address).await);
                let Some(registry) = registry.upgrade() else { return };
                next = (began + registry.about(check.interval)).max(Instant::now());
            }
        }
        let Some(registry) = registry.upgrade() else { return };
        if vitals.is_over(Instant::now()) {
            registry.lose(&attachment);
            return;
        }
        registry.settle(&attachment);
    }
}

impl Registry {
    /// From nine tenths of a time to eleven, so that instances that were attached together are not checked together.
    fn about(&self, time: Duration) -> Duration {
        let chance = f64::from(u16::from_le_bytes(self.seams().random())) / f64::from(u16::MAX);
        time.mul_f64(0.9 + chance / 5.0)
    }
}
