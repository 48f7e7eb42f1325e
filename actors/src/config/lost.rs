//! The secrets that nobody can open: those of a mesh whose backup this one was made of, restored without the seal key
//! of that one.

use crate::{
    config::{
        ConfigService,
        state::{ConfigState, Opener},
    },
    store::Glimpse,
};
use bincode::{Decode, Encode};
use micro_sdk::wire::{Fault, Namespace};
use tokio::time::{Duration, Instant};

/// How long a look may take: it is part of the status, which tells what it knows when the rest is in disorder.
const PATIENCE: Duration = Duration::from_millis(400);
/// How many are named of one namespace: whoever reads the status sees which these are, and a rotation of the key names
/// more.
const NAMED_OF_A_NAMESPACE: usize = 5;
/// How many are named at all, so that an answer stays small.
const NAMED_MAX: usize = 1000;

/// The secrets that nobody can open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct LostSecrets {
    /// How many they are, in all namespaces.
    pub count: u64,
    /// Some of them: namespaces and paths. Who may know of a path is for the caller to find out.
    pub places: Vec<(Namespace, String)>,
}

impl ConfigService {
    /// The secrets that nobody can open, as far as it can be told just now; none also if nobody who could tell answers.
    pub async fn lost_secrets(&self) -> LostSecrets {
        let deadline = Instant::now() + PATIENCE;
        let found = match self.opener() {
            Ok(Some(opener)) => self.lost_here(opener, deadline).await,
            Ok(None) => self.ask_leader("lost", &(), deadline).await,
            Err(fault) => Err(fault),
        };
        found.unwrap_or_else(|fault| {
            tracing::debug!(%fault, "whether secrets are lost is not known just now");
            LostSecrets::default()
        })
    }

    /// The same on a node that can open what can be opened, from its own replica.
    pub(super) async fn lost_here(&self, opener: Opener, deadline: Instant) -> Result<LostSecrets, Fault> {
        self.store.glimpse(true, deadline, move |glimpse| lost(glimpse, &opener)).await
    }
}

/// The secrets that are sealed with keys that `opener` does not open. Without such a key no tree is read.
pub(super) fn lost(glimpse: &Glimpse<'_>, opener: &Opener) -> Result<LostSecrets, Fault> {
    let mut lost = LostSecrets::default();
    let state = ConfigState::new(glimpse, &Namespace::default());
    let Some((vault, _)) = state.vault(opener)? else { return Ok(lost) };
    if state.keys()?.keys().all(|number| vault.has(*number)) {
        return Ok(lost);
    }
    for namespace in state.namespaces()? {
        let tree = ConfigState::new(glimpse, &namespace).tree()?;
        let closed = tree.leaves().filter(|(_, leaf)| !vault.may_open(&leaf.content));
        for (number, (path, _)) in closed.enumerate() {
            lost.count += 1;
            if number < NAMED_OF_A_NAMESPACE && lost.places.len() < NAMED_MAX {
                lost.places.push((namespace.clone(), path.clone()));
            }
        }
    }
    Ok(lost)
}
