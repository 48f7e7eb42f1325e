//! What quinn does alone: one stream of one connection, with quinn's own settings.

use crate::{Failure, rate};
use quinn::{
    ClientConfig, Endpoint, ServerConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::{
    RootCertStore,
    crypto::ring::default_provider,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    version::TLS13,
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, mpsc},
    thread,
    time::Instant,
};
use tokio::runtime::Builder;

/// The name in the certificate.
const NAME: &str = "plain";
/// What is handed to quinn at a time.
const CHUNK: usize = 1 << 20;

/// Sends so many bytes from this thread to another one, and returns how many a second came in.
///
/// # Errors
/// If the two can't be connected, or the connection breaks.
pub(super) fn bulk(bytes: usize) -> Result<f64, Failure> {
    let (server, client) = settings()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (told, port) = mpsc::channel();
    let receiving = thread::Builder::new().name("receiver".to_owned()).spawn(move || {
        Builder::new_current_thread().enable_all().build()?.block_on(async {
            let endpoint = Endpoint::server(server, address)?;
            told.send(endpoint.local_addr()?)?;
            receive(&endpoint).await
        })
    })?;
    let there = port.recv()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let rate = runtime.block_on(async {
        let endpoint = Endpoint::client(address)?;
        let connection = endpoint.connect_with(client, there, NAME)?.await?;
        let (mut send, mut receive) = connection.open_bi().await?;
        let (chunk, count) = (vec![b'x'; CHUNK], bytes.div_ceil(CHUNK));
        let began = Instant::now();
        for _ in 0..count {
            send.write_all(&chunk).await?;
        }
        send.finish()?;
        // The other end says that it has all.
        receive.read_to_end(1).await?;
        let rate = rate(count * CHUNK, began.elapsed());
        connection.close(0u32.into(), b"");
        endpoint.wait_idle().await;
        Ok::<_, Failure>(rate)
    })?;
    receiving.join().map_err(|_| "the receiver panicked")??;
    Ok(rate)
}

async fn receive(endpoint: &Endpoint) -> Result<(), Failure> {
    let connection = endpoint.accept().await.ok_or("nobody comes")?.await?;
    let (mut send, mut receive) = connection.accept_bi().await?;
    let mut chunks: [bytes::Bytes; 64] = std::array::from_fn(|_| bytes::Bytes::new());
    while receive.read_chunks(&mut chunks).await?.is_some() {}
    send.write_all(b".").await?;
    send.finish()?;
    connection.closed().await;
    Ok(())
}

/// A server with a certificate of its own, and a client that believes it.
fn settings() -> Result<(ServerConfig, ClientConfig), Failure> {
    let provider = Arc::new(default_provider());
    let own = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone())?;
    let server = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)?;
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((
        ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(server)?)),
        ClientConfig::new(Arc::new(QuicClientConfig::try_from(client)?)),
    ))
}
