//! One node as clients ask it, and the bugs that a careless client or door would have.

use crate::{
    options::PlantedBug,
    workload::{DEADLINE, Table, config::PART},
};
use bytes::Bytes;
use micro_actors::{
    MeshBackup,
    audit::Origin,
    blob::{
        BlobName, BlobView, DeleteBlobRequest, GetBlobRequest, ListBlobsRequest, PIECE_BYTES, PutBlobRequest,
    },
    config::{ChangeReply, ChangeView, ConfigPath, GetRequest, HistoryRequest, Plaintext, Reading, What},
    store::{
        CompactRequest, Comparand, DeleteRequest, GrantRequest, LeaseItem, LeaseRequest, LeasesRequest,
        ListRequest, ReadRequest, Record, RecordOp, RecordRange, TablePath, TransactReply, TransactRequest,
        Watch, WatchRequest, WriteRequest,
    },
};
use micro_node::node::{ConfigChange, Context, Local};
use micro_sdk::wire::{Caller, Code, Fault, Namespace, ServiceName};
use tokio::time::Instant;

/// How many blobs are listed at a time: few, so that a list has many pages.
const BLOB_PAGE: u32 = 20;

/// Who asks: one who may do everything.
pub fn operator() -> Context {
    Context::of(Caller::Admin).within(DEADLINE)
}

/// One node as clients ask it.
#[derive(Clone)]
pub struct Door {
    name: String,
    local: Local,
    planted_bug: Option<PlantedBug>,
    /// When all that is asked has to be answered, if that is one thing for the client.
    end: Option<Instant>,
}

impl Door {
    /// The door of the node that is called `name`.
    pub fn new(name: &str, local: Local, planted_bug: Option<PlantedBug>) -> Self {
        Door { name: name.to_owned(), local, planted_bug, end: None }
    }

    /// The node.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same door for several requests that together may take as long as one.
    #[must_use]
    pub fn hurried(&self) -> Self {
        Door { end: Some(Instant::now() + DEADLINE), ..self.clone() }
    }

    fn context(&self) -> Context {
        let left = self.end.map_or(DEADLINE, |end| end.saturating_duration_since(Instant::now()));
        operator().within(left)
    }

    fn planted(&self, bug: PlantedBug) -> bool {
        self.planted_bug == Some(bug)
    }

    /// The idempotency key, unless it gets lost.
    fn kept(&self, key: Option<u128>) -> Option<u128> {
        key.filter(|_| !self.planted(PlantedBug::KeysDropped))
    }

