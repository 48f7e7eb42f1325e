//! Records and where they lie.

use crate::{
    auth::{Name, Resource},
    store::{
        STORE, WriteRequest,
        database::Database,
        key::{self, RECORD_TAG},
        row::{Row, RowHead},
        view::{broken, garbled},
    },
};
use bincode::{
    Decode, Encode,
    de::Decoder,
    enc::Encoder,
    error::{DecodeError, EncodeError},
};
use bytes::Bytes;
use micro_sdk::wire::{
    COORDINATION, Code, Fault, NameError, Namespace, ServiceName,
    limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX},
};
use std::{collections::BTreeMap, ops::Range};

/// A table: namespace, database and table, each a checked name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct TablePath {
    /// The tenant.
    namespace: Namespace,
    /// The database of the tenant.
    database: Database,
    /// The table in the database.
    table: ServiceName,
}

impl Default for TablePath {
    /// The table of those who name none: `default` in all three.
    fn default() -> Self {
        TablePath::parse("", "", "").expect("empty names stand for the default")
    }
}

impl TablePath {
    /// Checks the three names. An empty one means `default`.
    ///
    /// # Errors
    /// If one is not a name.
    pub fn parse(namespace: &str, database: &str, table: &str) -> Result<Self, NameError> {
        let or_default = |name: &str| if name.is_empty() { "default".to_owned() } else { name.to_owned() };
        Ok(TablePath {
            namespace: or_default(namespace).try_into()?,
            database: Database::named(
                or_default(database).try_into().map_err(|error: NameError| error.of("database"))?,
            ),
            table: or_default(table).try_into().map_err(|error: NameError| error.of("table"))?,
        })
    }

    /// What it is to rules.
    pub fn resource<'a>(&'a self, endpoint: &'a str) -> Resource<'a> {
        let name = Name::Pair(self.database.as_str(), self.table.as_str());
        Resource::new(&self.namespace, STORE, name, endpoint)
    }

    /// A table of the platform's own.
    pub(crate) fn reserved(namespace: Namespace, table: &'static str) -> Self {
        let table = table.parse().expect("the platform's tables have good names");
        TablePath { namespace, database: Database::reserved(), table }
    }

    /// The state key of one record. Names hold no zero byte, so that no table's records lie between another's.
    pub(crate) fn state_key(&self, key: &str) -> Vec<u8> {
        let names = [self.namespace.as_str(), self.database.as_str(), self.table.as_str()];
        let prefix = 1 + names.iter().map(|name| name.len() + 1).sum::<usize>();
        let mut state_key = Vec::with_capacity(prefix + key.len());
        state_key.push(RECORD_TAG);
        for name in names {
            state_key.extend_from_slice(name.as_bytes());
            state_key.push(0);
        }
        state_key.extend_from_slice(key.as_bytes());
        state_key
    }

    /// The record in a row of this table.
    pub(crate) fn record(&self, state_key: &[u8], row: Row) -> Result<Record, Fault> {
        Record::of(self.key_of(state_key)?, row)
    }

    /// The key of a record of this table from its state key.
    pub(crate) fn key_of(&self, state_key: &[u8]) -> Result<String, Fault> {
        let names = [self.namespace.as_str(), self.database.as_str(), self.table.as_str()];
        let prefix = 1 + names.iter().map(|name| name.len() + 1).sum::<usize>();
        let key = state_key.get(prefix..).and_then(|key| std::str::from_utf8(key).ok());
        key.map(str::to_owned).ok_or_else(|| garbled("the key of a record"))
    }
}

/// The bytes of a record. Shared, not copied, on their way between the state and a door; encoded as a byte vector is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Value(pub Bytes);

impl Encode for Value {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.0.as_ref().encode(encoder)
    }
}

impl<C> Decode<C> for Value {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Vec::<u8>::decode(decoder).map(|bytes| Value(bytes.into()))
    }
}

bincode::impl_borrow_decode!(Value);

/// What a writer notes beside a value: texts by name.
pub type Metadata = BTreeMap<String, String>;

/// The bytes of the metadata of one record at most, names and texts together: it is read along with the value, so that
/// more of it belongs into the value.
pub const METADATA_BYTES_MAX: usize = 16 << 10;
/// The longest time that a record or lease may be given: what is to live longer need not end by itself.
pub const TTL_MS_MAX: u64 = 100 * 365 * 24 * 3600 * 1000;

