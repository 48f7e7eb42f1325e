//! The messages of gRPC in this process: those of the platform's methods, and those of people's services (gRPC over
//! HTTP/2, "Length-Prefixed-Message").

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::StreamExt;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, BodyStream};
use micro_actors::Body;
use micro_sdk::{
    proto::MESSAGE_BYTES_MAX,
    wire::{Code, Fault},
};
use tonic::Status;

/// A flag, which says that nothing is compressed, and the length.
const PREFIX_BYTES: usize = 5;

/// A message behind its prefix.
pub(super) fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("a body is far smaller"));
    frame.put_slice(message);
    frame.freeze()
}

/// The messages of one answer.
pub(super) struct Frames {
    body: BodyStream<Body>,
    read: BytesMut,
    ended: bool,
}

impl Frames {
    /// Those of an answer.
    ///
    /// # Errors
    /// What is refused at once.
    pub fn of<B>(response: Response<B>) -> Result<Self, Status>
    where
        B: hyper::body::Body<Data = Bytes, Error: Into<Fault>> + Send + 'static,
    {
        let (parts, body) = response.into_parts();
        refused(&parts.headers)?;
        let body = BodyStream::new(body.map_err(Into::into).boxed_unsync());
        Ok(Frames { body, read: BytesMut::new(), ended: false })
    }

    /// The next message; none behind the last.
    ///
    /// # Errors
    /// Why there are no more.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            if let Some(message) = self.whole()? {
                return Ok(Some(message));
            }
            if self.ended {
                return Ok(None);
            }
            let Some(frame) = self.body.next().await else {
                self.ended = true;
                continue;
            };
            match frame?.into_data() {
                Ok(data) => self.read.extend_from_slice(&data),
                Err(frame) => refused(&frame.into_trailers().unwrap_or_default())?,
            }
        }
    }

    /// The first message of what was read, once all of it is there.
    fn whole(&mut self) -> Result<Option<Bytes>, Fault> {
        let Some(prefix) = self.read.get(..PREFIX_BYTES) else { return Ok(None) };
        let garbled = |why: &str| Fault::new(Code::Failed, format!("an answer {why}")).effect_unknown();
        if prefix[0] != 0 {
            return Err(garbled("is compressed, which was not asked for"));
        }
        let length = u32::from_be_bytes(prefix[1..].try_into().expect("four bytes")) as usize;
        if length > MESSAGE_BYTES_MAX {
            return Err(garbled(&format!("of {length} bytes is over the limit of {MESSAGE_BYTES_MAX}")));
        }
        if self.read.len() < PREFIX_BYTES + length {
            return Ok(None);
        }
        self.read.advance(PREFIX_BYTES);
        Ok(Some(self.read.split_to(length).freeze()))
    }
}

/// Whether headers or trailers say that a call failed.
fn refused(headers: &HeaderMap) -> Result<(), Status> {
    let status = Status::from_header_map(headers).filter(|status| status.code() != tonic::Code::Ok);
    status.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    fn answer(frames: Vec<Frame<Bytes>>) -> Frames {
        let frames = frames.into_iter().map(Ok::<_, Fault>);
        Frames::of(Response::new(StreamBody::new(stream::iter(frames)))).expect("it is not refused")
    }

    #[tokio::test]
    async fn messages_are_whole_however_they_come() {
        let both = [framed(b"one"), framed(b""), framed(b"three")].concat();
        for cut in 1..both.len() {
            let pieces = both.chunks(cut).map(|piece| Frame::data(Bytes::copy_from_slice(piece))).collect();
            let mut frames = answer(pieces);
            let mut read = Vec::new();
            while let Some(message) = frames.next().await.expect("it goes on") {
                read.push(message);
            }
            assert_eq!(read, [&b"one"[..], b"", b"three"], "{cut}");
        }
    }

    #[tokio::test]
    async fn trailers_and_lengths_end_it() {
        let failed = Status::from(Fault::new(Code::Conflict, "no"));
        let mut trailers = HeaderMap::new();
        failed.add_header(&mut trailers).expect("a short status");
        let mut frames = answer(vec![Frame::data(framed(b"x")), Frame::trailers(trailers)]);
        assert_eq!(frames.next().await, Ok(Some(Bytes::from_static(b"x"))));
        assert_eq!(frames.next().await, Err(Fault::new(Code::Conflict, "no")));
        for garbled in [&[1, 0, 0, 0, 0][..], &[0, 0xff, 0, 0, 0]] {
            let mut frames = answer(vec![Frame::data(Bytes::copy_from_slice(garbled))]);
            assert_eq!(frames.next().await.expect_err("it is garbled").code, Code::Failed);
        }
    }
}
