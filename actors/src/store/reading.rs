//! How the store is read: from this node's replica, behind a barrier unless the caller takes it as it is.

use crate::store::{
    HistoryReply, LIST_LIMIT_MAX, LeaseItem, LeasesReply, LeasesRequest, ListOrder, ListReply, ListRequest,
    NamesReply, NamesRequest, ReadReply, ReadRequest, Record, StoreService,
    database::RESERVED,
    key::{self, RECORD_TAG},
    lease::Lease,
    ledger::Ledger,
    past::Past,
    record::check_key,
    row::Row,
    view::{broken, compacted, garbled},
    walk::Walk,
};
use bincode::{Decode, Encode};
use bytes::Bytes;
use micro_consensus::ReadError;
use micro_sdk::wire::{Code, Codec, Fault};
use micro_storage::{Family, Order, ScanRange, StateView};
use std::ops::Range;
use tokio::time::Instant;

/// The bytes of one page of a list: what fits a reply with room to spare.
const PAGE_BYTES_MAX: usize = 4 << 20;
/// How many records a list passes between two looks at the clock.
const CLOCK_EVERY: u64 = 1024;
/// The largest page token: a revision and a key.
const TOKEN_BYTES_MAX: usize = 2048;

/// Where a page of a list begins.
#[derive(Encode, Decode)]
struct PageToken {
    /// All pages show the records as of this revision.
    revision: u64,
    /// The last key of the page before.
    after: String,
}

impl StoreService {
    /// Waits until this replica is current, unless the caller takes it as it is; then tells how old it may be.
    pub(super) async fn current(&self, stale: bool, deadline: Instant) -> Result<Option<u64>, Fault> {
        if !stale {
            let barrier = self.consensus.barrier(deadline).await;
            barrier.map_err(|error| match error {
                ReadError::NoQuorum | ReadError::Behind { .. } => {
                    Fault::from(error).help("`--stale` reads this node's replica as it is")
                }
                _ => error.into(),
            })?;
            return Ok(None);
        }
        let age = self.consensus.age();
        Ok(age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Refuses a revision that is not there yet.
    fn check_revision(&self, at: Option<u64>) -> Result<(), Fault> {
        let applied = self.consensus.applied_index().0;
        if let Some(at) = at.filter(|at| *at > applied) {
            let message = format!("revision {at} is not there yet: this node is at {applied}");
            return Err(
                Fault::new(Code::Usage, message).help("leave the revision away to read what is there")
            );
        }
        Ok(())
    }

    /// Reads a record.
    ///
    /// # Errors
    /// Why the read can't be made linearizable, unless it asks for the replica as it is; [`Code::Compacted`] if the
    /// revision is compacted.
    pub async fn read(&self, request: ReadRequest, deadline: Instant) -> Result<ReadReply, Fault> {
        check_key(&request.key)?;
        let age_ms = self.current(request.stale, deadline).await?;
        self.check_revision(request.at)?;
        // Asked before the record: the answer shows at least this.
        let applied = self.consensus.applied_index().0;
        let key = request.table.state_key(&request.key);
        let row = match request.at {
            None => {
                let row = self.replica.state.get(Family::Store, &key).map_err(broken)?;
                row.map(Row::read).transpose().map_err(broken)?
            }
            Some(at) => {
                let look = move |view: &dyn StateView| {
                    check_compacted(view, at)?;
                    Past::new(view, at, Some(deadline)).get(&key)
                };
                // On the heap, since it is seldom, and each read that waits would carry it.
                Box::pin(self.replica.look_aside(look)).await?
            }
        };
        let record = row.map(|row| Record::of(request.key, row)).transpose()?;
        Ok(ReadReply { record, revision: request.at.unwrap_or(applied), age_ms })
    }

    /// Lists records.
    ///
    /// # Errors
    /// As [`read`](Self::read), and [`Code::Usage`] beyond the limit; [`Code::Timeout`] if there are too many to go
    /// through in time.
    pub async fn list(&self, request: ListRequest, deadline: Instant) -> Result<ListReply, Fault> {
        let mut listing = Listing::new(request, deadline)?;
        let age_ms = self.current(listing.request.stale, deadline).await?;
        self.check_revision(listing.at)?;
        let reply = self.replica.look_aside(move |view| listing.run(view)).await?;
        Ok(ListReply { age_ms, ..reply })
    }

    /// Lists the databases of a namespace, or the tables of a database, that hold records.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`Code::Timeout`] if too much has changed since the revision to find them in time.
    pub async fn names(&self, request: NamesRequest, deadline: Instant) -> Result<NamesReply, Fault> {
        let age_ms = self.current(request.stale, deadline).await?;
        self.check_revision(request.at)?;
        let mut prefix = vec![RECORD_TAG];
        for name in [Some(request.namespace.as_str()), request.database.as_ref().map(|name| name.as_str())] {
            prefix.extend_from_slice(name.unwrap_or_default().as_bytes());
            prefix.extend(name.map(|_| 0));
        }
        let start = match request.after.is_empty() {
            true => Bytes::copy_from_slice(&prefix),
            false => key::behind_prefix(&[&prefix[..], request.after.as_bytes(), &[0]].concat()),
        };
        // The platform's own database comes last, and is nobody's to know.
        let end = match request.database {
            Some(_) => key::behind_prefix(&prefix),
            None => [&prefix[..], RESERVED.as_bytes()].concat().into(),
        };
        let range = start..end;
        let look = move |view: &dyn StateView| names(view, range, prefix.len(), request.at, deadline);
        Ok(NamesReply { age_ms, ..self.replica.look_aside(look).await? })
    }

    /// Lists leases.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn leases(&self, request: LeasesRequest, deadline: Instant) -> Result<LeasesReply, Fault> {
        let age_ms = self.current(request.stale, deadline).await?;
        let limit = LIST_LIMIT_MAX as usize;
        let look = move |view: &dyn StateView| {
            let range = key::leases_after(request.after);
            let range = ScanRange::between(range.start, range.end);
            view.scan(Family::Store, range, Order::Ascending, limit + 1, usize::MAX).map_err(broken)
        };
        let rows = self.replica.look_aside(look).await?;
        let more = rows.len() > limit;
        let leases = rows.into_iter().take(limit).map(|(key, row)| {
            let lease = key::lease_id(&key).and_then(|id| Lease::parse(id, row));
            let lease = lease.ok_or_else(|| garbled("a lease"))?;
            Ok(LeaseItem { lease: lease.id, ttl_ms: lease.ttl_ms, expires_ms: lease.expires_ms })
        });
        Ok(LeasesReply { leases: leases.collect::<Result<_, Fault>>()?, more, age_ms })
    }

    /// How much history there is.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn history(&self, deadline: Instant) -> Result<HistoryReply, Fault> {
        self.current(false, deadline).await?;
        let ledger = self.replica.look(|view| Ledger::at(view).map_err(broken))?;
        Ok(HistoryReply {
            revision: ledger.revision,
            compacted: ledger.compacted,
            bytes: ledger.history_bytes,
            revisions_max: ledger.revisions_max,
            bytes_max: ledger.bytes_max,
        })
    }
}

