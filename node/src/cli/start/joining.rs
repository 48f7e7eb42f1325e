//! Where a node joins and where it is reached: the token, and the addresses of what has a name.

use crate::{
    cli::{failure::Failure, secret},
    config::Join,
};
use micro_mesh::{JoinToken, TokenError};
use micro_sdk::{
    client::Address,
    wire::{Code, Fault},
};
use std::{net::SocketAddr, time::Duration};

/// How long looking up one name may take: resolvers give up on their first server after five seconds.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(6);

/// The token to join with. One that can't be read is no failure yet: only a node that has not joined needs it.
///
/// # Errors
/// If the token itself stands on the command line.
pub(super) fn join_token(given: Option<&str>) -> Result<Result<Option<JoinToken>, Fault>, Failure> {
    match secret::read("--join-token", given, "MICRO_NODE_JOIN_TOKEN") {
        Ok(None) => Ok(Ok(None)),
        Ok(Some(text)) => {
            let token = text.parse().map(Some);
            Ok(token.map_err(|error: TokenError| Fault::new(Code::Usage, error.to_string())))
        }
        Err(Failure::Fault(fault)) if given.is_none_or(secret::is_source) => Ok(Err(fault)),
        Err(failure) => Err(failure),
    }
}

/// The mesh to join. A name that can't be looked up is only warned about: the others, and those in the token,
/// may do, and a node that has joined before knows its peers.
pub(super) async fn join(places: &[Address], token: Result<Option<JoinToken>, Fault>) -> Option<Join> {
    if places.is_empty() && matches!(token, Ok(None)) {
        return None;
    }
    let mut addresses = Vec::new();
    for place in places {
        match look_up(place).await {
            Ok(found) => addresses.extend(found),
            Err(fault) => tracing::warn!("{}: trying without it", fault.message),
        }
    }
    Some(Join { addresses, token })
}

/// All addresses of a place, those of the kind that most hosts have first.
async fn look_up(place: &Address) -> Result<Vec<SocketAddr>, Fault> {
    let Address::Tcp { host, port } = place else {
        return Err(Fault::new(Code::Usage, format!("{place} is not on a network")));
    };
    let failed = |why: &str| Fault::new(Code::Unreachable, format!("cannot look up {host}: {why}"));
    let found = tokio::time::timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host((host.as_str(), *port))).await;
    let mut found: Vec<SocketAddr> =
        found.map_err(|_| failed("no answer"))?.map_err(|error| failed(&error.to_string()))?.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    if found.is_empty() { Err(failed("it has no address")) } else { Ok(found) }
}

/// The address that other nodes are told.
///
/// # Errors
/// If it can't be looked up, or nobody could dial it.
pub(super) async fn advertised(place: &Address) -> Result<SocketAddr, Fault> {
    let named = |fault: Fault| {
        let message = format!("--advertise {place}: {}", fault.message);
        Fault::new(Code::Usage, message)
            .help("name this host as others reach it: an address, or a name that can be looked up here too")
    };
    let address = look_up(place).await.map_err(named)?.remove(0);
    if address.ip().is_unspecified() {
        let message = format!("--advertise {address} is no place: other nodes have to dial it");
        return Err(Fault::new(Code::Usage, message).help("name this host as others reach it"));
    }
    Ok(address)
}
