//! Clients that hold a lock by a lease and write under its fence, and at times sleep so long that the lease is over.

use super::{Client, Journal, Outcome, Table};
use crate::machine::{Phase, Shared};
use micro_actors::store::{Comparand, RecordCompare, RecordOp, Relation, TransactRequest, WriteRequest};
use micro_sdk::wire::{Code, Fault};
use rand::Rng;
use std::rc::Rc;

/// Where locks and what they guard lie.
pub const LOCKS: Table = Table("locks");
/// The lock.
const LOCK: &str = "lock";
/// What it guards: the token of whoever wrote it last.
pub const GUARDED: &str = "guarded";
/// The longest pause between two requests.
const THINK_MS_MAX: u64 = 300;
/// The shortest and longest time that a lease lives without being kept alive.
const TTL_MS: (u64, u64) = (400, 1500);
/// How long a holder sleeps at most: longer than any lease lives.
const SLEEP_MS_MAX: u64 = 2500;
/// How often a holder writes, at most.
const WRITES_MAX: u32 = 4;

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockAsked {
    /// A lease.
    Grant,
    /// When a lease ends, of which nothing else is known.
    Look(u64),
    /// To let a lease live on.
    KeepAlive(u64),
    /// The lock, if nobody has it, for as long as a lease lives.
    Acquire(u64),
    /// To write what the lock guards, if the lock is still the one with this token.
    Write(u64),
    /// To end a lease.
    Revoke(u64),
    /// Whether the records that are there have their leases.
    LookAtRecords,
}

/// What was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockTold {
    /// The lease.
    Lease(u64),
    /// When it ends, in milliseconds since 1970; none if it is over.
    Ends(Option<u64>),
    /// Whether it was done, and at which revision.
    Held(bool, u64),
    /// It was done, or is as it has to be.
    Revoked,
}

/// Everything about the lock.
pub type LockJournal = Journal<LockAsked, LockTold>;

/// Works until the storm is over.
pub async fn run(mut client: Client, shared: Rc<Shared>) {
    while shared.phase.get() <= Phase::Storm {
        client.think(THINK_MS_MAX).await;
        if shared.phase.get() == Phase::Storm {
            hold(&mut client, &shared).await;
        }
    }
}

/// One lease, with all that is done while it lives, and a little longer.
async fn hold(client: &mut Client, shared: &Shared) {
    let (ttl_ms, key) = (client.rng.random_range(TTL_MS.0..=TTL_MS.1), client.rng.random());
    let journal = &shared.journals.lock;
    let grant = async { Ok(LockTold::Lease(client.door.grant(ttl_ms, key).await?)) };
    let Outcome::Done(LockTold::Lease(lease)) = client.attempt(journal, LockAsked::Grant, grant).await else {
        return;
    };
    look(client, journal, lease).await;
    let write = WriteRequest { lease, ..WriteRequest::new(LOCKS.path(), LOCK, client.name.clone()) };
    let acquire = conditional(client, RecordCompare::exists(LOCKS.path(), LOCK, false), write);
    let acquired = client.attempt(journal, LockAsked::Acquire(lease), acquire).await;
    if let Outcome::Done(LockTold::Held(true, token)) = acquired {
        for _ in 0..client.rng.random_range(1..=WRITES_MAX) {
            work(client, journal, lease, token).await;
            if shared.phase.get() != Phase::Storm {
                return;
            }
        }
    }
    if client.rng.random_bool(0.5) {
        let revoke = async {
            client.door.revoke(lease).await?;
            Ok(LockTold::Revoked)
        };
        client.attempt(journal, LockAsked::Revoke(lease), revoke).await;
    }
}

/// What a holder does once.
async fn work(client: &mut Client, journal: &LockJournal, lease: u64, token: u64) {
    if client.rng.random_bool(0.3) {
        client.think(SLEEP_MS_MAX).await;
    } else {
        client.think(THINK_MS_MAX).await;
        let keep_alive = async { Ok(LockTold::Lease(client.door.keep_alive(lease).await?)) };
        client.attempt(journal, LockAsked::KeepAlive(lease), keep_alive).await;
        look(client, journal, lease).await;
    }
    let fence = RecordCompare {
        table: LOCKS.path(),
        key: LOCK.to_owned(),
        relation: Relation::Equal,
        with: Comparand::Created(token),
    };
    let write = WriteRequest::new(LOCKS.path(), GUARDED, token.to_string());
    let guarded = conditional(client, fence, write);
    client.attempt(journal, LockAsked::Write(token), guarded).await;
}

async fn look(client: &Client, journal: &LockJournal, lease: u64) {
    let ends = async {
        let leases = client.door.leases(lease - 1).await?;
        let found = leases.iter().find(|item| item.lease == lease && item.ttl_ms > 0);
        Ok(LockTold::Ends(found.map(|item| item.expires_ms)))
    };
    client.attempt(journal, LockAsked::Look(lease), ends).await;
}

async fn conditional(client: &Client, when: RecordCompare, write: WriteRequest) -> Result<LockTold, Fault> {
    let then = vec![RecordOp::Write(write)];
    let request = TransactRequest { compares: vec![when], then, otherwise: Vec::new() };
    let reply = client.door.transact(request, None).await?;
    Ok(LockTold::Held(reply.held, reply.revision))
}

/// Looks whether every record has the lease that it is to end with, when nothing is asked any more.
pub async fn last(client: &Client, shared: &Shared) -> bool {
    let name = client.door.name();
    let looked = async {
        let (records, _) = client.door.list_all(LOCKS, 0, None, false).await?;
        let Some(record) = records.iter().find(|record| record.lease != 0) else {
            return Ok(LockTold::Revoked);
        };
        let leases = client.door.leases(record.lease - 1).await?;
        match leases.iter().any(|item| item.lease == record.lease) {
            true => Ok(LockTold::Revoked),
            // It may have ended between the two looks: another one shows it.
            false => Err(Fault::new(Code::Failed, format!("{name}: {record:?} has outlived its lease"))),
        }
    };
    matches!(client.attempt(&shared.journals.lock, LockAsked::LookAtRecords, looked).await, Outcome::Done(_))
}
