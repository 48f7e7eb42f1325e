//! A watch of the tree: all that is at a path, each time that it changes.
//!
//! Every change writes the head, so that is what is watched; then the tree is read. Changes that come while it is read
//! are told with the next reading, the last one always.

use crate::{
    config::{
        ConfigPath, ConfigService, EditView, GetRequest, LeafView, Reading,
        record::{HEAD, Tables},
    },
    store::{RecordRange, Watch, WatchEvent, WatchRequest},
};
use futures::{Stream, stream};
use micro_sdk::wire::{Fault, InstanceId, Namespace};
use std::collections::BTreeMap;
use tokio::{
    sync::watch,
    time::{Duration, Instant},
};

/// How long one reading may take, which a node that can't open secrets asks another for: longer than an election.
const READING_PATIENCE: Duration = Duration::from_secs(30);

/// What to watch. Whoever asks for secrets was allowed to see them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchConfigRequest {
    /// The tenant.
    pub namespace: Namespace,
    /// Where.
    pub path: ConfigPath,
    /// With secrets as they are.
    pub show_secrets: bool,
    /// With the staged changes that this instance has.
    pub instance: Option<InstanceId>,
    /// The version that a watcher was told last which was cut off: it is told who made the last change since.
    pub since: Option<u64>,
}

/// What a watcher is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigUpdate {
    /// What is there now.
    pub reading: Reading,
    /// What changed since the last one; empty in the first.
    pub edits: Vec<EditView>,
}

/// A watch that was begun. Dropping it ends it.
pub struct ConfigWatch {
    service: ConfigService,
    request: WatchConfigRequest,
    /// Every change writes the head.
    head: Watch,
    /// Changes when instances come and go, among others.
    gossip: watch::Receiver<u64>,
    told: Option<Reading>,
    /// Whether there may be something that was not told.
    stale: bool,
    ended: bool,
}

impl ConfigService {
    /// Watches what is at a path.
    ///
    /// # Errors
    /// Why the beginning can't be made linearizable.
    pub async fn watch(&self, request: WatchConfigRequest, deadline: Instant) -> Result<ConfigWatch, Fault> {
        let range = RecordRange::key(Tables::of(&request.namespace).head, HEAD);
        let head = WatchRequest { range, from_revision: None, stale: false };
        let head = self.store.watch(head, deadline).await?;
        let gossip = self.parts.mesh.gossip().changed();
        let service = self.clone();
        Ok(ConfigWatch { service, request, head, gossip, told: None, stale: true, ended: false })
    }
}

impl ConfigWatch {
    /// What comes next; none after the fault that ended it: the node stops, or the watcher was too slow. Nothing is
    /// lost if it is dropped while it waits.
    pub async fn next(&mut self) -> Option<Result<ConfigUpdate, Fault>> {
        if self.ended {
            return None;
        }
        let next = self.advance().await;
        self.ended = next.is_err();
        Some(next)
    }

    /// The same as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<ConfigUpdate, Fault>> + Send {
        stream::unfold(self, |mut watch| async move { watch.next().await.map(|next| (next, watch)) })
    }

    async fn advance(&mut self) -> Result<ConfigUpdate, Fault> {
        loop {
            if self.stale {
                let reading = self.read().await?;
                self.stale = false;
                if let Some(update) = self.update(reading) {
                    return Ok(update);
                }
            }
            tokio::select! {
                biased;
                event = self.head.next() => match event {
                    Some(event) => self.stale |= matches!(event?, WatchEvent::Changes { .. }),
                    None => return Err(ended()),
                },
                // The sender lives as long as the mesh does.
                _ = self.gossip.changed(), if self.request.instance.is_some() => {
                    self.gossip.borrow_and_update();
                    self.stale = true;
                }
            }
        }
    }

    async fn read(&self) -> Result<Reading, Fault> {
        let WatchConfigRequest { namespace, path, show_secrets, instance, since } = self.request.clone();
        let since = self.told.as_ref().map_or(since, |told| Some(told.version));
        // What is watched was applied here, so that this replica shows it.
        let request = GetRequest { namespace, path, show_secrets, stale: true, at: None, instance, since };
        self.service.get(request, Instant::now() + READING_PATIENCE).await
    }

    /// What to tell, if anything is new.
    fn update(&mut self, reading: Reading) -> Option<ConfigUpdate> {
        let edits = match &self.told {
            None => Vec::new(),
            Some(told) if told.leaves == reading.leaves => return None,
            Some(told) => difference(&told.leaves, &reading.leaves),
        };
        self.told = Some(reading.clone());
        Some(ConfigUpdate { reading, edits })
    }
}

fn ended() -> Fault {
    Fault::new(micro_sdk::wire::Code::Unavailable, "the watch has ended").help("watch again")
}

/// What is different between two lists of leaves.
fn difference(before: &[LeafView], after: &[LeafView]) -> Vec<EditView> {
    let mut leaves: BTreeMap<&str, (Option<&LeafView>, Option<&LeafView>)> = BTreeMap::new();
    before.iter().for_each(|leaf| leaves.entry(&leaf.path).or_default().0 = Some(leaf));
    after.iter().for_each(|leaf| leaves.entry(&leaf.path).or_default().1 = Some(leaf));
    let edit = |(path, (before, after)): (&str, (Option<&LeafView>, Option<&LeafView>))| EditView {
        path: path.to_owned(),
        before: before.map(|leaf| leaf.masked().to_owned()),
        after: after.map(|leaf| leaf.masked().to_owned()),
        secret: [before, after].into_iter().flatten().any(|leaf| leaf.secret),
    };
    leaves.into_iter().filter(|(_, (before, after))| before != after).map(edit).collect()
}
