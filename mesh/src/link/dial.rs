//! How a link begins, on both ends: handshake, then hello.

use super::{Link, Refusal, Terms, close_code, describe, gather, stream::Outgoing, stream_code};
use crate::{
    identity::{dns_name, of_certificate, validity_of},
    mesh::{Credentials, Inner},
    prelude::{HELLO_BYTES_MAX, Hello, Kind, Purpose},
    tls::{BIDI_STREAMS_MAX, CONNECTION_WINDOW, UNI_STREAMS_MAX},
};
use bytes::Bytes;
use futures::{StreamExt, stream::FuturesUnordered};
use micro_sdk::wire::{Codec, NodeId};
use quinn::{Connection, RecvStream};
use rustls::pki_types::CertificateDer;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};

/// How long a dial may take, hello included: six round trips over 300 ms, and two lost packets.
pub(super) const DIAL_TIMEOUT: Duration = Duration::from_secs(4);
/// How much sooner an address is tried than the next one: what RFC 8305 recommends. Where the first one leads, mostly
/// no other is tried.
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to `node` at one of its `addresses`, and says at which: they are tried side by side, each a little later
/// than the one before it, and the first that answers is taken (RFC 8305). The link is not yet anybody's.
///
/// # Errors
/// Why it can't be at the first of them, in plain words.
pub(crate) async fn dial(
    inner: &Arc<Inner>,
    node: NodeId,
    addresses: &[SocketAddr],
    purpose: Purpose,
) -> Result<(Arc<Link>, SocketAddr), String> {
    let attempt = |(place, address): (usize, &SocketAddr)| {
        let (address, wait) = (*address, HEAD_START.saturating_mul(u32::try_from(place).unwrap_or(u32::MAX)));
        async move {
            sleep(wait).await;
            let outcome = dial_at(inner, node, address, purpose).await;
            (place, outcome.map(|link| (link, address)))
        }
    };
    let mut attempts: FuturesUnordered<_> = addresses.iter().enumerate().map(attempt).collect();
    let mut problem = (usize::MAX, "no address of it is known".to_owned());
    while let Some((place, outcome)) = attempts.next().await {
        match outcome {
            Ok(linked) => return Ok(linked),
            Err(why) if place < problem.0 => problem = (place, why),
            Err(_) => {}
        }
    }
    Err(problem.1)
}

async fn dial_at(
    inner: &Arc<Inner>,
    node: NodeId,
    address: SocketAddr,
    purpose: Purpose,
) -> Result<Arc<Link>, String> {
    let attempt = async {
        let name = dns_name(node, inner.cluster);
        let credentials = inner.credentials();
        let connecting = inner
            .endpoint
            .connect_with(credentials.client(address), address, &name)
            .map_err(|error| format!("it can't be dialled: {error}"))?;
        let connection = connecting.await.map_err(|error| describe(&error))?;
        greet(inner, connection, node, purpose, &credentials).await
    };
    let elapsed = |_| format!("nothing answers within {} s", DIAL_TIMEOUT.as_secs());
    timeout(DIAL_TIMEOUT, attempt).await.map_err(elapsed)?
}

/// Says hello and waits for the other's: only then is it sure that the peer took our certificate.
pub(super) async fn greet(
    inner: &Arc<Inner>,
    connection: Connection,
    node: NodeId,
    purpose: Purpose,
    credentials: &Credentials,
) -> Result<Arc<Link>, String> {
    // The close of a peer that refuses us says more than the stream's end.
    let refused = |fallback: String| match connection.close_reason() {
        Some(reason) => {
            inner.heed(node, &reason);
            describe(&reason)
        }
        None => fallback,
    };
    let (send, mut recv) = connection.open_bi().await.map_err(|error| describe(&error))?;
    let mut send = Outgoing::new(send);
    let mut bytes = vec![Kind::Hello as u8];
    Codec::encode_into(&inner.hello(purpose, credentials), &mut bytes);
    send.write(&mut [Bytes::from(bytes)]).await.map_err(|error| refused(error.to_string()))?;
    send.finish();
    let answer = gather(&mut recv, HELLO_BYTES_MAX).await.map_err(|error| refused(error.to_string()))?;
    let hello: Hello = Codec::decode::<_, HELLO_BYTES_MAX>(&answer).map_err(|error| error.to_string())?;
    let terms = terms(&connection, credentials, &hello)?;
    Ok(Link::new(connection, node, inner.node, hello.life, terms, inner))
}

