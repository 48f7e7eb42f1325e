//! A client that reads and writes a few keys for which all clients fight.

use super::{Client, KEYS, Told};
use crate::{
    machine::{Phase, Shared},
    options::Traffic,
};
use rand::Rng;
use std::{collections::BTreeMap, rc::Rc};

/// The longest pause between two requests. With three nodes about sixty requests a second: enough for
/// races, few enough for the search of the linearizability checker.
const THINK_MS_MAX: u64 = 200;
/// Of a hundred requests, so many write; the others read.
const WRITES_PERCENT: u32 = 53;
/// How many times longer clients rest where few writes are to come from.
const RESTED: u64 = 100;

/// Works until the storm is over, with longer pauses where it is `rested`.
pub async fn run(mut client: Client, shared: Rc<Shared>, rested: bool) {
    let think_ms_max = if rested { RESTED * THINK_MS_MAX } else { THINK_MS_MAX };
    let reads_only = shared.options.traffic == Traffic::Reads;
    // What this client last knew of a key: value and version.
    let mut known: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    while shared.phase.get() <= Phase::Storm {
        client.think(think_ms_max).await;
        if shared.phase.get() != Phase::Storm {
            continue;
        }
        let key = KEYS[client.rng.random_range(0..KEYS.len())];
        let first = if reads_only { WRITES_PERCENT } else { 0 };
        match (client.rng.random_range(first..100), known.get(key).copied()) {
            (0..35, _) => learn(&mut known, key, client.write(key).await),
            (35..50, Some(found)) => learn(&mut known, key, client.swap(key, found).await),
            (50..WRITES_PERCENT, _) => {
                known.remove(key);
                client.delete(key).await;
            }
            (WRITES_PERCENT..65, _) => {
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
