//! What a gRPC method of this process answers, message by message (gRPC over HTTP/2, "Length-Prefixed-Message").

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::StreamExt;
use http_body_util::BodyStream;
use micro_sdk::wire::{Code, Fault};
use prost_reflect::{DynamicMessage, MessageDescriptor};
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
pub(super) struct Answers {
    body: BodyStream<tonic::body::Body>,
    read: BytesMut,
    message: MessageDescriptor,
    ended: bool,
}

impl Answers {
    /// Those of an answer, each of this kind.
    ///
    /// # Errors
    /// What the method refuses at once.
    pub fn of(
        response: http::Response<tonic::body::Body>,
        message: MessageDescriptor,
    ) -> Result<Self, Status> {
        let (parts, body) = response.into_parts();
        if let Some(status) =
            Status::from_header_map(&parts.headers).filter(|status| status.code() != tonic::Code::Ok)
        {
            return Err(status);
        }
        Ok(Answers { body: BodyStream::new(body), read: BytesMut::new(), message, ended: false })
    }

    /// The next message; none behind the last.
    ///
    /// # Errors
    /// Why there are no more.
    pub async fn next(&mut self) -> Result<Option<DynamicMessage>, Fault> {
        let broken = |error: &dyn std::fmt::Display| {
            Fault::new(Code::Internal, format!("an answer is garbled: {error}"))
        };
        loop {
            if let Some(message) = self.whole() {
                let message = DynamicMessage::decode(self.message.clone(), message);
                return message.map(Some).map_err(|error| broken(&error));
            }
            if self.ended {
                return Ok(None);
            }
            let Some(frame) = self.body.next().await else {
                self.ended = true;
                continue;
            };
            match frame.map_err(Fault::from)?.into_data() {
                Ok(data) => self.read.extend_from_slice(&data),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    let status = Status::from_header_map(&trailers);
                    if let Some(status) = status.filter(|status| status.code() != tonic::Code::Ok) {
                        return Err(status.into());
                    }
                }
            }
        }
    }

    /// The first message of what was read, once all of it is there.
    fn whole(&mut self) -> Option<Bytes> {
        let prefix = self.read.get(..PREFIX_BYTES)?;
        let length = u32::from_be_bytes(prefix[1..].try_into().expect("four bytes")) as usize;
        if self.read.len() < PREFIX_BYTES + length {
            return None;
        }
        self.read.advance(PREFIX_BYTES);
        Some(self.read.split_to(length).freeze())
    }
}
