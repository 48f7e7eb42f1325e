//! The keys that sign are made, chosen and replaced.
//!
//! ```text
//!   made ──► known everywhere: signs ──► the next one signs: verifies ──► the next but one is made: gone
//! ```

use crate::{
    auth::{
        Accounts, KeyView, RotatedKeys,
        accounts::{Opener, Plan},
        book,
        signing_key::{KEYS_KEPT, SIGNS_AFTER_MS, SigningKey, StoredKey, key_id},
    },
    store::{RecordCompare, RecordOp},
};
use micro_sdk::wire::Fault;
use std::collections::BTreeMap;
use tokio::time::{Duration, Instant, sleep};

/// How long the first token waits for its key to be known on the other nodes: several times what that takes.
const FIRST_KEY_PAUSE: Duration = Duration::from_millis(200);

/// Keys by number, each with the version of its record.
type Keys = BTreeMap<u32, (StoredKey, u64)>;

impl Accounts {
    /// The key that signs now. Makes one where there is none that this mesh can open: it is new, or was made of the
    /// backup of another.
    pub(super) async fn signing_key(&self, opener: &Opener, deadline: Instant) -> Result<SigningKey, Fault> {
        for made in [false, true] {
            let keys = self.look(deadline, |book| book.keys()).await?;
            let now_ms = self.parts.consensus.time_ms();
            if let Some(key) = signing(&keys, opener, now_ms) {
                return Ok(key);
            }
            if !made {
                self.add_key(opener, deadline).await?;
                // Once in the life of a mesh: whoever is given the first token may go to another node at once.
                sleep(FIRST_KEY_PAUSE).await;
            }
        }
        Err(super::accounts::no_keys())
    }

    /// Makes a new key; the one that signed so far goes on verifying, and the one before that is gone.
    ///
    /// # Errors
    /// Why the group did not take it.
    pub async fn rotate_keys(&self, deadline: Instant) -> Result<RotatedKeys, Fault> {
        match self.opener()? {
            Some(opener) => self.rotate_keys_here(&opener, deadline).await,
            None => self.ask_leader("rotate-keys", &(), deadline).await,
        }
    }

    pub(super) async fn rotate_keys_here(
        &self,
        opener: &Opener,
        deadline: Instant,
    ) -> Result<RotatedKeys, Fault> {
        let dropped = self.add_key(opener, deadline).await?;
        Ok(RotatedKeys { keys: self.keys(deadline).await?, dropped })
    }

    /// The keys whose tokens are good, latest first.
    ///
    /// # Errors
    /// Why the reading can't be made linearizable.
    pub async fn keys(&self, deadline: Instant) -> Result<Vec<KeyView>, Fault> {
        let keys = self.look(deadline, |book| book.keys()).await?;
        let signs = chosen(&keys, self.parts.consensus.time_ms());
        let view = |(number, (key, _)): (&u32, &(StoredKey, u64))| KeyView {
            id: key_id(&key.public),
            created_ms: key.created_ms,
            signs: signs == Some(*number),
        };
        Ok(keys.iter().rev().map(view).collect())
    }

    /// Adds a key and drops those that are too many. Returns the one that was dropped.
    async fn add_key(&self, opener: &Opener, deadline: Instant) -> Result<Option<String>, Fault> {
        let seams = self.parts.seams.clone();
        let opener = opener.clone();
        let now_ms = self.parts.consensus.time_ms();
        self.change(deadline, move |book| {
            let keys = book.keys()?;
            let number = keys.last_key_value().map_or(1, |(last, _)| last + 1);
            let key = StoredKey::generate(&seams, &opener.seal, opener.cluster, now_ms);
            let name = book::number_key(number);
            let mut compares = vec![RecordCompare::exists(book::keys(), name.clone(), false)];
            let mut then = vec![book::write(book::keys(), name, &key)];
            let mut dropped = None;
            for (old, (key, version)) in keys.iter().rev().skip(KEYS_KEPT - 1) {
                let name = book::number_key(*old);
                compares.push(RecordCompare::version(book::keys(), name.clone(), *version));
                then.push(RecordOp::Delete { table: book::keys(), key: name });
                dropped = Some(key_id(&key.public));
            }
            Ok(Plan::make(compares, then, dropped))
        })
        .await
    }
}

/// The number of the key that signs: the latest that everybody knows, or the one that has had the most time for that.
fn chosen(keys: &Keys, now_ms: u64) -> Option<u32> {
    let known = |(_, (key, _)): &(&u32, &(StoredKey, u64))| key.created_ms + SIGNS_AFTER_MS <= now_ms;
    let known = keys.iter().rev().find(known);
    known.or(keys.first_key_value()).map(|(number, _)| *number)
}

fn signing(keys: &Keys, opener: &Opener, now_ms: u64) -> Option<SigningKey> {
    let own: Keys = keys
        .iter()
        .filter(|(_, (key, _))| key.open(&opener.seal, opener.cluster).is_some())
        .map(|(number, kept)| (*number, kept.clone()))
        .collect();
    let (key, _) = &own[&chosen(&own, now_ms)?];
    key.open(&opener.seal, opener.cluster)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{SealKey, tests::seams};
    use micro_sdk::wire::ClusterId;

    #[test]
    fn a_new_key_signs_once_everybody_knows_it() {
        let (seams, seal, cluster) = (seams(), SealKey::generate(&seams()), ClusterId(7));
        let key = |created_ms| (StoredKey::generate(&seams, &seal, cluster, created_ms), 1);
        let keys: Keys = [(1, key(1000)), (2, key(10_000))].into();
        assert_eq!(chosen(&keys, 10_000), Some(1));
        assert_eq!(chosen(&keys, 10_000 + SIGNS_AFTER_MS), Some(2));
        assert_eq!(chosen(&[(3, key(10_000))].into(), 10_000), Some(3), "there is no other");
        assert_eq!(chosen(&keys, 1000), Some(1), "both are young");
        assert_eq!(chosen(&Keys::new(), 10_000), None);
        let opener = Opener { seal: seal.clone(), cluster };
        let foreign = StoredKey::generate(&seams, &SealKey::generate(&seams), cluster, 20_000);
        let mixed: Keys = [(1, key(1000)), (2, (foreign, 1))].into();
        let signs = signing(&mixed, &opener, 60_000).expect("one of them is its own");
        assert_eq!(signs.id, key_id(&mixed[&1].0.public));
    }
}