/// One record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Record {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// The revision that wrote it.
    pub version: u64,
    /// The revision that made it: it is the same until the record is deleted, and then never comes again. The token of
    /// whoever holds a lock by this record.
    pub created: u64,
    /// When it ends, in milliseconds since 1970; 0 for never.
    pub expires_ms: u64,
    /// The lease that it ends with; 0 for none.
    pub lease: u64,
    /// What its writer noted.
    pub metadata: Metadata,
}

impl Record {
    /// The record with this key in `row`.
    pub(crate) fn of(key: String, row: Row) -> Result<Self, Fault> {
        let metadata = row.metadata().map_err(broken)?;
        let RowHead { created, modified, expires_ms, lease } = row.head;
        Ok(Record { key, value: Value(row.value), version: modified, created, expires_ms, lease, metadata })
    }

    /// The same without value and metadata.
    pub(crate) fn bare(key: String, row: &Row) -> Self {
        let RowHead { created, modified, expires_ms, lease } = row.head;
        Record { key, version: modified, created, expires_ms, lease, ..Record::default() }
    }
}

/// Records of one table: those whose keys begin with a text, and lie between two others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct RecordRange {
    /// The table.
    pub table: TablePath,
    /// Only keys that begin so; empty for all.
    pub prefix: String,
    /// Only from this key on; empty for all.
    pub from: String,
    /// Only to before this key; empty for all.
    pub to: String,
}

impl RecordRange {
    /// All records of a table.
    pub fn table(table: TablePath) -> Self {
        RecordRange { table, ..RecordRange::default() }
    }

    /// The records whose keys begin with `prefix`.
    pub fn prefix(table: TablePath, prefix: impl Into<String>) -> Self {
        RecordRange { table, prefix: prefix.into(), ..RecordRange::default() }
    }

    /// The record with this key alone.
    pub fn key(table: TablePath, key: impl Into<String>) -> Self {
        let from = key.into();
        let to = format!("{from}\0");
        RecordRange { table, from, to, ..RecordRange::default() }
    }

    /// The state keys from the first to before the last; empty if the bounds leave nothing.
    pub(crate) fn state_range(&self) -> Range<Bytes> {
        let prefix = Bytes::from(self.table.state_key(&self.prefix));
        let mut range = prefix.clone()..key::behind_prefix(&prefix);
        if !self.from.is_empty() {
            range.start = range.start.max(self.table.state_key(&self.from).into());
        }
        if !self.to.is_empty() {
            range.end = range.end.min(self.table.state_key(&self.to).into());
        }
        range.start = range.start.min(range.end.clone());
        range
    }
}

/// Refuses keys that are empty or too long.
pub(crate) fn check_key(key: &str) -> Result<(), Fault> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let message = format!("a key of {} bytes: it takes 1 to {KEY_BYTES_MAX}", key.len());
        return Err(Fault::new(Code::Usage, message));
    }
    Ok(())
}

/// Refuses a time to live that is too long.
pub(crate) fn check_ttl(ttl_ms: u64) -> Result<(), Fault> {
    if ttl_ms > TTL_MS_MAX {
        let message = format!("a time to live of {ttl_ms} ms is longer than the limit of {TTL_MS_MAX} ms");
        return Err(Fault::new(Code::Usage, message).help("leave it away: what has none lives for ever"));
    }
    Ok(())
}

/// Refuses what is beyond the limits of a record, and what would hold a lock for ever.
pub(crate) fn check_write(write: &WriteRequest) -> Result<(), Fault> {
    check_key(&write.key)?;
    check_ttl(write.ttl_ms)?;
    if write.lease == 0 && write.table.database.as_str() == COORDINATION {
        let message = format!(
            "database {COORDINATION:?} is that of locks and elections: it takes no record without a lease"
        );
        return Err(Fault::new(Code::Usage, message)
            .help("acquire the lock with `micro-node lock`, or keep the record in another database"));
    }
    let value = write.value.0.len();
    if value > VALUE_BYTES_MAX {
        let message = format!("a value of {value} bytes is larger than the limit of {VALUE_BYTES_MAX} bytes");
        return Err(Fault::new(Code::Usage, message).help("split it over several records"));
    }
    let metadata: usize = write.metadata.iter().map(|(name, text)| name.len() + text.len()).sum();
    // The lengths of the texts are stored too.
    if metadata + 4 * write.metadata.len() > METADATA_BYTES_MAX {
        let message =
            format!("{metadata} bytes of metadata are more than {METADATA_BYTES_MAX} bytes can hold");
        return Err(Fault::new(Code::Usage, message).help("put it into the value"));
    }
    Ok(())
}
