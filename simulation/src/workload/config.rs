//! Clients that change a few values of the configuration, all in one tree, some only if nobody was faster.

use super::{Client, Journal, Outcome};
use crate::machine::{Phase, Shared};
use micro_actors::config::{ChangeReply, EditView, Reading};
use micro_sdk::wire::Fault;
use rand::{Rng, seq::IndexedRandom};
use std::{collections::BTreeMap, rc::Rc};

/// The part of the tree that clients change.
pub const PART: &str = "shop";
/// Its values: few, so that clients meet.
pub const LEAVES: [&str; 4] = ["shop.a", "shop.b", "shop.deep.c", "shop.deep.d"];
/// A value that is a secret.
pub const SECRET: &str = "shop.secret";
/// The longest pause between two requests.
const THINK_MS_MAX: u64 = 400;

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigAsked {
    /// Set a value, never used before or after.
    Set {
        /// Where.
        leaf: &'static str,
        /// The value.
        value: u64,
        /// Only if this is the version of the tree.
        if_version: Option<u64>,
    },
    /// Remove a value.
    Delete(&'static str),
    /// Make a value what it was.
    RollBack {
        /// Where.
        leaf: &'static str,
        /// At this version of the tree.
        to: u64,
    },
    /// All values, from a quorum.
    Look,
    /// All values, from a replica that is known to have everything.
    LookAtReplica,
    /// All changes.
    History,
}

/// What one change did: where, what was there, and what is.
pub type Edit = (String, Option<String>, Option<String>);

/// What was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigTold {
    /// The tree has this version now.
    Changed {
        /// The version.
        version: u64,
        /// What changed; nothing if it was so before.
        edits: Vec<Edit>,
    },
    /// What is there.
    Tree {
        /// The version.
        version: u64,
        /// The values by path.
        leaves: BTreeMap<String, String>,
    },
    /// What each change did, the first at first, by version.
    History(Vec<(u64, Vec<Edit>)>),
}

/// Everything about the configuration.
pub type ConfigJournal = Journal<ConfigAsked, ConfigTold>;

/// Works until the storm is over.
pub async fn run(mut client: Client, shared: Rc<Shared>) {
    // The version of the tree as this client saw it last.
    let mut seen = None;
    while shared.phase.get() <= Phase::Storm {
        client.think(THINK_MS_MAX).await;
        if shared.phase.get() == Phase::Storm
            && let Some(version) = ask(&mut client, &shared, seen).await
        {
            seen = Some(version);
        }
    }
}

/// Asks one thing. Returns the version that the tree has with it, if that is told.
async fn ask(client: &mut Client, shared: &Shared, seen: Option<u64>) -> Option<u64> {
    let leaf = *LEAVES.choose(&mut client.rng).expect("there are some");
    let (draw, key) =
        (client.rng.random_range(0..100), client.rng.random_bool(0.5).then(|| client.rng.random()));
    let journal = &shared.journals.config;
    let outcome = match (draw, seen) {
        (0..20, _) => client.attempt(journal, ConfigAsked::Look, look(client, false)).await,
        (20..26, _) => {
            let delete = async { Ok(changed(client.door.delete_config(leaf).await?)) };
            client.attempt(journal, ConfigAsked::Delete(leaf), delete).await
        }
        (26..34, Some(to)) => {
            let roll_back = async { Ok(changed(client.door.roll_back_config(leaf, to).await?)) };
            client.attempt(journal, ConfigAsked::RollBack { leaf, to }, roll_back).await
        }
        (34..50, if_version @ Some(_)) => set(client, shared, leaf, if_version, key).await,
        (50..60, _) => set(client, shared, SECRET, None, key).await,
        _ => set(client, shared, leaf, None, key).await,
    };
    match outcome {
        Outcome::Done(ConfigTold::Changed { version, .. } | ConfigTold::Tree { version, .. }) => {
            Some(version)
        }
        _ => None,
    }
}

async fn set(
    client: &Client,
    shared: &Shared,
    leaf: &'static str,
    if_version: Option<u64>,
    key: Option<u128>,
) -> Outcome<ConfigTold> {
    let value = shared.history.fresh_value();
    let asked = ConfigAsked::Set { leaf, value, if_version };
    let set = async {
        let secret = leaf == SECRET;
        Ok(changed(client.door.set_config(leaf, value, secret, if_version, key).await?))
    };
    client.attempt(&shared.journals.config, asked, set).await
}

/// Looks at the replica of the client's node and at the history, once all replicas are equal and nothing is asked any
/// more.
pub async fn last(client: &Client, shared: &Shared) -> bool {
    let journal = &shared.journals.config;
    let looked = client.attempt(journal, ConfigAsked::LookAtReplica, look(client, true)).await;
    let history = async {
        let changes = client.door.config_history().await?;
        let line = |change: micro_actors::config::ChangeView| (change.version, edits(change.edits));
        Ok(ConfigTold::History(changes.into_iter().rev().map(line).collect()))
    };
    let history = client.attempt(journal, ConfigAsked::History, history).await;
    matches!((looked, history), (Outcome::Done(_), Outcome::Done(_)))
}

async fn look(client: &Client, stale: bool) -> Result<ConfigTold, Fault> {
    let Reading { version, leaves, .. } = client.door.config(PART, stale).await?;
    let leaves = leaves.into_iter().map(|leaf| (leaf.path, leaf.value.expose().to_owned()));
    Ok(ConfigTold::Tree { version, leaves: leaves.collect() })
}

fn changed(reply: ChangeReply) -> ConfigTold {
    ConfigTold::Changed { version: reply.version, edits: edits(reply.edits) }
}

fn edits(edits: Vec<EditView>) -> Vec<Edit> {
    edits.into_iter().map(|edit| (edit.path, edit.before, edit.after)).collect()
}
