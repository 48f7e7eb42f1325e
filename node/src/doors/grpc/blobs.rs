//! Blobs: bytes that stream in and out, a piece at a time.

use super::{Door, context, idempotency_key, namespace, streams::Answers, usage};
use crate::node::{Context, Local};
use bytes::Bytes;
use futures::{StreamExt, stream};
use micro_actors::blob::{
    BlobName, BlobView, DeleteBlobRequest, Download, GetBlobRequest, HandOver, HandedOver, ListBlobsRequest,
    PIECE_BYTES, PutBlobRequest, Upload,
};
use micro_sdk::{
    proto::{
        self, Blob, BlobHolder, DeleteBlobResponse, GetBlobResponse, HandOverBlobsRequest,
        HandOverBlobsResponse, HeadBlobRequest, HeadBlobResponse, ListBlobsResponse, PutBlobResponse,
        blobs_server, get_blob_response, put_blob_request,
    },
    wire::{Code, Fault},
};
use std::time::Duration;
use tokio::{sync::OwnedSemaphorePermit, time::timeout};
use tonic::{Request, Response, Status, Streaming};

/// How long a caller may pause within a blob that it puts.
const IDLE: Duration = Duration::from_secs(60);

#[tonic::async_trait]
impl blobs_server::Blobs for Door {
    type GetBlobStream = Answers<GetBlobResponse>;
    type HandOverBlobsStream = Answers<HandOverBlobsResponse>;

    async fn put_blob(
        &self,
        request: Request<Streaming<proto::PutBlobRequest>>,
    ) -> Result<Response<PutBlobResponse>, Status> {
        let (metadata, extensions, mut parts) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let Some(put_blob_request::Part::Header(header)) = next(&mut parts).await? else {
            return Err(usage("the first message of a put must be its header").into());
        };
        let mut upload = self.begin(&context, header).await?;
        let mut sent = 0;
        loop {
            match next(&mut parts).await? {
                Some(put_blob_request::Part::Chunk(chunk)) if chunk.len() <= PIECE_BYTES => {
                    sent += chunk.len() as u64;
                    upload.write(chunk).await?;
                }
                Some(put_blob_request::Part::Chunk(chunk)) => {
                    let message = format!("a chunk of {} bytes: {PIECE_BYTES} is the most", chunk.len());
                    return Err(usage(message).into());
                }
                Some(put_blob_request::Part::End(end)) if end.size == sent => break,
                Some(put_blob_request::Part::End(_)) | None => return Err(cut_short(sent).into()),
                Some(put_blob_request::Part::Header(_)) => return Err(usage("a put has one header").into()),
            }
        }
        let put = upload.finish().await?;
        Ok(Response::new(PutBlobResponse {
            version: put.version,
            hash: put.hash.to_string(),
            size: put.bytes,
            copies: put.copies,
            copies_wanted: put.copies_wanted,
            copies_possible: put.copies_possible,
        }))
    }

    async fn get_blob(
        &self,
        request: Request<proto::GetBlobRequest>,
    ) -> Result<Response<Self::GetBlobStream>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let seat = self.seats.take()?;
        let get = GetBlobRequest {
            namespace: namespace(&request.namespace)?,
            name: BlobName::parse(&request.name)?,
            offset: request.offset,
            length: request.length,
            stale: request.stale,
        };
        let download = self.local.get_blob(&context, get).await?;
        let first =
            GetBlobResponse { part: Some(get_blob_response::Part::Blob(blob(&self.local, download.view()))) };
        Ok(Response::new(stream::once(async { Ok(first) }).chain(reading(download, seat)).boxed()))
    }

    async fn head_blob(
        &self,
        request: Request<HeadBlobRequest>,
    ) -> Result<Response<HeadBlobResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let (namespace, name) = (namespace(&request.namespace)?, BlobName::parse(&request.name)?);
        let view = self.local.head_blob(&context, &namespace, &name, request.stale).await?;
        Ok(Response::new(HeadBlobResponse { blob: Some(blob(&self.local, &view)) }))
    }

    async fn list_blobs(
        &self,
        request: Request<proto::ListBlobsRequest>,
    ) -> Result<Response<ListBlobsResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let list = ListBlobsRequest {
            namespace: namespace(&request.namespace)?,
            prefix: request.prefix,
            after: request.page,
            limit: request.limit,
            stale: request.stale,
        };
        let page = self.local.list_blobs(&context(&metadata, &extensions)?, list).await?;
        let next_page = page.blobs.last().filter(|_| page.more).map(|last| last.name.clone());
        Ok(Response::new(ListBlobsResponse {
            blobs: page.blobs.iter().map(|view| blob(&self.local, view)).collect(),
            next_page: next_page.unwrap_or_default(),
            age_ms: page.age_ms,
        }))
    }

    async fn delete_blob(
        &self,
        request: Request<proto::DeleteBlobRequest>,
    ) -> Result<Response<DeleteBlobResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let delete = DeleteBlobRequest {
            namespace: namespace(&request.namespace)?,
            name: BlobName::parse(&request.name)?,
            if_version: request.if_version,
        };
        let deleted = self.local.delete_blob(&context(&metadata, &extensions)?, delete).await?;
        Ok(Response::new(DeleteBlobResponse { deleted }))
    }

    async fn hand_over_blobs(
        &self,
        request: Request<HandOverBlobsRequest>,
    ) -> Result<Response<Self::HandOverBlobsStream>, Status> {
        let (metadata, extensions, _) = request.into_parts();
        let seat = self.seats.take()?;
        let hand_over = self.local.hand_over_blobs(&context(&metadata, &extensions)?)?;
        Ok(Response::new(handing_over(hand_over, seat)))
    }
}

