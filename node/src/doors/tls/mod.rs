//! TLS of the HTTP api: with a certificate from files, or with those that the mesh orders from an authority.

mod files;
mod ordered;

use crate::{config::ApiTls, node::Local};
pub(super) use files::Certificate;
use micro_actors::acme::Showcase;
use micro_sdk::wire::Fault;
use ordered::Ordered;
use rustls::{ConfigBuilder, ServerConfig, server::WantsServerCert};
use std::{io, sync::Arc};
use tokio::{net::TcpStream, sync::watch};
use tokio_rustls::server::TlsStream;

/// What is spoken inside, the better first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// How connections are taken. Clones are the same.
#[derive(Clone)]
pub(super) enum Tls {
    /// With what is in files.
    Files(Arc<Certificate>),
    /// With what the mesh has ordered.
    Ordered(Arc<Ordered>),
}

impl Tls {
    /// As the operator said; `showcase` is what the mesh has ordered, if it is to.
    ///
    /// # Errors
    /// [`Code::Usage`](micro_sdk::wire::Code::Usage) with the file that is wrong.
    pub fn open(tls: ApiTls, showcase: Option<Arc<Showcase>>) -> Result<Self, Fault> {
        match (tls, showcase) {
            (ApiTls::Files(files), _) => Certificate::load(files).map(Tls::Files),
            (ApiTls::Acme(_), showcase) => {
                let showcase = showcase.expect("a node that is to order certificates shows them");
                Ok(Tls::Ordered(Ordered::new(showcase)))
            }
        }
    }

    /// Begins TLS on a connection. None if that was all that was wanted: an authority has looked at a challenge.
    ///
    /// # Errors
    /// If no TLS comes of it.
    pub async fn shake(self, stream: TcpStream) -> io::Result<Option<TlsStream<TcpStream>>> {
        match self {
            Tls::Files(certificate) => certificate.acceptor().accept(stream).await.map(Some),
            Tls::Ordered(ordered) => ordered.shake(stream).await,
        }
    }

    /// Follows files that may change, until the node drains, and tells by way of `local` what can't be used.
    pub async fn follow(self, local: Local, draining: watch::Receiver<bool>) {
        if let Tls::Files(certificate) = self {
            certificate.follow(|why| local.tell_stale_certificate(why), draining).await;
        }
    }

    /// Takes the files up anew if they have changed; none if there are none.
    pub fn look(&self) -> Option<Result<bool, Fault>> {
        match self {
            Tls::Files(certificate) => Some(certificate.look()),
            Tls::Ordered(_) => None,
        }
    }
}

/// What all of it has in common. Version 1.3 alone: whoever can't speak it has gone without repairs for years.
fn tls13() -> Result<ConfigBuilder<ServerConfig, WantsServerCert>, rustls::Error> {
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map(|builder| builder.with_no_client_auth())
}
