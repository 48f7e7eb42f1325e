//! What a watcher of the registry is told: the instances that there are, a mark, and what changes.
//!
//! Nothing is gathered for a watcher. What it was told is kept, and compared with what there is once it has room for
//! more: so a slow one is told less often, several changes of one instance as one, and ends up with what there is.

use super::{registry::instance, streams::Answers};
use crate::node::Local;
use futures::{StreamExt, stream};
use micro_actors::registry::Instances;
use micro_sdk::{
    proto::{
        WatchServicesResponse,
        watch_services_response::{Change, Event, Mark, change::Action},
    },
    wire::{Instance, InstanceId, Namespace, NodeId, ServiceName},
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};
use tokio::sync::{OwnedSemaphorePermit, watch};

/// Instances by what tells them apart.
type Known = BTreeMap<(NodeId, InstanceId), Arc<Instance>>;

/// What a watcher was told, and is to be told.
pub(super) struct Told {
    local: Local,
    namespace: Namespace,
    /// The only service that is watched, if it is one.
    name: Option<ServiceName>,
    known: Known,
    /// At most what there is, and what there was.
    waiting: VecDeque<Event>,
    marked: bool,
    news: watch::Receiver<u64>,
    draining: watch::Receiver<bool>,
}

impl Told {
    /// Nothing was told.
    pub fn new(
        local: &Local,
        namespace: Namespace,
        name: Option<ServiceName>,
        draining: watch::Receiver<bool>,
    ) -> Self {
        let mut news = local.services_changed();
        news.mark_changed();
        let (known, waiting) = (Known::new(), VecDeque::new());
        Told { local: local.clone(), namespace, name, known, waiting, marked: false, news, draining }
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            tokio::select! {
                biased;
                _ = self.draining.wait_for(|draining| *draining) => return None,
                // The sender is gone with the node only.
                news = self.news.changed() => news.ok()?,
            }
            self.compare();
        }
    }

    /// Finds what is to be told.
    fn compare(&mut self) {
        let now = known(self.local.known_services(&self.namespace), self.name.as_ref());
        for (action, one) in changes(&self.known, &now) {
            let (service, instance) = (one.service.to_string(), Some(instance(&self.local, &one)));
            self.waiting.push_back(Event::Change(Change { action: action.into(), service, instance }));
        }
        self.known = now;
        if !self.marked {
            self.marked = true;
            self.waiting.push_back(Event::Mark(Mark {}));
        }
    }
}

fn known(services: Vec<(ServiceName, Instances)>, name: Option<&ServiceName>) -> Known {
    let watched = services.into_iter().filter(|(service, _)| name.is_none_or(|name| name == service));
    let instances = watched.flat_map(|(_, instances)| instances);
    instances.map(|instance| ((instance.node, instance.id), instance)).collect()
}

/// What is gone first: the place of one that is replaced is free before it is taken.
fn changes(before: &Known, now: &Known) -> Vec<(Action, Arc<Instance>)> {
    let gone = before.iter().filter(|(id, _)| !now.contains_key(*id));
    let gone = gone.map(|(_, instance)| (Action::Delete, instance.clone()));
    let here = now.iter().filter_map(|(id, instance)| match before.get(id) {
        None => Some((Action::Create, instance.clone())),
        Some(known) if known != instance => Some((Action::Update, instance.clone())),
        Some(_) => None,
    });
    gone.chain(here).collect()
}

/// What a watcher is sent, until the node drains.
pub(super) fn watching(told: Told, seat: OwnedSemaphorePermit) -> Answers<WatchServicesResponse> {
    let events = stream::unfold((told, seat), |(mut told, seat)| async move {
        let event = told.next().await?;
        Some((Ok(WatchServicesResponse { event: Some(event) }), (told, seat)))
    });
    events.boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::wire::Health;

    fn instance(id: u64, health: Health) -> Arc<Instance> {
        Arc::new(Instance {
            id,
            namespace: Namespace::default(),
            service: shop(),
            version: "1".to_owned(),
            node: NodeId(1),
            endpoints: Vec::new(),
            routes: Vec::new(),
            streams: Vec::new(),
            metadata: BTreeMap::new(),
            health,
        })
    }

    fn shop() -> ServiceName {
        "shop".parse().expect("a good name")
    }

    #[test]
    fn what_came_changed_and_went_is_told_once_each() {
        let of = |instances: [Arc<Instance>; 3]| known(vec![(shop(), instances.to_vec())], None);
        let passing = |id| instance(id, Health::Passing);
        let before = of([passing(1), passing(2), passing(3)]);
        let now = of([instance(2, Health::Unknown), passing(3), passing(4)]);
        let found: Vec<(Action, u64)> =
            changes(&before, &now).into_iter().map(|(action, instance)| (action, instance.id)).collect();
        assert_eq!(found, [(Action::Delete, 1), (Action::Update, 2), (Action::Create, 4)]);
        assert!(changes(&now, &now).is_empty());
        let other = "other".parse().expect("a good name");
        assert!(known(vec![(shop(), vec![passing(1)])], Some(&other)).is_empty());
    }
}
