//! Keeps the book in step with this node's replica: it is told what is applied here, and never asks anybody.

use super::{PolicyBook, policies::read_all};
use crate::{
    registry::Registry,
    store::{Glimpse, StoreService, TablePath},
};
use micro_sdk::wire::{Fault, Namespace};
use std::sync::Arc;
use tokio::{
    sync::watch,
    time::{Duration, Instant, sleep},
};

/// How long changes are gathered before they are taken up.
const GATHER: Duration = Duration::from_millis(20);
/// The pause before the replica is read again, where that failed.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a reading may take. It waits for nobody.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where policies are kept: key NAMESPACE/SERVICE.
pub(crate) fn table() -> TablePath {
    TablePath::reserved(Namespace::default(), "call-policies")
}

/// Keeps the book in step with a replica.
pub(crate) struct PolicyFollower {
    store: Arc<StoreService>,
    registry: Registry,
    book: PolicyBook,
    bell: watch::Receiver<u64>,
}

impl PolicyFollower {
    /// `bell` rings when the table changes.
    pub fn new(
        store: Arc<StoreService>,
        registry: Registry,
        book: PolicyBook,
        bell: watch::Receiver<u64>,
    ) -> Self {
        PolicyFollower { store, registry, book, bell }
    }

    /// Follows the replica until it is dropped.
    pub async fn run(mut self) {
        loop {
            // Before the reading, which then shows all that it rang for.
            self.bell.mark_unchanged();
            if let Err(fault) = self.take_up().await {
                tracing::error!(%fault, "the policies of calls can't be read: they stay as they were");
                sleep(PAUSE).await;
                continue;
            }
            // The bell lives as long as the store does.
            if self.bell.changed().await.is_err() {
                return;
            }
            sleep(GATHER).await;
        }
    }

    async fn take_up(&self) -> Result<(), Fault> {
        let read = |glimpse: &Glimpse<'_>| read_all(glimpse);
        let kept = self.store.glimpse(true, Instant::now() + PATIENCE, read).await?;
        let policies = kept.into_iter().filter_map(|(service, kept)| match kept.policy() {
            Ok(policy) => Some((service, policy)),
            Err(fault) => {
                let (namespace, service) = &service;
                tracing::error!(%namespace, %service, %fault,
                    "a policy can't be read by this build: the service has none here");
                None
            }
        });
        self.book.replace(policies.collect());
        self.registry.bound();
        Ok(())
    }
}
