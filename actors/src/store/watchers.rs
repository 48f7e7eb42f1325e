//! Hands what is applied to those who watch, as soon as it is visible.
//!
//! ```text
//!   apply ──► noted ──► (the batch is written) ──► published ──► the queue of each watcher whose range it touches
//! ```
//!
//! A watcher that comes while a batch is applied may have missed its beginning. So it is told at the next publication
//! to read the disk up to there once more, and everything behind that is in its queue: no gap, whatever came first.
//!
//! A queue never drops anything in its middle. One that is full ends: its watcher takes what is there and is told that
//! it was too slow.

use crate::store::{TablePath, bells::Bells, edit::Change};
use bytes::Bytes;
use std::{
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};
use tokio::sync::{mpsc, watch};

/// The revisions that wait for one watcher at most: a tenth of a second of writes at full speed, so that a watcher
/// whose thread is busy for a moment goes on, and one that has stopped reading is found out soon.
pub(crate) const QUEUE_REVISIONS: usize = 8192;
/// The bytes that wait for one watcher at most. They are shared with other watchers of the same records, but need not
/// be.
const QUEUE_BYTES: usize = 16 << 20;

/// What one entry changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Revision {
    pub revision: u64,
    pub time_ms: u64,
    pub changes: Vec<Change>,
}

impl Revision {
    fn touches(&self, range: &Range<Bytes>) -> bool {
        self.changes.iter().any(|change| range.contains(&change.key))
    }

    fn bytes(&self) -> usize {
        let size = |change: &Change| change.key.len() + change.row.as_ref().map_or(0, Bytes::len);
        self.changes.iter().map(size).sum()
    }
}

/// What a watcher finds in its queue.
#[derive(Debug)]
pub(crate) enum Fed {
    /// Read the disk: what came before could not be handed over.
    Disk,
    Revision(Arc<Revision>),
}

/// The watchers of one node.
pub(crate) struct Watchers {
    posts: Mutex<Posts>,
    /// Whether there is any watcher: those who write look at nothing else while there is none.
    any: AtomicBool,
    /// Everything up to here was handed out.
    published: AtomicU64,
    /// Whether an entry that is not published yet changed when something ends.
    expiries_noted: AtomicBool,
    expiries: watch::Sender<u64>,
    bells: Bells,
}

#[derive(Default)]
struct Posts {
    noted: Vec<Arc<Revision>>,
    posts: Vec<Post>,
    next_id: u64,
    /// Nobody is told anything any more.
    closed: bool,
}

/// The machine's end of a queue.
struct Post {
    id: u64,
    range: Range<Bytes>,
    queue: mpsc::Sender<Fed>,
    bytes: Arc<AtomicUsize>,
    /// From here on everything is handed over; not known before the first publication.
    live_from: Option<u64>,
}

impl Post {
    /// Hands something over. Tells whether the watcher is still there and keeps up.
    fn hand(&self, fed: Fed, bytes: usize) -> bool {
        let waiting = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        // A revision larger than the whole bound must get through to a watcher that has nothing else to read.
        let fits = waiting == 0 || waiting + bytes <= QUEUE_BYTES;
        fits && self.queue.try_send(fed).is_ok()
    }
}

/// A watcher's end of its queue. Dropping it ends the watch.
pub(crate) struct Feed {
    id: u64,
    watchers: Arc<Watchers>,
    queue: mpsc::Receiver<Fed>,
    bytes: Arc<AtomicUsize>,
}

impl Default for Watchers {
    fn default() -> Self {
        Watchers {
            posts: Mutex::default(),
            any: AtomicBool::new(false),
            published: AtomicU64::new(0),
            expiries_noted: AtomicBool::new(false),
            expiries: watch::channel(0).0,
            bells: Bells::default(),
        }
    }
}

impl Watchers {
    fn posts(&self) -> MutexGuard<'_, Posts> {
        self.posts.lock().expect("no code panics while it holds the posts")
    }

    /// Takes note of what an entry changed. It is not visible yet.
    pub fn note(&self, revision: u64, time_ms: u64, changes: Vec<Change>) {
        changes.iter().for_each(|change| self.bells.note(&change.key));
        if !changes.is_empty() && self.any.load(Ordering::Acquire) {
            self.posts().noted.push(Arc::new(Revision { revision, time_ms, changes }));
        }
    }

    /// Takes note that an entry changed when something ends.
    pub fn note_expiries(&self) {
        self.expiries_noted.store(true, Ordering::Release);
    }

    /// Everything up to `index` is visible now: hands it out.
    pub fn publish(&self, index: u64) {
        if self.any.load(Ordering::Acquire) {
            let mut posts = self.posts();
            let noted = std::mem::take(&mut posts.noted);
            posts.posts.retain_mut(|post| post.take(&noted, index));
        }
        self.published.store(index, Ordering::Release);
        self.bells.ring();
        if self.expiries_noted.swap(false, Ordering::AcqRel) {
            self.expiries.send_modify(|changes| *changes += 1);
        }
    }

    /// The state was replaced by one that reaches up to `index`: what came in between is on the disk only.
    pub fn restored(&self, index: u64) {
        {
            let mut posts = self.posts();
            posts.noted.clear();
            posts.posts.iter_mut().for_each(|post| post.live_from = None);
        }
        self.note_expiries();
        self.bells.note_all();
        self.publish(index);
    }

    /// Everything up to here was handed out.
    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    /// Tells that something may end at another time than before.
    pub fn watch_expiries(&self) -> watch::Receiver<u64> {
        self.expiries.subscribe()
    }

    /// Tells when records of these tables have changed: once in the life of a node.
    pub fn hang_bells(&self, tables: impl IntoIterator<Item = TablePath>) -> Vec<watch::Receiver<u64>> {
        self.bells.hang(tables)
    }

    /// Hands out what changes in `range` from about now on.
    pub fn join(self: &Arc<Self>, range: Range<Bytes>) -> Feed {
        let (sender, queue) = mpsc::channel(QUEUE_REVISIONS);
        let bytes = Arc::new(AtomicUsize::new(0));
        let mut posts = self.posts();
        let id = posts.next_id;
        posts.next_id += 1;
        if !posts.closed {
            posts.posts.push(Post { id, range, queue: sender, bytes: bytes.clone(), live_from: None });
            self.any.store(true, Ordering::Release);
        }
        drop(posts);
        Feed { id, watchers: self.clone(), queue, bytes }
    }

    /// Ends all watches, and those to come: the node stops.
    pub fn close(&self) {
        let mut posts = self.posts();
        posts.closed = true;
        posts.posts.clear();
        posts.noted.clear();
        self.any.store(false, Ordering::Release);
    }

    /// Whether all watches were ended.
    pub fn is_closed(&self) -> bool {
        self.posts().closed
    }

    fn leave(&self, id: u64) {
        let mut posts = self.posts();
        posts.posts.retain(|post| post.id != id);
        if posts.posts.is_empty() {
            self.any.store(false, Ordering::Release);
            posts.noted.clear();
        }
    }
}

