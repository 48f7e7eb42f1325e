//! The joining node's side: asks for a certificate, and believes only the pinned authority.

use super::{JOIN_BYTES_MAX, JoinGrant, JoinRequest, JoinToken};
use crate::{
    LINK_TIMEOUT, Socket,
    call::parse_answer,
    link::{GatherError, Outgoing, close_code, describe, gather},
    mesh_verifier::{Believed, MeshVerifier},
    prelude::JOIN_PROTOCOL,
    tls,
};
use bytes::Bytes;
use micro_sdk::wire::{Code, Codec, Fault, Seams};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long one address is tried while others are left.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(5);
/// The name asked for in the handshake. Nobody has it: the certificate is judged by its pin.
const SERVER_NAME: &str = "join.mesh.micro";
/// How long the goodbye may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// Why one address did not work, worst for the person first.
enum Refusal {
    /// The mesh has decided: other addresses would say the same.
    Decided(Fault),
    /// Somebody else is there.
    Foreign(Fault),
    /// Nobody answers, or not now.
    Absent(Fault),
}

/// Asks the mesh of `token` for a certificate, at `addresses` in turn, or at those in the token if there are
/// none.
///
/// `socket` is used and given back: it may be the one that the node's mesh is going to have.
///
/// # Errors
/// - `Unreachable`: nothing answers at any address.
/// - `Denied`: a node of another mesh answers (its authority is not the pinned one), or this mesh refuses the
///   token.
/// - `Timeout` with unknown effect: the request was sent, so the token may be used up.
/// - Whatever else the mesh answers, such as `Unavailable` without a quorum.
pub async fn join(
    token: &JoinToken,
    addresses: &[SocketAddr],
    request: JoinRequest,
    socket: &Socket,
    seams: &Seams,
    ttl: Duration,
) -> Result<JoinGrant, Fault> {
    let addresses = if addresses.is_empty() { &token.addresses } else { addresses };
    let client = client(token, seams, tls::Transport::new(socket.segments(), LINK_TIMEOUT))
        .map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
    let endpoint = endpoint(socket, seams)?;
    // A part of the time is left for the answer of the last address.
    let share = ttl / (u32::try_from(addresses.len()).unwrap_or(u32::MAX).saturating_add(1));
    let patience = share.min(ADDRESS_TIMEOUT);
    let attempts = async {
        let mut foreign = None;
        let mut absent = Vec::new();
        for address in addresses {
            match ask(&endpoint, *address, &client, &request, patience).await {
                Ok(grant) => return Ok(grant),
                Err(Refusal::Decided(fault)) => return Err(fault),
                Err(Refusal::Foreign(fault)) => foreign = Some(fault),
                Err(Refusal::Absent(fault)) => absent.push(fault),
            }
        }
        Err(foreign.or_else(|| absent.pop()).unwrap_or_else(|| {
            Fault::new(Code::Usage, "there is no address to join at").help("give one with --join HOST:PORT")
        }))
    };
    let outcome = timeout(ttl, attempts).await.unwrap_or_else(|_| {
        Err(Fault::new(Code::Timeout, format!("joining took longer than {} s", ttl.as_secs()))
            .effect_unknown()
            .help("if the mesh did take the token, a new one is needed: micro-node token create"))
    });
    endpoint.close(close_code::DONE, b"joined");
    let _ = timeout(FAREWELL, endpoint.wait_idle()).await;
    outcome
}

/// An endpoint that only dials.
fn endpoint(socket: &Socket, seams: &Seams) -> Result<quinn::Endpoint, Fault> {
    let failed =
        |error: std::io::Error| Fault::new(Code::Failed, format!("the UDP socket can't be used: {error}"));
    let runtime = Arc::new(quinn::TokioRuntime);
    let socket = socket.try_clone().and_then(|socket| socket.into_quinn(&*runtime)).map_err(failed)?;
    quinn::Endpoint::new_with_abstract_socket(tls::endpoint(seams), None, socket, runtime).map_err(failed)
}

/// Asks at one address.
async fn ask(
    endpoint: &quinn::Endpoint,
    address: SocketAddr,
    client: &quinn::ClientConfig,
    request: &JoinRequest,
    patience: Duration,
) -> Result<JoinGrant, Refusal> {
    let absent = |reason: String| {
        Refusal::Absent(
            Fault::new(Code::Unreachable, format!("no node can be asked at {address}: {reason}"))
                .help("check the address, and that UDP is let through to it"),
        )
    };
    let connecting = endpoint
        .connect_with(client.clone(), address, SERVER_NAME)
        .map_err(|error| absent(error.to_string()))?;
    let connection = match timeout(patience, connecting).await {
        Ok(Ok(connection)) => connection,
        Err(_) => return Err(absent("nothing answers".to_owned())),
        Ok(Err(quinn::ConnectionError::TransportError(error))) => {
            let reason = describe(&quinn::ConnectionError::TransportError(error));
            return Err(Refusal::Foreign(
                Fault::new(Code::Denied, format!("the node at {address} was not believed: {reason}"))
                    .help("make a token on a node of the mesh that is to be joined (`micro-node token create`), and take its address"),
            ));
        }
        Ok(Err(error)) => return Err(absent(describe(&error))),
    };
    exchange(&connection, request).await.map_err(|refusal| match refusal {
        Refusal::Absent(fault) if fault.code == Code::Unreachable => absent(fault.message),
        other => other,
    })
}

/// Sends the request and reads the answer. Once all is sent, the token may be used up.
async fn exchange(connection: &quinn::Connection, request: &JoinRequest) -> Result<JoinGrant, Refusal> {
    let absent = |reason: String| Refusal::Absent(Fault::new(Code::Unreachable, reason));
    let (send, mut recv) = connection.open_bi().await.map_err(|error| absent(describe(&error)))?;
    let mut send = Outgoing::new(send);
    let bytes = Bytes::from(Codec::encode(request));
    send.write(&mut [bytes]).await.map_err(|error| absent(error.to_string()))?;
    send.finish();
    let answer = gather(&mut recv, JOIN_BYTES_MAX).await.map_err(|error| {
        let reason = match (error, connection.close_reason()) {
            (_, Some(reason @ quinn::ConnectionError::ApplicationClosed(_))) => {
                return absent(describe(&reason));
            }
            (GatherError::Lost(reason), _) => reason,
            (error, _) => error.to_string(),
        };
        Refusal::Decided(
            Fault::new(Code::Unreachable, format!("the mesh took the request but did not answer: {reason}"))
                .effect_unknown()
                .help("if the mesh did take the token, a new one is needed: micro-node token create"),
        )
    })?;
    let body = parse_answer(answer).map_err(|fault| match fault.code {
        Code::Unavailable | Code::Unreachable => Refusal::Absent(fault),
        _ => Refusal::Decided(fault),
    })?;
    Codec::decode::<JoinGrant, JOIN_BYTES_MAX>(&body).map_err(|error| {
        Refusal::Decided(
            Fault::new(Code::Failed, format!("the mesh's grant can't be read: {error}")).effect_unknown(),
        )
    })
}

/// A client without a certificate that believes only the pinned authority.
fn client(
    token: &JoinToken,
    seams: &Seams,
    transport: tls::Transport,
) -> Result<quinn::ClientConfig, tls::TlsError> {
    let verifier = MeshVerifier { cluster: token.cluster, believed: Believed::Pinned(token.pin) };
    let mut config = tls::client_builder(seams)?
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![JOIN_PROTOCOL.to_vec()];
    tls::finish_client(config, transport)
}
