//! What is kept of all this, as records of the store's reserved database in the namespace `default`.
//!
//! | table | key | value |
//! |---|---|---|
//! | `auth-accounts` | namespace `/` account | [`Account`] |
//! | `auth-rules` | namespace `/` rule | [`StoredRule`] |
//! | `auth-keys` | number, 10 digits | [`StoredKey`] |
//! | `auth-sessions` | session | [`Session`], for as long as its refresh token is good |
//! | `auth-revoked` | what was revoked | [`Revocation`], for as long as an access token of it might be good |
//!
//! All of it goes through Raft, into snapshots and backups, and is watched, as any record. Stored: structs are new
//! versions when they change, enums grow at their ends.

use crate::{
    auth::{
        account::Account,
        refresh_token::Session,
        revocation::{REMEMBERED_MS, Revocation, Revocations, account_key},
        rule::{RuleView, StoredRule},
        signing_key::StoredKey,
    },
    store::{Glimpse, ListOrder, Record, RecordOp, RecordRange, TablePath, WriteRequest},
};
use bincode::{Decode, Encode};
use micro_sdk::wire::{AccountName, Code, Codec, Fault, Namespace, limits::VALUE_BYTES_MAX};
use std::collections::BTreeMap;

/// The rules as they are kept, by namespace and id; none for a starting rule that was taken away.
pub(crate) type KeptRules = BTreeMap<(Namespace, String), Option<RuleView>>;

fn table(name: &'static str) -> TablePath {
    TablePath::reserved(Namespace::default(), name)
}

pub(crate) fn accounts() -> TablePath {
    table("auth-accounts")
}

pub(crate) fn rules() -> TablePath {
    table("auth-rules")
}

pub(crate) fn keys() -> TablePath {
    table("auth-keys")
}

pub(crate) fn sessions() -> TablePath {
    table("auth-sessions")
}

pub(crate) fn revoked() -> TablePath {
    table("auth-revoked")
}

/// The key of something in a namespace.
pub(crate) fn within(namespace: &Namespace, name: &str) -> String {
    format!("{namespace}/{name}")
}

/// The key of a key.
pub(crate) fn number_key(number: u32) -> String {
    format!("{number:010}")
}

/// What a record holds.
pub(crate) fn decode<T: Decode<()>>(record: &Record) -> Result<T, Fault> {
    Codec::decode::<T, VALUE_BYTES_MAX>(&record.value.0).map_err(|error| {
        Fault::new(Code::Failed, format!("what is kept of accounts can't be read: {error}"))
            .help("if another node runs a newer build, update this one")
    })
}

/// A write of `value`.
pub(crate) fn write<T: Encode>(table: TablePath, key: impl Into<String>, value: &T) -> RecordOp {
    RecordOp::Write(WriteRequest::new(table, key, Codec::encode(value)))
}

/// A write of what ends by itself.
pub(crate) fn write_for<T: Encode>(
    table: TablePath,
    key: impl Into<String>,
    value: &T,
    ttl_ms: u64,
) -> RecordOp {
    RecordOp::Write(WriteRequest { ttl_ms, ..WriteRequest::new(table, key, Codec::encode(value)) })
}

/// A note that something was revoked.
pub(crate) fn revoke(key: String, revocation: &Revocation) -> RecordOp {
    write_for(revoked(), key, revocation, REMEMBERED_MS)
}

/// All that is kept, at one moment.
pub(crate) struct Book<'a>(pub &'a Glimpse<'a>);