impl Door {
    async fn begin(&self, context: &Context, header: put_blob_request::Header) -> Result<Upload, Fault> {
        let hash = match header.hash.as_str() {
            "" => None,
            text => Some(text.parse().map_err(usage)?),
        };
        let request = PutBlobRequest {
            namespace: namespace(&header.namespace)?,
            name: BlobName::parse(&header.name)?,
            content_type: header.content_type,
            public: header.public,
            copies: header.copies,
            if_version: header.if_version,
            bytes: header.size,
            hash,
            // The node fills it in: it is not the caller's to say.
            who: String::new(),
            idempotency_key: idempotency_key(&header.idempotency_key)?,
        };
        self.local.put_blob(context, request).await
    }
}

/// The next part of a put. A caller that says nothing for long has gone.
async fn next(
    parts: &mut Streaming<proto::PutBlobRequest>,
) -> Result<Option<put_blob_request::Part>, Status> {
    let message = timeout(IDLE, parts.message()).await.map_err(|_| {
        let message = format!("nothing of the blob came for {} s", IDLE.as_secs());
        Status::from(Fault::new(Code::Timeout, message).help("put it again"))
    })??;
    match message {
        None => Ok(None),
        Some(message) => match message.part {
            Some(part) => Ok(Some(part)),
            None => Err(usage("a part of a put is neither header nor chunk nor end").into()),
        },
    }
}

/// A caller that gave up looks like one whose stream ends.
fn cut_short(sent: u64) -> Fault {
    usage(format!("the blob was cut short behind {sent} bytes: nothing is kept")).help("put it again")
}

/// The bytes of a blob, as fast as the caller takes them.
fn reading(download: Download, seat: OwnedSemaphorePermit) -> Answers<GetBlobResponse> {
    let begin = Some((download, seat));
    stream::unfold(begin, |reading| async move {
        let (mut download, seat) = reading?;
        match download.next().await {
            Ok(Some(piece)) => Some((Ok(chunk(piece)), Some((download, seat)))),
            Ok(None) => None,
            Err(fault) => Some((Err(Status::from(fault)), None)),
        }
    })
    .boxed()
}

/// How far handing over has got, as long as the caller listens.
fn handing_over(hand_over: HandOver, seat: OwnedSemaphorePermit) -> Answers<HandOverBlobsResponse> {
    let begin = Some((hand_over, seat));
    stream::unfold(begin, |going| async move {
        let (mut hand_over, seat) = going?;
        match hand_over.next().await {
            Ok(Some(HandedOver { blobs, done, stuck })) => {
                Some((Ok(HandOverBlobsResponse { blobs, done, stuck }), Some((hand_over, seat))))
            }
            Ok(None) => None,
            Err(fault) => Some((Err(Status::from(fault)), None)),
        }
    })
    .boxed()
}

fn chunk(piece: Bytes) -> GetBlobResponse {
    GetBlobResponse { part: Some(get_blob_response::Part::Chunk(piece)) }
}

fn blob(local: &Local, view: &BlobView) -> Blob {
    let holder = |node| BlobHolder { node: format!("{node}"), name: local.holder_name(node) };
    Blob {
        name: view.name.clone(),
        hash: view.hash.to_string(),
        size: view.bytes,
        content_type: view.content_type.clone(),
        public: view.public,
        version: view.version,
        created_ms: view.created_ms,
        modified_ms: view.modified_ms,
        who: view.who.clone(),
        copies_wanted: view.copies_wanted,
        holders: view.holders.iter().copied().map(holder).collect(),
        age_ms: view.age_ms,
    }
}
