//! How an instance is asked what has one request and one answer.

use super::connections::{Connections, Unreached, Windows, is_refusal};
use bytes::{Bytes, BytesMut};
use h2::{Reason, RecvStream};
use http::{Request, StatusCode};
use std::net::SocketAddr;

/// Answers are read as they come, so that these only bound what is on its way.
const WINDOWS: Windows = Windows { stream: 1 << 20, connection: 8 << 20 };

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    /// Nothing was done.
    #[error(transparent)]
    Unreached(#[from] Unreached),
    /// It may have been done.
    #[error("{0}")]
    Broken(String),
    /// It ended the request by itself, and is there for others.
    #[error("it has broken the request off ({0}): a gRPC server does so with a call in JSON")]
    BrokenOff(Reason),
    /// It was done, and what came of it is too much.
    #[error("the answer has more than {0} bytes")]
    TooLong(usize),
}

/// The way to one instance.
pub(super) struct Line(Connections);

impl Line {
    pub(super) fn new(address: SocketAddr) -> Self {
        Line(Connections::new(address, WINDOWS))
    }

    /// Sends a request and reads the whole answer, of at most `most` bytes.
    ///
    /// # Errors
    /// Why there is none, and whether anything may have been done.
    pub(super) async fn ask(
        &self,
        request: Request<()>,
        body: Bytes,
        most: usize,
    ) -> Result<(StatusCode, Bytes), LineError> {
        let mut sender = self.0.sender().await?;
        // One that has ended since it was found ready has sent nothing.
        let sent = sender.send_request(request, body.is_empty());
        let (answer, mut rest) = sent.map_err(|error| Unreached(error.to_string()))?;
        if !body.is_empty() {
            rest.send_data(body, true).map_err(broken)?;
        }
        let (head, answer) = answer.await.map_err(broken)?.into_parts();
        Ok((head.status, gather(answer, most).await?))
    }
}

/// Reads a body to its end.
async fn gather(mut body: RecvStream, most: usize) -> Result<Bytes, LineError> {
    let (mut first, mut whole) = (Bytes::new(), BytesMut::new());
    while let Some(data) = body.data().await {
        let data = data.map_err(|error| LineError::Broken(error.to_string()))?;
        // What the window was narrowed by is read. A stream that has ended has none.
        let _ = body.flow_control().release_capacity(data.len());
        if first.len() + whole.len() + data.len() > most {
            return Err(LineError::TooLong(most));
        }
        // Nearly all answers come in one piece, which needs no copy.
        if first.is_empty() && whole.is_empty() {
            first = data;
            continue;
        }
        whole.extend_from_slice(&std::mem::take(&mut first));
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

/// What an error of a stream comes to.
fn broken(error: h2::Error) -> LineError {
    match is_refusal(&error) {
        true => Unreached("it takes no more requests".to_owned()).into(),
        false => match error.reason().filter(|_| error.is_remote() && error.is_reset()) {
            Some(reason) => LineError::BrokenOff(reason),
            None => LineError::Broken(error.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    use tokio::net::TcpListener;

    /// A server that answers each connection's first `requests` with what it was sent, and then ends it.
    async fn echo(requests: usize) -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it has one");
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
                    let mut left = requests;
                    while let Some(Ok((request, mut respond))) = connection.accept().await {
                        left -= 1;
                        tokio::spawn(async move {
                            let body = gather(request.into_body(), 1 << 24).await.expect("a body");
                            let mut answer =
                                respond.send_response(Response::new(()), false).expect("it is there");
                            answer.send_data(body, true).expect("it is there");
                        });
                        if left == 0 {
                            connection.graceful_shutdown();
                        }
                    }
                });
            }
        });
        (address, connections)
    }

    fn request(address: SocketAddr) -> Request<()> {
        Request::post(format!("http://{address}/x")).body(()).expect("a good request")
    }

    #[tokio::test]
    async fn callers_of_a_thread_share_a_connection_and_bodies_of_any_length_pass() {
        let (address, connections) = echo(1000).await;
        let line = Arc::new(Line::new(address));
        let asked = (0..50).map(|number: usize| {
            let line = line.clone();
            tokio::spawn(async move {
                let body = Bytes::from(vec![b'x'; number * 40_000]);
                let (status, answer) =
                    line.ask(request(address), body.clone(), 1 << 24).await.expect("it answers");
                assert!(status == StatusCode::OK && answer == body, "{number}");
            })
        });
        for asked in asked.collect::<Vec<_>>() {
            asked.await.expect("it was answered");
        }
        assert_eq!(connections.load(Ordering::Relaxed), 1);
        let long = line.ask(request(address), Bytes::from(vec![0; 5000]), 4999).await;
        assert!(matches!(long, Err(LineError::TooLong(4999))), "{long:?}");
    }

    #[tokio::test]
    async fn a_connection_that_has_ended_is_replaced_and_nobody_there_is_nothing_done() {
        let (address, connections) = echo(1).await;
        let line = Line::new(address);
        for number in 1..=5 {
            let ask = || line.ask(request(address), Bytes::from_static(b"a"), 10);
            let answer = match ask().await {
                // Word of the end may come when the request is under way; then it was not looked at.
                Err(LineError::Unreached(_)) => ask().await,
                answer => answer,
            };
            assert_eq!(answer.expect("it answers").1, "a");
            assert_eq!(connections.load(Ordering::Relaxed), number);
        }
        let nobody =
            TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("it has one");
        let answer = Line::new(nobody).ask(request(nobody), Bytes::new(), 10).await;
        assert!(matches!(answer, Err(LineError::Unreached(_))), "{answer:?}");
    }
}