    /// Writes a value and returns its version. With a version, only if the key has that one still.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn write(&self, key: &str, value: u64, if_version: Option<u64>) -> Result<u64, Fault> {
        let request = WriteRequest::new(TablePath::default(), key, value.to_string());
        self.put(WriteRequest { if_version, ..request }, None).await
    }

    /// Writes a record and returns its version.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn put(&self, request: WriteRequest, key: Option<u128>) -> Result<u64, Fault> {
        Ok(self.local.write(&self.context().with_key(self.kept(key)), request).await?.version)
    }

    /// Deletes a key.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn delete(&self, key: &str) -> Result<(), Fault> {
        let request = DeleteRequest { table: TablePath::default(), key: key.to_owned(), if_version: None };
        self.delete_record(request).await
    }

    /// Deletes a record of any table.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn delete_record(&self, request: DeleteRequest) -> Result<(), Fault> {
        self.local.delete(&self.context(), request).await.map(drop)
    }

    /// Reads value and version of a key.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn read(&self, key: &str, stale: bool) -> Result<Option<(u64, u64)>, Fault> {
        let stale = stale || self.planted(PlantedBug::StaleReads);
        let request = ReadRequest { key: key.to_owned(), stale, ..ReadRequest::default() };
        let Some(record) = self.local.read(&self.context(), request).await?.record else { return Ok(None) };
        Ok(Some((number(&record.value.0)?, record.version)))
    }

    /// Compares and does one list of operations or the other.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn transact(
        &self,
        mut request: TransactRequest,
        key: Option<u128>,
    ) -> Result<TransactReply, Fault> {
        if self.planted(PlantedBug::ComparesIgnored) {
            request.compares.clear();
        }
        if self.planted(PlantedBug::FenceNotChecked) {
            request.compares.retain(|compare| !matches!(compare.with, Comparand::Created(_)));
        }
        if self.planted(PlantedBug::ReadsNotCompared) {
            let written = |key: &String| {
                request.then.iter().any(|op| matches!(op, RecordOp::Write(write) if write.key == *key))
            };
            request.compares.retain(|compare| written(&compare.key));
        }
        let otherwise = request.otherwise.clone();
        let reply = self.local.transact(&self.context().with_key(self.kept(key)), request).await?;
        if reply.held && self.planted(PlantedBug::ElseDoneToo) {
            let then = TransactRequest { then: otherwise, ..TransactRequest::default() };
            self.local.transact(&self.context(), then).await?;
        }
        Ok(reply)
    }

    /// All pages of a list, and the revision that it shows. All of it takes no longer than one request may.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn list_all(
        &self,
        table: Table,
        page_size: u32,
        at: Option<u64>,
        stale: bool,
    ) -> Result<(Vec<Record>, u64), Fault> {
        let mut request = ListRequest { limit: page_size, at, stale, ..ListRequest::default() };
        request.range.table = table.path();
        let door = self.hurried();
        let mut reply = door.local.list(&door.context(), request.clone()).await?;
        let revision = reply.revision;
        let mut records = std::mem::take(&mut reply.records);
        while reply.more {
            let Some(last) = records.last() else { break };
            if self.planted(PlantedBug::TornPages) {
                request.after = last.key.clone();
            } else {
                request.page = reply.page;
            }
            reply = door.local.list(&door.context(), request.clone()).await?;
            records.append(&mut reply.records);
        }
        Ok((records, revision))
    }

    /// Watches a table from a revision on, or from now on.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn watch(&self, table: Table, from: Option<u64>) -> Result<Watch, Fault> {
        let from_revision = match from {
            Some(from) if self.planted(PlantedBug::WatchSkips) => Some(from + 1),
            Some(from) if self.planted(PlantedBug::WatchRepeats) => Some(from.saturating_sub(1)),
            from => from,
        };
        let range = RecordRange { table: table.path(), ..RecordRange::default() };
        self.local.watch(&self.context(), WatchRequest { range, from_revision, stale: false }).await
    }

    /// Gives up the history up to a revision.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn compact(&self, revision: u64) -> Result<(), Fault> {
        self.local.compact(&self.context(), CompactRequest { revision }).await.map(drop)
    }

    /// Takes a backup, with the blobs.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn backup(&self) -> Result<MeshBackup, Fault> {
        self.local.backup(&self.context(), !self.planted(PlantedBug::BlobsNotBackedUp)).await
    }

    /// Makes a lease.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn grant(&self, ttl_ms: u64, key: u128) -> Result<u64, Fault> {
        let context = self.context().with_key(Some(key));
        Ok(self.local.grant(&context, GrantRequest { ttl_ms }).await?.lease)
    }

    /// Lets a lease live on.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn keep_alive(&self, lease: u64) -> Result<u64, Fault> {
        Ok(self.local.keep_alive(&self.context(), LeaseRequest { lease }).await?.lease)
    }

    /// Ends a lease.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn revoke(&self, lease: u64) -> Result<(), Fault> {
        self.local.revoke(&self.context(), LeaseRequest { lease }).await.map(drop)
    }

    /// The first leases that were made after another.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn leases(&self, after: u64) -> Result<Vec<LeaseItem>, Fault> {
        let request = LeasesRequest { after, stale: false };
        Ok(self.local.leases(&self.context(), request).await?.leases)
    }

    /// Sets a value of the configuration.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn set_config(
        &self,
        leaf: &str,
        value: u64,
        secret: bool,
        if_version: Option<u64>,
        key: Option<u128>,
    ) -> Result<ChangeReply, Fault> {
        let door = self.hurried();
        let (path, value, replace) = match self.planted(PlantedBug::WholeTreeWritten) && !secret {
            false => (leaf, value.to_string(), false),
            true => (PART, door.whole_part_with(leaf, value).await?, true),
        };
        let what = What::Set {
            path: ConfigPath::parse(path)?,
            value: Plaintext::new(value),
            secret,
            replace,
            canary_percent: 0,
        };
        door.change_config(what, if_version, key).await
    }

    /// What would be there with another value, as JSON.
    async fn whole_part_with(&self, leaf: &str, value: u64) -> Result<String, Fault> {
        let text = self.config(PART, false).await?.value;
        let mut whole = text.map_or(Ok(serde_json::json!({})), |text| serde_json::from_str(text.expose()));
        if let Ok(whole) = &mut whole {
            let names = leaf.split('.').skip(1);
            *names.fold(whole, |place, name| &mut place[name]) = value.into();
        }
        whole.map(|whole| whole.to_string()).map_err(|error| Fault::new(Code::Internal, error.to_string()))
    }

    /// Removes a value of the configuration.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn delete_config(&self, leaf: &str) -> Result<ChangeReply, Fault> {
        self.change_config(What::Delete { path: ConfigPath::parse(leaf)? }, None, None).await
    }

    /// Makes a value of the configuration what it was at a version.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn roll_back_config(&self, leaf: &str, to: u64) -> Result<ChangeReply, Fault> {
        self.change_config(What::RollBack { path: ConfigPath::parse(leaf)?, to }, None, None).await
    }

    async fn change_config(
        &self,
        what: What,
        if_version: Option<u64>,
        key: Option<u128>,
    ) -> Result<ChangeReply, Fault> {
        let (namespace, reason) = (Namespace::default(), String::new());
        let change = ConfigChange { namespace, what, if_version, reason, dry_run: false };
        self.local.change_config(&self.context().with_key(self.kept(key)), change).await
    }

    /// What is in the configuration, secrets too.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn config(&self, path: &str, stale: bool) -> Result<Reading, Fault> {
        let path = ConfigPath::parse(path)?;
        let request = GetRequest { path, show_secrets: true, stale, ..GetRequest::default() };
        self.local.config(&self.context(), request).await
    }

    /// All changes of the configuration, latest first.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn config_history(&self) -> Result<Vec<ChangeView>, Fault> {
        let (mut changes, mut before, door) = (Vec::new(), 0, self.hurried());
        loop {
            let request = HistoryRequest { before, limit: 1000, ..HistoryRequest::default() };
            let reply = door.local.config_history(&door.context(), request).await?;
            before = reply.changes.last().map_or(0, |change| change.version);
            changes.extend(reply.changes);
            if !reply.more {
                return Ok(changes);
            }
        }
    }

    /// Puts a blob.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn put_blob(&self, name: &str, content: Bytes, copies: u32) -> Result<(), Fault> {
        let request = PutBlobRequest {
            namespace: Namespace::default(),
            name: BlobName::parse(name)?,
            content_type: String::new(),
            public: false,
            copies,
            if_version: None,
            bytes: Some(content.len() as u64),
            hash: None,
            who: String::new(),
            idempotency_key: None,
        };
        let mut upload = self.local.put_blob(&self.context(), request).await?;
        let mut left = content;
        while !left.is_empty() {
            upload.write(left.split_to(left.len().min(PIECE_BYTES))).await?;
        }
        upload.finish().await.map(drop)
    }

    /// Reads a blob.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn get_blob(&self, name: &str) -> Result<Vec<u8>, Fault> {
        let (namespace, name) = (Namespace::default(), BlobName::parse(name)?);
        let request = GetBlobRequest { namespace, name, offset: 0, length: None, stale: false };
        let mut download = self.local.get_blob(&self.context(), request).await?;
        let mut content = Vec::new();
        while let Some(piece) = download.next().await? {
            content.extend_from_slice(&piece);
        }
        Ok(content)
    }

    /// Deletes a blob.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn delete_blob(&self, name: &str) -> Result<bool, Fault> {
        let (namespace, name) = (Namespace::default(), BlobName::parse(name)?);
        let request = DeleteBlobRequest { namespace, name, if_version: None };
        self.local.delete_blob(&self.context(), request).await
    }

    /// All blobs.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn list_blobs(&self) -> Result<Vec<BlobView>, Fault> {
        let (mut blobs, mut after) = (Vec::new(), String::new());
        loop {
            let (namespace, prefix) = (Namespace::default(), String::new());
            let request = ListBlobsRequest { namespace, prefix, after, limit: BLOB_PAGE, stale: false };
            let page = self.local.list_blobs(&self.context(), request).await?;
            blobs.extend(page.blobs);
            match blobs.last().filter(|_| page.more) {
                Some(last) => after = last.name.clone(),
                None => return Ok(blobs),
            }
        }
    }

    /// Calls a service with a number. Returns the one that it answers.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn call(&self, service: ServiceName, endpoint: &str, value: u64) -> Result<u64, Fault> {
        let head = self.local.head(&self.context(), service, endpoint);
        let body = Bytes::from(value.to_string());
        number(&self.local.call(Origin::Process, head, body).await?.body)
    }

    /// Calls a service with so many bytes. Returns how many it answers.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn send_back(
        &self,
        service: ServiceName,
        endpoint: &str,
        bytes: usize,
    ) -> Result<usize, Fault> {
        let head = self.local.head(&self.context(), service, endpoint);
        Ok(self.local.call(Origin::Process, head, Bytes::from(vec![7; bytes])).await?.body.len())
    }

    /// Sets the policy of a service.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn set_policy(&self, service: ServiceName, document: String) -> Result<u64, Fault> {
        let called = (Namespace::default(), service);
        self.local.set_policy(&self.context(), called, document, None).await
    }
}

/// The number that a client wrote.
///
/// # Errors
/// [`Code::Internal`] if it is none: no client wrote it then.
pub fn number<N: std::str::FromStr>(bytes: &[u8]) -> Result<N, Fault> {
    let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Fault::new(Code::Internal, format!("{bytes:?} is not a number that a client wrote")))
}
