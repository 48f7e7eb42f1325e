//! The log of one node, from its opening to its close.

use super::{
    chain::{AuditBounds, Chain, Mark},
    digest::Digest,
    entry::Entry,
    follower::Follower,
    query::Query,
    verification::Verification,
    writer::{Progress, Writer},
};
use micro_actors::audit::{Audit, AuditExtent};
use micro_sdk::wire::{Code, Fault, Seams};
use micro_storage::FileStore;
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::Ordering},
    thread::{self, JoinHandle},
};
use tokio::sync::watch;

/// The small file with the number and the hash of the last entry that was synced.
pub(super) const HEAD_FILE: &str = "audit.head";

/// The log of one node. Clones share everything.
#[derive(Clone)]
pub struct Trail(Arc<Inner>);

struct Inner {
    directory: PathBuf,
    files: Arc<dyn FileStore>,
    audit: Audit,
    progress: Arc<Progress>,
    last: watch::Receiver<u64>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Trail {
    /// Opens the log in a data directory, writes that it goes on, and what was found at its end. With
    /// [`AuditExtent::Off`] that is all.
    ///
    /// # Errors
    /// [`Code::Failed`] if it can't be opened.
    pub fn open(
        data_dir: &Path,
        extent: AuditExtent,
        bounds: AuditBounds,
        files: Arc<dyn FileStore>,
        seams: &Seams,
    ) -> Result<Self, Fault> {
        let clock = seams.clock.clone();
        let directory = micro_storage::disk::audit_path(data_dir);
        let failed = |error: io::Error| {
            let message = format!("the audit log in {} can't be opened: {error}", directory.display());
            Fault::new(Code::Failed, message).help("see to the directory's rights and its disk")
        };
        let (chain, found) = Chain::open(&directory, bounds, kept(&*files)).map_err(failed)?;
        let (audit, intake) = Audit::new(extent, seams.clone());
        let (sender, last) = watch::channel(chain.last().seq);
        let progress = Arc::new(Progress::default());
        let mut writer = Writer {
            chain,
            intake,
            files: files.clone(),
            clock: clock.clone(),
            progress: progress.clone(),
            last: sender,
            untold: 0,
            synced: None,
        };
        let mut first = Vec::new();
        if found.torn > 0 {
            first.push(Entry { count: Some(found.torn as u64), ..Entry::of_log("torn", clock.now()) });
        }
        let missing =
            found.missing.map(|(from, through)| format!("the entries from {from} to {through} are missing"));
        if let Some(missing) = &missing {
            tracing::error!(missing, "the audit log is not as it was written");
        }
        let action = extent.name().to_owned();
        first.push(Entry { action, why: missing, ..Entry::of_log("started", clock.now()) });
        writer.write(first);
        writer.settle();
        let thread = match extent {
            AuditExtent::Off => None,
            _ => {
                Some(thread::Builder::new().name("audit".to_owned()).spawn(|| writer.run()).map_err(failed)?)
            }
        };
        let thread = Mutex::new(thread);
        Ok(Trail(Arc::new(Inner { directory, files, audit, progress, last, thread })))
    }

    /// Where decisions are told.
    pub fn audit(&self) -> Audit {
        self.0.audit.clone()
    }

    /// How many entries were written since the start, and how many were dropped: because they came too fast, or because
    /// the disk did not take them.
    pub fn counts(&self) -> (u64, u64) {
        let Progress { written, lost } = &*self.0.progress;
        (written.load(Ordering::Relaxed), lost.load(Ordering::Relaxed) + self.0.audit.dropped())
    }

    /// The last `limit` entries that are asked for, each with its hash, and the place behind them. It reads files.
    ///
    /// # Errors
    /// [`Code::Failed`] if they can't be read.
    pub fn last(&self, query: &Query, limit: usize) -> Result<(Vec<(Entry, Digest)>, Follower), Fault> {
        // Before they are read: what comes meanwhile is told twice to nobody, since numbers are compared.
        let seen = *self.0.last.borrow();
        let found = query.last(&self.0.directory, limit).map_err(unreadable)?;
        let seen = found.last().map_or(seen, |(entry, _)| entry.seq.max(seen));
        Ok((found, Follower::behind(self.0.directory.clone(), query.clone(), seen)))
    }

    /// The next entries that are asked for; none if there are none now. It reads files.
    ///
    /// # Errors
    /// [`Code::Failed`] if they can't be read.
    pub fn next(&self, follower: &mut Follower) -> Result<Vec<(Entry, Digest)>, Fault> {
        follower.next().map_err(unreadable)
    }

    /// Tells when there are new entries.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.0.last.clone()
    }

    /// Reads all of it through. `wanted` is the hash of an entry that has to be there.
    ///
    /// # Errors
    /// [`Code::Failed`] if it can't be read.
    pub fn verify(&self, wanted: Option<Digest>) -> Result<Verification, Fault> {
        Verification::of(&self.0.directory, kept(&*self.0.files), wanted).map_err(unreadable)
    }

    /// The same for a data directory that no node runs on. Nothing in it is changed.
    ///
    /// # Errors
    /// [`Code::NotFound`] if there is no log, [`Code::Failed`] if it can't be read.
    pub fn verify_in(data_dir: &Path, wanted: Option<Digest>) -> Result<Verification, Fault> {
        let directory = micro_storage::disk::audit_path(data_dir);
        let head = std::fs::read(micro_storage::disk::file_path(data_dir, HEAD_FILE));
        let kept = head.ok().and_then(|text| Mark::parse(&text));
        if !directory.is_dir() && kept.is_none() {
            let message = format!("there is no audit log in {}", data_dir.display());
            return Err(
                Fault::new(Code::NotFound, message).help("give the data directory of a node: --data-dir DIR")
            );
        }
        Verification::of(&directory, kept, wanted).map_err(unreadable)
    }

    /// Writes what was told so far, and ends. Returns once it is on the disk.
    pub fn close(&self) {
        self.0.audit.close();
        let thread = self.0.thread.lock().expect("no code panics while it holds the thread").take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that writes the audit log panicked");
        }
    }
}

/// The last entry that is known to have been there.
fn kept(files: &dyn FileStore) -> Option<Mark> {
    Mark::parse(&files.read(HEAD_FILE).ok()??)
}

fn unreadable(error: io::Error) -> Fault {
    Fault::new(Code::Failed, format!("the audit log can't be read: {error}"))
        .help("run this as root or as the node's own user, and see to the disk")
}
