//! Bodies as the pieces that nodes say to each other, and back.

use super::{
    Body,
    metadata::{headers, metadata},
};
use bytes::Bytes;
use futures::{Stream, StreamExt, future::ready, stream};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, BodyStream, StreamBody};
use hyper::body::Frame;
use micro_mesh::{DATA_BYTES_MAX, Heard, Piece, Said};
use micro_sdk::wire::{Code, Fault};
use std::collections::VecDeque;

/// The status of an answer, under a name that no header has.
const STATUS: &str = ":status";

/// What the side that asks says: the request. One that breaks off has no end, which gives the conversation up.
pub(crate) fn said_by(request: Body) -> Said {
    pieces(request).take_while(|piece| ready(piece.is_ok())).filter_map(|piece| ready(piece.ok())).boxed()
}

/// What the side that answers says: the answer, or why there is none.
pub(crate) fn said_to(answer: Result<Response<Body>, Fault>) -> Said {
    match answer {
        Err(fault) => stream::once(ready(Piece::Fault(fault))).boxed(),
        Ok(response) => {
            let (head, body) = response.into_parts();
            let mut told = metadata(&head.headers);
            // All answers of gRPC have the same status.
            if head.status != StatusCode::OK {
                told.push((STATUS.to_owned(), head.status.as_str().as_bytes().to_vec()));
            }
            let first = stream::once(ready(Piece::Head(told)));
            first.chain(pieces(body).map(|piece| piece.unwrap_or_else(Piece::Fault))).boxed()
        }
    }
}

/// The pieces of a body, the last an end or an error.
fn pieces(body: Body) -> impl Stream<Item = Result<Piece, Fault>> + Send + 'static {
    struct Cutting {
        body: BodyStream<Body>,
        /// What is left of a piece that is longer than is sent at once.
        rest: Bytes,
        ended: bool,
    }
    let cutting = Cutting { body: BodyStream::new(body), rest: Bytes::new(), ended: false };
    stream::unfold(cutting, |mut cutting| async move {
        loop {
            if !cutting.rest.is_empty() {
                let length = cutting.rest.len().min(DATA_BYTES_MAX);
                let piece = Piece::Data(cutting.rest.split_to(length));
                return Some((Ok(piece), cutting));
            }
            if cutting.ended {
                return None;
            }
            let last = match cutting.body.next().await {
                None => Ok(Piece::End(Vec::new())),
                Some(Err(fault)) => Err(fault),
                Some(Ok(frame)) => match frame.into_data().map_err(Frame::into_trailers) {
                    Ok(data) => {
                        cutting.rest = data;
                        continue;
                    }
                    Err(Ok(trailers)) => Ok(Piece::End(metadata(&trailers))),
                    Err(Err(_unknown)) => continue,
                },
            };
            cutting.ended = true;
            return Some((last, cutting));
        }
    })
}

/// The request that a peer says.
pub(crate) fn request_of(heard: Heard) -> Body {
    body_of(heard, VecDeque::new(), |fault| fault)
}

/// The answer that a peer says; `told` is what is told of a fault that it has not said itself.
///
/// # Errors
/// What it refuses, or why there is no answer.
pub(crate) async fn reply(
    mut heard: Heard,
    told: impl Fn(Fault) -> Fault + Send + 'static,
) -> Result<Response<Body>, Fault> {
    match heard.next().await.unwrap_or_else(|| Err(broken_off())).map_err(&told)? {
        Piece::Fault(fault) => Err(fault),
        Piece::Head(metadata) => {
            let mut response = Response::new(body_of(heard, VecDeque::new(), told));
            let status = metadata.iter().find(|(name, _)| name == STATUS);
            if let Some(status) = status.and_then(|(_, status)| StatusCode::from_bytes(status).ok()) {
                *response.status_mut() = status;
            }
            *response.headers_mut() = headers(metadata);
            Ok(response)
        }
        // An answer without a head of its own.
        other => Ok(Response::new(body_of(heard, VecDeque::from([other]), told))),
    }
}

/// What is heard, `first` before all else, as a body.
fn body_of(heard: Heard, first: VecDeque<Piece>, told: impl Fn(Fault) -> Fault + Send + 'static) -> Body {
    let frames = stream::unfold(Some((heard, first, told)), |state| async move {
        let (mut heard, mut first, told) = state?;
        loop {
            let piece = match first.pop_front() {
                Some(piece) => Ok(piece),
                None => heard.next().await.unwrap_or_else(|| Err(broken_off())).map_err(&told),
            };
            return match piece {
                Ok(Piece::Data(bytes)) => Some((Ok(Frame::data(bytes)), Some((heard, first, told)))),
                Ok(Piece::End(trailers)) if trailers.is_empty() => None,
                Ok(Piece::End(trailers)) => Some((Ok(Frame::trailers(headers(trailers))), None)),
                Ok(Piece::Fault(fault)) | Err(fault) => Some((Err(fault), None)),
                Ok(Piece::Head(_)) => continue,
            };
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

/// That a request or an answer ended before its end.
fn broken_off() -> Fault {
    Fault::new(Code::Unreachable, "the stream broke off").effect_unknown()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};

    fn body(frames: Vec<Result<Frame<Bytes>, Fault>>) -> Body {
        StreamBody::new(stream::iter(frames)).boxed_unsync()
    }

    #[tokio::test]
    async fn bodies_are_cut_into_pieces_that_can_be_sent() {
        let long = Bytes::from(vec![7; DATA_BYTES_MAX + 1]);
        let trailers =
            HeaderMap::from_iter([(http::HeaderName::from_static("a"), HeaderValue::from_static("b"))]);
        let frames =
            vec![Ok(Frame::data(long)), Ok(Frame::data(Bytes::new())), Ok(Frame::trailers(trailers))];
        let said: Vec<Piece> = said_to(Ok(Response::new(body(frames)))).collect().await;
        let lengths: Vec<usize> = said
            .iter()
            .filter_map(|piece| if let Piece::Data(data) = piece { Some(data.len()) } else { None })
            .collect();
        assert_eq!(lengths, [DATA_BYTES_MAX, 1]);
        assert_eq!(said.first(), Some(&Piece::Head(Vec::new())));
        assert_eq!(said.last(), Some(&Piece::End(vec![("a".to_owned(), b"b".to_vec())])));
    }

    #[tokio::test]
    async fn a_request_that_breaks_off_has_no_end_and_an_answer_tells_why() {
        let broken = || body(vec![Ok(Frame::data(Bytes::from_static(b"x"))), Err(broken_off())]);
        let said: Vec<Piece> = said_by(broken()).collect().await;
        assert_eq!(said, [Piece::Data(Bytes::from_static(b"x"))]);
        let said: Vec<Piece> = said_to(Ok(Response::new(broken()))).collect().await;
        assert_eq!(said.last(), Some(&Piece::Fault(broken_off())));
        let said: Vec<Piece> = said_by(body(Vec::new())).collect().await;
        assert_eq!(said, [Piece::End(Vec::new())]);
    }
}
