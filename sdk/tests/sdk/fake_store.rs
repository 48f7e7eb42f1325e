//! The store of the fake node: it remembers what it was asked, and behaves as keys say.

use crate::fake_node::Asked;
use bytes::Bytes;
use futures::{Stream, StreamExt, future::pending, stream};
use micro_sdk::{
    proto::{
        self, operation, operation_result, store_server,
        watch_response::{Changes, Event, Mark},
    },
    wire::{Code, Fault},
};
use std::pin::Pin;
use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap};

/// How long each lease lives.
pub const LEASE_MS: u64 = 150;
/// A lease with this id has ended.
pub const ENDED: u64 = 404;
/// A lease with this id is kept alive three times and then by nobody.
pub const SILENT: u64 = 3;
/// A watch of keys with this prefix is cut off after each two revisions.
pub const CUT: &str = "cut";
/// The same, and what comes next is compacted then.
pub const COMPACTED: &str = "compacted";
/// A watch of keys with this prefix is always cut off at once.
pub const NEVER: &str = "never";

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Asked {
    /// Remembers a question and behaves as its key says.
    async fn behave(&self, key: &str, idempotency_key: Bytes, headers: &MetadataMap) -> Result<(), Status> {
        {
            let mut last = self.last.lock().expect("nobody panicked");
            last.key = key.to_owned();
            last.idempotency_key = idempotency_key;
            last.headers = headers.clone();
        }
        match key {
            "slow" => pending().await,
            "conflict" => {
                Err(Fault::new(Code::Conflict, "at version 42, not 41").help("read it again").into())
            }
            "unsure" => {
                Err(Fault::new(Code::Unknown, "the leader is gone").help("read the record to see").into())
            }
            "foreign" => Err(Status::internal("a failure of the transport")),
            _ => Ok(()),
        }
    }
}

fn mark(revision: u64) -> proto::WatchResponse {
    proto::WatchResponse { event: Some(Event::Mark(Mark { revision })) }
}

/// Each third revision is of other keys.
fn revision(revision: u64) -> proto::WatchResponse {
    if revision.is_multiple_of(3) {
        return mark(revision);
    }
    let record = proto::Record { key: format!("k{revision}"), version: revision, ..proto::Record::default() };
    let (key, kind) = (record.key.clone(), proto::ChangeKind::Put.into());
    let changes = vec![proto::Change { key, kind, record: Some(record) }];
    proto::WatchResponse { event: Some(Event::Changes(Changes { revision, time_ms: revision, changes })) }
}

#[tonic::async_trait]
impl store_server::Store for Asked {
    type WatchStream = Answers<proto::WatchResponse>;
    type KeepLeaseAliveStream = Answers<proto::LeaseResponse>;

    async fn write(
        &self,
        request: Request<proto::WriteRequest>,
    ) -> Result<Response<proto::WriteResponse>, Status> {
        let (headers, _, write) = request.into_parts();
        self.behave(&write.key, write.idempotency_key.clone(), &headers).await?;
        let version = write.if_version.map_or(7, |version| version + 1);
        self.last.lock().expect("nobody panicked").write = Some(write);
        Ok(Response::new(proto::WriteResponse { version }))
    }

    async fn read(
        &self,
        request: Request<proto::ReadRequest>,
    ) -> Result<Response<proto::ReadResponse>, Status> {
        let (headers, _, read) = request.into_parts();
        self.behave(&read.key, Bytes::new(), &headers).await?;
        let place = read.place.unwrap_or_default();
        let value = Bytes::from(format!("\"{}/{}/{}\"", place.namespace, place.database, place.table));
        let record = proto::Record { key: read.key, value, version: 7, ..proto::Record::default() };
        let record = (record.key != "none").then_some(record);
        Ok(Response::new(proto::ReadResponse {
            record,
            revision: read.at.unwrap_or(9),
            age_ms: read.stale.then_some(5),
        }))
    }

    async fn list(
        &self,
        request: Request<proto::ListRequest>,
    ) -> Result<Response<proto::ListResponse>, Status> {
        let list = request.into_inner();
        // Pages are numbered; the third is the last.
        let number = list.page.first().copied().unwrap_or_default();
        let next = Bytes::from(if list.suffix == "paged" && number < 2 { vec![number + 1] } else { vec![] });
        let key = format!(
            "{}{}{}",
            list.prefix,
            list.after,
            if number > 0 { number.to_string() } else { String::new() }
        );
        let record = proto::Record { key, version: list.limit.into(), ..proto::Record::default() };
        Ok(Response::new(proto::ListResponse {
            records: vec![record],
            more: list.stale || !next.is_empty(),
            count: 42,
            page: next,
            revision: 9,
            age_ms: None,
        }))
    }

    async fn delete(
        &self,
        request: Request<proto::DeleteRequest>,
    ) -> Result<Response<proto::DeleteResponse>, Status> {
        let (headers, _, delete) = request.into_parts();
        self.behave(&delete.key, delete.idempotency_key, &headers).await?;
        Ok(Response::new(proto::DeleteResponse { deleted: true }))
    }

    /// There are 2500 records in every range.
    async fn delete_range(
        &self,
        request: Request<proto::DeleteRangeRequest>,
    ) -> Result<Response<proto::DeleteRangeResponse>, Status> {
        let mut last = self.last.lock().expect("nobody panicked");
        let before = last.key.parse().unwrap_or(0u32);
        let limit = match request.into_inner().limit {
            0 => 1024,
            limit => limit.min(1024),
        };
        let deleted = limit.min(2500 - before);
        last.key = (before + deleted).to_string();
        let more = before + deleted < 2500;
        Ok(Response::new(proto::DeleteRangeResponse { deleted, more, revision: 8 }))
    }

