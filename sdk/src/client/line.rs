//! A line of those who want what one of them can have at a time: a lock, or the lead of an election.
//!
//! ```text
//!   a lease ──► a place in line ──► (whoever is before me has gone) ──► first ──► the record: mine, under its revision
//! ```
//!
//! A place is a record tied to the lease of who waits, and so is the record that everybody wants: whoever dies leaves
//! the line, and gives up what it has, by itself. Each one watches only the place before its own, so that one goes on
//! when one leaves, in the order in which they came, and no others are woken.

use super::{Compare, Fence, Lease, Node, Store, WatchError, store::OpResult};
use crate::wire::{COORDINATION, Code, Fault};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long others wait after one has died who held something, unless it says otherwise: long enough for a node to
/// restart and a leader to be elected meanwhile.
pub(super) const TTL_DEFAULT: Duration = Duration::from_secs(15);

/// The least such time: a place is kept alive by three writes in it, and each may wait for disks and links.
const TTL_MIN: Duration = Duration::from_secs(1);

/// The pause before whoever waits asks again after what will pass, such as an election of a leader.
const PAUSE: Duration = Duration::from_millis(200);

/// How long one who has lost its place, since nobody could reach the store for its time to live, tries to get another:
/// nodes start and elect a leader well within it.
const RETURN_PATIENCE: Duration = Duration::from_secs(60);

/// What can be had by one at a time, and its line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    node: Node,
    /// The table of what is had.
    pub table: &'static str,
    /// The table of those who wait.
    pub places: &'static str,
    pub name: String,
}

/// A place in line.
#[derive(Debug)]
pub(super) struct Place {
    lease: Lease,
    /// The key of its record.
    key: String,
    /// The revision that made it.
    came: u64,
}

/// What somebody has.
#[derive(Debug)]
pub(super) struct Holding {
    pub lease: Lease,
    pub fence: Fence,
}

impl Line {
    pub fn new(node: Node, table: &'static str, places: &'static str, name: String) -> Line {
        Line { node, table, places, name }
    }

    /// The records of what is had.
    pub fn records(&self) -> Store {
        self.node.store().database(COORDINATION).table(self.table)
    }

    fn places(&self) -> Store {
        self.node.store().database(COORDINATION).table(self.places)
    }

    /// Takes the last place in line. Dropped, it is given up.
    pub async fn enter(&self, ttl: Duration) -> Result<Place, Fault> {
        check_ttl(ttl)?;
        let lease = self.node.store().lease(ttl).await.map_err(no_place)?.revoke_on_drop();
        let key = format!("{}/{:016x}", self.name, lease.id());
        let came = tokio::select! {
            biased;
            fault = lease.lost() => Err(fault),
            came = async { self.places().put(&key, "").lease(lease.id()).await } => came,
        };
        Ok(Place { lease, key, came: came.map_err(no_place)? })
    }

    /// Waits in line until its turn has come, and then has it, with `value` in its record. Waiting outlives what will
    /// pass; who loses its place meanwhile, since the store stood still for its time to live, goes to the line's end.
    pub async fn wait(&self, mut place: Place, value: Bytes) -> Result<Holding, Fault> {
        loop {
            let fault = match self.turn(&place, &value).await {
                Ok(token) => {
                    let fence = Fence::of(self.table, &self.name, token);
                    return Ok(Holding { lease: place.lease, fence });
                }
                Err(fault) => fault,
            };
            // A place that is gone may be so because its lease is over, of which its keeper hears later.
            let deleted = fault.code == Code::Conflict;
            let ended = place.lease.is_lost() || deleted && !self.lives(&place).await;
            if ended && (deleted || is_over(&fault)) {
                place = self.enter_again(place.lease.ttl()).await?;
            } else if will_pass(&fault) {
                sleep(PAUSE).await;
            } else {
                return Err(fault);
            }
        }
    }

    /// Whether the lease of a place lives.
    async fn lives(&self, place: &Place) -> bool {
        self.node.store().keep_alive(place.lease.id()).await.is_ok()
    }

    /// Takes the last place in line, for one that has had a place before.
    async fn enter_again(&self, ttl: Duration) -> Result<Place, Fault> {
        let deadline = Instant::now() + RETURN_PATIENCE;
        loop {
            match self.enter(ttl).await {
                Err(fault) if is_over(&fault) && Instant::now() < deadline => sleep(PAUSE).await,
                entered => return entered,
            }
        }
    }

    /// Waits until it is the turn of a place, and takes what is waited for. Gives the revision that gave it.
    async fn turn(&self, place: &Place, value: &Bytes) -> Result<u64, Fault> {
        let waited = async {
            loop {
                if let Some((before, revision)) = self.before(place.came).await? {
                    gone(&self.places(), &before, revision).await?;
                } else if let Some(token) = self.take(&place.key, place.lease.id(), value.clone()).await? {
                    return Ok(token);
                }
            }
        };
        tokio::select! {
            biased;
            fault = place.lease.lost() => Err(fault),
            token = waited => token,
        }
    }

