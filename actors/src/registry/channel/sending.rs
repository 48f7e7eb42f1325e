//! A request of gRPC on its way to an instance.

use crate::Body;
use bytes::Bytes;
use futures::{Stream, StreamExt, poll};
use h2::{Reason, SendStream};
use http_body_util::BodyExt;
use micro_sdk::wire::Fault;
use std::{future::poll_fn, task::Poll};
use tokio::task::AbortHandle;

/// How much of a request goes with its head, whatever the window: a packet more would cost the instance another
/// wakeup. It is what HTTP/2 has in one frame at most by default, and a quarter of a stream's first window.
const AHEAD_BYTES: usize = 16 << 10;

/// A request on its way, which goes on until it ends, the instance wants no more of it, or this is dropped.
pub(super) struct Sending(Option<AbortHandle>);

impl Sending {
    /// Sends what is there. What is not goes by a task of its own.
    pub(super) async fn begin(stream: SendStream<Bytes>, body: Body) -> Self {
        let mut sending = Box::pin(send(stream, body.into_data_stream()));
        let whole = poll!(&mut sending).is_ready();
        Sending((!whole).then(|| tokio::spawn(sending).abort_handle()))
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Sends a request to its end; one that breaks off is cancelled. Requests of gRPC have no trailers.
async fn send(mut stream: SendStream<Bytes>, mut body: impl Stream<Item = Result<Bytes, Fault>> + Unpin) {
    let mut ahead = AHEAD_BYTES;
    let mut next = wanted(&mut stream, &mut body).await;
    loop {
        let sent = match next {
            Some(Some(Ok(data))) => {
                // One that ends with these bytes says so with them.
                let following = poll!(body.next());
                let ended = matches!(following, Poll::Ready(None));
                let sent = put(&mut stream, data, ended, &mut ahead).await;
                next = match following {
                    _ if ended || sent.is_err() => None,
                    Poll::Ready(following) => Some(following),
                    Poll::Pending => wanted(&mut stream, &mut body).await,
                };
                sent
            }
            Some(Some(Err(_))) => return stream.send_reset(Reason::CANCEL),
            Some(None) => {
                next = None;
                stream.send_data(Bytes::new(), true)
            }
            None => return,
        };
        if let Err(error) = sent {
            tracing::trace!(%error, "an instance wants no more of a request");
            return;
        }
    }
}

/// What is next in `body`, or none if the instance wants no more of it.
async fn wanted<S: Stream + Unpin>(stream: &mut SendStream<Bytes>, body: &mut S) -> Option<Option<S::Item>> {
    poll_fn(|context| match body.poll_next_unpin(context) {
        Poll::Pending => stream.poll_reset(context).map(|_reset| None),
        Poll::Ready(next) => Poll::Ready(Some(next)),
    })
    .await
}

/// Sends `data` as the instance gives room, and what is still `ahead` at once.
async fn put(
    stream: &mut SendStream<Bytes>,
    mut data: Bytes,
    ended: bool,
    ahead: &mut usize,
) -> Result<(), h2::Error> {
    if data.len() <= *ahead {
        *ahead -= data.len();
        return stream.send_data(data, ended);
    }
    *ahead = 0;
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let room = match poll_fn(|context| stream.poll_capacity(context)).await {
            Some(room) => room?,
            None => return Err(Reason::CANCEL.into()),
        };
        let piece = data.split_to(room.min(data.len()));
        stream.send_data(piece, ended && data.is_empty())?;
    }
    Ok(())
}
