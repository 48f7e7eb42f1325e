//! `micro-node token`: how another host joins.

use super::{
    failure::Failure,
    globals::Globals,
    output::Output,
    session,
    shape::{ItemShape, Shapes},
    unit,
};
use clap::{Args, Subcommand};
use micro_sdk::wire::{Code, Fault, status::Status};
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    fmt::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

const EXAMPLES: &str = "\
Examples:
  micro-node token create
  micro-node token create --ttl 1h
  micro-node token create -o json | jq -r .item.token";

/// The least time that a token can be used: nodes count it in whole seconds.
const TTL_MIN: Duration = Duration::from_secs(1);

/// Make tokens with which other nodes join this mesh
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TokenCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Create(Create),
}

/// Make a token with which one other node may join, and show how
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct Create {
    /// How long it can be used
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = ttl)]
    ttl: Duration,

    /// The other node runs on this host too
    #[arg(long)]
    local: bool,
}

/// How another node joins.
#[derive(Serialize, JsonSchema)]
struct TokenItem<'a> {
    /// The token, good for one node.
    token: &'a str,
    /// The addresses of the mesh that it leads to.
    addresses: &'a [String],
    /// Until when it can be used: RFC 3339.
    expires: &'a str,
}

const TOKEN: ItemShape<TokenItem<'static>> = ItemShape::new("token", &["token create"]);

pub(super) const SHAPES: Shapes = &[&TOKEN];

impl TokenCommand {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let Verb::Create(Create { ttl, local }) = self.verb;
        let (join, neighbour) = session::run(globals, async |node| {
            // Asked before there is a token: one that nobody is shown would lie about until it expires.
            let neighbour = match (local, output.json()) {
                (false, _) => {
                    reachable(&node.status().await?)?;
                    None
                }
                (true, false) => Some(free_name(&node.status().await?)),
                // A program chooses a name itself.
                (true, true) => None,
            };
            Ok((node.create_token(ttl).await?, neighbour))
        })?;
        let item =
            TokenItem { token: join.token.expose(), addresses: &join.addresses, expires: &join.expires };
        if output.json() {
            return output.item(&TOKEN, &item);
        }
        output.text(&recipe(&item, neighbour.as_deref()))
    }
}

/// Reads how long a token can be used. Less than a second would be over before the other node has started.
fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = unit::duration(text)?;
    if ttl < TTL_MIN { Err(format!("the least is {TTL_MIN:?}, and 15m is usual")) } else { Ok(ttl) }
}

/// Refuses to lead other hosts to an address that only this one can reach.
fn reachable(status: &Status) -> Result<(), Fault> {
    let own = status.nodes.iter().find(|node| node.id == status.seen_by);
    let address = own.and_then(|node| node.address.parse::<SocketAddr>().ok());
    let Some(address) = address.filter(|address| address.ip().is_loopback() || address.ip().is_unspecified())
    else {
        return Ok(());
    };
    let port = address.port();
    let message = format!("no other host can join at {address}, where this node's mesh listens");
    Err(Fault::new(Code::Conflict, message)
        .help(format!(
            "start it again as it was started, with these added: --mesh-listen 0.0.0.0:{port} --advertise HOST:{port}"
        ))
        .help("for another node on this same host: micro-node token create --local"))
}

/// A name for another node on this host that no node of the mesh has: b, c, d and so on, then node-27.
fn free_name(status: &Status) -> String {
    let letters = ('b'..='z').map(String::from);
    let mut names = letters.chain((27..).map(|number: u32| format!("node-{number}")));
    let taken = |name: &String| status.nodes.iter().any(|node| node.name == *name);
    names.find(|name| !taken(name)).expect("a mesh has fewer nodes than there are numbers")
}

