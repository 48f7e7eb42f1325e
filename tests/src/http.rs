//! The smallest HTTP client that can tell whether a door answers: one request, one connection, the whole answer.

use anyhow::{Context, anyhow};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Longer than any deadline a door sets by itself.
const LIMIT: Duration = Duration::from_secs(30);

/// What a door answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header lines, as they came.
    pub headers: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// If it is none.
    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_str(&self.body).with_context(|| format!("{} {}", self.status, self.body))
    }
}

/// `GET path`.
///
/// # Errors
/// If there is no HTTP answer within 30 s.
pub async fn get(address: SocketAddr, path: &str) -> anyhow::Result<Answer> {
    send(address, format!("GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n").as_bytes()).await
}

/// `GET path` with a bearer token.
///
/// # Errors
/// If there is no HTTP answer within 30 s.
pub async fn get_as(address: SocketAddr, path: &str, token: &str) -> anyhow::Result<Answer> {
    let request = format!("GET {path} HTTP/1.0\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\r\n");
    send(address, request.as_bytes()).await
}

/// `POST path` with a JSON body.
///
/// # Errors
/// If there is no HTTP answer within 30 s.
pub async fn post(address: SocketAddr, path: &str, json: &str) -> anyhow::Result<Answer> {
    let length = json.len();
    send(
        address,
        format!(
            "POST {path} HTTP/1.0\r\nhost: {address}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{json}"
        )
        .as_bytes(),
    )
    .await
}

/// A request as it is given, on a connection of its own. It is HTTP/1.0, or says that the connection ends with it:
/// the end of the answer is the connection's.
///
/// # Errors
/// If there is no HTTP answer within 30 s.
pub async fn send(address: SocketAddr, request: &[u8]) -> anyhow::Result<Answer> {
    let answer = timeout(LIMIT, async {
        let mut stream = TcpStream::connect(address).await?;
        // Who is refused early may not be read to the end.
        let _refused = stream.write_all(request).await;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    })
    .await
    .map_err(|_| anyhow!("no answer from http://{address} within {LIMIT:?}"))?
    .with_context(|| format!("http://{address}"))?;

    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").context("no HTTP answer")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no HTTP status")?;
    Ok(Answer { status, headers: head.to_owned(), body: body.to_owned() })
}
