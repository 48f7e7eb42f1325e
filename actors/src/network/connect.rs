//! A node that is found by an address: for nodes that have lost each other, each of which has moved while the other was
//! away.

use crate::network::{MemberReply, Neighbour, NetworkService};
use bincode::{Decode, Encode};
use micro_sdk::wire::{Code, Fault, NodeId};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    net::lookup_host,
    time::{Instant, timeout, timeout_at},
};

/// How long looking up a name may take: resolvers give up on their first server after five seconds.
const LOOKUP_PATIENCE: Duration = Duration::from_secs(6);
/// How many addresses of a name are tried: a host has one or two of each kind, and each that is silent takes seconds.
const PLACES_MAX: usize = 4;
/// How long a node that was just linked may take to tell its name, which is shown: gossip does it at once.
const NAME_PATIENCE: Duration = Duration::from_secs(1);

/// Endpoint `connect`: answers with a [`ConnectReply`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ConnectRequest {
    /// `IP:PORT`, or `HOST:PORT`, which is looked up.
    pub address: String,
}

/// The node that was found.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ConnectReply {
    /// Which it is.
    pub node: MemberReply,
    /// Where it answered.
    pub address: String,
}

impl NetworkService {
    /// Links the node of the mesh that answers at an address, whichever it is.
    ///
    /// # Errors
    /// `Usage` if that is no address, or this node's own; `Unreachable` if the host has none, or nothing answers there;
    /// `Conflict` if what answers is no node of this mesh, or not any more.
    pub(super) async fn connect(
        &self,
        ConnectRequest { address }: ConnectRequest,
        deadline: Instant,
    ) -> Result<ConnectReply, Fault> {
        let connecting = async {
            let mut silent = None;
            for place in look_up(&address).await? {
                match self.mesh.connect(place).await {
                    Ok(node) => {
                        let node = MemberReply { node, name: self.told_name(node).await };
                        return Ok(ConnectReply { node, address: place.to_string() });
                    }
                    Err(fault) if fault.code == Code::Unreachable => silent = silent.or(Some(fault)),
                    Err(fault) => return Err(fault),
                }
            }
            Err(silent.unwrap_or_else(|| nowhere(&address, "it has no address")))
        };
        let late = || {
            Err(Fault::new(Code::Timeout, format!("no node was found at {address} in time"))
                .help("allow more time: --timeout 30s"))
        };
        timeout_at(deadline, connecting).await.unwrap_or_else(|_| late())
    }

    /// The name of a node that was just linked: it may not have told it yet.
    async fn told_name(&self, node: NodeId) -> String {
        let known = self.name_of(node);
        if known != node.to_string() {
            return known;
        }
        self.mesh.acquaint(NAME_PATIENCE).await;
        Neighbour::find(&self.mesh, node).map_or(known, |neighbour| neighbour.name)
    }
}

/// The addresses of a place, those of the kind that most hosts have first.
async fn look_up(text: &str) -> Result<Vec<SocketAddr>, Fault> {
    let wrong = |why: &str| {
        Err(Fault::new(Code::Usage, format!("{text:?} is not where a node is: {why}"))
            .help("write IP:PORT or HOST:PORT, such as 10.0.0.2:8443"))
    };
    if let Ok(address) = text.parse::<SocketAddr>() {
        return match address.ip().is_unspecified() || address.port() == 0 {
            true => wrong("nobody could dial that"),
            false => Ok(vec![address]),
        };
    }
    let Some((host, port)) = text.rsplit_once(':') else { return wrong("it has no port") };
    let Some(port) = port.parse::<u16>().ok().filter(|port| *port > 0) else {
        return wrong("a port is a number from 1 to 65535");
    };
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if host.is_empty() || !host.bytes().all(good) {
        return wrong("a host is a name or an IP address, with brackets around IPv6");
    }
    let found = timeout(LOOKUP_PATIENCE, lookup_host((host, port))).await;
    let found = found.map_err(|_| nowhere(host, "no answer"))?;
    let mut found: Vec<SocketAddr> = found.map_err(|error| nowhere(host, &error.to_string()))?.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found.truncate(PLACES_MAX);
    Ok(found)
}

fn nowhere(host: &str, why: &str) -> Fault {
    Fault::new(Code::Unreachable, format!("this node can't look up {host}: {why}"))
        .help("give the address itself: IP:PORT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_is_an_address_or_a_name_with_a_port() {
        for (text, address) in [("10.0.0.2:8443", "10.0.0.2:8443"), ("[::1]:8443", "[::1]:8443")] {
            assert_eq!(look_up(text).await, Ok(vec![address.parse().expect("an address")]), "{text}");
        }
        let local = look_up("localhost:8443").await.expect("every host has it");
        assert!(
            local.iter().all(|address| address.ip().is_loopback() && address.port() == 8443),
            "{local:?}"
        );
        for text in [
            "",
            "alpha",
            "10.0.0.2",
            "10.0.0.2:0",
            "0.0.0.0:1",
            ":1",
            "alpha:x",
            "::1:8443",
            "a b:1",
            "u@h:1",
        ] {
            let fault = look_up(text).await.expect_err(text);
            assert!(
                fault.code == Code::Usage && fault.message.contains("is not where a node is"),
                "{fault:?}"
            );
        }
    }
}
