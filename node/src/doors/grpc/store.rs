//! The store: records, leases, watches, history.

use super::{
    Door, context, idempotency_key,
    leash::{Leash, held},
    records,
    streams::{Answers, KeptLeases, watching},
};
use crate::node::{Context, Local};
use futures::{FutureExt, future::ready};
use micro_actors::{auth::READ, store};
use micro_sdk::proto::{
    CompactRequest, CompactResponse, DeleteRangeRequest, DeleteRangeResponse, DeleteRequest, DeleteResponse,
    GrantLeaseRequest, HistoryRequest, HistoryResponse, LeaseRequest, LeaseResponse, ListLeasesRequest,
    ListLeasesResponse, ListRequest, ListResponse, NamesRequest, NamesResponse, ReadRequest, ReadResponse,
    RetainRequest, RetainResponse, RevokeLeaseRequest, RevokeLeaseResponse, TransactRequest,
    TransactResponse, WatchRequest, WatchResponse, WriteRequest, WriteResponse, store_server,
};
use tonic::{Request, Response, Status, Streaming};

/// What is asked most, however it came in.
impl Door {
    pub(super) fn write_one(
        &self,
        context: Context,
        request: WriteRequest,
    ) -> impl Future<Output = Result<WriteResponse, Status>> + use<> {
        let prepared = idempotency_key(&request.idempotency_key)
            .and_then(|key| Ok((context.with_key(key), records::write(request)?)));
        match prepared {
            Ok((context, write)) => {
                let written = self.local.write(&context, write);
                written.map(|reply| Ok(WriteResponse { version: reply?.version })).left_future()
            }
            Err(fault) => ready(Err(fault.into())).right_future(),
        }
    }

    pub(super) async fn read_one(
        &self,
        context: Context,
        request: ReadRequest,
    ) -> Result<ReadResponse, Status> {
        let ReadRequest { place, key, stale, at } = request;
        let read = store::ReadRequest { table: records::table(place)?, key, at, stale };
        let store::ReadReply { record, revision, age_ms } = self.local.read(&context, read).await?;
        Ok(ReadResponse { record: record.map(records::record), revision, age_ms })
    }
}

#[tonic::async_trait]
impl store_server::Store for Door {
    type WatchStream = Answers<WatchResponse>;
    type KeepLeaseAliveStream = Answers<LeaseResponse>;

    async fn write(&self, request: Request<WriteRequest>) -> Result<Response<WriteResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        self.write_one(context, request).await.map(Response::new)
    }

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<ReadResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        self.read_one(context, request).await.map(Response::new)
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let reply = self.local.list(&context, records::list(request)?).await?;
        Ok(Response::new(records::listed(reply)))
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Result<Response<DeleteResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let key = idempotency_key(&request.idempotency_key)?;
        let context = context(&metadata, &extensions)?.with_key(key);
        let DeleteRequest { place, key, if_version, .. } = request;
        let delete = store::DeleteRequest { table: records::table(place)?, key, if_version };
        let reply = self.local.delete(&context, delete).await?;
        Ok(Response::new(DeleteResponse { deleted: reply.deleted }))
    }

    async fn delete_range(
        &self,
        request: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let key = idempotency_key(&request.idempotency_key)?;
        let context = context(&metadata, &extensions)?.with_key(key);
        let delete =
            store::DeleteRangeRequest { range: records::range(request.range)?, limit: request.limit };
        let store::DeleteRangeReply { deleted, more, revision } =
            self.local.delete_range(&context, delete).await?;
        Ok(Response::new(DeleteRangeResponse { deleted, more, revision }))
    }

    async fn transact(
        &self,
        request: Request<TransactRequest>,
    ) -> Result<Response<TransactResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let key = idempotency_key(&request.idempotency_key)?;
        let context = context(&metadata, &extensions)?.with_key(key);
        let reply = self.local.transact(&context, records::transact(request)?).await?;
        Ok(Response::new(records::transacted(reply)))
    }

    async fn names(&self, request: Request<NamesRequest>) -> Result<Response<NamesResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let store::NamesReply { names, more, age_ms } =
            self.local.names(&context, records::names(request)?).await?;
        Ok(Response::new(NamesResponse { names, more, age_ms }))
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let WatchRequest { range, from_revision, stale } = request;
        let request = store::WatchRequest { range: records::range(range)?, from_revision, stale };
        let table = request.range.table.clone();
        let leash = Leash::hold(&self.local, &context, move |local, context| {
            local.may(context, &table.resource(READ))
        });
        let watch = self.local.watch(&context, request).await?;
        Ok(Response::new(held(watching(watch, self.seats.take()?), leash)))
    }

    async fn grant_lease(
        &self,
        request: Request<GrantLeaseRequest>,
    ) -> Result<Response<LeaseResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let key = idempotency_key(&request.idempotency_key)?;
        let context = context(&metadata, &extensions)?.with_key(key);
        let grant = store::GrantRequest { ttl_ms: request.ttl_ms };
        let store::LeaseReply { lease, ttl_ms } = self.local.grant(&context, grant).await?;
        Ok(Response::new(LeaseResponse { lease, ttl_ms }))
    }

    async fn keep_lease_alive(
        &self,
        request: Request<Streaming<LeaseRequest>>,
    ) -> Result<Response<Self::KeepLeaseAliveStream>, Status> {
        let (metadata, extensions, requests) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        self.local.may_keep_leases(&context)?;
        let leash = Leash::hold(&self.local, &context, Local::may_keep_leases);
        let (local, draining) = (self.local.clone(), self.draining.clone());
        let kept = KeptLeases { local, context, requests, draining, seat: self.seats.take()? };
        Ok(Response::new(held(kept.into_stream(), leash)))
    }

    async fn revoke_lease(
        &self,
        request: Request<RevokeLeaseRequest>,
    ) -> Result<Response<RevokeLeaseResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let key = idempotency_key(&request.idempotency_key)?;
        let context = context(&metadata, &extensions)?.with_key(key);
        let revoke = store::LeaseRequest { lease: request.lease };
        let store::RevokeReply { deleted, more } = self.local.revoke(&context, revoke).await?;
        Ok(Response::new(RevokeLeaseResponse { deleted, more }))
    }

    async fn list_leases(
        &self,
        request: Request<ListLeasesRequest>,
    ) -> Result<Response<ListLeasesResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let ListLeasesRequest { after, stale } = request;
        let reply = self.local.leases(&context, store::LeasesRequest { after, stale }).await?;
        Ok(Response::new(records::leases(reply)))
    }

    async fn compact(&self, request: Request<CompactRequest>) -> Result<Response<CompactResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let compact = store::CompactRequest { revision: request.revision };
        let reply = self.local.compact(&context, compact).await?;
        Ok(Response::new(CompactResponse { compacted: reply.compacted }))
    }

    async fn retain(&self, request: Request<RetainRequest>) -> Result<Response<RetainResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let RetainRequest { revisions, bytes } = request;
        self.local.retain(&context, store::RetainRequest { revisions, bytes }).await?;
        Ok(Response::new(RetainResponse {}))
    }

    async fn history(&self, request: Request<HistoryRequest>) -> Result<Response<HistoryResponse>, Status> {
        let (metadata, extensions, _) = request.into_parts();
        let reply = self.local.history(&context(&metadata, &extensions)?).await?;
        let store::HistoryReply { revision, compacted, bytes, revisions_max, bytes_max } = reply;
        Ok(Response::new(HistoryResponse { revision, compacted, bytes, revisions_max, bytes_max }))
    }
}
