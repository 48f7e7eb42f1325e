//! What a node tells the mesh of its instances, and when: that they are there, how they are, that they take no calls.

use super::{
    Attachment, Registry, WeakRegistry,
    announcement::{announcement_key, announcement_value, drained_key},
    work::Work,
};
use micro_sdk::wire::{Fault, Health, Instance, InstanceId, Seams};
use std::sync::{Arc, MutexGuard, PoisonError};
use tokio::time::Instant;

impl Registry {
    pub(super) fn work(&self) -> Work {
        *self.0.work.borrow()
    }

    /// From `Ended` there is no way back.
    fn set_work(&self, next: Work) {
        self.0.work.send_if_modified(|work| {
            let other = *work != Work::Ended && *work != next;
            if other {
                *work = next;
            }
            other
        });
    }

    /// Tells the mesh that this node's instances take no more calls, for good. Those in work go on.
    pub(crate) fn withdraw(&self) {
        self.set_work(Work::Ended);
        self.announce();
    }

    /// The same for a while: what it has stays known.
    pub(crate) fn drain(&self) {
        self.set_work(Work::Drained);
        self.announce();
    }

    /// Tells the mesh of this node's instances what it may know of them just now.
    fn announce(&self) {
        self.attached().iter().for_each(|attachment| self.announce_one(attachment));
    }

    /// Tells the mesh of an instance, unless it was detached meanwhile.
    pub(super) fn announce_one(&self, attachment: &Attachment) {
        let _turn = self.telling();
        let instance = &attachment.instance;
        if !self.is_attached(instance.id) {
            return;
        }
        let (gossip, work) = (self.0.mesh.gossip(), self.work());
        let value = announcement_value(&attachment.as_it_is());
        let keys = [(announcement_key(instance), Work::Open), (drained_key(instance), Work::Drained)];
        for (key, told_while) in keys {
            match work == told_while {
                true => gossip.set(&key, value.clone()),
                false => gossip.remove(&key),
            }
        }
    }

    /// Held by who tells the mesh of an instance, so that the last word is the newest.
    fn telling(&self) -> MutexGuard<'_, ()> {
        self.0.telling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_attached(&self, id: InstanceId) -> bool {
        self.0.attached.read().expect("no code panics while it holds the instances").contains_key(&id)
    }

    /// Takes up what has changed of how an instance is.
    pub(super) fn settle(&self, attachment: &Attachment) {
        let Some(health) = attachment.vitals.settle(Instant::now(), self.0.seams.clock.now()) else { return };
        let Instance { service, id, .. } = &*attachment.instance;
        match &health {
            Health::Failing { reason, .. } => {
                tracing::warn!(%service, instance = %format_args!("{id:016x}"), reason, "instance is failing");
            }
            _ => {
                let health = health.name();
                tracing::info!(%service, instance = %format_args!("{id:016x}"), health, "instance's health");
            }
        }
        self.announce_one(attachment);
    }

    /// Announces this node's instances again.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if the node stops.
    pub(crate) fn resume(&self) -> Result<(), Fault> {
        self.set_work(Work::Open);
        self.work().refuse()?;
        self.announce();
        Ok(())
    }

    /// Whether this node was told to do nothing for a while.
    pub fn is_drained(&self) -> bool {
        self.work() == Work::Drained
    }

    /// Takes an instance out of the table, and tells the mesh.
    pub(super) fn detach(&self, instance: &Instance) {
        let mut attached = self.0.attached.write().expect("no code panics while it holds the instances");
        let Some(gone) = attached.remove(&instance.id) else { return };
        drop(attached);
        self.note_succession(&gone);
        let _turn = self.telling();
        let gossip = self.0.mesh.gossip();
        gossip.remove(&announcement_key(instance));
        gossip.remove(&drained_key(instance));
        tracing::info!(service = %instance.service, "instance detached");
    }

    pub(super) fn downgrade(&self) -> WeakRegistry {
        WeakRegistry(Arc::downgrade(&self.0))
    }

    pub(super) fn seams(&self) -> &Seams {
        &self.0.seams
    }
}
