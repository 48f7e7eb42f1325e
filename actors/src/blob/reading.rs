//! What blobs there are.

use super::{
    BlobName, BlobService, BlobView, ListBlobsReply, ListBlobsRequest,
    limits::LIST_LIMIT_MAX,
    name::{name_in, prefix_key},
    record::{Copies, Manifest, copies, decode, manifests},
};
use crate::store::{self, Glimpse, ListOrder, Record, RecordRange};
use micro_sdk::wire::{BlobHash, Code, Fault, Namespace, NodeId};
use micro_storage::StateStore;
use std::collections::BTreeSet;
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
        let (key, members) = (name.key(namespace), self.parts.members());
        let look = move |glimpse: &Glimpse<'_>| {
            let record = glimpse.record(&manifests(), &key)?;
            record.map(|record| view(glimpse, &record, &members)).transpose()
        };
        let (found, age_ms) = self.store.dated_glimpse(stale, deadline, look).await?;
        Ok(found.map(|view| BlobView { age_ms, ..view }))
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
        let members = self.parts.members();
        let look = move |glimpse: &Glimpse<'_>| {
            let mut reply = ListBlobsReply { blobs: Vec::new(), more: false, age_ms: None };
            let mut range = RecordRange::prefix(manifests(), prefix_key(&namespace, &prefix));
            // Behind a name is from that name with the least of all characters on.
            if !after.is_empty() {
                range.from = prefix_key(&namespace, &format!("{after}\0"));
            }
            glimpse.records(&range, ListOrder::Ascending, |record| {
                reply.more = reply.blobs.len() == limit;
                if !reply.more {
                    reply.blobs.push(view(glimpse, &record, &members)?);
                }
                Ok(!reply.more)
            })?;
            Ok(reply)
        };
        let (reply, age_ms) = self.store.dated_glimpse(stale, deadline, look).await?;
        Ok(ListBlobsReply { age_ms, ..reply })
    }
}

/// The names and the contents of all blobs in a state that nobody serves, such as one that was just restored. Blocks.
///
/// # Errors
/// If the state can't be read.
pub fn blobs_of(state: &dyn StateStore) -> Result<Vec<(String, BlobHash)>, Fault> {
    let named = |record: Record| Ok((name_in(&record.key).to_owned(), decode::<Manifest>(&record)?.hash));
    store::records(state, &manifests())?.into_iter().map(named).collect()
}

/// What is told of a blob. Nodes that are no members have nothing, whatever was noted once: they are gone for good, or
/// of the mesh that was backed up.
pub(super) fn view(
    glimpse: &Glimpse<'_>,
    record: &Record,
    members: &BTreeSet<NodeId>,
) -> Result<BlobView, Fault> {
    let manifest: Manifest = decode(record)?;
    let where_it_is = glimpse.record(&copies(), &record.key)?;
    let missing = || Fault::new(Code::Failed, format!("blob {:?} has no record of its copies", record.key));
    let Copies { wanted, mut holders, .. } = decode(&where_it_is.ok_or_else(missing)?)?;
    holders.retain(|node| members.contains(node));
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
        age_ms: None,
    })
}
