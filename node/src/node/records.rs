//! The store of this node as its own process calls it: directly, without the mailbox and without encoding anything.

use super::{Context, Local};
use futures::{FutureExt, future::ready};
use micro_actors::{
    auth::{READ, Resource, WRITE},
    store::{
        CompactReply, CompactRequest, DeleteRangeReply, DeleteRangeRequest, DeleteReply, DeleteRequest,
        GrantRequest, HistoryReply, LeaseReply, LeaseRequest, LeasesReply, LeasesRequest, ListReply,
        ListRequest, NamesReply, NamesRequest, ReadReply, ReadRequest, RecordOp, RetainRequest, RevokeReply,
        STORE, TransactReply, TransactRequest, Watch, WatchRequest, WriteReply, WriteRequest,
    },
};
use micro_sdk::wire::{Fault, ServiceName};
use tokio::sync::OwnedSemaphorePermit;

/// Leases are told apart by numbers only, so that they belong to no tenant.
const LEASES: Resource<'static> = Resource::of_mesh(STORE, "~leases", WRITE);

/// So does the history, which is that of all records.
fn history(endpoint: &str) -> Resource<'_> {
    Resource::of_mesh(STORE, "~history", endpoint)
}

impl Local {
    /// What every call of the store passes: `authorize`, and a permit.
    fn admit(&self, context: &Context, resource: &Resource<'_>) -> Result<OwnedSemaphorePermit, Fault> {
        self.system.dispatch().admit(context.asker(), STORE, resource)
    }

    /// The same for a transaction: each of its parts is allowed, or nothing is done.
    fn admit_all(&self, context: &Context, request: &TransactRequest) -> Result<OwnedSemaphorePermit, Fault> {
        let compared = request.compares.iter().map(|compare| compare.table.resource(READ));
        let operations = request.then.iter().chain(&request.otherwise).map(|operation| match operation {
            RecordOp::Write(write) => write.table.resource(WRITE),
            RecordOp::Delete { table, .. } => table.resource(WRITE),
            RecordOp::DeleteRange { range, .. } => range.table.resource(WRITE),
            RecordOp::Read { table, .. } => table.resource(READ),
            RecordOp::List { range, .. } => range.table.resource(READ),
        });
        let mut parts = compared.chain(operations);
        // One that does nothing is nobody's in particular.
        let first = parts.next().unwrap_or(Resource::of_mesh(STORE, "", READ));
        parts.try_for_each(|part| self.system.dispatch().may(context.asker(), &part))?;
        self.admit(context, &first)
    }

    /// Whether the caller may keep leases alive: for streams, before they take anything up.
    ///
    /// # Errors
    /// [`Code::Denied`](micro_sdk::wire::Code::Denied).
    pub fn may_keep_leases(&self, context: &Context) -> Result<(), Fault> {
        self.admit(context, &LEASES).map(drop)
    }

    /// Writes a record.
    ///
    /// # Errors
    /// As the store answers.
    pub fn write(
        &self,
        context: &Context,
        request: WriteRequest,
    ) -> impl Future<Output = Result<WriteReply, Fault>> + use<> {
        match self.admit(context, &request.table.resource(WRITE)) {
            Ok(permit) => {
                let written = self.store.write(request, context.idempotency_key, context.until());
                written.inspect(move |_| drop(permit)).left_future()
            }
            Err(fault) => ready(Err(fault)).right_future(),
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn read(&self, context: &Context, request: ReadRequest) -> Result<ReadReply, Fault> {
        let _permit = self.admit(context, &request.table.resource(READ))?;
        self.store.read(request, context.until()).await
    }

    /// Lists records.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn list(&self, context: &Context, request: ListRequest) -> Result<ListReply, Fault> {
        let _permit = self.admit(context, &request.range.table.resource(READ))?;
        self.store.list(request, context.until()).await
    }

    /// Deletes a record.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn delete(&self, context: &Context, request: DeleteRequest) -> Result<DeleteReply, Fault> {
        let _permit = self.admit(context, &request.table.resource(WRITE))?;
        self.store.delete(request, context.idempotency_key, context.until()).await
    }

    /// Deletes the first records of a range.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn delete_range(
        &self,
        context: &Context,
        request: DeleteRangeRequest,
    ) -> Result<DeleteRangeReply, Fault> {
        let _permit = self.admit(context, &request.range.table.resource(WRITE))?;
        self.store.delete_range(request, context.idempotency_key, context.until()).await
    }

    /// Does one list of operations or another, as one revision.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn transact(
        &self,
        context: &Context,
        request: TransactRequest,
    ) -> Result<TransactReply, Fault> {
        let _permit = self.admit_all(context, &request)?;
        self.store.transact(request, context.idempotency_key, context.until()).await
    }

    /// Lists databases or tables.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn names(&self, context: &Context, request: NamesRequest) -> Result<NamesReply, Fault> {
        // The names of databases are one list, and those of a database's tables another.
        let database = request.database.as_ref().map_or("~databases", ServiceName::as_str);
        let names = Resource::of(&request.namespace, STORE, database, READ);
        let _permit = self.admit(context, &names)?;
        self.store.names(request, context.until()).await
    }

    /// Makes a lease.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn grant(&self, context: &Context, request: GrantRequest) -> Result<LeaseReply, Fault> {
        let _permit = self.admit(context, &LEASES)?;
        self.store.grant(request, context.idempotency_key, context.until()).await
    }

    /// Lets a lease live on.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn keep_alive(&self, context: &Context, request: LeaseRequest) -> Result<LeaseReply, Fault> {
        let _permit = self.admit(context, &LEASES)?;
        self.store.keep_alive(request, context.until()).await
    }

    /// Ends a lease with its records.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn revoke(&self, context: &Context, request: LeaseRequest) -> Result<RevokeReply, Fault> {
        let _permit = self.admit(context, &LEASES)?;
        self.store.revoke(request, context.idempotency_key, context.until()).await
    }

    /// Lists leases.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn leases(&self, context: &Context, request: LeasesRequest) -> Result<LeasesReply, Fault> {
        let _permit = self.admit(context, &Resource::of_mesh(STORE, "~leases", READ))?;
        self.store.leases(request, context.until()).await
    }

    /// Gives up the history up to a revision.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn compact(&self, context: &Context, request: CompactRequest) -> Result<CompactReply, Fault> {
        let _permit = self.admit(context, &history(WRITE))?;
        self.store.compact(request, context.until()).await
    }

    /// Sets how much history is kept.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn retain(&self, context: &Context, request: RetainRequest) -> Result<(), Fault> {
        let _permit = self.admit(context, &history(WRITE))?;
        self.store.retain(request, context.until()).await
    }

    /// How much history there is.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn history(&self, context: &Context) -> Result<HistoryReply, Fault> {
        let _permit = self.admit(context, &history(READ))?;
        self.store.history(context.until()).await
    }

    /// Watches records. The permit is for its beginning; whoever takes the watch bounds how many there are.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn watch(&self, context: &Context, request: WatchRequest) -> Result<Watch, Fault> {
        let _permit = self.admit(context, &request.range.table.resource(READ))?;
        self.store.watch(request, context.until()).await
    }
}
