//! How the tree is read: from this node's replica, all of it at one moment.

use crate::{
    config::{
        CanaryView, ChangeRequest, ConfigPath, ConfigService, DiffRequest, EditView, GetRequest,
        HistoryReply, HistoryRequest, LeafView, Plaintext, Reading, What,
        document::assemble,
        leaf::Leaf,
        record::{Canary, Change},
        state::{ConfigState, Opener},
        tree::{Edit, Tree},
        vault::{Vault, reveal},
    },
    store::Glimpse,
};
use micro_sdk::wire::{Code, Fault, InstanceId, Namespace, ServiceName};
use std::collections::BTreeMap;
use tokio::time::Instant;

/// How many changes one look into the history shows, unless asked for fewer.
const HISTORY_LIMIT: u32 = 100;
/// The most that may be asked for: all that are kept.
const HISTORY_LIMIT_MAX: u32 = 1000;
/// The bytes of the changes in one answer, or not much more: what fits it with room to spare.
const HISTORY_BYTES: u64 = 4 << 20;
/// How many changes are looked at for who touched a path last.
const WHO_CHANGES_MAX: usize = 100;

/// What one look showed.
pub(crate) struct Sight {
    tree: Tree,
    version: u64,
    canaries: Vec<Canary>,
    vault: Option<Vault>,
    who: String,
}

impl Sight {
    /// Looks at what a request asks for.
    pub fn look(glimpse: &Glimpse<'_>, request: &GetRequest, opener: Option<&Opener>) -> Result<Self, Fault> {
        let state = ConfigState::new(glimpse, &request.namespace);
        let (tree, version) = state.tree_at(request.at)?;
        let vault = match opener {
            Some(opener) if request.show_secrets => state.vault(opener)?.map(|(vault, _)| vault),
            _ => None,
        };
        // What was staged at an earlier version is not known any more.
        let staged = request.instance.is_some() && request.at.is_none();
        let canaries = if staged { state.canaries()? } else { Vec::new() };
        let who = match request.since {
            Some(since) => last_who(&state, &request.path, since)?,
            None => String::new(),
        };
        Ok(Sight { tree, version, canaries, vault, who })
    }

    /// What is at the path of the request, for an instance that has those of the staged changes that `has` tells.
    pub fn reading(mut self, request: &GetRequest, has: impl Fn(&Canary) -> bool) -> Result<Reading, Fault> {
        let mut staged = BTreeMap::new();
        for canary in self.canaries.iter().filter(|canary| has(canary)) {
            self.tree.lay_over(&canary.edits);
            let set = canary.edits.iter().filter(|edit| edit.after.is_some());
            staged.extend(set.map(|edit| (edit.path.clone(), canary.number)));
        }
        let view = |(path, leaf): (&String, &Leaf)| {
            let secret = leaf.content.is_secret();
            let value = match request.show_secrets {
                true => reveal(self.vault.as_ref(), path, &leaf.content)?,
                false => Plaintext::new(leaf.content.masked()),
            };
            let canary = staged.get(path).copied().unwrap_or_default();
            Ok(LeafView { path: path.clone(), value, secret, version: leaf.version, canary })
        };
        let leaves = self.tree.under(&request.path).map(view).collect::<Result<Vec<_>, Fault>>()?;
        let pairs = leaves.iter().map(|leaf| (leaf.path.as_str(), leaf.value.expose()));
        let value = assemble(&request.path, pairs);
        Ok(Reading { value, version: self.version, leaves, who: self.who, age_ms: None })
    }
}

/// Who made the last change behind version `since` that touches a path.
fn last_who(state: &ConfigState<'_>, path: &ConfigPath, since: u64) -> Result<String, Fault> {
    let (mut who, mut looked) = (String::new(), 0);
    state.changes(since, u64::MAX, |change, _| {
        looked += 1;
        if touches(&change, path) {
            who = change.who;
            return Ok(false);
        }
        Ok(looked < WHO_CHANGES_MAX)
    })?;
    Ok(who)
}

/// Whether a change touches what is at a path.
fn touches(change: &Change, path: &ConfigPath) -> bool {
    if change.edits.is_empty() {
        return path.is_root();
    }
    let meets = |edit: &Edit| ConfigPath::parse(&edit.path).is_ok_and(|edited| edited.meets(path));
    change.edits.iter().any(meets)
}

impl ConfigService {
    /// What is at a path. Whoever asks for secrets was allowed to see them.
    ///
    /// # Errors
    /// [`Code::Usage`] if the version is not there yet, [`Code::Conflict`] if it is not known any more, why the reading
    /// can't be made linearizable, or why nobody can open the secrets.
    pub async fn get(&self, request: GetRequest, deadline: Instant) -> Result<Reading, Fault> {
        if request.show_secrets && self.opener()?.is_none() {
            // Canaries are ranked there too: the registry is the same everywhere, a moment later.
            return self.ask_leader("read", &request, deadline).await;
        }
        self.get_here(request, deadline).await
    }

