//! Records and what is asked about them, between protobuf and the platform's own types.

use super::{namespace, usage};
use micro_actors::store::{
    self, ChangeKind, Comparand, RecordCompare, RecordOp, RecordRange, TablePath, Value,
};
use micro_sdk::{
    proto::{
        self, Change, Compare, Operation, Place, Range, WatchResponse, compare::With, list_leases_response,
        operation, operation_result, watch_response,
    },
    wire::{Fault, NameError},
};

pub(super) fn table(place: Option<Place>) -> Result<TablePath, Fault> {
    let Some(place) = place else { return Ok(TablePath::default()) };
    TablePath::parse(&place.namespace, &place.database, &place.table).map_err(usage)
}

pub(super) fn range(range: Option<Range>) -> Result<RecordRange, Fault> {
    let Range { place, prefix, from, to } = range.unwrap_or_default();
    Ok(RecordRange { table: table(place)?, prefix, from, to })
}

pub(super) fn record(record: store::Record) -> proto::Record {
    let store::Record { key, value, version, created, expires_ms, lease, metadata } = record;
    proto::Record { key, value: value.0, version, created, expires_ms, lease, metadata }
}

pub(super) fn write(request: proto::WriteRequest) -> Result<store::WriteRequest, Fault> {
    Ok(store::WriteRequest {
        table: table(request.place)?,
        key: request.key,
        value: Value(request.value),
        if_version: request.if_version,
        ttl_ms: request.ttl_ms,
        lease: request.lease,
        metadata: request.metadata,
    })
}

pub(super) fn list(request: proto::ListRequest) -> Result<store::ListRequest, Fault> {
    let order = match request.order() {
        proto::ListOrder::Ascending => store::ListOrder::Ascending,
        proto::ListOrder::Descending => store::ListOrder::Descending,
    };
    let proto::ListRequest { place, prefix, from, to, .. } = request;
    Ok(store::ListRequest {
        range: range(Some(Range { place, prefix, from, to }))?,
        suffix: request.suffix,
        after: request.after,
        limit: request.limit,
        offset: request.offset,
        order,
        keys_only: request.keys_only,
        count_only: request.count_only,
        page: request.page.into(),
        at: request.at,
        stale: request.stale,
    })
}

pub(super) fn listed(reply: store::ListReply) -> proto::ListResponse {
    proto::ListResponse {
        records: reply.records.into_iter().map(record).collect(),
        more: reply.more,
        count: reply.count,
        page: reply.page.into(),
        revision: reply.revision,
        age_ms: reply.age_ms,
    }
}

pub(super) fn names(request: proto::NamesRequest) -> Result<store::NamesRequest, Fault> {
    Ok(store::NamesRequest {
        namespace: namespace(&request.namespace)?,
        database: request
            .database
            .map(|database| if database.is_empty() { "default".to_owned() } else { database })
            .map(TryInto::try_into)
            .transpose()
            .map_err(|error: NameError| usage(error))?,
        after: request.after,
        at: request.at,
        stale: request.stale,
    })
}

pub(super) fn transact(request: proto::TransactRequest) -> Result<store::TransactRequest, Fault> {
    Ok(store::TransactRequest {
        compares: request.compares.into_iter().map(compare).collect::<Result<_, _>>()?,
        then: request.then.into_iter().map(operation).collect::<Result<_, _>>()?,
        otherwise: request.otherwise.into_iter().map(operation).collect::<Result<_, _>>()?,
    })
}

fn compare(compare: Compare) -> Result<RecordCompare, Fault> {
    let relation = match compare.relation() {
        proto::Relation::Equal => store::Relation::Equal,
        proto::Relation::NotEqual => store::Relation::NotEqual,
        proto::Relation::Less => store::Relation::Less,
        proto::Relation::Greater => store::Relation::Greater,
    };
    let with = match compare.with {
        Some(With::Version(version)) => Comparand::Version(version),
        Some(With::Created(created)) => Comparand::Created(created),
        Some(With::Exists(exists)) => Comparand::Exists(exists),
        Some(With::Value(value)) => Comparand::Value(value.into()),
        Some(With::Lease(lease)) => Comparand::Lease(lease),
        None => return Err(usage(format!("the comparison with {:?} says not with what", compare.key))),
    };
    Ok(RecordCompare { table: table(compare.place)?, key: compare.key, relation, with })
}

fn operation(operation: Operation) -> Result<RecordOp, Fault> {
    use operation::{Key, Operation as Op, Records};
    let Some(operation) = operation.operation else { return Err(usage("an operation says not what to do")) };
    Ok(match operation {
        Op::Write(write) => RecordOp::Write(store::WriteRequest {
            table: table(write.place)?,
            key: write.key,
            value: Value(write.value),
            if_version: None,
            ttl_ms: write.ttl_ms,
            lease: write.lease,
            metadata: write.metadata,
        }),
        Op::Delete(Key { place, key }) => RecordOp::Delete { table: table(place)?, key },
        Op::Read(Key { place, key }) => RecordOp::Read { table: table(place)?, key },
        Op::DeleteRange(Records { range: within, limit }) => {
            RecordOp::DeleteRange { range: range(within)?, limit }
        }
        Op::List(Records { range: within, limit }) => RecordOp::List { range: range(within)?, limit },
    })
}

pub(super) fn transacted(reply: store::TransactReply) -> proto::TransactResponse {
    use operation_result::{Deleted, Listed, Read, Result as Outcome, Written};
    let result = |result| match result {
        store::RecordResult::Written => Outcome::Written(Written {}),
        store::RecordResult::Deleted { count, more } => Outcome::Deleted(Deleted { count, more }),
        store::RecordResult::Read(found) => Outcome::Read(Read { record: found.map(record) }),
        store::RecordResult::Listed { records, more } => {
            Outcome::Listed(Listed { records: records.into_iter().map(record).collect(), more })
        }
    };
    let results = reply.results.into_iter().map(|one| proto::OperationResult { result: Some(result(one)) });
    proto::TransactResponse { revision: reply.revision, held: reply.held, results: results.collect() }
}

pub(super) fn leases(reply: store::LeasesReply) -> proto::ListLeasesResponse {
    let lease = |item: store::LeaseItem| {
        let store::LeaseItem { lease, ttl_ms, expires_ms } = item;
        list_leases_response::Lease { lease, ttl_ms, expires_ms }
    };
    let store::LeasesReply { leases, more, age_ms } = reply;
    proto::ListLeasesResponse { leases: leases.into_iter().map(lease).collect(), more, age_ms }
}

/// Tells a watcher that everything up to `revision` was told.
pub(super) fn mark(revision: u64) -> WatchResponse {
    WatchResponse { event: Some(watch_response::Event::Mark(watch_response::Mark { revision })) }
}

pub(super) fn event(event: store::WatchEvent) -> WatchResponse {
    let (revision, time_ms, changes) = match event {
        store::WatchEvent::Mark { revision } => return mark(revision),
        store::WatchEvent::Changes { revision, time_ms, changes } => (revision, time_ms, changes),
    };
    let changes = changes.into_iter().map(change).collect();
    let changes = watch_response::Changes { revision, time_ms, changes };
    WatchResponse { event: Some(watch_response::Event::Changes(changes)) }
}

fn change(change: store::WatchChange) -> Change {
    let kind = match change.kind {
        ChangeKind::Put => proto::ChangeKind::Put,
        ChangeKind::Delete => proto::ChangeKind::Delete,
        ChangeKind::Expire => proto::ChangeKind::Expire,
    };
    Change { key: change.key, kind: kind.into(), record: change.record.map(record) }
}