/// What to type where the other node is to run: comments and commands, fit to be pasted as a whole. `neighbour` is
/// the name of a node on this same host, which needs a folder, a socket and ports of its own.
fn recipe(item: &TokenItem, neighbour: Option<&str>) -> String {
    let place = if neighbour.is_some() { "On this host" } else { "On the other host" };
    let mut text = format!(
        "# {place}: 1. save the token (good for one node, until {})\n\
         (umask 077 && echo '{}' > join-token)\n\
         # 2. start its node\n\
         micro-node start",
        item.expires, item.token
    );
    for address in item.addresses {
        write!(text, " --join {address}").expect("a String takes every write");
    }
    text.push_str(" --join-token @join-token");
    match neighbour {
        Some(name) => {
            let listen = SocketAddr::new(beside(item.addresses), 0);
            write!(
                text,
                " --name {name} --data-dir ./{name} --socket ./{name}.sock --api 127.0.0.1:0 --proxy 127.0.0.1:0 \
                 --mesh-listen {listen}"
            )
            .expect("a String takes every write");
        }
        None => text.push_str(" --mesh-listen 0.0.0.0:8443"),
    }
    text
}

/// Where a second node on this host listens: beside the first one, since the other nodes of a mesh that goes beyond
/// this host have to reach it too.
fn beside(addresses: &[String]) -> IpAddr {
    let first = addresses.iter().find_map(|address| address.parse::<SocketAddr>().ok());
    first.map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::status::sample;
    use micro_sdk::wire::status::NodeStatus;

    const ITEM: TokenItem = TokenItem { token: "mnt1.abc", addresses: &[], expires: "2026-11-22T21:16:52Z" };

    #[test]
    fn a_recipe_can_be_pasted_as_a_whole() {
        let addresses = ["10.0.0.1:8443".to_owned(), "10.0.0.2:8443".to_owned()];
        let text = "\
# On the other host: 1. save the token (good for one node, until 2026-11-22T21:16:52Z)
(umask 077 && echo 'mnt1.abc' > join-token)
# 2. start its node
micro-node start --join 10.0.0.1:8443 --join 10.0.0.2:8443 --join-token @join-token \
--mesh-listen 0.0.0.0:8443";
        assert_eq!(recipe(&TokenItem { addresses: &addresses, ..ITEM }, None), text);
        let text = recipe(&TokenItem { addresses: &addresses, ..ITEM }, Some("b"));
        assert!(text.ends_with("-listen 10.0.0.1:0"), "{text}");
        let text = recipe(&ITEM, Some("c"));
        assert!(text.starts_with("# On this host: ") && text.contains("--name c --data-dir ./c "), "{text}");
        assert!(text.ends_with("--mesh-listen 127.0.0.1:0"), "{text}");
    }

    #[test]
    fn a_token_that_nobody_could_use_is_refused_with_the_least_time() {
        assert_eq!(ttl("1s"), Ok(TTL_MIN));
        assert!(ttl("500ms").is_err_and(|refusal| refusal.contains("the least is 1s")));
    }

    #[test]
    fn a_neighbour_gets_a_name_that_is_free() {
        let mut status = sample();
        assert_eq!(free_name(&status), "b");
        let node = status.nodes[0].clone();
        status.nodes.extend(["b", "d"].map(|name| NodeStatus { name: name.to_owned(), ..node.clone() }));
        assert_eq!(free_name(&status), "c");
        let letters = ('a'..='z').map(|letter| NodeStatus { name: letter.to_string(), ..node.clone() });
        status.nodes.extend(letters);
        assert_eq!(free_name(&status), "node-27");
    }

    #[test]
    fn nobody_is_led_to_an_address_that_leads_nowhere() {
        let mut status = sample();
        assert_eq!(reachable(&status), Ok(()));
        for nowhere in ["127.0.0.1:8443", "[::1]:8443", "0.0.0.0:8443"] {
            status.nodes[0].address = nowhere.to_owned();
            let fault = reachable(&status).expect_err("it leads nowhere");
            assert!(fault.message.contains(nowhere) && fault.help[0].contains("--advertise"), "{fault:?}");
        }
    }
}