impl Book<'_> {
    fn one<T: Decode<()>>(&self, table: &TablePath, key: &str) -> Result<Option<(T, u64)>, Fault> {
        let record = self.0.record(table, key)?;
        record.map(|record| Ok((decode(&record)?, record.version))).transpose()
    }

    fn all(
        &self,
        range: &RecordRange,
        mut each: impl FnMut(&Record) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        self.0.records(range, ListOrder::Ascending, |record| each(&record))
    }

    /// An account, and the version of its record.
    pub fn account(
        &self,
        namespace: &Namespace,
        name: &AccountName,
    ) -> Result<Option<(Account, u64)>, Fault> {
        self.one(&accounts(), &within(namespace, name.as_str()))
    }

    /// The accounts of a namespace behind a name, in order, at most `limit`; and whether there are more.
    pub fn accounts(
        &self,
        namespace: &Namespace,
        after: &str,
        limit: usize,
    ) -> Result<(Vec<(AccountName, Account)>, bool), Fault> {
        let prefix = within(namespace, "");
        let (mut found, mut more) = (Vec::new(), false);
        let from = if after.is_empty() { String::new() } else { format!("{prefix}{after}\0") };
        let range = RecordRange { from, ..RecordRange::prefix(accounts(), prefix.clone()) };
        self.all(&range, |record| {
            more = found.len() == limit;
            let name = record.key.strip_prefix(&prefix).and_then(|name| name.parse::<AccountName>().ok());
            if let Some(name) = name.filter(|_| !more) {
                found.push((name, decode(record)?));
            }
            Ok(!more)
        })?;
        Ok((found, more))
    }

    /// A rule as it is kept, and the version of its record.
    pub fn rule(&self, namespace: &Namespace, id: &str) -> Result<Option<(StoredRule, u64)>, Fault> {
        self.one(&rules(), &within(namespace, id))
    }

    /// The rules as they are kept: of one namespace, or of all.
    pub fn rules(&self, namespace: Option<&Namespace>) -> Result<KeptRules, Fault> {
        let mut kept = KeptRules::new();
        let prefix = namespace.map(|namespace| within(namespace, "")).unwrap_or_default();
        self.all(&RecordRange::prefix(rules(), prefix), |record| {
            let Some((namespace, id)) = record.key.split_once('/') else { return Ok(true) };
            let Ok(namespace) = namespace.parse::<Namespace>() else { return Ok(true) };
            let rule = match decode(record)? {
                StoredRule::Rule(rule) => Some(rule),
                StoredRule::Removed => None,
            };
            kept.insert((namespace, id.to_owned()), rule);
            Ok(true)
        })?;
        Ok(kept)
    }

    /// The keys by number, each with the version of its record.
    pub fn keys(&self) -> Result<BTreeMap<u32, (StoredKey, u64)>, Fault> {
        let mut found = BTreeMap::new();
        self.all(&RecordRange::table(keys()), |record| {
            if let Ok(number) = record.key.parse() {
                found.insert(number, (decode(record)?, record.version));
            }
            Ok(true)
        })?;
        Ok(found)
    }

    /// A session, and the version of its record.
    pub fn session(&self, id: &str) -> Result<Option<(Session, u64)>, Fault> {
        self.one(&sessions(), id)
    }

    /// All that was revoked.
    pub fn revocations(&self) -> Result<Revocations, Fault> {
        let mut revocations = Revocations::default();
        self.all(&RecordRange::table(revoked()), |record| {
            revocations.0.insert(record.key.clone(), decode(record)?);
            Ok(true)
        })?;
        Ok(revocations)
    }

    /// The least number of a state of an account that is not revoked, and the version of the record that says so: 0 if
    /// there is none.
    pub fn open_generation(&self, namespace: &Namespace, name: &AccountName) -> Result<(u64, u64), Fault> {
        let found = self.one::<Revocation>(&revoked(), &account_key(namespace, name))?;
        Ok(match found {
            Some((Revocation::Account { through }, version)) => (through + 1, version),
            Some((Revocation::Session, version)) => (0, version),
            None => (0, 0),
        })
    }

    /// The number of the next state of an account: greater than any that it, or one of its name, had.
    pub fn next_generation(
        &self,
        namespace: &Namespace,
        name: &AccountName,
        now: Option<&Account>,
        now_ms: u64,
    ) -> Result<u64, Fault> {
        let (open, _) = self.open_generation(namespace, name)?;
        Ok(now_ms.max(open).max(now.map_or(0, |account| account.generation + 1)))
    }
}
