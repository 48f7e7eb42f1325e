//! What blobs there are.

use super::{
    BlobName, BlobService, BlobView, ListBlobsReply, ListBlobsRequest,
    limits::LIST_LIMIT_MAX,
    name::{name_in, prefix_key},
    record::{Copies, Manifest, copies, decode, manifests},
};
use crate::store::{Glimpse, ListOrder, Record, RecordRange};
use micro_sdk::wire::{Code, Fault, Namespace};
use tokio::time::Instant;

impl BlobService {
    /// A blob without its bytes; none if there is none of this name.
    ///
    /// # Errors
    /// Why the reading can't be made linearizable, unless `stale` takes this replica as it is.
    pub async fn find(
        &self,
        namespace: &Namespace,
        name: &BlobName,
        stale: bool,
        deadline: Instant,
    ) -> Result<Option<BlobView>, Fault> {
        let key = name.key(namespace);
        let look = move |glimpse: &Glimpse<'_>| {
            let record = glimpse.record(&manifests(), &key)?;
            record.map(|record| view(glimpse, &record)).transpose()
        };
        self.store.glimpse(stale, deadline, look).await
    }

    /// A blob without its bytes.
    ///
    /// # Errors
    /// [`Code::NotFound`] if there is none; else as [`find`](Self::find).
    pub async fn head(
        &self,
        namespace: &Namespace,
        name: &BlobName,
        stale: bool,
        deadline: Instant,
    ) -> Result<BlobView, Fault> {
        let found = self.find(namespace, name, stale, deadline).await?;
        found.ok_or_else(|| {
            let message = format!("no blob {:?} in namespace {namespace}", name.as_str());
            Fault::new(Code::NotFound, message).help("micro-node blob list shows what there is")
        })
    }

    /// A page of blobs, by name.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub async fn list(&self, request: ListBlobsRequest, deadline: Instant) -> Result<ListBlobsReply, Fault> {
        let limit = match request.limit {
            0 => LIST_LIMIT_MAX,
            limit => limit.min(LIST_LIMIT_MAX),
        } as usize;
        let ListBlobsRequest { namespace, prefix, after, stale, .. } = request;
        let look = move |glimpse: &Glimpse<'_>| {
            let mut reply = ListBlobsReply { blobs: Vec::new(), more: false };
            let mut range = RecordRange::prefix(manifests(), prefix_key(&namespace, &prefix));
            // Behind a name is from that name with the least of all characters on.
            if !after.is_empty() {
                range.from = prefix_key(&namespace, &format!("{after}\0"));
            }
            glimpse.records(&range, ListOrder::Ascending, |record| {
                reply.more = reply.blobs.len() == limit;
                if !reply.more {
                    reply.blobs.push(view(glimpse, &record)?);
                }
                Ok(!reply.more)
            })?;
            Ok(reply)
        };
        self.store.glimpse(stale, deadline, look).await
    }
}

fn view(glimpse: &Glimpse<'_>, record: &Record) -> Result<BlobView, Fault> {
    let manifest: Manifest = decode(record)?;
    let where_it_is = glimpse.record(&copies(), &record.key)?;
    let missing = || Fault::new(Code::Failed, format!("blob {:?} has no record of its copies", record.key));
    let Copies { wanted, holders, .. } = decode(&where_it_is.ok_or_else(missing)?)?;
    Ok(BlobView {
        name: name_in(&record.key).to_owned(),
        hash: manifest.hash,
        bytes: manifest.bytes,
        content_type: manifest.content_type,
        public: manifest.public,
        version: record.version,
        created_ms: manifest.created_ms,
        modified_ms: manifest.modified_ms,
        who: manifest.who,
        copies_wanted: wanted,
        holders,
    })
}
