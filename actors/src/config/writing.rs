//! How the tree is changed: what a change comes to is decided from what is there, and made if that is still there.

use crate::{
    config::{
        ChangeReply, ChangeRequest, ConfigService, SetSchemaRequest,
        plan::{Planned, Planner},
        reading::no_keys,
        record::{CURRENT, CurrentKey, HEAD, Head, write},
        schema::Schema,
        state::{ConfigState, Opener},
        vault::new_key,
    },
    store::{Glimpse, RecordCompare, RecordOp, TransactRequest},
};
use micro_sdk::wire::{Code, Fault, Namespace};
use std::collections::BTreeMap;
use tokio::time::{Duration, Instant, sleep};

/// How often a change is decided anew because somebody was faster: each time somebody's change was made, so that many
/// writers at once all come through, unless there are more than this.
const ATTEMPTS_MAX: u32 = 100;
/// The longest pause before it: two that met once should not meet again.
const PAUSE_MAX_MS: u64 = 20;

impl ConfigService {
    /// Changes the tree.
    ///
    /// # Errors
    /// [`Code::Usage`] beyond a limit or if the schema does not allow it, [`Code::Conflict`] if the version is another,
    /// [`Code::NotFound`] if there is no such staged change, or why the group did not take it.
    pub async fn change(&self, request: ChangeRequest, deadline: Instant) -> Result<ChangeReply, Fault> {
        match self.opener()? {
            Some(opener) => self.change_here(request, opener, deadline).await,
            None => self.ask_leader("change", &request, deadline).await,
        }
    }

    /// The same on a node that can open and seal secrets.
    pub(super) async fn change_here(
        &self,
        request: ChangeRequest,
        opener: Opener,
        deadline: Instant,
    ) -> Result<ChangeReply, Fault> {
        for _ in 0..ATTEMPTS_MAX {
            let (asked, with) = (request.clone(), opener.clone());
            let (now_ms, instances) = (self.parts.consensus.time_ms(), self.instances_for(&request));
            let plan = move |glimpse: &Glimpse<'_>| {
                let state = ConfigState::new(glimpse, &asked.namespace);
                Planner { state, request: &asked, opener: &with, now_ms, instances }.plan()
            };
            match self.store.glimpse(false, deadline, plan).await? {
                Planned::Done(reply) => return Ok(reply),
                Planned::NeedsKey => self.make_key(&opener, deadline).await?,
                Planned::Make(transaction, reply) => {
                    if self.transact(transaction, deadline).await? {
                        return Ok(reply);
                    }
                    self.pause().await;
                }
            }
        }
        Err(too_fast())
    }

    /// Registers the schema of a service's part, or takes it away.
    ///
    /// # Errors
    /// [`Code::Usage`] if it is no schema, or what is there does not fit; or why the group did not take it.
    pub async fn set_schema(&self, request: SetSchemaRequest, deadline: Instant) -> Result<(), Fault> {
        match self.opener()? {
            Some(opener) => self.set_schema_here(request, opener, deadline).await,
            None => self.ask_leader("set-schema", &request, deadline).await,
        }
    }

    pub(super) async fn set_schema_here(
        &self,
        request: SetSchemaRequest,
        opener: Opener,
        deadline: Instant,
    ) -> Result<(), Fault> {
        for _ in 0..ATTEMPTS_MAX {
            let (asked, with) = (request.clone(), opener.clone());
            let plan = move |glimpse: &Glimpse<'_>| {
                schema_transaction(&ConfigState::new(glimpse, &asked.namespace), &asked, &with)
            };
            let Some(transaction) = self.store.glimpse(false, deadline, plan).await? else { return Ok(()) };
            if self.transact(transaction, deadline).await? {
                return Ok(());
            }
            self.pause().await;
        }
        Err(too_fast())
    }

    /// Makes a transaction; tells whether its comparisons held.
    pub(super) async fn transact(
        &self,
        transaction: TransactRequest,
        deadline: Instant,
    ) -> Result<bool, Fault> {
        // A key of its own for each: repeated inside it is done once, and what it compares keeps it from meeting
        // another.
        let key = u128::from_le_bytes(self.parts.seams.random());
        Ok(self.store.transact_own(transaction, Some(key), deadline).await?.held)
    }

    /// Makes a key of secrets where none is at hand: there is none yet, or they are those of the mesh whose backup this
    /// one was made of, without that one's seal key.
    pub(super) async fn make_key(&self, opener: &Opener, deadline: Instant) -> Result<(), Fault> {
        let with = opener.clone();
        let plan = move |glimpse: &Glimpse<'_>| {
            key_transaction(&ConfigState::new(glimpse, &Namespace::default()), &with)
        };
        let transaction = self.store.glimpse(false, deadline, plan).await?;
        // If somebody else made one in between, there is one.
        self.transact(transaction, deadline).await.map(drop)
    }

    pub(super) async fn pause(&self) {
        let ms = u64::from(u16::from_le_bytes(self.parts.seams.random())) % PAUSE_MAX_MS;
        sleep(Duration::from_millis(ms)).await;
    }

    /// What opens and seals on this node; none if it is not a voter, or its key is damaged: then it complains
    /// elsewhere.
    pub(super) fn opener(&self) -> Result<Option<Opener>, Fault> {
        let seal = self.parts.auth.proven_seal_key()?;
        let (seams, cluster) = (self.parts.seams.clone(), self.parts.mesh.cluster());
        Ok(seal.map(|seal| Opener { seams, seal, cluster }))
    }

    pub(super) fn need_opener(&self) -> Result<Opener, Fault> {
        self.opener()?.ok_or_else(no_keys)
    }
}