/// Refuses a revision that was given up. The record as it was at the last one that was is still known.
fn check_compacted(view: &dyn StateView, at: u64) -> Result<Ledger, Fault> {
    let ledger = Ledger::at(view).map_err(broken)?;
    if at < ledger.compacted {
        return Err(compacted(at, ledger.compacted));
    }
    Ok(ledger)
}

/// The names behind `prefix` bytes of the keys in `range`: one look for each.
pub(super) fn names(
    view: &dyn StateView,
    mut range: Range<Bytes>,
    prefix: usize,
    at: Option<u64>,
    deadline: Instant,
) -> Result<NamesReply, Fault> {
    let ledger = check_compacted(view, at.unwrap_or(u64::MAX))?;
    let at = at.filter(|at| *at < ledger.revision);
    let mut names = Vec::new();
    while range.start < range.end {
        let first = match at {
            None => {
                let rest = ScanRange::between(range.start.clone(), range.end.clone());
                let first =
                    view.scan(Family::Store, rest, Order::Ascending, 1, usize::MAX).map_err(broken)?;
                first.into_iter().next().map(|(key, _)| key)
            }
            Some(at) => {
                let past = Past::new(view, at, Some(deadline));
                let first = Walk::new(view, range.clone(), Order::Ascending, Some(past)).next()?;
                first.map(|(key, _)| key)
            }
        };
        let Some(key) = first else { break };
        if names.len() == LIST_LIMIT_MAX as usize {
            return Ok(NamesReply { names, more: true, age_ms: None });
        }
        let length = key[prefix..].iter().position(|byte| *byte == 0);
        let end = prefix + length.ok_or_else(|| garbled("the key of a record"))?;
        let name = String::from_utf8(key[prefix..end].to_vec());
        names.push(name.map_err(|_| garbled("the key of a record"))?);
        range.start = key::behind_prefix(&key[..=end]);
    }
    Ok(NamesReply { names, more: false, age_ms: None })
}

