//! Asks an instance whether it works.

use super::{Check, Probe};
use crate::registry::OF_NODE;
use bytes::Bytes;
use http::{Request, header::USER_AGENT, uri::PathAndQuery};
use http_body_util::Empty;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use micro_sdk::proto::ProtoCodec;
use std::{error::Error, net::SocketAddr};
use tokio::{net::TcpStream, time::timeout};
use tonic::{
    Code,
    client::Grpc,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};

/// The method that servers of gRPC answer health by (GRPC Health Checking Protocol).
const HEALTH: &str = "/grpc.health.v1.Health/Check";
/// Its answer of one that serves.
const SERVING: i32 = 1;
/// How many characters of a reason are kept: it travels to every node.
const REASON_CHARS_MAX: usize = 120;
/// As which program the node asks, for the logs of instances.
const AGENT: &str = concat!("micro-node/", env!("CARGO_PKG_VERSION"), " (health check)");

/// The question.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// The answer.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

impl Check {
    /// Makes the check of the instance at `address` once, within its timeout.
    ///
    /// # Errors
    /// Why the instance did not pass, for people.
    pub(super) async fn run(&self, address: SocketAddr) -> Result<(), String> {
        let asked = async {
            match &self.probe {
                Probe::Tcp => tcp(address).await,
                Probe::Http(path) => http(address, path).await,
                Probe::Grpc { service, if_there } => grpc(address, service, *if_there).await,
                Probe::Reported => Ok(()),
            }
        };
        let late = || Err(format!("no answer within {:?}", self.timeout));
        timeout(self.timeout, asked).await.unwrap_or_else(|_| late()).map_err(|why| brief(&why))
    }
}

/// A reason as it is told: short, and of one line.
pub(super) fn brief(why: &str) -> String {
    why.chars().map(|char| if char.is_control() { ' ' } else { char }).take(REASON_CHARS_MAX).collect()
}

async fn tcp(address: SocketAddr) -> Result<(), String> {
    TcpStream::connect(address).await.map(drop).map_err(|error| deepest(&error))
}

async fn http(address: SocketAddr, path: &str) -> Result<(), String> {
    // A connection of its own: whether a new one can be made is half of the question.
    let client: Client<HttpConnector, Empty<Bytes>> =
        Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
    let request = Request::get(format!("http://{address}{path}")).header(USER_AGENT, AGENT);
    let request = request.header(OF_NODE.0, OF_NODE.1);
    let request = request.body(Empty::new()).map_err(|error| error.to_string())?;
    let status = client.request(request).await.map_err(|error| deepest(&error))?.status();
    match status.is_success() || status.is_redirection() {
        true => Ok(()),
        false => Err(format!("GET {path} is answered {status}")),
    }
}

async fn grpc(address: SocketAddr, service: &str, if_there: bool) -> Result<(), String> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|error| deepest(&error))?;
    let channel = endpoint.connect().await.map_err(|error| deepest(&error))?;
    let mut grpc: Grpc<Channel> = Grpc::new(channel);
    grpc.ready().await.map_err(|error| deepest(&error))?;
    let codec = ProtoCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let mut question = tonic::Request::new(HealthCheckRequest { service: service.to_owned() });
    question.metadata_mut().insert(OF_NODE.0, MetadataValue::from_static(OF_NODE.1));
    match grpc.unary(question, PathAndQuery::from_static(HEALTH), codec).await {
        Ok(answer) if answer.get_ref().status == SERVING => Ok(()),
        Ok(_) => Err("it says that it does not serve".to_owned()),
        Err(status) if if_there && matches!(status.code(), Code::Unimplemented | Code::NotFound) => Ok(()),
        Err(status) => Err(format!("grpc.health.v1 is answered {}: {}", status.code(), status.message())),
    }
}

/// The innermost reason: what is around it says only that something failed.
pub(crate) fn deepest(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    fn check(probe: Probe) -> Check {
        let (interval, timeout) = (Duration::from_secs(1), Duration::from_millis(500));
        Check { probe, interval, timeout, unhealthy_after: 1, healthy_after: 1 }
    }

    /// A server that answers each connection with this, whatever it is asked.
    async fn answering(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a port");
        let address = listener.local_addr().expect("it has an address");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut read = [0; 1024];
                let _ = stream.read(&mut read).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn http_passes_with_success_and_redirection_only() {
        let http = check(Probe::Http("/up".to_owned()));
        for (answer, wanted) in [
            ("HTTP/1.1 204 No Content\r\n\r\n", Ok(())),
            ("HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", Ok(())),
            (
                "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
                Err("GET /up is answered 503 Service Unavailable"),
            ),
        ] {
            let found = http.run(answering(answer).await).await;
            assert_eq!(found.as_ref().copied().map_err(String::as_str), wanted, "{answer}");
        }
        assert!(http.run(answering("nonsense\r\n\r\n").await).await.is_err());
    }

    #[tokio::test]
    async fn who_does_not_listen_or_answer_does_not_pass() {
        let free = TcpListener::bind("127.0.0.1:0").await.expect("there is a port").local_addr();
        let free = free.expect("it has an address");
        for probe in [Probe::Tcp, Probe::Http("/".to_owned())] {
            let why = check(probe).run(free).await.expect_err("nobody is there");
            assert!(why.contains("refused"), "{why}");
        }
        let mute = TcpListener::bind("127.0.0.1:0").await.expect("there is a port");
        let address = mute.local_addr().expect("it has an address");
        assert_eq!(check(Probe::Tcp).run(address).await, Ok(()));
        let why = check(Probe::Http("/".to_owned())).run(address).await.expect_err("it says nothing");
        assert!(why.contains("500ms"), "{why}");
    }

    #[test]
    fn reasons_are_short_and_of_one_line() {
        assert_eq!(brief("a\nb"), "a b");
        assert_eq!(brief(&"é".repeat(500)).chars().count(), REASON_CHARS_MAX);
    }
}
