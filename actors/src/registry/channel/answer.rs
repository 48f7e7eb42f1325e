//! The answer of an instance, as it comes.

use super::Sending;
use bytes::Bytes;
use h2::RecvStream;
use hyper::body::{Body, Frame};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

/// The body of an answer. What is taken from it makes room for more; dropped, it ends the call.
pub(super) struct Answer {
    stream: RecvStream,
    data_ended: bool,
    _sending: Sending,
}

impl Answer {
    pub(super) fn new(stream: RecvStream, sending: Sending) -> Self {
        Answer { stream, data_ended: false, _sending: sending }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.data_ended {
            if let Some(data) = ready!(self.stream.poll_data(context)) {
                let data = data?;
                // A stream that has ended has no window.
                let _ = self.stream.flow_control().release_capacity(data.len());
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            self.data_ended = true;
        }
        let trailers = ready!(self.stream.poll_trailers(context));
        Poll::Ready(trailers.transpose().map(|trailers| trailers.map(Frame::trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }
}
