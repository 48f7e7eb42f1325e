//! Writes under load, what was acknowledged of them, and whether it is still there.

use crate::until;
use anyhow::{Context, ensure};
use micro_sdk::Node;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time::sleep};

/// The table that the writers write to.
const TABLE: &str = "ledger";
/// How long one write may take. Longer than an election, shorter than anybody wants to wait for a test.
const WRITE_TIMEOUT: Duration = Duration::from_secs(3);
/// The pause after a write that failed: the node is down mostly.
const PAUSE: Duration = Duration::from_millis(20);

/// The value of a key: 256 bytes that name it, so that a torn or mixed-up value is seen.
fn value_of(key: &str) -> String {
    format!("{key};").repeat(256).chars().take(256).collect()
}

/// Writers at work. Each writes one key after another.
pub struct Writers {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    tasks: JoinSet<Vec<String>>,
}

impl Writers {
    /// Writers called `name`, as many as there are nodes in `nodes`, each on its own one.
    pub fn start(name: &str, nodes: impl IntoIterator<Item = Node>) -> Self {
        let mut writers = Writers { stop: Arc::default(), count: Arc::default(), tasks: JoinSet::new() };
        for (number, node) in nodes.into_iter().enumerate() {
            let writer = format!("{name}-{number}");
            let (stop, count) = (writers.stop.clone(), writers.count.clone());
            writers.tasks.spawn(write(node.with_timeout(WRITE_TIMEOUT), writer, stop, count));
        }
        writers
    }

    /// How many writes were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Waits until so many more writes are acknowledged.
    ///
    /// # Errors
    /// If they are not within half a minute.
    pub async fn more(&self, wanted: usize) -> anyhow::Result<()> {
        let before = self.acknowledged();
        until("writes acknowledged", Duration::from_secs(30), async || {
            let new = self.acknowledged() - before;
            ensure!(new >= wanted, "{new} of {wanted}");
            Ok(())
        })
        .await
    }

    /// Lets the writers end, and returns the keys whose writes were acknowledged.
    pub async fn finish(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.join_all().await.into_iter().flatten().collect()
    }
}

async fn write(node: Node, writer: String, stop: Arc<AtomicBool>, count: Arc<AtomicUsize>) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("{writer}-{number:06}");
        match node.store().table(TABLE).put(&key, value_of(&key)).await {
            Ok(_) => {
                acknowledged.push(key);
                count.fetch_add(1, Ordering::Relaxed);
            }
            // Refused or unknown: either way nothing was promised.
            Err(_) => sleep(PAUSE).await,
        }
    }
    acknowledged
}

/// Checks that all that was acknowledged reads as it was written on `node`.
///
/// # Errors
/// Names what is gone, or is another.
pub async fn check_acknowledged(node: &Node, acknowledged: &[String]) -> anyhow::Result<()> {
    let mut found = BTreeMap::new();
    let mut after = String::new();
    loop {
        let page = node.store().table(TABLE).list("").after(&after).await?;
        for record in page.records {
            after.clone_from(&record.key);
            found.insert(record.key, String::from_utf8(record.value.to_vec())?);
        }
        if !page.more {
            break;
        }
    }
    for key in acknowledged {
        let value = found.get(key).with_context(|| format!("{key} was acknowledged, and is gone"))?;
        ensure!(*value == value_of(key), "{key} reads {value}");
    }
    Ok(())
}
