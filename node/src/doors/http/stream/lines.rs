//! What a caller says as lines of JSON in the body of a request (ndjson): each is a message, as it comes in.

use super::{MESSAGE_BYTES_MAX, talk::checked};
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use http::{HeaderMap, header::CONTENT_TYPE};
use http_body_util::{BodyExt, BodyStream};
use micro_sdk::wire::{Code, Fault};

/// What such a body is called; the first by most.
const KINDS: [&str; 3] = ["application/x-ndjson", "application/jsonl", "application/json-lines"];

/// Whether a body is made of lines.
pub(super) fn are_sent(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    KINDS.iter().any(|lines| kind.eq_ignore_ascii_case(lines))
}

/// The messages of a body. An error is the last.
pub(super) fn messages(body: Body) -> impl Stream<Item = Result<Bytes, Fault>> + Send + 'static {
    let broken = |error| Fault::new(Code::Unreachable, format!("the request broke off: {error}"));
    let lines = Lines {
        body: BodyStream::new(body.map_err(broken).boxed_unsync()),
        read: BytesMut::new(),
        seen: 0,
        over: false,
    };
    stream::unfold(lines, |mut lines| async move {
        let next = lines.next().await.transpose()?;
        if next.is_err() {
            lines.end();
        }
        Some((next, lines))
    })
}

struct Lines {
    body: BodyStream<micro_actors::Body>,
    read: BytesMut,
    /// How much of what was read is known to hold no line end.
    seen: usize,
    /// Whether nothing more comes in.
    over: bool,
}

impl Lines {
    async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let Some(line) = self.line() else {
                if self.over {
                    return Ok(None);
                }
                self.fill().await?;
                continue;
            };
            let line = line?;
            if !line.trim_ascii().is_empty() {
                return checked(line).map(Some);
            }
        }
    }

    /// The next line, once all of it is there. The last one may have no end.
    fn line(&mut self) -> Option<Result<Bytes, Fault>> {
        let end = self.read[self.seen..].iter().position(|byte| *byte == b'\n').map(|at| self.seen + at);
        self.seen = if end.is_some() { 0 } else { self.read.len() };
        let (length, gap) = match end {
            Some(end) => (end, 1),
            None if self.read.len() > MESSAGE_BYTES_MAX || (self.over && !self.read.is_empty()) => {
                (self.read.len(), 0)
            }
            None => return None,
        };
        if length > MESSAGE_BYTES_MAX {
            let message = format!("a line is longer than the limit of {MESSAGE_BYTES_MAX} bytes");
            return Some(Err(Fault::new(Code::Usage, message)));
        }
        let line = self.read.split_to(length).freeze();
        drop(self.read.split_to(gap));
        self.seen = 0;
        Some(Ok(line))
    }

    /// Nothing behind this counts.
    fn end(&mut self) {
        self.read.clear();
        (self.seen, self.over) = (0, true);
    }

    async fn fill(&mut self) -> Result<(), Fault> {
        match self.body.next().await.transpose()? {
            None => self.over = true,
            Some(frame) => {
                if let Ok(data) = frame.into_data() {
                    self.read.extend_from_slice(&data);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    async fn read(pieces: Vec<Bytes>) -> Vec<Result<String, Code>> {
        let pieces = pieces.into_iter().map(Ok::<_, std::convert::Infallible>);
        let read = messages(Body::from_stream(stream::iter(pieces)));
        let text = |line: Result<Bytes, Fault>| {
            line.map(|line| String::from_utf8_lossy(&line).into_owned()).map_err(|fault| fault.code)
        };
        read.map(text).collect().await
    }

    #[tokio::test]
    async fn lines_are_whole_however_they_come() {
        let text = "{\"a\":1}\n\r\n 2 \r\n\"three\"";
        for cut in 1..text.len() {
            let pieces = text.as_bytes().chunks(cut).map(Bytes::copy_from_slice).collect();
            let expected = ["{\"a\":1}", " 2 \r", "\"three\""].map(|line| Ok(line.to_owned()));
            assert_eq!(read(pieces).await, expected, "{cut}");
        }
        assert_eq!(read(vec![]).await, []);
    }

    #[tokio::test]
    async fn a_line_that_is_none_is_the_last() {
        let pieces = vec![Bytes::from_static(b"1\n{\n3\n")];
        assert_eq!(read(pieces).await, [Ok("1".to_owned()), Err(Code::Usage)]);
        let long = vec![Bytes::from(vec![b' '; MESSAGE_BYTES_MAX]), Bytes::from_static(b"1")];
        assert_eq!(read(long).await, [Err(Code::Usage)]);
    }

    #[test]
    fn lines_are_told_from_one_body() {
        let sent = |kind| are_sent(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]));
        assert!(sent("application/x-ndjson") && sent("Application/jsonl; charset=utf-8"));
        assert!(!sent("application/json") && !sent(""));
    }
}
