//! The policies of all services, as this node goes by them.

use super::Policy;
use micro_sdk::wire::{Namespace, ServiceName};
use std::{
    collections::BTreeMap,
    sync::{Arc, RwLock},
};

type ByService = BTreeMap<(Namespace, ServiceName), Arc<Policy>>;

/// The policies of all services, as this node goes by them. Clones share everything.
#[derive(Clone, Default)]
pub(crate) struct PolicyBook(Arc<RwLock<(ByService, Arc<Policy>)>>);

impl PolicyBook {
    /// The policy of a service: its own, or that of services which have none.
    pub fn policy(&self, namespace: &Namespace, service: &ServiceName) -> Arc<Policy> {
        let book = self.0.read().expect("no code panics while it holds the policies");
        if book.0.is_empty() {
            return book.1.clone();
        }
        book.0.get(&(namespace.clone(), service.clone())).unwrap_or(&book.1).clone()
    }

    /// Goes by these from now on. What has not changed stays the same one.
    pub fn replace(&self, policies: BTreeMap<(Namespace, ServiceName), Policy>) {
        let mut book = self.0.write().expect("no code panics while it holds the policies");
        let kept = |(service, policy)| match book.0.get(&service) {
            Some(before) if **before == policy => (service, before.clone()),
            _ => (service, Arc::new(policy)),
        };
        book.0 = policies.into_iter().map(kept).collect();
    }
}
