//! A client that waits for the heal, and then demands of its node all that a node has to give.

use super::{Client, KEYS, Kind, Told, blob};
use crate::machine::{Phase, Shared};
use micro_actors::store::{TablePath, WriteRequest};
use std::{collections::BTreeMap, rc::Rc, time::Duration};
use tokio::time::sleep;

/// The pause before everything is tried again.
const AGAIN: Duration = Duration::from_millis(200);

/// Tries after the heal until all works, and looks at everything in the end.
pub async fn run(client: Client, shared: Rc<Shared>) {
    let machine = shared.machines.iter().find(|machine| machine.name == client.door.name());
    let machine = machine.expect("every door is that of a machine");
    while shared.phase.get() <= Phase::Heal {
        sleep(AGAIN).await;
        if shared.phase.get() == Phase::Heal && !machine.probed.get() && served(&client, &shared).await {
            machine.probed.set(true);
        }
    }
    while !machine.shown.get() {
        sleep(AGAIN).await;
        if shared.phase.get() != Phase::Last || !super::last(&client, &shared).await {
            continue;
        }
        if shared.members().next().is_some_and(|first| first.name == machine.name) {
            let finals = read_all(&client).await;
            if finals.is_none() {
                continue;
            }
            shared.finals.replace(finals);
        }
        machine.shown.set(true);
    }
}

/// How long a record lives that is to end by itself.
const ENDS_AFTER_MS: u64 = 200;
/// The same where it takes a round trip to another cloud to write it, and another one to read it.
const ENDS_AFTER_CLOUDS_MS: u64 = 2000;
/// How much later it may be gone, as a reader sees it.
const GONE_AFTER: Duration = Duration::from_millis(1000);

/// Whether a write, the read of it, a read of every key, a record that ends by itself, and a call to every node were
/// all served, and blobs have their copies.
async fn served(client: &Client, shared: &Shared) -> bool {
    let key = format!("probe-{}", client.door.name());
    let (value, told) = client.write(&key).await;
    if !matches!(told, Told::Done(_)) {
        return false;
    }
    if !matches!(client.read(&key).await, Told::Found(Some((found, _))) if found == value) {
        return false;
    }
    if read_all(client).await.is_none() {
        return false;
    }
    if !ends(client, if shared.options.clouds { ENDS_AFTER_CLOUDS_MS } else { ENDS_AFTER_MS }).await {
        return false;
    }
    if Kind::of(&shared.options).contains(&Kind::Blob) && !blob::settled(client, shared).await {
        return false;
    }
    for machine in shared.members() {
        let (value, told) = client.echo(&machine.name).await;
        if told != Told::Found(Some((value, 0))) {
            return false;
        }
    }
    true
}

/// Whether a record with a time to live was there, and then was not any more.
async fn ends(client: &Client, after_ms: u64) -> bool {
    // Of no interest to the history, which knows only of what clients do.
    let key = format!("ending-{}", client.door.name());
    let write = WriteRequest::new(TablePath::default(), &*key, "1");
    let written = client.door.put(WriteRequest { ttl_ms: after_ms, ..write }, None).await;
    if written.is_err() || !matches!(client.door.read(&key, false).await, Ok(Some(_))) {
        return false;
    }
    sleep(Duration::from_millis(after_ms) + GONE_AFTER).await;
    matches!(client.door.read(&key, false).await, Ok(None))
}

/// What every key holds, or none if one of them can't be read.
async fn read_all(client: &Client) -> Option<BTreeMap<String, Option<(u64, u64)>>> {
    let mut all = BTreeMap::new();
    for key in KEYS {
        match client.read(key).await {
            Told::Found(found) => drop(all.insert(key.to_owned(), found)),
            _ => return None,
        }
    }
    Some(all)
}