/// Takes in a connection that a peer of the mesh has opened: its certificate, then its hello.
///
/// # Errors
/// Why it is refused; the peer is told.
pub(crate) async fn admit(
    inner: &Arc<Inner>,
    connection: Connection,
    credentials: &Credentials,
) -> Result<(), String> {
    let admitted = async {
        let node = certified_node(inner, &connection)?;
        if node == inner.node {
            return Err(format!("node {node} is this node itself"));
        }
        // Before anything is taken from it; the code tells it that it need not come again.
        if inner.has_forgotten(node) {
            connection.close(Refusal::Removed.code(), Refusal::Removed.to_string().as_bytes());
            return Err(format!("node {node} was removed from the mesh"));
        }
        connection.set_receive_window(CONNECTION_WINDOW);
        connection.set_max_concurrent_bi_streams(BIDI_STREAMS_MAX);
        connection.set_max_concurrent_uni_streams(UNI_STREAMS_MAX);
        let (send, mut recv) = connection.accept_bi().await.map_err(|error| describe(&error))?;
        let hello = read_hello(&mut recv).await?;
        let terms = terms(&connection, credentials, &hello)?;
        let link = Link::new(connection.clone(), node, node, hello.life, terms, inner);
        match hello.purpose {
            Purpose::Link => inner.adopt(&link, Some(hello.advertise)),
            Purpose::Bulk => inner.serve_bulk(&link),
        }
        .map_err(|refusal| refusal.to_string())?;
        answer(inner, Outgoing::new(send), hello.purpose, credentials).await
    };
    let outcome = admitted.await;
    if let Err(problem) = &outcome {
        connection.close(close_code::REFUSED, problem.as_bytes());
    }
    outcome
}

/// The node that the peer's certificate names. That our authority signed it, TLS has checked.
pub(super) fn certified_node(inner: &Inner, connection: &Connection) -> Result<NodeId, String> {
    let chain = chain(connection)?;
    let leaf = chain.first().ok_or("a node's certificate is required")?;
    let (node, cluster) = of_certificate(leaf).map_err(|error| error.to_string())?;
    if cluster != inner.cluster {
        return Err(format!("the certificate is of mesh {cluster}, this is {}", inner.cluster));
    }
    Ok(node)
}

/// The certificates that the peer has shown, its own first.
pub(super) fn chain(connection: &Connection) -> Result<Vec<CertificateDer<'static>>, String> {
    let identity = connection.peer_identity().ok_or("a node's certificate is required")?;
    let chain = identity
        .downcast::<Vec<CertificateDer<'static>>>()
        .map_err(|_| "the certificate is of an unknown kind".to_owned())?;
    Ok(*chain)
}

/// What a connection was made with: `credentials` here, and what the peer has shown and says in its hello.
fn terms(connection: &Connection, credentials: &Credentials, hello: &Hello) -> Result<Terms, String> {
    let chain = chain(connection)?;
    let leaf = chain.first().ok_or("a node's certificate is required")?;
    let (_, ends) = validity_of(leaf).ok_or("the certificate's validity can't be read")?;
    let ends = ends.min(credentials.identity.expires());
    Ok(Terms { own: credentials.renewals, peer: hello.renewals, ends })
}

async fn read_hello(recv: &mut RecvStream) -> Result<Hello, String> {
    let bytes = gather(recv, HELLO_BYTES_MAX).await.map_err(|error| error.to_string())?;
    match bytes.split_first() {
        Some((&kind, hello)) if kind == Kind::Hello as u8 => {
            Codec::decode::<_, HELLO_BYTES_MAX>(hello).map_err(|error| error.to_string())
        }
        _ => {
            let _ = recv.stop(stream_code::UNKNOWN);
            Err("the first stream must be a hello".to_owned())
        }
    }
}

async fn answer(
    inner: &Inner,
    mut send: Outgoing,
    purpose: Purpose,
    credentials: &Credentials,
) -> Result<(), String> {
    let bytes = Codec::encode(&inner.hello(purpose, credentials));
    send.write(&mut [Bytes::from(bytes)]).await.map_err(|error| error.to_string())?;
    send.finish();
    Ok(())
}
