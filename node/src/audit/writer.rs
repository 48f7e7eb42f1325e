//! The thread that writes the log.

use super::{
    chain::{Chain, Mark},
    entry::Entry,
    repeats::Repeats,
    trail::HEAD_FILE,
};
use micro_actors::audit::AuditIntake;
use micro_sdk::wire::Clock;
use micro_storage::FileStore;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// How often what was written is synced, repetitions are told, and it is looked whether the file is there. A power cut
/// takes what is younger; a sync for each entry would take the disk from the Raft log.
const SETTLE: Duration = Duration::from_secs(1);

/// What the log has come to, for those who look.
#[derive(Default)]
pub(super) struct Progress {
    /// Entries that were written since the start.
    pub written: AtomicU64,
    /// Entries that the disk did not take since the start.
    pub lost: AtomicU64,
}

/// What the thread has.
pub(super) struct Writer {
    pub chain: Chain,
    pub intake: AuditIntake,
    pub files: Arc<dyn FileStore>,
    pub clock: Arc<dyn Clock>,
    pub progress: Arc<Progress>,
    /// The number of the last entry, for those who follow.
    pub last: watch::Sender<u64>,
    /// How many were lost and are not told yet.
    pub untold: u64,
    /// The last entry that is known to be durable.
    pub synced: Option<Mark>,
}

impl Writer {
    /// Writes until the last event.
    pub fn run(mut self) {
        let mut repeats = Repeats::default();
        let mut settled = Instant::now();
        loop {
            let idle = repeats.is_empty() && self.synced == Some(self.chain.last()) && self.untold == 0;
            let batch = self.intake.next(if idle { Duration::from_secs(60) } else { SETTLE });
            let mut entries: Vec<Entry> =
                batch.events.into_iter().filter_map(|event| repeats.tell(event)).collect();
            let due = batch.last || settled.elapsed() >= SETTLE;
            if due {
                entries.extend(repeats.settle());
            }
            self.untold += batch.dropped;
            if batch.last {
                entries.push(Entry::of_log("ended", self.clock.now()));
            }
            self.write(entries);
            if due {
                self.settle();
                settled = Instant::now();
            }
            if batch.last {
                return;
            }
        }
    }

    /// Writes entries, and first how many are missing before them.
    pub fn write(&mut self, mut entries: Vec<Entry>) {
        let (untold, now) = (std::mem::take(&mut self.untold), self.clock.now());
        if untold > 0 {
            entries.insert(0, Entry { count: Some(untold), ..Entry::of_log("dropped", now) });
        }
        let count = entries.len();
        let lost = match self.chain.append(entries, now) {
            Ok(()) => 0,
            Err((lost, error)) => {
                tracing::error!(%error, lost, "the audit log can't be written");
                // The entry that tells what was lost before comes first: it is lost only if all are.
                let told = untold > 0 && lost < count;
                self.untold = lost as u64 + if told { 0 } else { untold.saturating_sub(1) };
                lost
            }
        };
        self.progress.written.fetch_add((count - lost) as u64, Ordering::Relaxed);
        self.progress.lost.fetch_add(lost as u64, Ordering::Relaxed);
        self.last.send_if_modified(|last| {
            let now = self.chain.last().seq;
            std::mem::replace(last, now) != now
        });
    }

    /// Makes durable what was written, and then notes how far that is.
    pub fn settle(&mut self) {
        let last = self.chain.last();
        if self.synced == Some(last) {
            return;
        }
        if !self.chain.is_there() {
            tracing::error!(
                "somebody has removed the file that the audit log is written to: it goes on in a new one"
            );
            if let Err(error) = self.chain.rotate(self.clock.now()) {
                tracing::error!(%error, "the audit log can't go on in a new file");
                return;
            }
        }
        let kept = self.chain.sync().map_err(|error| error.to_string()).and_then(|()| {
            self.files.write(HEAD_FILE, last.text().as_bytes()).map_err(|error| error.to_string())
        });
        match kept {
            Ok(()) => self.synced = Some(last),
            Err(error) => tracing::error!(error, "the audit log can't be synced"),
        }
    }
}