    /// Comparisons never hold.
    async fn transact(
        &self,
        request: Request<proto::TransactRequest>,
    ) -> Result<Response<proto::TransactResponse>, Status> {
        let transaction = request.into_inner();
        let held = transaction.compares.is_empty();
        let ops = if held { &transaction.then } else { &transaction.otherwise };
        let result = |op: &proto::Operation| match &op.operation {
            Some(operation::Operation::Read(read)) => {
                let key = read.key.clone();
                let record = proto::Record { key, version: 42, created: 40, ..proto::Record::default() };
                operation_result::Result::Read(operation_result::Read { record: Some(record) })
            }
            _ => operation_result::Result::Written(operation_result::Written {}),
        };
        let results = ops.iter().map(|op| proto::OperationResult { result: Some(result(op)) }).collect();
        let mut last = self.last.lock().expect("nobody panicked");
        last.transactions.push(transaction);
        if last.transactions.len() > 3 {
            return Err(Fault::new(Code::Unavailable, "no quorum").into());
        }
        let revision = last.transactions.len() as u64;
        Ok(Response::new(proto::TransactResponse { revision, held, results }))
    }

    async fn names(
        &self,
        request: Request<proto::NamesRequest>,
    ) -> Result<Response<proto::NamesResponse>, Status> {
        let request = request.into_inner();
        let (names, more) = match (request.database, request.after.as_str()) {
            (None, "") => (vec!["a".to_owned()], true),
            (None, after) => (vec![format!("{after}b")], false),
            (Some(database), _) => (vec![format!("of-{database}")], false),
        };
        Ok(Response::new(proto::NamesResponse { names, more, age_ms: None }))
    }

    async fn watch(
        &self,
        request: Request<proto::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let request = request.into_inner();
        let prefix = request.range.unwrap_or_default().prefix;
        let times = {
            let mut last = self.last.lock().expect("nobody panicked");
            last.watched_from.push(request.from_revision);
            last.watched_from.len()
        };
        let from = request.from_revision.unwrap_or(11);
        let begin = stream::iter([Ok(mark(from - 1))]);
        let cut = stream::iter([Err(Status::from(Fault::new(Code::Unavailable, "too slow")))]);
        let answers: Self::WatchStream = match prefix.as_str() {
            COMPACTED if times > 1 => {
                let fault = Fault::new(Code::Compacted, "the history begins after revision 99");
                return Err(fault.into());
            }
            NEVER if times > 1 => return Err(Status::unavailable("no quorum")),
            NEVER => begin.chain(cut).boxed(),
            // What was told already is told again by a node that has forgotten its manners.
            CUT | COMPACTED => {
                let told = stream::iter((from - 1..from + 2).map(|number| Ok(revision(number))));
                begin.chain(told).chain(cut).boxed()
            }
            _ => begin.chain(stream::pending()).boxed(),
        };
        Ok(Response::new(answers))
    }

    async fn grant_lease(
        &self,
        request: Request<proto::GrantLeaseRequest>,
    ) -> Result<Response<proto::LeaseResponse>, Status> {
        // The id is what was asked for.
        let lease = request.into_inner().ttl_ms;
        Ok(Response::new(proto::LeaseResponse { lease, ttl_ms: LEASE_MS }))
    }

    async fn keep_lease_alive(
        &self,
        request: Request<Streaming<proto::LeaseRequest>>,
    ) -> Result<Response<Self::KeepLeaseAliveStream>, Status> {
        let asked = self.clone();
        let answers = request.into_inner().then(move |request| {
            let asked = asked.clone();
            async move {
                let lease = request?.lease;
                if lease == ENDED {
                    return Err(Status::from(Fault::new(Code::NotFound, "lease 404 has ended")));
                }
                let kept = {
                    let mut last = asked.last.lock().expect("nobody panicked");
                    last.kept += 1;
                    last.kept
                };
                if lease == SILENT && kept > 3 {
                    pending::<()>().await;
                }
                Ok(proto::LeaseResponse { lease, ttl_ms: LEASE_MS })
            }
        });
        Ok(Response::new(answers.boxed()))
    }

    async fn revoke_lease(
        &self,
        request: Request<proto::RevokeLeaseRequest>,
    ) -> Result<Response<proto::RevokeLeaseResponse>, Status> {
        self.last.lock().expect("nobody panicked").key = format!("revoked {}", request.into_inner().lease);
        Ok(Response::new(proto::RevokeLeaseResponse { deleted: 2, more: false }))
    }

    async fn list_leases(
        &self,
        request: Request<proto::ListLeasesRequest>,
    ) -> Result<Response<proto::ListLeasesResponse>, Status> {
        let lease = request.into_inner().after + 1;
        let item = proto::list_leases_response::Lease { lease, ttl_ms: LEASE_MS, expires_ms: 1000 };
        Ok(Response::new(proto::ListLeasesResponse { leases: vec![item], more: lease < 3, age_ms: None }))
    }

    async fn compact(
        &self,
        request: Request<proto::CompactRequest>,
    ) -> Result<Response<proto::CompactResponse>, Status> {
        Ok(Response::new(proto::CompactResponse { compacted: request.into_inner().revision }))
    }

    async fn retain(
        &self,
        _: Request<proto::RetainRequest>,
    ) -> Result<Response<proto::RetainResponse>, Status> {
        Ok(Response::new(proto::RetainResponse {}))
    }

    async fn history(
        &self,
        _: Request<proto::HistoryRequest>,
    ) -> Result<Response<proto::HistoryResponse>, Status> {
        Ok(Response::new(proto::HistoryResponse {
            revision: 9,
            compacted: 2,
            bytes: 3,
            revisions_max: 4,
            bytes_max: 5,
        }))
    }
}
