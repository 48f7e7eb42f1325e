//! Instances that nobody holds a stream for: their owners come again before their time to live is over. And what owners
//! of any instance say of it.

use super::{AttachGuard, Attachment, Owner, Registry};
use micro_sdk::wire::{Code, Fault, Instance, InstanceId, Namespace, ServiceName};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{task::JoinHandle, time::Instant};

/// The instances that were registered.
#[derive(Default)]
pub(super) struct Leases(Mutex<Vec<Lease>>);

struct Lease {
    guard: AttachGuard,
    /// The digest of what its owner told of it.
    told: [u8; 32],
    _watch: Option<Watch>,
}

/// Looks whether its program offers something else, for as long as it is registered.
struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Lease {
    fn is_of(&self, namespace: &Namespace, service: &ServiceName, address: SocketAddr) -> bool {
        let Attachment { instance, address: own, .. } = &**self.guard.attachment();
        (&instance.namespace, &instance.service, *own) == (namespace, service, Some(address))
    }
}

impl Leases {
    fn all(&self) -> MutexGuard<'_, Vec<Lease>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// Prolongs what `owner` has registered of this service at this address, if it is told of as it was. None if it
    /// is not, or if there is none: then it has to be attached, and [held](Self::hold).
    ///
    /// # Errors
    /// [`Code::Conflict`] if it is another's.
    pub fn renew(
        &self,
        owner: &Owner,
        (namespace, service): (&Namespace, &ServiceName),
        address: SocketAddr,
        told: [u8; 32],
    ) -> Result<Option<Instance>, Fault> {
        let attachment = {
            let leases = self.leases().all();
            let Some(lease) = leases.iter().find(|lease| lease.is_of(namespace, service, address)) else {
                return Ok(None);
            };
            let attachment = lease.guard.attachment();
            if !attachment.vitals.owner().is_served_by(owner) {
                let message = format!("another account has registered {service} at {address}");
                return Err(Fault::new(Code::Conflict, message)
                    .help("only who registered it can renew, change or end it"));
            }
            if lease.told != told {
                return Ok(None);
            }
            attachment.clone()
        };
        self.hear(&attachment, Ok(()));
        Ok(Some(attachment.as_it_is()))
    }

    /// Keeps an instance attached until its owner is silent for too long, or ends it, in place of what was registered
    /// of the same service at the same address. `watch` is ended with it.
    pub fn hold(&self, guard: AttachGuard, told: [u8; 32], watch: Option<JoinHandle<()>>) {
        let Instance { namespace, service, .. } = &*guard.attachment().instance;
        let address = guard.attachment().address;
        let is_same = |lease: &Lease| address.is_some_and(|at| lease.is_of(namespace, service, at));
        let mut leases = self.leases().all();
        let before = leases.iter().position(is_same).map(|place| leases.swap_remove(place));
        leases.push(Lease { guard, told, _watch: watch.map(Watch) });
        drop(leases);
        // Only now, so that the service is known all the time.
        drop(before);
    }

    /// Its owner says how an instance of this node is: that it works, or why it does not.
    ///
    /// # Errors
    /// [`Code::NotFound`] if there is no such instance here; [`Code::Denied`] if it is another's; [`Code::Usage`] for a
    /// failure of one that its node checks, or nobody: it would count for nothing.
    pub fn report(
        &self,
        owner: &Owner,
        (namespace, service): (&Namespace, &ServiceName),
        id: InstanceId,
        result: Result<(), String>,
    ) -> Result<(), Fault> {
        let attachment = self.owned(owner, (namespace, service), id)?;
        if result.is_err() && !attachment.vitals.is_reported() {
            let message = format!(
                "whether {service} works is not found out by reports, so this one counts for nothing"
            );
            return Err(Fault::new(Code::Usage, message).help(
                "offer it with a check that is reported: `micro-node registry register --health reported`",
            ));
        }
        self.hear(&attachment, result);
        Ok(())
    }

    /// Ends what was registered.
    ///
    /// # Errors
    /// As [`report`](Self::report), and [`Code::Usage`] if it is held by a stream.
    pub fn deregister(
        &self,
        owner: &Owner,
        (namespace, service): (&Namespace, &ServiceName),
        id: InstanceId,
    ) -> Result<(), Fault> {
        self.owned(owner, (namespace, service), id)?;
        let held = || {
            Fault::new(Code::Usage, format!("that instance of {service} is attached, and was not registered"))
                .help("it is gone once its program ends, or ends the stream")
        };
        self.give_up(id).map(drop).ok_or_else(held)
    }

    /// Gives an instance up whose owner was silent for too long.
    pub(super) fn lose(&self, attachment: &Attachment) {
        let Instance { service, id, .. } = &*attachment.instance;
        tracing::warn!(%service, instance = %format_args!("{id:016x}"), "instance given up: its owner is silent");
        attachment.vitals.lose();
        self.detach(&attachment.instance);
        // Dropped behind the lock: it ends the task that called this.
        drop(self.give_up(*id));
    }

    fn give_up(&self, id: InstanceId) -> Option<Lease> {
        let mut leases = self.leases().all();
        let place = leases.iter().position(|lease| lease.guard.instance().id == id)?;
        Some(leases.swap_remove(place))
    }

    fn hear(&self, attachment: &Attachment, result: Result<(), String>) {
        attachment.vitals.report(Instant::now(), result);
        self.settle(attachment);
    }

    fn owned(
        &self,
        owner: &Owner,
        (namespace, service): (&Namespace, &ServiceName),
        id: InstanceId,
    ) -> Result<Arc<Attachment>, Fault> {
        let attachment = self.attachment_of(id).filter(|attachment| {
            attachment.instance.namespace == *namespace && attachment.instance.service == *service
        });
        let attachment = attachment.ok_or_else(|| {
            Fault::new(Code::NotFound, format!("no instance {id:016x} of {service} is attached to this node"))
                .help("ask the node that it was attached to")
        })?;
        match attachment.vitals.owner().is_served_by(owner) {
            true => Ok(attachment),
            false => {
                let message = format!("the instance {id:016x} of {service} is another account's");
                Err(Fault::new(Code::Denied, message).help("only who attached it may speak for it"))
            }
        }
    }
}
