//! A new key of secrets, and all secrets sealed anew with it.
//!
//! ```text
//!   new key, not complete ──► each namespace: some secrets in each transaction ──► none left ──► complete
//!                                                                                                  └► old keys that no
//!                                                                                                     history needs go
//! ```
//!
//! Asked again, it goes on where it was: what is not sealed with the current key is what is left to do. A change that
//! seals compares which key is current, so that nothing is sealed with the old one once the new one is there.

use crate::{
    config::{
        ConfigService, RotateReply, RotateRequest,
        commit::Commit,
        leaf::{Content, Leaf},
        reading::no_keys,
        record::{CURRENT, Canary, Change, CurrentKey, Kind, Tables, number_key, write},
        state::{ConfigState, Opener},
        tree::Edit,
        vault::{Vault, new_key},
        writing::{key_name, next_number, too_fast},
    },
    store::{Glimpse, RecordCompare, RecordOp, TransactRequest},
};
use micro_sdk::wire::{Fault, Namespace};
use std::collections::BTreeSet;
use tokio::time::Instant;

/// How many secrets one transaction seals anew.
const BATCH_SECRETS: usize = 256;
/// Their bytes, or not much more.
const BATCH_BYTES: usize = 1 << 20;
/// How many secrets that can't be opened are named: as many as a person sets anew one by one.
const LOST_SHOWN: usize = 100;
/// How often one step is tried while others change the tree.
const ATTEMPTS_MAX: usize = 100;

/// A step of a rotation: what to write, and how many secrets are in it; none if nothing is left.
pub(super) type Step = Option<(TransactRequest, u64)>;

impl ConfigService {
    /// Makes a new key and seals all secrets of all namespaces anew with it, or goes on with what was begun.
    ///
    /// # Errors
    /// Why the group did not take it; a timeout if there is too much for one deadline: then it goes on when it
    /// is asked again.
    pub async fn rotate(&self, request: RotateRequest, deadline: Instant) -> Result<RotateReply, Fault> {
        match self.opener()? {
            Some(opener) => self.rotate_here(request, opener, deadline).await,
            None => self.ask_leader("rotate", &request, deadline).await,
        }
    }

    pub(super) async fn rotate_here(
        &self,
        request: RotateRequest,
        opener: Opener,
        deadline: Instant,
    ) -> Result<RotateReply, Fault> {
        let (key, namespaces) = self.begin(&opener, deadline).await?;
        let mut secrets = 0;
        for namespace in &namespaces {
            secrets += self.reseal_all(namespace, &request.who, &opener, deadline).await?;
        }
        self.complete(key, namespaces.clone(), deadline).await?;
        let look = move |glimpse: &Glimpse<'_>| unopened(glimpse, key, &namespaces);
        let mut lost_paths = self.store.glimpse(false, deadline, look).await?;
        let lost = lost_paths.len() as u64;
        lost_paths.truncate(LOST_SHOWN);
        Ok(RotateReply { key, secrets, lost, lost_paths })
    }

    /// The key that is to seal everything, and the namespaces that have a tree.
    async fn begin(&self, opener: &Opener, deadline: Instant) -> Result<(u32, Vec<Namespace>), Fault> {
        for _ in 0..ATTEMPTS_MAX {
            let look = |glimpse: &Glimpse<'_>| {
                let state = ConfigState::new(glimpse, &Namespace::default());
                Ok((state.current_key()?, state.keys()?, state.namespaces()?))
            };
            let (current, keys, namespaces) = self.store.glimpse(false, deadline, look).await?;
            let Some((current, version)) = current else {
                self.make_key(opener, deadline).await?;
                return Ok((1, Vec::new()));
            };
            if !current.complete {
                return Ok((current.number, namespaces));
            }
            let number = next_number(&keys);
            if self.transact(begun(number, version, opener), deadline).await? {
                return Ok((number, namespaces));
            }
        }
        Err(too_fast())
    }

    async fn reseal_all(
        &self,
        namespace: &Namespace,
        who: &str,
        opener: &Opener,
        deadline: Instant,
    ) -> Result<u64, Fault> {
        let (mut secrets, mut lost) = (0, 0);
        loop {
            let (namespace, who, opener) = (namespace.clone(), who.to_owned(), opener.clone());
            let now_ms = self.parts.consensus.time_ms();
            let step = move |glimpse: &Glimpse<'_>| {
                resealed(&ConfigState::new(glimpse, &namespace), &who, &opener, now_ms)
            };
            let Some((transaction, count)) = self.store.glimpse(false, deadline, step).await? else {
                return Ok(secrets);
            };
            if self.transact(transaction, deadline).await? {
                (secrets, lost) = (secrets + count, 0);
                continue;
            }
            lost += 1;
            if lost == ATTEMPTS_MAX {
                return Err(too_fast());
            }
            self.pause().await;
        }
    }

    /// Notes that all is sealed with `key`, and removes the keys that nothing is sealed with any more.
    async fn complete(&self, key: u32, namespaces: Vec<Namespace>, deadline: Instant) -> Result<(), Fault> {
        let step = move |glimpse: &Glimpse<'_>| completed(glimpse, key, &namespaces);
        let Some(transaction) = self.store.glimpse(false, deadline, step).await? else { return Ok(()) };
        // If another rotation was faster, that one completes.
        self.transact(transaction, deadline).await.map(drop)
    }
}

