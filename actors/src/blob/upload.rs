//! A blob on its way in from a caller: first onto this node's disk, then onto others', then its manifest.

use super::{
    BlobService, PutBlobReply, PutBlobRequest,
    fetch::FetchRequest,
    limits::{COMMIT, FRESH, GRACE, GRACE_UNKNOWN, PATIENCE},
    platform::Shared,
    shelf::Intake,
};
use bytes::Bytes;
use futures::{StreamExt, stream::FuturesUnordered};
use micro_sdk::wire::{BlobHash, Code, Effect, Fault, NodeId};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout_at},
};

/// A blob that a caller is putting. Dropped before it is finished, it leaves nothing.
pub struct Upload {
    service: BlobService,
    request: PutBlobRequest,
    /// Away while a piece is being written: if that is cut short, there is nothing to go on with.
    intake: Option<Intake>,
    _seat: OwnedSemaphorePermit,
}

/// A copy, and when it was known to be there.
struct Copy {
    node: NodeId,
    at: Instant,
}

impl BlobService {
    /// Starts to put a blob. A condition that does not hold already is refused before any byte is taken.
    ///
    /// # Errors
    /// [`Code::Usage`] beyond a limit, [`Code::Conflict`] if the version is another, [`Code::Unavailable`] without
    /// room.
    pub async fn put(&self, request: PutBlobRequest, deadline: Instant) -> Result<Upload, Fault> {
        request.check()?;
        let seat = self.upload_seat()?;
        if request.if_version.is_some() {
            self.check_version(&request, deadline).await?;
        }
        let intake = self.parts.shelf.begin(request.bytes.unwrap_or(0)).await?;
        Ok(Upload { service: self.clone(), request, intake: Some(intake), _seat: seat })
    }
}

impl Upload {
    /// Adds bytes at its end. Once it returns the next may come: so a caller is not faster than the disk.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if there is too little room, [`Code::Failed`] if the disk fails.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), Fault> {
        let intake = self.intake.take().ok_or_else(cut_short)?;
        self.intake = Some(self.service.parts.shelf.write(intake, piece).await?);
        Ok(())
    }

    /// Ends it: makes it durable here and on other nodes, and gives it its name.
    ///
    /// # Errors
    /// [`Code::Usage`] if the content has another hash than the caller said, [`Code::Conflict`] if the version is
    /// another, [`Code::Unavailable`] if too few copies could be made, or why the group did not take it.
    pub async fn finish(self) -> Result<PutBlobReply, Fault> {
        let Upload { service, request, intake, _seat } = self;
        let (shared, intake) = (service.parts.clone(), intake.ok_or_else(cut_short)?);
        let asked = request.hash;
        let fits = move |stored: micro_storage::StoredBlob| match asked {
            Some(asked) if asked != stored.hash => {
                let message = format!("the content has hash {}, not {asked} as was said", stored.hash);
                Err(Fault::new(Code::Usage, message)
                    .help("it may have changed, or been damaged on its way: try again"))
            }
            _ => Ok(()),
        };
        let (stored, mut hold) = shared.shelf.keep(intake, GRACE, fits).await?;
        if let Some(reply) = service.repeated(&request, stored, Instant::now() + COMMIT).await? {
            return Ok(reply);
        }
        let wanted = request.wanted(shared.copies_usual);
        let copies = shared.spread(stored.hash, stored.bytes, wanted).await?;
        let deadline = Instant::now() + COMMIT;
        // Also for a caller who gives up while it is being made.
        hold.set_grace(GRACE_UNKNOWN);
        let committed = service.commit(&request, stored, copies, deadline).await;
        if committed.as_ref().map_or_else(|fault| fault.effect == Effect::None, |_| true) {
            hold.set_grace(GRACE);
        }
        shared.changed.notify_one();
        committed
    }
}

impl Shared {
    /// Has other nodes copy a blob that is here, until a majority of the wanted copies is there and the rest is, or
    /// takes too long. Returns who has it.
    async fn spread(&self, hash: BlobHash, bytes: u64, wanted: u32) -> Result<Vec<NodeId>, Fault> {
        let members = self.members().len().max(1);
        let wanted = (wanted as usize).min(members);
        let needed = wanted / 2 + 1;
        let mut copies = vec![Copy { node: self.here(), at: Instant::now() }];
        let mut candidates = self.candidates(hash, &[self.here()]).into_iter();
        let request = &FetchRequest { hash, bytes, from: vec![self.here()] };
        let one = |node: NodeId| async move { (node, self.have_fetched(node, request).await) };
        let mut asked: FuturesUnordered<_> = candidates.by_ref().take(wanted - 1).map(one).collect();
        let (mut enough_since, mut last) = (None, None);
        while copies.len() < wanted {
            if copies.len() >= needed && enough_since.is_none() {
                enough_since = Some(Instant::now());
            }
            let next = match enough_since {
                Some(since) => timeout_at(since + PATIENCE, asked.next()).await.unwrap_or(None),
                None => asked.next().await,
            };
            match next {
                Some((node, Ok(()))) => copies.push(Copy { node, at: Instant::now() }),
                Some((node, Err(fault))) => {
                    tracing::info!(%node, %hash, %fault, "a copy of a blob could not be made there");
                    last = Some(fault);
                    asked.extend(candidates.next().map(one));
                }
                None => break,
            }
        }
        if copies.len() < needed {
            return Err(too_few(copies.len(), needed, wanted, last));
        }
        self.confirm(request, copies, needed).await
    }

    /// Asks once more for copies that were made long ago: by now their node may have given up waiting for a manifest.
    async fn confirm(
        &self,
        request: &FetchRequest,
        copies: Vec<Copy>,
        needed: usize,
    ) -> Result<Vec<NodeId>, Fault> {
        let mut holders = Vec::with_capacity(copies.len());
        for Copy { node, at } in copies {
            if node == self.here()
                || Shared::since(at) < FRESH
                || self.have_fetched(node, request).await.is_ok()
            {
                holders.push(node);
            }
        }
        match holders.len() < needed {
            true => Err(too_few(holders.len(), needed, needed, None)),
            false => Ok(holders),
        }
    }
}

fn too_few(there: usize, needed: usize, wanted: usize, last: Option<Fault>) -> Fault {
    let why = last.map(|fault| format!(": {}", fault.message)).unwrap_or_default();
    let message = format!("{there} of {wanted} copies could be made, and {needed} are needed{why}");
    Fault::new(Code::Unavailable, message)
        .help("see `micro-node status`, and try again once the other nodes are up and have room")
        .help("or ask for fewer copies")
}

fn cut_short() -> Fault {
    Fault::new(Code::Failed, "the blob was cut short").help("put it again")
}
