//! A request that may have to be sent to another instance, when one refuses it without having done anything.

use super::Body;
use bytes::Bytes;
use hyper::body::{Body as _, Frame};
use micro_sdk::wire::{Code, Fault};
use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker, ready},
};

/// How much of a request is kept to be sent again: nearly all calls are smaller, and what is larger goes to one
/// instance only.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// The request. Dropped, it ends whoever still reads it.
pub(crate) struct Replay(Arc<Mutex<Source>>);

struct Source {
    body: Body,
    ended: bool,
    /// Why it could not be read to its end: the caller has broken off, or sends what is none.
    broken: Option<Fault>,
    /// All data that was read so far, unless that is too much.
    kept: Option<Vec<Bytes>>,
    bytes: usize,
    /// Which attempt may read.
    turn: u64,
    /// Who waits for more.
    waiting: Option<Waker>,
}

impl Replay {
    pub(crate) fn new(body: Body) -> Self {
        let source = Source {
            ended: body.is_end_stream(),
            body,
            broken: None,
            kept: Some(Vec::new()),
            bytes: 0,
            turn: 0,
            waiting: None,
        };
        Replay(Arc::new(Mutex::new(source)))
    }

    /// The request from its beginning; none if too much of it was read already. Attempts before it read no more.
    pub(crate) fn attempt(&self) -> Option<Attempt> {
        let mut source = lock(&self.0);
        source.kept.as_ref()?;
        Some(Attempt { source: self.0.clone(), turn: source.next_turn(), at: 0 })
    }

    /// Whether all of it was read, and is kept: then an attempt takes nothing from the one before it, which has it all.
    pub(crate) fn is_whole(&self) -> bool {
        let source = lock(&self.0);
        source.ended && source.kept.is_some()
    }

    /// Why the request could not be read to its end, if that is the caller's doing.
    pub(crate) fn broken(&self) -> Option<Fault> {
        lock(&self.0).broken.clone()
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        lock(&self.0).next_turn();
    }
}

/// One way of the request to an instance.
pub(crate) struct Attempt {
    source: Arc<Mutex<Source>>,
    turn: u64,
    /// How many pieces of what is kept it has read.
    at: usize,
}

impl Source {
    /// Takes the turn from whoever has it, and tells them.
    fn next_turn(&mut self) -> u64 {
        self.turn += 1;
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
        self.turn
    }

    fn keep(&mut self, data: &Bytes) {
        self.bytes += data.len();
        match &mut self.kept {
            Some(kept) if self.bytes <= KEPT_BYTES_MAX => kept.push(data.clone()),
            kept => *kept = None,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        while !self.ended {
            let polled = Pin::new(&mut self.body).poll_frame(context);
            if polled.is_pending() {
                self.waiting = Some(context.waker().clone());
            }
            match ready!(polled) {
                // Requests of gRPC have no trailers.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.keep(&data);
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(fault)) => {
                    self.kept = None;
                    self.broken = Some(fault.clone());
                    return Poll::Ready(Some(Err(fault)));
                }
                None => self.ended = true,
            }
        }
        Poll::Ready(None)
    }
}

impl hyper::body::Body for Attempt {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let source = self.source.clone();
        let mut source = lock(&source);
        if source.turn != self.turn {
            return Poll::Ready(Some(Err(Fault::new(Code::Unavailable, "the call is over"))));
        }
        let kept = source.kept.as_ref().and_then(|kept| kept.get(self.at)).cloned();
        self.at += 1;
        match kept {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None => {
                let polled = source.poll(context);
                if polled.is_pending() {
                    self.at -= 1;
                }
                polled.map(|data| data.map(|data| data.map(Frame::data)))
            }
        }
    }
}

/// Nothing that holds it panics: a body of a connection is polled, and bytes are counted.
fn lock(source: &Mutex<Source>) -> MutexGuard<'_, Source> {
    source.lock().expect("no code panics while it holds the request")
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use http_body_util::{BodyExt, StreamBody};

    fn replay(pieces: &[usize]) -> Replay {
        let frames: Vec<_> =
            pieces.iter().map(|length| Ok(Frame::data(Bytes::from(vec![b'x'; *length])))).collect();
        Replay::new(StreamBody::new(stream::iter(frames)).boxed_unsync())
    }

    async fn length(attempt: Attempt) -> usize {
        attempt.collect().await.expect("it comes").to_bytes().len()
    }

    #[tokio::test]
    async fn a_small_request_is_sent_again_from_its_beginning() {
        let replay = replay(&[3, 5]);
        let mut first = replay.attempt().expect("nothing was read");
        assert!(first.frame().await.is_some());
        assert_eq!(length(replay.attempt().expect("it is kept")).await, 8);
        assert_eq!(length(replay.attempt().expect("it is kept")).await, 8);
        assert!(first.frame().await.expect("it is told").is_err(), "only the last attempt reads");
        assert!(replay.is_whole());
    }

    #[test]
    fn a_request_without_a_body_is_whole_before_it_is_read() {
        let nothing = http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync();
        assert!(Replay::new(nothing).is_whole() && !replay(&[1]).is_whole());
    }

    #[tokio::test]
    async fn a_large_request_is_sent_once() {
        let replay = replay(&[KEPT_BYTES_MAX, 1]);
        assert_eq!(length(replay.attempt().expect("nothing was read")).await, KEPT_BYTES_MAX + 1);
        assert!(replay.attempt().is_none() && !replay.is_whole());
    }

    #[tokio::test]
    async fn whoever_waits_for_more_is_told_when_the_call_is_over() {
        let endless = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Fault>>()).boxed_unsync();
        let replay = Replay::new(endless);
        let mut attempt = replay.attempt().expect("nothing was read");
        let waiting = tokio::spawn(async move { attempt.frame().await });
        tokio::task::yield_now().await;
        drop(replay);
        assert!(waiting.await.expect("no panic").expect("it is told").is_err());
    }
}
