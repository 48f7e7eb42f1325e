//! TLS with the certificates that the mesh has ordered, and the challenges by which they are ordered (RFC 8737): an
//! authority connects as any caller does, asks for the protocol `acme-tls/1`, and looks at the certificate.

use super::{PROTOCOLS, tls13};
use micro_actors::acme::Showcase;
use rustls::{
    ServerConfig,
    server::{Acceptor, ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{io, sync::Arc};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

/// The protocol of challenges: nothing is said in it.
const CHALLENGE: &[u8] = b"acme-tls/1";

/// Takes connections with what is in the showcase when they begin.
pub(in crate::doors) struct Ordered {
    showcase: Arc<Showcase>,
    usual: Arc<ServerConfig>,
}

impl Ordered {
    pub(super) fn new(showcase: Arc<Showcase>) -> Arc<Self> {
        let usual = config(Arc::new(Shown(showcase.clone())), &PROTOCOLS);
        Arc::new(Ordered { showcase, usual })
    }

    /// Begins TLS. Without a certificate it is refused with an alert. None once a challenge was answered.
    ///
    /// # Errors
    /// If no TLS comes of it.
    pub async fn shake(&self, stream: TcpStream) -> io::Result<Option<TlsStream<TcpStream>>> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let Some(name) = challenged(&start.client_hello()) else {
            return start.into_stream(self.usual.clone()).await.map(Some);
        };
        let answer = Answer(self.showcase.answer(&name).await);
        let mut stream = start.into_stream(config(Arc::new(answer), &[CHALLENGE])).await?;
        stream.shutdown().await?;
        Ok(None)
    }
}

/// The name that a challenge is about, if this is one: it offers that protocol alone, and names one host.
fn challenged(hello: &ClientHello<'_>) -> Option<String> {
    let mut offered = hello.alpn()?;
    let alone = offered.next() == Some(CHALLENGE) && offered.next().is_none();
    hello.server_name().filter(|_| alone).map(str::to_owned)
}

fn config(shown: Arc<dyn ResolvesServerCert>, protocols: &[&[u8]]) -> Arc<ServerConfig> {
    let builder = tls13().expect("ring speaks TLS 1.3");
    let mut config = builder.with_cert_resolver(shown);
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

/// What is shown to callers: none refuses the handshake.
#[derive(Debug)]
struct Shown(Arc<Showcase>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.certificate(hello.server_name())
    }
}

/// What is shown to an authority.
#[derive(Debug)]
struct Answer(Option<Arc<CertifiedKey>>);

impl ResolvesServerCert for Answer {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }
}