    /// The place before the one that was taken at revision `came`, if there is one, and the revision that shows it.
    async fn before(&self, came: u64) -> Result<Option<(String, u64)>, Fault> {
        let prefix = format!("{}/", self.name);
        let mut page = self.places().list(&prefix).keys_only().await?;
        let revision = page.revision;
        let next = page.next.take();
        let rest = next.map(|next| self.places().list(&prefix).keys_only().page(next).scan().boxed());
        let mut records = page.records;
        if let Some(rest) = rest {
            records.extend(rest.try_collect::<Vec<_>>().await?);
        }
        // Longer ones are in the line of another name that begins as this one does.
        let places = records.into_iter().filter(|place| place.key.len() == prefix.len() + 16);
        let before = places.filter(|place| place.created < came).max_by_key(|place| place.created);
        Ok(before.map(|before| (before.key, revision)))
    }

    /// Takes it as the first in line. None if it has to be tried again: somebody had it who was not in line.
    async fn take(&self, place: &str, lease: u64, value: Bytes) -> Result<Option<u64>, Fault> {
        let (records, places) = (self.records(), self.places());
        let txn = records
            .txn()
            .when(Compare::absent(&records, &self.name))
            .when(Compare::exists(&places, place))
            .then(records.put(&self.name, value).lease(lease))
            .otherwise(records.get(&self.name));
        let done = txn.await?;
        match &done.results[..] {
            _ if done.held => Ok(Some(done.revision)),
            // By an attempt before, of which no answer came.
            [OpResult::Read(Some(record))] if record.lease == Some(lease) => Ok(Some(record.created)),
            [OpResult::Read(Some(_))] => gone(&records, &self.name, done.revision).await.map(|()| None),
            _ => {
                Err(Fault::new(Code::Conflict, format!("the place in line for {:?} was deleted", self.name))
                    .help("acquire it again"))
            }
        }
    }
}

/// Refuses a time to live in which a place could not be kept.
fn check_ttl(ttl: Duration) -> Result<(), Fault> {
    if ttl >= TTL_MIN {
        return Ok(());
    }
    let message = format!("a time to live of {ttl:?} is too short: the least is {TTL_MIN:?}");
    Err(Fault::new(Code::Usage, message).help(format!("{TTL_DEFAULT:?} is usual")))
}

/// Whether what failed may go well a little later, with nothing done to it.
fn will_pass(fault: &Fault) -> bool {
    matches!(
        fault.code,
        Code::Unreachable
            | Code::Timeout
            | Code::Unavailable
            | Code::Unknown
            | Code::Limited
            | Code::Overloaded
    )
}

/// Whether a lease was lost, and not more: another may be had.
fn is_over(fault: &Fault) -> bool {
    fault.code == Code::NotFound || will_pass(fault)
}

/// Why there is no place in line. Whether one was taken all the same does not matter to who has none: it ends with its
/// lease, by itself.
fn no_place(fault: Fault) -> Fault {
    if fault.code != Code::Unknown {
        return fault;
    }
    Fault::new(Code::Unavailable, format!("no place in line was got: {}", fault.message))
        .help("try again; if one was taken all the same, it is given up by itself")
        .help("see whether there is a quorum: micro-node status")
}

/// Waits until a record is gone that was there at `revision`.
async fn gone(table: &Store, key: &str, revision: u64) -> Result<(), Fault> {
    let mut watch = match table.watch_key(key).since(revision + 1).await {
        Ok(watch) => watch,
        Err(error) => return looked_again(error),
    };
    while let Some(next) = watch.next().await {
        match next {
            Ok(revision) if revision.changes.iter().any(|change| change.record.is_none()) => return Ok(()),
            Ok(_) => {}
            Err(error) => return looked_again(error),
        }
    }
    Ok(())
}

/// Whoever waits looks again at what is there: so a history that was given up meanwhile is no loss.
fn looked_again(error: WatchError) -> Result<(), Fault> {
    match error {
        WatchError::Compacted { .. } => Ok(()),
        WatchError::Fault(fault) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_which_no_place_could_be_kept_is_refused() {
        let refused = check_ttl(Duration::from_millis(10)).expect_err("nobody could keep it alive");
        assert!(
            refused.code == Code::Usage && refused.message.contains("10ms is too short: the least is 1s")
        );
        assert!(check_ttl(TTL_MIN).is_ok());
    }

    #[test]
    fn who_got_no_place_need_not_wonder_whether_it_has_one() {
        let fault = no_place(Fault::new(Code::Unknown, "the deadline passed").help("repeat it with a key"));
        assert_eq!(fault.code, Code::Unavailable);
        assert!(
            fault.message.contains("the deadline passed") && !format!("{:?}", fault.help).contains("a key")
        );
        let denied = Fault::new(Code::Denied, "no");
        assert_eq!(no_place(denied.clone()), denied);
    }
}