/// The transaction that makes `number` the key that seals, if the record of the current one still has this version.
pub(super) fn begun(number: u32, version: u64, opener: &Opener) -> TransactRequest {
    let tables = Tables::of(&Namespace::default());
    let key = new_key(&opener.seams, &opener.seal, opener.cluster, number);
    TransactRequest {
        compares: vec![RecordCompare::version(tables.keys.clone(), CURRENT, version)],
        then: vec![
            RecordOp::Write(write(&tables.keys, key_name(number), &key)),
            RecordOp::Write(write(&tables.keys, CURRENT, &CurrentKey { number, complete: false })),
        ],
        otherwise: Vec::new(),
    }
}

/// Some secrets of one namespace, sealed anew. The head is written too: a change that was decided from what they were
/// is decided anew.
pub(super) fn resealed(
    state: &ConfigState<'_>,
    who: &str,
    opener: &Opener,
    now_ms: u64,
) -> Result<Step, Fault> {
    let Some((vault, key_version)) = state.vault(opener)? else { return Ok(None) };
    let (head, head_version) = state.head()?;
    let (mut operations, mut secrets, mut bytes) = (Vec::new(), 0, 0);
    for (path, leaf) in state.tree()?.leaves().filter(|(_, leaf)| vault.is_old(&leaf.content)) {
        let leaf = Leaf { version: leaf.version, content: renewed(&vault, path, &leaf.content)? };
        bytes += leaf.content.bytes();
        secrets += 1;
        operations.push(RecordOp::Write(write(&state.tables.tree, path, &leaf)));
        if operations.len() >= BATCH_SECRETS || bytes >= BATCH_BYTES {
            break;
        }
    }
    for canary in state.canaries()? {
        if bytes >= BATCH_BYTES || operations.len() >= BATCH_SECRETS {
            break;
        }
        if canary.edits.iter().flat_map(Edit::contents).any(|content| vault.is_old(content)) {
            let canary = renewed_canary(canary, &vault, &mut secrets, &mut bytes)?;
            operations.push(RecordOp::Write(write(
                &state.tables.canaries,
                number_key(canary.number),
                &canary,
            )));
        }
    }
    if operations.is_empty() {
        return Ok(None);
    }
    let change = Change {
        version: head.version + 1,
        time_ms: now_ms.max(head.time_ms),
        who: who.to_owned(),
        reason: format!("secrets sealed with key {}: {secrets}", vault.current()),
        kind: Kind::Rotate,
        canary: 0,
        edits: Vec::new(),
        idempotency_key: None,
    };
    let commit = Commit { change, asked: String::new(), operations, key_version: Some(key_version) };
    Ok(Some((commit.transaction(state, &head, head_version)?, secrets)))
}

/// A content, sealed with the current key. That is at hand: the step before has made it, or has found it complete.
fn renewed(vault: &Vault, path: &str, content: &Content) -> Result<Content, Fault> {
    vault.renewed(path, content)?.ok_or_else(no_keys)
}

fn renewed_canary(
    mut canary: Canary,
    vault: &Vault,
    secrets: &mut u64,
    bytes: &mut usize,
) -> Result<Canary, Fault> {
    for edit in &mut canary.edits {
        for leaf in [&mut edit.before, &mut edit.after].into_iter().flatten() {
            *secrets += u64::from(vault.is_old(&leaf.content));
            leaf.content = renewed(vault, &edit.path, &leaf.content)?;
            *bytes += leaf.content.bytes();
        }
    }
    Ok(canary)
}

/// The secrets that a rotation to `key` could not seal anew: nobody has the keys that open them. A rotation that was
/// overtaken by another leaves none to name: what is sealed with a later key opens.
pub(super) fn unopened(
    glimpse: &Glimpse<'_>,
    key: u32,
    namespaces: &[Namespace],
) -> Result<Vec<(Namespace, String)>, Fault> {
    let mut unopened = Vec::new();
    for namespace in namespaces {
        let tree = ConfigState::new(glimpse, namespace).tree()?;
        let old = |content: &Content| matches!(content, Content::Sealed(sealed) if sealed.key < key);
        let old = tree.leaves().filter(|(_, leaf)| old(&leaf.content));
        unopened.extend(old.map(|(path, _)| (namespace.clone(), path.clone())));
    }
    Ok(unopened)
}

/// The transaction that ends the rotation to `key`; none if another has begun since.
pub(super) fn completed(
    glimpse: &Glimpse<'_>,
    key: u32,
    namespaces: &[Namespace],
) -> Result<Option<TransactRequest>, Fault> {
    let state = ConfigState::new(glimpse, &Namespace::default());
    let Some((current, version)) = state.current_key()?.filter(|(current, _)| current.number == key) else {
        return Ok(None);
    };
    let mut needed = BTreeSet::from([key]);
    for namespace in namespaces {
        let state = ConfigState::new(glimpse, namespace);
        let mut need = |content: &Content| {
            if let Content::Sealed(sealed) = content {
                needed.insert(sealed.key);
            }
        };
        state.tree()?.leaves().for_each(|(_, leaf)| need(&leaf.content));
        state
            .canaries()?
            .iter()
            .flat_map(|canary| &canary.edits)
            .flat_map(Edit::contents)
            .for_each(&mut need);
        state.changes(0, u64::MAX, |change, _| {
            change.edits.iter().flat_map(Edit::contents).for_each(&mut need);
            Ok(true)
        })?;
    }
    let tables = &state.tables;
    let unneeded = state.keys()?.into_keys().filter(|number| !needed.contains(number));
    let mut then: Vec<RecordOp> = unneeded
        .map(|number| RecordOp::Delete { table: tables.keys.clone(), key: key_name(number) })
        .collect();
    then.push(RecordOp::Write(write(&tables.keys, CURRENT, &CurrentKey { complete: true, ..current })));
    let compares = vec![RecordCompare::version(tables.keys.clone(), CURRENT, version)];
    Ok(Some(TransactRequest { compares, then, otherwise: Vec::new() }))
}
