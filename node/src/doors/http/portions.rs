//! A byte stream whose reader is given what has come in portion by portion.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// About how many requests the reader is given at a time: with fewer, the system calls that pass them on are no longer
/// small beside what they cost otherwise.
const REQUESTS: u64 = 12;
/// What a request has if it is not known yet: some headers.
const REQUEST_BYTES: u64 = 256;
/// What a portion has at least.
const PORTION_MIN: usize = 512;
/// Pieces that are together no longer are written as one: to copy them takes less than to tell the kernel of each.
const JOINED_BYTES_MAX: usize = 1024;

/// A stream that lets other tasks run after each portion of what has come in.
///
/// A client that has many requests in flight on one connection sends them in one piece, since it is answered in one
/// piece: all of them are taken, then all are passed on, then the service answers all, and of client, node and service
/// two wait at any time. With portions the service has the first dozen while the node is still at the next.
pub(super) struct Portions<S> {
    stream: S,
    /// The requests that have come of what was handed over.
    requests: Arc<AtomicU64>,
    /// How many bytes those were.
    bytes: u64,
    /// What has come in and is not handed over, from `given` on.
    left: Vec<u8>,
    given: usize,
    /// Whether other tasks are to run before the next portion.
    pause: bool,
}

impl<S> Portions<S> {
    /// The portions of `stream`, whose reader counts the requests that it finds.
    pub fn new(stream: S, requests: Arc<AtomicU64>) -> Self {
        Portions { stream, requests, bytes: 0, left: Vec::new(), given: 0, pause: false }
    }

    /// How many bytes to hand over next.
    fn portion(&self) -> usize {
        let each = self.bytes.checked_div(self.requests.load(Ordering::Relaxed)).unwrap_or(REQUEST_BYTES);
        usize::try_from(REQUESTS * each).unwrap_or(usize::MAX).max(PORTION_MIN)
    }

    /// Counts what is handed over, after which others run if it is a whole portion.
    fn handed(&mut self, count: usize, portion: usize) {
        self.bytes += count as u64;
        self.pause = count >= portion;
    }

    /// Hands over a portion of what is left.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let portion = self.portion();
        let rest = &self.left[self.given..];
        let count = rest.len().min(portion).min(buffer.remaining());
        buffer.put_slice(&rest[..count]);
        self.given += count;
        if self.given == self.left.len() {
            // A silent connection holds no memory.
            (self.left, self.given) = (Vec::new(), 0);
        }
        self.handed(count, portion);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Portions<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.pause) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !self.left.is_empty() {
            self.give(buffer);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let portion = self.portion();
        let count = (buffer.filled().len() - before).min(portion);
        self.left.extend_from_slice(&buffer.filled()[before + count..]);
        buffer.set_filled(before + count);
        self.handed(count, portion);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Portions<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut joined = [0; JOINED_BYTES_MAX];
        let Some(length) = join(slices, &mut joined) else {
            return Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        };
        Pin::new(&mut self.stream).poll_write(context, &joined[..length])
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Puts pieces one after another. Returns their length; none if there is no room for all.
fn join(slices: &[io::IoSlice<'_>], joined: &mut [u8]) -> Option<usize> {
    let mut end = 0;
    for slice in slices {
        joined.get_mut(end..end + slice.len())?.copy_from_slice(slice);
        end += slice.len();
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::poll_fn, pin::pin};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn all_comes_in_order_and_not_at_once() {
        for (length, requests) in [(1, 0), (600, 1), (6_000, 100), (60_000, 100), (1 << 20, 0), (1 << 20, 1)]
        {
            let sent: Vec<u8> = (0..length).map(|at: u32| (at % 251) as u8).collect();
            let (mut writer, reader) = duplex(1 << 21);
            writer.write_all(&sent).await.expect("there is room");
            drop(writer);
            let mut portions = Portions::new(reader, Arc::new(AtomicU64::new(requests)));
            let mut read = Vec::new();
            portions.read_to_end(&mut read).await.expect("it can be read");
            assert!(read == sent, "{length}");
        }
    }

    /// What a reader with room for 8 KiB is given of 40 requests at a time; none where others run.
    async fn given(request_bytes: usize) -> Vec<Option<usize>> {
        let (mut writer, reader) = duplex(1 << 20);
        let requests = Arc::new(AtomicU64::new(0));
        let mut portions = pin!(Portions::new(reader, requests.clone()));
        let mut room = [0; 8 << 10];
        let mut given = Vec::new();
        let mut found = 0;
        for _ in 0..2 {
            writer.write_all(&vec![7; 40 * request_bytes]).await.expect("there is room");
            given.clear();
            loop {
                let mut buffer = ReadBuf::new(&mut room);
                let poll = |context: &mut Context<'_>| {
                    Poll::Ready(portions.as_mut().poll_read(context, &mut buffer).is_ready())
                };
                let count = poll_fn(poll).await.then_some(buffer.filled().len());
                if count.is_none() && given.last() == Some(&None) {
                    break;
                }
                given.push(count);
                found += count.unwrap_or(0);
                requests.store((found / request_bytes) as u64, Ordering::Relaxed);
            }
        }
        given
    }

    #[tokio::test]
    async fn portions_have_as_many_requests_whatever_their_size() {
        let (some, last) = (12 * 50, 4 * 50);
        let small = [Some(some), None, Some(some), None, Some(some), None, Some(last), None];
        assert_eq!(given(50).await, small);
        let large = given(500).await;
        assert_eq!(large[..3], [Some(12 * 500), None, Some((8 << 10) - 12 * 500)]);
        // What fills the reader's room is nothing to divide.
        assert_eq!(given(5_000).await[..2], [Some(8 << 10), Some(8 << 10)]);
    }
}
