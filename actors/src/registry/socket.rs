//! A WebSocket with an instance that takes HTTP as it is: once the connection is one, its bytes are the bodies of the
//! request and of the answer.

use crate::Body;
use bytes::{Bytes, BytesMut};
use futures::stream;
use http::{
    HeaderMap, HeaderValue,
    header::{CONNECTION, UPGRADE},
};
use http_body_util::{BodyExt, StreamBody};
use hyper::{body::Frame, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use micro_sdk::wire::{Code, Fault};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split},
    task::AbortHandle,
};

/// What is read at once, as long as the largest frame of HTTP/2 by default.
const PIECE_BYTES: usize = 16 << 10;

/// What a request has to say to become one: it is between two neighbours, and so the caller's own goes no further.
pub(super) fn ask_for(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// What an instance says on a connection that has become one, as a body; `said` is what the caller says. Dropped, it
/// ends the connection.
pub(super) fn both_ways(upgraded: Upgraded, said: Body) -> Body {
    let (reader, writer) = split(TokioIo::new(upgraded));
    let writing = Writing(tokio::spawn(write(writer, said)).abort_handle());
    let frames = stream::unfold((reader, writing), |(mut reader, writing)| async move {
        let frame = read(&mut reader).await.transpose()?;
        Some((frame.map(Frame::data), (reader, writing)))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// Writes for as long as somebody reads.
struct Writing(AbortHandle);

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is there next; none at the end.
async fn read(reader: &mut ReadHalf<TokioIo<Upgraded>>) -> Result<Option<Bytes>, Fault> {
    let mut piece = BytesMut::with_capacity(PIECE_BYTES);
    let length = reader.read_buf(&mut piece).await.map_err(|error| {
        Fault::new(Code::Unavailable, format!("the WebSocket broke off: {error}")).effect_unknown()
    })?;
    Ok((length > 0).then(|| piece.freeze()))
}

/// Writes what the caller says. The instance sees an end where the caller has gone.
async fn write(mut writer: WriteHalf<TokioIo<Upgraded>>, mut said: Body) {
    while let Some(Ok(frame)) = said.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        if writer.write_all(&data).await.is_err() {
            return;
        }
    }
    let _ = writer.shutdown().await;
}
