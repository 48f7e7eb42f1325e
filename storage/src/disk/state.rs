//! The applied state in RocksDB, and its exchange for another.
//!
//! The exchange happens by names alone, so that a power cut at any point leaves the old state or the new one:
//!
//! ```text
//! state, state.part              the new state is being put together; a start drops it
//! state, state.new               decided: a start goes on from here
//! state.old, state.new           the old one is out of the way
//! state.old, state               the new one is in place; a start drops the old one
//! ```
//!
//! If the old one is damaged, a name of its own takes the place of `state.old`, and it is never dropped: see `damage`.

use super::{
    catalogue, damage,
    data_dir::{DataDir, STATE, STATE_NEW, STATE_OLD, STATE_PART},
    durable,
    options::{self, Opening},
    trims::Trims,
};
use crate::{Batch, Change, Damage, Family, Order, ScanRange, StateStore, StateView, StorageError};
use bytes::Bytes;
use rocksdb::{
    Cache, ColumnFamily, DB, DBPinnableSlice, FlushOptions, IteratorMode, Options, ReadOptions, Snapshot,
    WriteBatch, WriteOptions,
};
use std::{
    io,
    path::Path,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

/// The key in [`Family::Raft`] that says how far the log has been applied.
pub(super) const APPLIED_KEY: &[u8] = b"applied";

/// How far a read of a whole copy looks ahead: few and large reads, since all of it is wanted.
const COPY_READAHEAD_BYTES: usize = 1 << 20;

/// How much each family gathers in memory. Records and what they replace are most of what is written: all families are
/// flushed when one is full, so these two decide how often. The consensus layer rewrites a few keys with every batch.
fn memtable_bytes(family: Family) -> usize {
    match family {
        Family::Store | Family::History => 16 << 20,
        Family::Raft | Family::Books => 4 << 20,
        Family::Auth | Family::Outcomes => 1 << 20,
    }
}

fn family_options(family: Family, cache: &Cache) -> Options {
    match family.is_journal() {
        true => options::journal(cache, memtable_bytes(family)),
        false => options::family(cache, memtable_bytes(family)),
    }
}

/// [`StateStore`] on RocksDB.
pub(super) struct RocksState {
    /// None only after an exchange that failed half-way: the state is then as good as gone until the next start.
    db: RwLock<Option<DB>>,
    trims: Trims,
    cache: Cache,
    directory: Arc<DataDir>,
}

impl RocksState {
    /// Opens the state, after it has finished what an interrupted exchange left. If it is damaged, that is told beside
    /// it, and nothing can be done with it but to exchange it for another.
    pub fn open(directory: &Arc<DataDir>, cache: &Cache) -> Result<(Self, Option<Damage>), StorageError> {
        finish_exchange(directory.path())?;
        let opened = match damage::settle(directory.path())? {
            Some(Damage { what, detail }) => Err(StorageError::Corrupt { what, detail }),
            None => open_in_place(directory, cache),
        };
        let (db, damage) = match opened {
            Ok(db) => (Some(db), None),
            Err(StorageError::Corrupt { what, detail }) if !directory.fresh() => {
                (None, Some(Damage { what, detail }))
            }
            Err(error) => return Err(error),
        };
        let (db, trims) = (RwLock::new(db), Trims::default());
        Ok((RocksState { db, trims, cache: cache.clone(), directory: directory.clone() }, damage))
    }

    /// Whether it is damaged, so that nothing can be read.
    pub fn is_shut(&self) -> bool {
        self.db.read().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Does `work` with the open database.
    pub fn with<T>(&self, work: impl FnOnce(&DB) -> Result<T, StorageError>) -> Result<T, StorageError> {
        let db: RwLockReadGuard<'_, Option<DB>> = self.db.read().unwrap_or_else(PoisonError::into_inner);
        match &*db {
            Some(db) => work(db),
            None => Err(io::Error::other("the state was not opened again after a snapshot came in").into()),
        }
    }

    /// Replaces the state by what lies in `state.part`, whole and synced. Readers wait meanwhile: a close, two renames
    /// and an open.
    pub fn exchange(&self) -> Result<(), StorageError> {
        let root = self.directory.path();
        durable::rename(&root.join(STATE_PART), &root.join(STATE_NEW))?;
        {
            let mut db = self.db.write().unwrap_or_else(PoisonError::into_inner);
            *db = None;
            put_in_place(root)?;
            *db = Some(open_database(&root.join(STATE), Opening::Again, &self.cache)?);
        }
        damage::settle(root)?;
        durable::remove(&root.join(STATE_OLD))
    }
}

/// Opens the database in its place. How far the log has been applied is read at once: without that, nothing else in it
/// is of use.
fn open_in_place(directory: &DataDir, cache: &Cache) -> Result<DB, StorageError> {
    let opening = if directory.fresh() { Opening::First } else { Opening::Again };
    let path = directory.path().join(STATE);
    if directory.fresh() {
        durable::create_directory(&path).map_err(StorageError::from_io)?;
    } else if !path.is_dir() {
        let what = format!("the state in {}", path.display());
        return Err(StorageError::corrupt(what, "its directory is gone"));
    }
    let db = open_database(&path, opening, cache)?;
    db.get_pinned_cf(handle(&db, Family::Raft), APPLIED_KEY).map_err(failure)?;
    Ok(db)
}

/// From `state, state.new` or `state.old, state.new` on.
fn put_in_place(root: &Path) -> Result<(), StorageError> {
    let state = root.join(STATE);
    match damage::noted(root)? {
        // Once it has its name, it is known that another takes its place, even if nothing was left of it.
        Some((aside, _)) if !aside.exists() => match state.exists() {
            true => durable::rename(&state, &aside)?,
            false => durable::create_directory(&aside).map_err(StorageError::from_io)?,
        },
        None if state.exists() => {
            durable::remove(&root.join(STATE_OLD))?;
            durable::rename(&state, &root.join(STATE_OLD))?;
        }
        _ => {}
    }
    durable::rename(&root.join(STATE_NEW), &state)
}

/// Brings an exchange that was cut short to its end.
fn finish_exchange(root: &Path) -> Result<(), StorageError> {
    durable::remove(&root.join(STATE_PART))?;
    let (state, old) = (root.join(STATE), root.join(STATE_OLD));
    if root.join(STATE_NEW).exists() {
        put_in_place(root)?;
    } else if old.exists() && !state.exists() {
        // No exchange leaves this behind, unless the file system forgot a rename that it had synced.
        durable::rename(&old, &state)?;
    }
    durable::remove(&old)
}

fn families(options: impl Fn(Family) -> Options) -> impl Iterator<Item = (&'static str, Options)> {
    Family::ALL.into_iter().map(move |family| (family.name(), options(family)))
}

fn open_database(path: &Path, opening: Opening, cache: &Cache) -> Result<DB, StorageError> {
    catalogue::check(path)?;
    let families = families(|family| family_options(family, cache));
    DB::open_cf_with_opts(&options::database(opening), path, families)
        .map_err(|error| options::open_failure(&format!("the state in {}", path.display()), opening, error))
}

/// How far the log has been applied to the copy of a state in `path`, empty if not at all. Also shows that the copy can
/// be opened.
pub(super) fn applied_of_copy(path: &Path, cache: &Cache) -> Result<Bytes, StorageError> {
    let what = format!("the copy of the state in {}", path.display());
    let options = options::database(Opening::Again);
    let families = families(|family| family_options(family, cache));
    let db = DB::open_cf_with_opts_for_read_only(&options, path, families, false)
        .map_err(|error| options::open_failure(&what, Opening::Again, error))?;
    let value = db
        .get_pinned_cf(handle(&db, Family::Raft), APPLIED_KEY)
        .map_err(|error| options::failure(&what, error))?;
    Ok(value.map(|value| Bytes::copy_from_slice(&value)).unwrap_or_default())
}

/// Reads all of the copy of a state in `path`, so that each of its checksums is compared.
pub(super) fn read_copy(path: &Path, cache: &Cache) -> Result<(), StorageError> {
    let what = format!("the copy of the state in {}", path.display());
    let options = options::database(Opening::Again);
    let families = families(|family| family_options(family, cache));
    let db = DB::open_cf_with_opts_for_read_only(&options, path, families, false)
        .map_err(|error| options::open_failure(&what, Opening::Again, error))?;
    for family in Family::ALL {
        let mut reading = ReadOptions::default();
        reading.fill_cache(false);
        reading.set_readahead_size(COPY_READAHEAD_BYTES);
        for item in db.iterator_cf_opt(handle(&db, family), reading, IteratorMode::Start) {
            item.map_err(|error| options::failure(&what, error))?;
        }
    }
    Ok(())
}

fn handle(db: &DB, family: Family) -> &ColumnFamily {
    db.cf_handle(family.name()).expect("the state is opened with all families")
}

fn failure(error: rocksdb::Error) -> StorageError {
    options::failure("the state", error)
}

/// Options of a scan from `start` to before `end`.
fn within(start: Bytes, end: Option<Bytes>) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(start);
    if let Some(end) = end {
        options.set_iterate_upper_bound(end);
    }
    options
}

/// How long a batch becomes: RocksDB grows it by halves otherwise, and copies it each time.
fn batch_bytes(changes: &[(Family, Bytes, Change)]) -> usize {
    /// The head of a batch.
    const HEAD: usize = 12;
    /// What a change takes at most beside key and value: a kind, and three varints of 32 bits.
    const CHANGE: usize = 1 + 3 * 5;
    let bytes = |(_, key, change): &(Family, Bytes, Change)| match change {
        Change::Put(value) => CHANGE + key.len() + value.len(),
        Change::Delete => CHANGE + key.len(),
    };
    HEAD + changes.iter().map(bytes).sum::<usize>()
}

type Item = Result<(Box<[u8]>, Box<[u8]>), rocksdb::Error>;

/// The first of `stored`, at most `limit` and not much more than `bytes_max`.
fn collect(
    mut stored: impl Iterator<Item = Item>,
    limit: usize,
    bytes_max: usize,
) -> Result<Vec<(Bytes, Bytes)>, StorageError> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    while found.len() < limit && bytes < bytes_max {
        let Some(item) = stored.next() else { break };
        let (key, value) = item.map_err(failure)?;
        bytes += key.len() + value.len();
        found.push((Bytes::from(key), Bytes::from(value)));
    }
    Ok(found)
}

