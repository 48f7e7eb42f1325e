//! A client that reads and writes a few keys for which all clients fight.

use super::{Client, KEYS, Told};
use crate::machine::{Phase, Shared};
use rand::Rng;
use std::{collections::BTreeMap, rc::Rc};

/// The longest pause between two requests. With three nodes about sixty requests a second: enough for
/// races, few enough for the search of the linearizability checker.
const THINK_MS_MAX: u64 = 200;

/// Works until the storm is over.
pub async fn run(mut client: Client, shared: Rc<Shared>) {
    // What this client last knew of a key: value and version.
    let mut known: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    while shared.phase.get() <= Phase::Storm {
        client.think(THINK_MS_MAX).await;
        if shared.phase.get() != Phase::Storm {
            continue;
        }
        let key = KEYS[client.rng.random_range(0..KEYS.len())];
        match (client.rng.random_range(0..100), known.get(key).copied()) {
            (0..35, _) => learn(&mut known, key, client.write(key).await),
            (35..50, Some(found)) => learn(&mut known, key, client.swap(key, found).await),
            (50..53, _) => {
                known.remove(key);
                client.delete(key).await;
            }
            (53..65, _) => {
                client.read_stale(key).await;
            }
            _ => match client.read(key).await {
                Told::Found(Some(found)) => drop(known.insert(key, found)),
                Told::Found(None) => drop(known.remove(key)),
                _ => {}
            },
        }
    }
}

fn learn<'a>(known: &mut BTreeMap<&'a str, (u64, u64)>, key: &'a str, (value, told): (u64, Told)) {
    match told {
        Told::Done(version) => drop(known.insert(key, (value, version))),
        _ => drop(known.remove(key)),
    }
}
