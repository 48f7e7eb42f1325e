//! Policies are set, shown and taken away.

use super::{POLICY_BYTES_MAX, Policy, table};
use crate::store::{
    Glimpse, ListOrder, Record, RecordCompare, RecordOp, RecordRange, StoreService, TransactRequest,
    WriteRequest,
};
use bincode::{Decode, Encode};
use micro_sdk::wire::{Code, Codec, Fault, Namespace, Seams, ServiceName, limits::VALUE_BYTES_MAX};
use std::{collections::BTreeMap, sync::Arc};
use tokio::time::Instant;

/// Services with a policy at most: every node keeps all of them.
const POLICIES_MAX: usize = 4096;

/// A policy as it is kept. Stored: a struct that changes is a new version.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct StoredPolicy {
    document: String,
    who: String,
    time_ms: u64,
}

/// A policy with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptPolicy {
    /// The document in JSON, as it was set.
    pub document: String,
    /// Who set it.
    pub who: String,
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
    /// The revision of the store that it was set at.
    pub revision: u64,
}

impl KeptPolicy {
    /// The policy that it is.
    ///
    /// # Errors
    /// [`Code::Usage`] if this build does not know all of it.
    pub fn policy(&self) -> Result<Policy, Fault> {
        Policy::parse(&self.document)
    }
}

type ByService = BTreeMap<(Namespace, ServiceName), KeptPolicy>;

/// The policies that are kept. Whoever uses them was allowed to.
#[derive(Clone)]
pub struct Policies {
    store: Arc<StoreService>,
    seams: Seams,
}

impl Policies {
    /// Those in the store.
    pub fn new(store: Arc<StoreService>, seams: Seams) -> Self {
        Policies { store, seams }
    }

    /// The same by way of another access to the store.
    #[must_use]
    pub fn over(&self, store: Arc<StoreService>) -> Self {
        Policies { store, seams: self.seams.clone() }
    }

    /// Sets the policy of a service, in place of the one that it has, if that is of `revision` where one is named (0:
    /// if it has none). Returns the revision of the new one.
    ///
    /// # Errors
    /// [`Code::Usage`] if it is none, [`Code::Conflict`] if there is another than was thought, or why the group did not
    /// take it.
    pub async fn set(
        &self,
        service: (Namespace, ServiceName),
        document: String,
        who: String,
        revision: Option<u64>,
        deadline: Instant,
    ) -> Result<u64, Fault> {
        Policy::parse(&document)?;
        debug_assert!(document.len() <= POLICY_BYTES_MAX, "parsing has refused what is longer");
        let many = self.store.glimpse(true, deadline, |glimpse: &Glimpse<'_>| read_all(glimpse)).await?;
        if many.len() >= POLICIES_MAX && !many.contains_key(&service) {
            return Err(Fault::new(
                Code::Usage,
                format!("there are {POLICIES_MAX} policies, and no more are kept"),
            )
            .help("take some away: `micro-node policy delete`"));
        }
        let key = key(&service);
        let time_ms = self.time_ms();
        let value = Codec::encode(&StoredPolicy { document, who, time_ms });
        let then = RecordOp::Write(WriteRequest::new(table(), key.clone(), value));
        self.change(&service, key, revision, then, deadline).await
    }

    /// Takes the policy of a service away, under the same condition.
    ///
    /// # Errors
    /// [`Code::NotFound`] if there is none, [`Code::Conflict`], or why the group did not take it.
    pub async fn delete(
        &self,
        service: (Namespace, ServiceName),
        revision: Option<u64>,
        deadline: Instant,
    ) -> Result<u64, Fault> {
        let kept = self.get(&service, deadline).await?.ok_or_else(|| none(&service))?;
        let key = key(&service);
        let then = RecordOp::Delete { table: table(), key: key.clone() };
        self.change(&service, key, Some(revision.unwrap_or(kept.revision)), then, deadline).await
    }

    /// The policy of a service, if it has one.
    ///
    /// # Errors
    /// Why the reading can't be made linearizable.
    pub async fn get(
        &self,
        service: &(Namespace, ServiceName),
        deadline: Instant,
    ) -> Result<Option<KeptPolicy>, Fault> {
        let key = key(service);
        let look = move |glimpse: &Glimpse<'_>| {
            glimpse.record(&table(), &key)?.map(|record| read(&record)).transpose()
        };
        self.store.glimpse(false, deadline, look).await
    }

    /// All policies of a namespace.
    ///
    /// # Errors
    /// Why the reading can't be made linearizable.
    pub async fn list(
        &self,
        namespace: &Namespace,
        deadline: Instant,
    ) -> Result<Vec<(ServiceName, KeptPolicy)>, Fault> {
        let all = self.store.glimpse(false, deadline, |glimpse: &Glimpse<'_>| read_all(glimpse)).await?;
        let of = all.into_iter().filter(|((of, _), _)| of == namespace);
        Ok(of.map(|((_, service), kept)| (service, kept)).collect())
    }

    async fn change(
        &self,
        service: &(Namespace, ServiceName),
        key: String,
        revision: Option<u64>,
        then: RecordOp,
        deadline: Instant,
    ) -> Result<u64, Fault> {
        let compares = match revision {
            Some(0) => vec![RecordCompare::exists(table(), key, false)],
            Some(revision) => vec![RecordCompare::version(table(), key, revision)],
            None => Vec::new(),
        };
        let once = u128::from_le_bytes(self.seams.random());
        let transaction = TransactRequest { compares, then: vec![then], otherwise: Vec::new() };
        let reply = self.store.transact_own(transaction, Some(once), deadline).await?;
        if reply.held {
            return Ok(reply.revision);
        }
        let message = format!("the policy of {} was changed by somebody else", service.1);
        Err(Fault::new(Code::Conflict, message)
            .help(format!("look at it, and set it again: `micro-node policy get {}`", service.1)))
    }

    fn time_ms(&self) -> u64 {
        let since = self.seams.clock.now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

fn key((namespace, service): &(Namespace, ServiceName)) -> String {
    format!("{namespace}/{service}")
}

fn none((namespace, service): &(Namespace, ServiceName)) -> Fault {
    Fault::new(Code::NotFound, format!("service {service} of namespace {namespace} has no policy of its own"))
        .help("it is called as services are that have none: `micro-node policy get` shows how")
}

fn read(record: &Record) -> Result<KeptPolicy, Fault> {
    let stored = Codec::decode::<StoredPolicy, VALUE_BYTES_MAX>(&record.value.0).map_err(|error| {
        Fault::new(Code::Failed, format!("a policy that is kept can't be read: {error}"))
            .help("if another node runs a newer build, update this one")
    })?;
    let StoredPolicy { document, who, time_ms } = stored;
    Ok(KeptPolicy { document, who, time_ms, revision: record.version })
}

/// All that are kept.
pub(super) fn read_all(glimpse: &Glimpse<'_>) -> Result<ByService, Fault> {
    let mut all = BTreeMap::new();
    glimpse.records(&RecordRange::table(table()), ListOrder::Ascending, |record| {
        let names = record.key.split_once('/');
        let names =
            names.and_then(|(namespace, service)| Some((namespace.parse().ok()?, service.parse().ok()?)));
        if let Some(service) = names {
            all.insert(service, read(&record)?);
        }
        Ok(true)
    })?;
    Ok(all)
}