    /// The same from this node's replica.
    pub(super) async fn get_here(&self, request: GetRequest, deadline: Instant) -> Result<Reading, Fault> {
        let opener = if request.show_secrets { Some(self.opener()?.ok_or_else(no_keys)?) } else { None };
        let asked = request.clone();
        let look = move |glimpse: &Glimpse<'_>| Sight::look(glimpse, &asked, opener.as_ref());
        let (sight, age_ms) = self.store.dated_glimpse(request.stale, deadline, look).await?;
        let instance = request.instance;
        let reading = sight.reading(&request, |canary| {
            instance.is_some_and(|instance| self.holders(&request.namespace, canary).contains(&instance))
        })?;
        Ok(Reading { age_ms, ..reading })
    }

    /// The instances that have a staged change, as this node knows them.
    fn holders(&self, namespace: &Namespace, canary: &Canary) -> Vec<InstanceId> {
        let Ok(service) = canary.service.parse::<ServiceName>() else { return Vec::new() };
        let table = self.parts.registry.table();
        canary.holders(table.instances(namespace, &service).iter().map(|instance| instance.id))
    }

    /// How many instances run of the service that a change is for, if it is to be staged: of nobody it is for nobody.
    pub(super) fn instances_for(&self, request: &ChangeRequest) -> usize {
        let What::Set { path, canary_percent: 1.., .. } = &request.what else { return 0 };
        let service = path.service().and_then(|service| service.parse::<ServiceName>().ok());
        let count =
            |service| self.parts.registry.table().instances(&request.namespace, &service).iter().count();
        service.map_or(0, count)
    }

    /// The changes at or under a path, latest first.
    ///
    /// # Errors
    /// Why the reading can't be made linearizable.
    pub async fn history(&self, request: HistoryRequest, deadline: Instant) -> Result<HistoryReply, Fault> {
        let limit = if request.limit == 0 { HISTORY_LIMIT } else { request.limit.min(HISTORY_LIMIT_MAX) };
        let before = if request.before == 0 { u64::MAX } else { request.before };
        let look = move |glimpse: &Glimpse<'_>| {
            let state = ConfigState::new(glimpse, &request.namespace);
            let (mut changes, mut bytes, mut more) = (Vec::new(), 0, false);
            state.changes(0, before, |change, size| {
                if !touches(&change, &request.path) {
                    return Ok(true);
                }
                more = changes.len() >= limit as usize || bytes >= HISTORY_BYTES;
                if !more {
                    changes.push(change.view());
                    bytes += size;
                }
                Ok(!more)
            })?;
            Ok(HistoryReply { changes, more })
        };
        self.store.glimpse(false, deadline, look).await
    }

    /// What is different at or under a path between two versions.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn diff(&self, request: DiffRequest, deadline: Instant) -> Result<Vec<EditView>, Fault> {
        let look = move |glimpse: &Glimpse<'_>| {
            let state = ConfigState::new(glimpse, &request.namespace);
            let (from, _) = state.tree_at(Some(request.from))?;
            let (to, _) = state.tree_at(request.to)?;
            let edits = from.part(&request.path).difference(&to.part(&request.path));
            Ok(edits.iter().map(Edit::view).collect())
        };
        self.store.glimpse(false, deadline, look).await
    }

    /// The staged changes.
    ///
    /// # Errors
    /// Why the reading can't be made linearizable.
    pub async fn canaries(&self, namespace: Namespace, deadline: Instant) -> Result<Vec<CanaryView>, Fault> {
        let of = namespace.clone();
        let look = move |glimpse: &Glimpse<'_>| {
            let state = ConfigState::new(glimpse, &of);
            let (tree, canaries) = (state.tree()?, state.canaries()?);
            let overtaken = |canary: Canary| (canary.overtaken(&tree), canary);
            Ok(canaries.into_iter().map(overtaken).collect::<Vec<_>>())
        };
        let canaries = self.store.glimpse(false, deadline, look).await?;
        let view = |(overtaken, canary): (Vec<EditView>, Canary)| CanaryView {
            canary: canary.number,
            overtaken,
            instances: self.holders(&namespace, &canary),
            time_ms: canary.time_ms,
            who: canary.who,
            reason: canary.reason,
            percent: canary.percent,
            edits: canary.edits.iter().map(Edit::view).collect(),
        };
        Ok(canaries.into_iter().map(view).collect())
    }

    /// The schema of a service's part, if it has one.
    ///
    /// # Errors
    /// Why the reading can't be made linearizable.
    pub async fn schema(
        &self,
        namespace: Namespace,
        service: ServiceName,
        deadline: Instant,
    ) -> Result<Option<String>, Fault> {
        let look =
            move |glimpse: &Glimpse<'_>| ConfigState::new(glimpse, &namespace).schema(service.as_str());
        self.store.glimpse(false, deadline, look).await
    }
}

/// The fault of a node that can't open secrets, and was asked because it should.
pub(super) fn no_keys() -> Fault {
    Fault::new(Code::Unavailable, "this node has not got the key that opens secrets")
        .help("only voters have it, a new one after a moment: try again, and see `micro-node status`")
}