/// One list on its way.
pub(super) struct Listing {
    request: ListRequest,
    range: Range<Bytes>,
    /// The bytes of a state key before the key.
    prefix: usize,
    order: Order,
    limit: u64,
    at: Option<u64>,
    /// How many are still to be left out.
    skip: u64,
    deadline: Instant,
}

impl Listing {
    pub fn new(request: ListRequest, deadline: Instant) -> Result<Self, Fault> {
        let limit = match request.limit {
            0 => LIST_LIMIT_MAX,
            limit if limit <= LIST_LIMIT_MAX => limit,
            limit => {
                let message = format!("{limit} records at once are more than the limit of {LIST_LIMIT_MAX}");
                return Err(
                    Fault::new(Code::Usage, message).help("list page by page: the next after the last key")
                );
            }
        };
        let (mut at, mut skip, mut after) = (request.at, request.offset, request.after.clone());
        if !request.page.is_empty() {
            let token = Codec::decode::<PageToken, TOKEN_BYTES_MAX>(&request.page);
            let token = token.map_err(|error| {
                Fault::new(Code::Usage, format!("the page is none that a list gave: {error}"))
                    .help("begin the list anew without it")
            })?;
            (at, skip, after) = (Some(token.revision), 0, token.after);
        }
        let order = match request.order {
            ListOrder::Ascending => Order::Ascending,
            ListOrder::Descending => Order::Descending,
        };
        let mut range = request.range.state_range();
        if !after.is_empty() {
            let after = Bytes::from(request.range.table.state_key(&after));
            match order {
                Order::Ascending => range.start = range.start.max([&after[..], &[0]].concat().into()),
                Order::Descending => range.end = range.end.min(after),
            }
        }
        let prefix = request.range.table.state_key("").len();
        Ok(Listing { range, prefix, order, limit: limit.into(), at, skip, deadline, request })
    }

    pub fn run(&mut self, view: &dyn StateView) -> Result<ListReply, Fault> {
        let ledger = check_compacted(view, self.at.unwrap_or(u64::MAX))?;
        // What is there now is what was there at the last change: it need not be looked up in the past.
        let past = self.at.filter(|at| *at < ledger.revision);
        let past = past.map(|at| Past::new(view, at, Some(self.deadline)));
        let mut walk = Walk::new(view, self.range.clone(), self.order, past);
        let mut reply = ListReply {
            records: Vec::new(),
            more: false,
            count: 0,
            page: Vec::new(),
            revision: self.at.unwrap_or(ledger.revision),
            age_ms: None,
        };
        let (mut passed, mut bytes) = (0, 0);
        while let Some((key, row)) = walk.next()? {
            passed += 1;
            if passed % CLOCK_EVERY == 0 && Instant::now() >= self.deadline {
                let message = format!("the deadline passed after {passed} records");
                return Err(
                    Fault::new(Code::Timeout, message).help("list fewer at once, or with a longer timeout")
                );
            }
            if !key[self.prefix..].ends_with(self.request.suffix.as_bytes()) {
                continue;
            }
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            if self.request.count_only {
                reply.count += 1;
                continue;
            }
            if reply.count >= self.limit || bytes >= PAGE_BYTES_MAX {
                reply.more = true;
                break;
            }
            reply.count += 1;
            reply.records.push(self.record(&key, row, &mut bytes)?);
        }
        if let Some(last) = reply.records.last().filter(|_| reply.more) {
            let token = PageToken { revision: reply.revision, after: last.key.clone() };
            reply.page = Codec::encode(&token);
        }
        Ok(reply)
    }

    fn record(&self, key: &[u8], row: Row, bytes: &mut usize) -> Result<Record, Fault> {
        let table = &self.request.range.table;
        *bytes += key.len();
        if self.request.keys_only {
            return Ok(Record::bare(table.key_of(key)?, &row));
        }
        *bytes += row.bytes.len();
        table.record(key, row)
    }
}
