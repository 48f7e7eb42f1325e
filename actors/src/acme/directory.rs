//! HTTP to an authority: each request on a connection of its own, inside TLS by those whom the node is told to
//! believe.
//! An order is a dozen of them.

use bytes::Bytes;
use http::{Request, header::HOST};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use micro_sdk::wire::Seams;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use std::{io, pin::Pin, sync::Arc, time::Duration};
use tokio::{net::TcpStream, sync::oneshot, time::timeout};
use tokio_rustls::TlsConnector;

/// How long one request may take: authorities that are busy answer after some seconds.
const LIMIT: Duration = Duration::from_secs(20);
/// The largest answer: chains of certificates have some kilobytes.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// Speaks HTTP with an authority.
pub(super) struct Https {
    connector: TlsConnector,
}

impl Https {
    /// Believes `roots`; without any, those whom the system believes.
    ///
    /// # Errors
    /// If there are none.
    pub async fn new(roots: Option<Vec<CertificateDer<'static>>>, seams: &Seams) -> Result<Self, Error> {
        let roots = match roots {
            Some(roots) => roots,
            None => system_roots(seams).await,
        };
        let mut store = RootCertStore::empty();
        let (_, _unfit) = store.add_parsable_certificates(roots);
        if store.is_empty() {
            return Err(io_error(
                "the system believes no authority: install its certificates, or give --acme-root",
            ));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Other(Box::new(error)))?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Https { connector: TlsConnector::from(Arc::new(config)) })
    }
}

/// The authorities that the system believes: some hundred files, perhaps, so another thread reads them.
async fn system_roots(seams: &Seams) -> Vec<CertificateDer<'static>> {
    let (found, wanted) = oneshot::channel();
    seams.blocking.run(Box::new(move || {
        let _ = found.send(rustls_native_certs::load_native_certs().certs);
    }));
    wanted.await.unwrap_or_default()
}

fn io_error(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Other(Box::new(io::Error::other(why)))
}

impl HttpClient for Https {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let connector = self.connector.clone();
        Box::pin(async move {
            let host = request.uri().host().unwrap_or_default().to_owned();
            let answered = timeout(LIMIT, exchange(connector, request)).await;
            let answered =
                answered.unwrap_or_else(|_| Err(format!("no answer within {} s", LIMIT.as_secs()).into()));
            answered.map_err(|why| io_error(format!("{host}: {why}")))
        })
    }
}

/// Sends a request and reads the whole answer.
async fn exchange(
    connector: TlsConnector,
    mut request: Request<BodyWrapper<Bytes>>,
) -> Result<BytesResponse, Box<dyn std::error::Error + Send + Sync>> {
    let uri = request.uri().clone();
    // What an authority's answers name is asked too: it is as far as they may lead.
    if uri.scheme_str() != Some("https") {
        return Err(format!("{uri} is not https").into());
    }
    let authority = uri.authority().ok_or("an address without a host")?;
    let (host, port) = (authority.host(), authority.port_u16().unwrap_or(443));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, port)).await?;
    let stream = connector.connect(ServerName::try_from(host.to_owned())?, stream).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    request.headers_mut().insert(HOST, authority.as_str().parse()?);
    *request.uri_mut() = uri.path_and_query().map_or("/", |path| path.as_str()).parse()?;
    let answer = async {
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
        // With it the connection ends.
        drop(sender);
        Ok(BytesResponse::from(http::Response::from_parts(parts, Full::<Bytes>::from(body))))
    };
    let (answer, _ended) = futures::join!(answer, connection);
    answer
}