impl Post {
    /// Takes what is published up to `index`. Tells whether the watcher keeps up.
    fn take(&mut self, noted: &[Arc<Revision>], index: u64) -> bool {
        let Some(live_from) = self.live_from else {
            self.live_from = Some(index + 1);
            return self.hand(Fed::Disk, 0);
        };
        noted
            .iter()
            .filter(|revision| revision.revision >= live_from && revision.touches(&self.range))
            .all(|revision| self.hand(Fed::Revision(revision.clone()), revision.bytes()))
    }
}

impl Feed {
    fn taken(&self, fed: &Fed) {
        if let Fed::Revision(revision) = fed {
            self.bytes.fetch_sub(revision.bytes(), Ordering::Relaxed);
        }
    }

    /// The next that was handed over; none when the queue ran full.
    pub async fn next(&mut self) -> Option<Fed> {
        let fed = self.queue.recv().await?;
        self.taken(&fed);
        Some(fed)
    }

    /// The next that is there, or up to which revision everything was taken. None when the queue ran full.
    pub fn ready(&mut self) -> Option<Result<Fed, u64>> {
        // Asked before the queue: what was published up to here is in it.
        let published = self.watchers.published();
        match self.queue.try_recv() {
            Ok(fed) => {
                self.taken(&fed);
                Some(Ok(fed))
            }
            Err(mpsc::error::TryRecvError::Empty) => Some(Err(published)),
            Err(mpsc::error::TryRecvError::Disconnected) => None,
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.watchers.leave(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::edit::ChangeKind;

    fn note(watchers: &Watchers, revision: u64, key: &'static str, bytes: usize) {
        let row = Some(Bytes::from(vec![0; bytes]));
        let change = Change { key: key.into(), kind: ChangeKind::Put, before: None, deleted_before: 0, row };
        watchers.note(revision, 0, vec![change]);
    }

    fn drain(feed: &mut Feed) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            match feed.ready() {
                Some(Ok(Fed::Disk)) => seen.push("disk".to_owned()),
                Some(Ok(Fed::Revision(revision))) => seen.push(revision.revision.to_string()),
                Some(Err(published)) => return [seen, vec![format!("all {published}")]].concat(),
                None => return [seen, vec!["slow".to_owned()]].concat(),
            }
        }
    }

    #[test]
    fn whoever_comes_within_a_batch_reads_its_beginning_from_the_disk() {
        let watchers = Arc::new(Watchers::default());
        note(&watchers, 1, "a", 1);
        let mut feed = watchers.join(Bytes::from("a")..Bytes::from("b"));
        note(&watchers, 2, "a", 1);
        assert_eq!(drain(&mut feed), ["all 0"]);
        watchers.publish(2);
        note(&watchers, 3, "a", 1);
        note(&watchers, 4, "b", 1);
        assert_eq!(drain(&mut feed), ["disk", "all 2"]);
        watchers.publish(4);
        assert_eq!(drain(&mut feed), ["3", "all 4"]);
        note(&watchers, 5, "a", 1);
        watchers.restored(9);
        note(&watchers, 10, "a", 1);
        watchers.publish(10);
        assert_eq!(drain(&mut feed), ["disk", "10", "all 10"]);
    }

    #[test]
    fn a_queue_that_is_full_ends_and_keeps_what_it_has() {
        for (bytes, fit) in [(1, QUEUE_REVISIONS as u64), (QUEUE_BYTES / 4, 4), (QUEUE_BYTES * 2, 1)] {
            let watchers = Arc::new(Watchers::default());
            let mut feed = watchers.join(Bytes::from("a")..Bytes::from("b"));
            watchers.publish(0);
            assert_eq!(drain(&mut feed), ["disk", "all 0"]);
            for revision in 1..=fit + 2 {
                note(&watchers, revision, "a", bytes - usize::from(bytes > 1));
                watchers.publish(revision);
            }
            let seen = drain(&mut feed);
            assert_eq!(seen.len() as u64, fit + 1, "{bytes} bytes each");
            assert_eq!(seen.last().map(String::as_str), Some("slow"));
            assert!(watchers.posts().posts.is_empty(), "nothing is gathered for it any more");
        }
    }

    #[test]
    fn nothing_is_kept_when_nobody_watches() {
        let watchers = Arc::new(Watchers::default());
        drop(watchers.join(Bytes::from("a")..Bytes::from("b")));
        note(&watchers, 1, "a", 1);
        assert!(watchers.posts().noted.is_empty());
    }
}
