//! Records and where they lie.

use bincode::{
    Decode, Encode,
    de::Decoder,
    enc::Encoder,
    error::{DecodeError, EncodeError},
};
use bytes::{BufMut, Bytes};
use micro_sdk::wire::{Code, Fault, NameError, Namespace, ServiceName, limits::KEY_BYTES_MAX};

/// What a key in the state begins with when it is a record. Others: see the machine.
pub(crate) const RECORD_TAG: u8 = b'r';

/// A table: namespace, database and table, each a checked name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct TablePath {
    /// The tenant.
    pub namespace: Namespace,
    /// The database of the tenant.
    pub database: ServiceName,
    /// The table in the database.
    pub table: ServiceName,
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
            database: or_default(database).try_into()?,
            table: or_default(table).try_into()?,
        })
    }

    /// The beginning of the state keys of all records of the table. Names hold no zero byte, so that no table's
    /// records lie between another's.
    pub(crate) fn state_prefix(&self) -> Vec<u8> {
        let names = [self.namespace.as_str(), self.database.as_str(), self.table.as_str()];
        let mut key = Vec::with_capacity(1 + names.iter().map(|name| name.len() + 1).sum::<usize>());
        key.push(RECORD_TAG);
        for name in names {
            key.extend_from_slice(name.as_bytes());
            key.push(0);
        }
        key
    }

    /// The state key of one record.
    pub(crate) fn state_key(&self, key: &str) -> Vec<u8> {
        let mut state_key = self.state_prefix();
        state_key.extend_from_slice(key.as_bytes());
        state_key
    }
}

/// The bytes of a record. Shared, not copied, on their way between the state and a door; encoded as a byte vector is.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Record {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// The index of the log entry that wrote it.
    pub version: u64,
}

/// Refuses keys that are empty or too long.
pub(crate) fn check_key(key: &str) -> Result<(), Fault> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let message = format!("a key of {} bytes: it takes 1 to {KEY_BYTES_MAX}", key.len());
        return Err(Fault::new(Code::Usage, message));
    }
    Ok(())
}

/// The state value of a record: its version, then its bytes.
pub(crate) fn state_value(version: u64, value: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(8 + value.len());
    bytes.put_u64(version);
    bytes.put_slice(value);
    bytes.into()
}

/// The version and bytes in a state value.
pub(crate) fn split_state_value(value: &[u8]) -> Option<(u64, &[u8])> {
    let (version, value) = value.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*version), value))
}
