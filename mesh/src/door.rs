//! The UDP port's door: strangers come no further than one request, to join or to renew a certificate.

use crate::{
    JoinRequest,
    call::send_answer,
    join::JOIN_BYTES_MAX,
    link::{Outgoing, admit, close_code, describe, gather},
    mesh::Inner,
    prelude::{JOIN_PROTOCOL, RENEWAL_PROTOCOL, mesh_protocol},
    renewal::{self, RenewalRequest},
};
use bytes::Bytes;
use micro_sdk::wire::{Code, Codec, Fault};
use quinn::{Connection, Incoming, crypto::rustls::HandshakeData};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// Handshakes at a time. A flood of them from forged addresses costs no more than this.
pub(crate) const HANDSHAKES_MAX: usize = 256;
/// From this many handshakes on, a dialler has to prove its address first (RFC 9000, section 8.1.2).
const HANDSHAKES_UNPROVEN_MAX: usize = 32;
/// Joins at a time: each may cost a round of consensus.
pub(crate) const JOINS_MAX: usize = 8;
/// How long a stranger is listened to.
const STRANGER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one who got its answer may take to read it.
const FAREWELL: Duration = Duration::from_secs(2);

/// Takes connections until the mesh closes.
pub(crate) async fn accept(inner: Arc<Inner>) {
    loop {
        let incoming = tokio::select! {
            biased;
            () = inner.closed() => return,
            incoming = inner.endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { return };
        let busy = HANDSHAKES_MAX - inner.handshakes.available_permits();
        if busy >= HANDSHAKES_UNPROVEN_MAX && !incoming.remote_address_validated() && incoming.may_retry() {
            let _ = incoming.retry();
            continue;
        }
        let Ok(permit) = inner.handshakes.clone().try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        let inner = inner.clone();
        tokio::spawn(async move {
            let from = incoming.remote_address();
            let outcome = timeout(STRANGER_TIMEOUT, enter(&inner, incoming)).await;
            if let Err(problem) = outcome.unwrap_or_else(|_| Err("it took too long".to_owned())) {
                tracing::debug!(%from, problem, "connection refused");
            }
            drop(permit);
        });
    }
}

/// The handshake, and who is there.
async fn enter(inner: &Arc<Inner>, incoming: Incoming) -> Result<(), String> {
    let credentials = inner.credentials();
    let server = credentials.server(incoming.remote_address());
    let connecting = incoming.accept_with(server).map_err(|error| describe(&error))?;
    let connection = connecting.await.map_err(|error| describe(&error))?;
    let protocol = connection
        .handshake_data()
        .and_then(|data| data.downcast::<HandshakeData>().ok())
        .and_then(|data| data.protocol);
    match protocol {
        Some(protocol) if protocol == mesh_protocol(inner.cluster) => {
            admit(inner, connection, &credentials).await
        }
        Some(protocol) if protocol == JOIN_PROTOCOL => hear(inner, connection, Wish::Join).await,
        Some(protocol) if protocol == RENEWAL_PROTOCOL => hear(inner, connection, Wish::Renew).await,
        _ => {
            connection.close(close_code::REFUSED, b"no protocol was named");
            Err("no protocol was named".to_owned())
        }
    }
}

/// What a stranger may want.
#[derive(Clone, Copy)]
enum Wish {
    Join,
    Renew,
}

/// One request, one answer, and out.
async fn hear(inner: &Arc<Inner>, connection: Connection, wish: Wish) -> Result<(), String> {
    let (send, mut recv) = connection.accept_bi().await.map_err(|error| describe(&error))?;
    let mut send = Outgoing::new(send);
    let answer = match gather(&mut recv, JOIN_BYTES_MAX).await {
        Ok(bytes) => grant(inner, &connection, &bytes, wish).await,
        Err(error) => Err(garbled(error)),
    };
    send_answer(&mut send, answer).await;
    let _ = timeout(FAREWELL, connection.closed()).await;
    connection.close(close_code::DONE, b"");
    Ok(())
}

/// What a stranger gets who has said what it wants: those who say nothing take nobody's place.
async fn grant(
    inner: &Arc<Inner>,
    connection: &Connection,
    bytes: &[u8],
    wish: Wish,
) -> Result<Bytes, Fault> {
    let _permit = inner.joins.try_acquire().map_err(|_| {
        Fault::new(Code::Unavailable, "too many nodes are joining at once").help("try again in a moment")
    })?;
    match wish {
        Wish::Join => join(inner, connection, bytes).await,
        Wish::Renew => renew(inner, connection, bytes).await,
    }
}

fn garbled(error: impl std::fmt::Display) -> Fault {
    Fault::new(Code::Usage, format!("the request is garbled: {error}"))
}

fn stopping() -> Fault {
    Fault::new(Code::Unavailable, "the node is shutting down")
}

async fn join(inner: &Arc<Inner>, connection: &Connection, bytes: &[u8]) -> Result<Bytes, Fault> {
    let request: JoinRequest = Codec::decode::<_, JOIN_BYTES_MAX>(bytes).map_err(garbled)?;
    let handler = inner.handler().await.ok_or_else(stopping)?;
    let grant = handler.join(connection.remote_address(), request).await?;
    Ok(Bytes::from(Codec::encode(&grant)))
}

async fn renew(inner: &Arc<Inner>, connection: &Connection, bytes: &[u8]) -> Result<Bytes, Fault> {
    let request: RenewalRequest = Codec::decode::<_, JOIN_BYTES_MAX>(bytes).map_err(garbled)?;
    let challenge = renewal::challenge(connection, request.key.node)?;
    if !request.key.has_signed(&challenge, &request.proof) {
        return Err(Fault::new(Code::Denied, "the proof does not show that the private key is there"));
    }
    if inner.has_forgotten(request.key.node) {
        return Err(Fault::new(Code::Denied, format!("node {} was removed from the mesh", request.key.node)));
    }
    let handler = inner.handler().await.ok_or_else(stopping)?;
    let grant = handler.renew(connection.remote_address(), request.key).await?;
    Ok(Bytes::from(Codec::encode(&grant)))
}