/// The key of a key of secrets.
pub(super) fn key_name(number: u32) -> String {
    format!("{number:010}")
}

/// The number of a key that is to come.
pub(super) fn next_number(keys: &BTreeMap<u32, Vec<u8>>) -> u32 {
    keys.last_key_value().map_or(1, |(last, _)| last + 1)
}

/// The transaction that makes a key and lets it seal, if which one does has not changed.
pub(super) fn key_transaction(state: &ConfigState<'_>, opener: &Opener) -> Result<TransactRequest, Fault> {
    let (tables, number) = (&state.tables, next_number(&state.keys()?));
    let version = state.current_key()?.map_or(0, |(_, version)| version);
    let key = new_key(&opener.seams, &opener.seal, opener.cluster, number);
    Ok(TransactRequest {
        compares: vec![RecordCompare::version(tables.keys.clone(), CURRENT, version)],
        then: vec![
            RecordOp::Write(write(&tables.keys, key_name(number), &key)),
            RecordOp::Write(write(&tables.keys, CURRENT, &CurrentKey { number, complete: true })),
        ],
        otherwise: Vec::new(),
    })
}

pub(super) fn too_fast() -> Fault {
    Fault::new(Code::Unavailable, format!("the tree was changed by others {ATTEMPTS_MAX} times in between"))
        .help("try again; a program that changes it this often should keep that in the store")
}

/// The transaction that sets a schema; none if there is nothing to do. It writes the head as it is, so that a change
/// that was decided without it is decided anew.
pub(super) fn schema_transaction(
    state: &ConfigState<'_>,
    request: &SetSchemaRequest,
    opener: &Opener,
) -> Result<Option<TransactRequest>, Fault> {
    let service = request.service.as_str();
    let (head, version): (Head, u64) = state.head()?;
    if state.schema(service)? == request.schema {
        return Ok(None);
    }
    let tables = &state.tables;
    let operation = match &request.schema {
        Some(text) => {
            let vault = state.vault(opener)?.map(|(vault, _)| vault);
            Schema::parse(service, text)?.check(&state.tree()?, &[], vault.as_ref())?;
            RecordOp::Write(write(&tables.schemas, service, text))
        }
        None => RecordOp::Delete { table: tables.schemas.clone(), key: service.to_owned() },
    };
    Ok(Some(TransactRequest {
        compares: vec![RecordCompare::version(tables.head.clone(), HEAD, version)],
        then: vec![operation, RecordOp::Write(write(&tables.head, HEAD, &head))],
        otherwise: Vec::new(),
    }))
}
