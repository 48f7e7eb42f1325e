//! All blobs of the mesh as one stream of bytes, for a backup.

use super::{
    BlobService, BlobView, Download,
    reading::view,
    record::{Manifest, decode, manifests},
    retention::Retention,
};
use crate::store::{Glimpse, ListOrder, RecordRange};
use bytes::Bytes;
use micro_sdk::wire::{BlobHash, Code, Fault};
use micro_storage::{StoredBlob, blob_archive};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};
use tokio::time::Instant;

/// How long a look at records may take.
const LOOK_DEADLINE: Duration = Duration::from_secs(10);

/// A blob of the archive, and the keys of the records that name it.
struct Named {
    view: BlobView,
    keys: Vec<String>,
}

/// Blobs on their way into a backup. Nothing is gathered: the next piece is fetched when it is asked for.
pub struct Archive {
    service: BlobService,
    waiting: VecDeque<Named>,
    /// What is deleted meanwhile is still read.
    _retention: Retention,
    step: Step,
    count: u64,
    bytes: u64,
}

/// What comes next.
enum Step {
    Begin,
    Blob,
    Content(Download),
    Over,
}

impl BlobService {
    /// An archive of all blobs that this node's replica knows of, each content once. The `retention` is older than what
    /// names them.
    ///
    /// # Errors
    /// If the records can't be read.
    pub async fn archive(&self, retention: Retention, deadline: Instant) -> Result<Archive, Fault> {
        let members = self.parts.members();
        let look = move |glimpse: &Glimpse<'_>| {
            let mut named: BTreeMap<BlobHash, Named> = BTreeMap::new();
            let all = RecordRange::prefix(manifests(), String::new());
            glimpse.records(&all, ListOrder::Ascending, |record| {
                let view = view(glimpse, &record, &members)?;
                let named = named.entry(view.hash).or_insert_with(|| Named { view, keys: Vec::new() });
                named.keys.push(record.key);
                Ok(true)
            })?;
            Ok(named.into_values().collect::<VecDeque<Named>>())
        };
        let waiting = self.store.glimpse(true, deadline, look).await?;
        let bytes = blob_archive::length(waiting.iter().map(|named| named.view.bytes));
        Ok(Archive {
            service: self.clone(),
            waiting,
            _retention: retention,
            step: Step::Begin,
            count: 0,
            bytes,
        })
    }
}

impl Archive {
    /// How many bytes it has in all.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next bytes; none behind the last.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if no copy of a blob can be reached.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            match &mut self.step {
                Step::Begin => {
                    self.step = Step::Blob;
                    return Ok(Some(blob_archive::begin()));
                }
                Step::Blob => return Ok(Some(self.open_next().await?)),
                Step::Content(download) => match download.next().await? {
                    Some(piece) => return Ok(Some(piece)),
                    None => {
                        self.count += 1;
                        self.step = Step::Blob;
                    }
                },
                Step::Over => return Ok(None),
            }
        }
    }

    /// What stands before the next blob, or at the end.
    async fn open_next(&mut self) -> Result<Bytes, Fault> {
        let Some(Named { view, keys }) = self.waiting.pop_front() else {
            self.step = Step::Over;
            return Ok(blob_archive::end(self.count));
        };
        let blob = StoredBlob { hash: view.hash, bytes: view.bytes };
        let mut download = Download::whole(&self.service, view);
        if let Err(fault) = download.prepare().await {
            // The state in the backup names it, so without it the backup would not be whole.
            return Err(match self.still_named(blob.hash, keys).await? {
                Some(key) => not_in_backup(&key, fault),
                None => gone_meanwhile(&fault),
            });
        }
        self.step = Step::Content(download);
        Ok(blob_archive::entry(blob))
    }

    /// Which of the records `keys` still names this content, if one does.
    async fn still_named(&self, hash: BlobHash, keys: Vec<String>) -> Result<Option<String>, Fault> {
        let look = move |glimpse: &Glimpse<'_>| {
            for key in keys {
                let manifest = glimpse.record(&manifests(), &key)?;
                let manifest = manifest.map(|record| decode::<Manifest>(&record)).transpose()?;
                if manifest.is_some_and(|manifest| manifest.hash == hash) {
                    return Ok(Some(key));
                }
            }
            Ok(None)
        };
        self.service.store.glimpse(true, Instant::now() + LOOK_DEADLINE, look).await
    }
}

/// Why a backup ends early of which a blob is gone.
fn gone_meanwhile(fault: &Fault) -> Fault {
    let message =
        format!("a blob was deleted or replaced while the backup was taken, and is gone: {}", fault.message);
    Fault::new(Code::Unavailable, message).help("take the backup again")
}

/// Why a blob is not in a backup, with the namespace that it is in: a backup is of all of them.
fn not_in_backup(key: &str, fault: Fault) -> Fault {
    let message = match key.split_once('/') {
        Some((namespace, name)) => format!("blob {name:?} of namespace {namespace}: {}", fault.message),
        None => format!("blob {key:?}: {}", fault.message),
    };
    Fault { message, ..fault }.help("or leave blobs out: --without-blobs")
}
