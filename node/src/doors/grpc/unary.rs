//! The one message of a unary request, and of its answer: five bytes of head, then protobuf (gRPC over HTTP/2,
//! length-prefixed messages). Nothing is compressed: no answer of this node offers it.

use bytes::{BufMut, Bytes, BytesMut};
use futures::FutureExt;
use h2::RecvStream;
use micro_sdk::{proto::MESSAGE_BYTES_MAX, wire::Fault};
use prost::Message;
use std::time::Duration;
use tokio::time::timeout;
use tonic::Status;

/// Whether the message is compressed, and its length.
const HEAD: usize = 1 + 4;
/// How much is taken of a request before it is known that any rule at all lets its sender use such things: more than
/// all requests have that are no values, and little enough that thousands may wait.
pub(in crate::doors) const BEGINNING_BYTES: usize = 64 << 10;
/// How long a message may take to arrive: the largest, over 10 Mbit/s, takes half of it.
const ARRIVAL_MAX: Duration = Duration::from_secs(60);

/// What is there of a message as soon as the head of its request is.
pub(super) enum Arrived<Q> {
    /// All of it, or why it is none.
    Whole(Result<Q, Status>),
    /// The beginning, for [`read`].
    Begun(Bytes),
}

/// Takes what has come along with the head of a request: nearly always all of it, and nobody has to wait.
pub(super) fn arrived<Q: Message + Default>(body: &mut RecvStream) -> Arrived<Q> {
    // Whoever reads on asks to be woken then.
    let first = match chunk(body).now_or_never() {
        None | Some(Ok(None)) => Bytes::new(),
        Some(Ok(Some(first))) => first,
        Some(Err(status)) => return Arrived::Whole(Err(status)),
    };
    match end(&first) {
        Ok(Some(end)) if end == first.len() && body.is_end_stream() => {
            Arrived::Whole(decoded(first.slice(HEAD..)))
        }
        _ => Arrived::Begun(first),
    }
}

/// Reads the one message of a request to its end, of which `first` is there. Of a long one, no more than its head is
/// read unless `more` says so.
///
/// # Errors
/// A status for the client: too large, too slow, cut off, or not that message; or what `more` says.
pub(super) async fn read<Q: Message + Default>(
    first: Bytes,
    body: &mut RecvStream,
    more: impl FnOnce() -> Result<(), Fault>,
) -> Result<Q, Status> {
    let message = timeout(ARRIVAL_MAX, message(first, body, more)).await.map_err(|_| {
        let late = format!("the request was not there within {} s", ARRIVAL_MAX.as_secs());
        Status::deadline_exceeded(late)
    })?;
    decoded(message?)
}

fn decoded<Q: Message + Default>(message: Bytes) -> Result<Q, Status> {
    Q::decode(message).map_err(|error| Status::internal(error.to_string()))
}

/// A message with its head.
pub(super) fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = Vec::with_capacity(HEAD + length);
    bytes.put_u8(0);
    // The largest that a node answers is a small part of 4 GiB.
    bytes.put_u32(length as u32);
    message.encode_raw(&mut bytes);
    bytes.into()
}

async fn message(
    first: Bytes,
    body: &mut RecvStream,
    more: impl FnOnce() -> Result<(), Fault>,
) -> Result<Bytes, Status> {
    let bytes = match end(&first)? {
        // It came in one piece, and is used where it lies.
        Some(end) if end <= first.len() => first,
        _ => gathered(&first, body, more).await?,
    };
    while let Some(more) = chunk(body).await? {
        if !more.is_empty() {
            return Err(several());
        }
    }
    if end(&bytes)? != Some(bytes.len()) {
        return Err(several());
    }
    Ok(bytes.slice(HEAD..))
}

/// Puts a message together that comes in pieces.
async fn gathered(
    first: &[u8],
    body: &mut RecvStream,
    more: impl FnOnce() -> Result<(), Fault>,
) -> Result<Bytes, Status> {
    let (mut bytes, mut more_if_long) = (BytesMut::from(first), Some(more));
    while end(&bytes)?.is_none_or(|end| bytes.len() < end) {
        if end(&bytes)?.is_some_and(|end| end > BEGINNING_BYTES)
            && let Some(more) = more_if_long.take()
        {
            more()?;
        }
        let more = chunk(body).await?;
        let more = more.ok_or_else(|| Status::internal("the request ended before its message did"))?;
        bytes.extend_from_slice(&more);
    }
    Ok(bytes.freeze())
}

/// The next piece of a body, of which the client may then send another.
async fn chunk(body: &mut RecvStream) -> Result<Option<Bytes>, Status> {
    let gone = |error: h2::Error| Status::cancelled(error.to_string());
    let Some(chunk) = body.data().await.transpose().map_err(gone)? else { return Ok(None) };
    body.flow_control().release_capacity(chunk.len()).map_err(gone)?;
    Ok(Some(chunk))
}

/// Where the message ends, once its head is there.
fn end(bytes: &[u8]) -> Result<Option<usize>, Status> {
    let Some(&[compressed, a, b, c, d]) = bytes.first_chunk::<HEAD>() else { return Ok(None) };
    if compressed != 0 {
        return Err(Status::unimplemented("compressed messages are not understood: send it as it is"));
    }
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length > MESSAGE_BYTES_MAX {
        return Err(Status::out_of_range(format!(
            "the message has {length} bytes, and {MESSAGE_BYTES_MAX} is the limit"
        )));
    }
    Ok(Some(HEAD + length))
}

fn several() -> Status {
    Status::internal("the request has more than the one message that the method takes")
}