/// [`StateView`] on a snapshot of RocksDB.
struct Moment<'a> {
    db: &'a DB,
    snapshot: Snapshot<'a>,
}

impl StateView for Moment<'_> {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let value = self.snapshot.get_pinned_cf(handle(self.db, family), key).map_err(failure)?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(
        &self,
        family: Family,
        range: ScanRange,
        order: Order,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StorageError> {
        let Some((start, end)) = range.half_open() else { return Ok(Vec::new()) };
        let mode = match order {
            Order::Ascending => IteratorMode::Start,
            Order::Descending => IteratorMode::End,
        };
        let stored = self.snapshot.iterator_cf_opt(handle(self.db, family), within(start, end), mode);
        collect(stored, limit, bytes_max)
    }
}

/// A batch is in the Raft log already, and taken from there again if it is lost: to write it once more, into a log of
/// the database's own, would be half of all that is written.
fn unlogged() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}

impl StateStore for RocksState {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.with(|db| {
            let value = db.get_pinned_cf(handle(db, family), key).map_err(failure)?;
            Ok(value.map(|value| Bytes::copy_from_slice(&value)))
        })
    }

    fn get_sorted(&self, family: Family, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, StorageError> {
        self.with(|db| {
            let values = db.batched_multi_get_cf(handle(db, family), keys, true);
            let value = |value: Result<Option<DBPinnableSlice<'_>>, rocksdb::Error>| {
                Ok(value.map_err(failure)?.map(|value| Bytes::copy_from_slice(&value)))
            };
            values.into_iter().map(value).collect()
        })
    }

    fn scan(
        &self,
        family: Family,
        range: ScanRange,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StorageError> {
        let Some((start, end)) = range.half_open() else { return Ok(Vec::new()) };
        self.with(|db| {
            let options = within(start, end);
            collect(db.iterator_cf_opt(handle(db, family), options, IteratorMode::Start), limit, bytes_max)
        })
    }

    fn view(&self, look: &mut dyn FnMut(&dyn StateView)) -> Result<(), StorageError> {
        self.with(|db| {
            let _looking = self.trims.look();
            look(&Moment { db, snapshot: db.snapshot() });
            Ok(())
        })
    }

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        self.with(|db| {
            let mut changes = WriteBatch::with_capacity_bytes(batch_bytes(&batch.changes));
            let families = Family::ALL.map(|family| handle(db, family));
            for (family, key, change) in batch.changes {
                let family = families[family as usize];
                match change {
                    Change::Put(value) => changes.put_cf(family, key, value),
                    Change::Delete => changes.delete_cf(family, key),
                }
            }
            db.write_opt(changes, &unlogged()).map_err(failure)
        })?;
        self.trims.note(batch.trims);
        Ok(())
    }

    fn flush(&self) -> Result<(), StorageError> {
        // Asked before: what was trimmed later may not be durable yet.
        let ready = self.trims.ready();
        self.with(|db| {
            let families: Vec<&ColumnFamily> = Family::ALL.iter().map(|family| handle(db, *family)).collect();
            db.flush_cfs_opt(&families, &FlushOptions::default()).map_err(failure)?;
            for (journal, through) in ready {
                db.delete_file_in_range_cf(handle(db, journal), b"".as_slice(), &through).map_err(failure)?;
            }
            Ok(())
        })
    }

    /// After a background flush that failed, RocksDB answers each write with that failure, and one of nothing too.
    fn probe(&self) -> Result<(), StorageError> {
        self.with(|db| db.write_opt(WriteBatch::default(), &unlogged()).map_err(failure))
    }
}
