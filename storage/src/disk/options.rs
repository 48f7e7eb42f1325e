//! How RocksDB is set up, and what its failures mean. Small: an idle node has 60 MB for everything.

use crate::StorageError;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DBCompressionType, Error, ErrorKind, LogLevel, Options,
};

/// What a database is for decides which failures of opening it mean damage.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// The database may not be there yet.
    First,
    /// It was there: what is missing was lost.
    Again,
}

/// Blocks read from files. 8 MiB: the kernel's page cache holds the same data again.
const CACHE_BYTES: usize = 8 << 20;
/// How much of a file that is being written may wait for the kernel's own pace. Without it its pages go out in one
/// burst, and the Raft log's sync waits behind them.
const BYTES_PER_SYNC: u64 = 512 << 10;
/// Files open at once, per database; each holds its index in memory.
const OPEN_FILES_MAX: i32 = 256;
/// The share of a memtable that its filter takes: ten bits a key, and more if keys and values are small.
const MEMTABLE_FILTER_SHARE: f64 = 0.02;
/// A journal is read in order, or a single row of it: larger, and a row costs more; smaller, and the index does.
const JOURNAL_BLOCK_BYTES: usize = 16 << 10;
/// The new files of a journal that wait until they move down, from where on they can be removed.
const JOURNAL_FILES_NEW: i32 = 2;
/// What is new is merged again soon, and is packed only where it comes to rest.
const COMPRESSION: [DBCompressionType; 3] =
    [DBCompressionType::None, DBCompressionType::None, DBCompressionType::Lz4];
/// In a file in which half of so many neighbours delete something, many were deleted at once: it is merged with what
/// lies below, so that the room of what they had is given back now, and not when enough else is written.
const DELETIONS_WINDOW: usize = 1024;
/// How old a file at the bottom is at least when it is written again only to leave out what no reader can see any more,
/// in seconds: a day. The engine does that as soon as a reader's view of a moment is given back, to files that have
/// only been moved down by name too, so that all of a journal was written twice.
const REWRITE_AGE: u32 = 24 * 3600;
/// When to start the database's own catalogue afresh, so that it never outgrows the data of a small node.
const CATALOGUE_BYTES_MAX: usize = 4 << 20;

/// The cache of the database.
pub(super) fn cache() -> Cache {
    Cache::new_lru_cache(CACHE_BYTES)
}

/// The options of a whole database.
pub(super) fn database(opening: Opening) -> Options {
    let mut options = Options::default();
    let create = opening == Opening::First;
    options.create_if_missing(create);
    options.create_missing_column_families(create);
    options.set_bytes_per_sync(BYTES_PER_SYNC);
    // What is lost at a power cut is a whole number of batches at the end: all families reach the disk together.
    options.set_atomic_flush(true);
    // Batches come from one thread: to let several write at once costs each of them.
    options.set_allow_concurrent_memtable_write(false);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_file_opening_threads(1);
    options.set_max_background_jobs(2);
    options.set_max_manifest_file_size(CATALOGUE_BYTES_MAX);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_skip_stats_update_on_db_open(true);
    options.set_keep_log_file_num(2);
    options.set_log_level(LogLevel::Warn);
    options
}

/// What all families have in common.
fn any_family() -> Options {
    let rewrite_age = format!("bottommost_file_compaction_delay={REWRITE_AGE}");
    Options::default().get_options_from_string(rewrite_age).expect("the engine has this option")
}

/// The options of one family of keys, which gathers `memtable_bytes` before it writes a file.
pub(super) fn family(cache: &Cache, memtable_bytes: usize) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_bloom_filter(10.0, false); // 1 % of absent keys cost a read
    // In pieces: whole, the index and the filter of one large file take a tenth of the cache, and a state of some
    // hundred megabytes would read and unpack them anew for every key.
    blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    blocks.set_partition_filters(true);
    blocks.set_metadata_block_size(4096);
    blocks.set_pin_top_level_index_and_filter(true);
    let mut options = any_family();
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_size(memtable_bytes);
    options.add_compact_on_deletion_collector_factory(DELETIONS_WINDOW, DELETIONS_WINDOW / 2, 0.5);
    options.set_compression_per_level(&COMPRESSION);
    // A write looks for what it replaces, mostly among what was not written lately.
    options.set_memtable_whole_key_filtering(true);
    options.set_memtable_prefix_bloom_ratio(MEMTABLE_FILTER_SHARE);
    options
}

/// The options of a family whose keys only grow, and that loses its beginning as whole files: nothing in it is ever
/// merged, so its files move down the levels by name alone.
pub(super) fn journal(cache: &Cache, memtable_bytes: usize) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_block_size(JOURNAL_BLOCK_BYTES);
    let mut options = any_family();
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_size(memtable_bytes);
    // Written once, and read by few: to compress it costs more than it spares.
    options.set_compression_type(DBCompressionType::None);
    options.set_level_zero_file_num_compaction_trigger(JOURNAL_FILES_NEW);
    options
}

/// What `error` means, met while working on `what`.
pub(super) fn failure(what: &str, error: Error) -> StorageError {
    let text = error.to_string();
    let full = ["No space left", "Disk quota exceeded", "NoSpace", "SpaceLimit"];
    if full.iter().any(|sign| text.contains(sign)) {
        return StorageError::Full(format!("{what}: {text}"));
    }
    match error.kind() {
        ErrorKind::Corruption => StorageError::corrupt(what, text),
        _ => StorageError::Io(std::io::Error::other(format!("{what}: {text}"))),
    }
}

/// What `error` means, met while opening `what`: files that were there and are not any more are damage too.
pub(super) fn open_failure(what: &str, opening: Opening, error: Error) -> StorageError {
    let lost = match error.kind() {
        ErrorKind::InvalidArgument | ErrorKind::NotFound => true,
        ErrorKind::IOError => error.to_string().contains("No such file or directory"),
        _ => false,
    };
    if lost && opening == Opening::Again {
        return StorageError::corrupt(what, error.to_string());
    }
    failure(what, error)
}
