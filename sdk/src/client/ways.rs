//! The ways between the nodes of the mesh.

use super::{Member, Node, node::Stake};
use crate::{proto, wire::Fault};
use std::time::Duration;

/// The links between the nodes of the mesh, as far as the asked node knows them.
#[derive(Clone, Debug, PartialEq)]
pub struct Links {
    /// The nodes, also those that have no link.
    pub nodes: Vec<Member>,
    /// The links.
    pub links: Vec<Link>,
}

/// A link, as the node at its one end tells of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The id of the node that tells.
    pub from: String,
    /// The id of the node at the other end.
    pub to: String,
    /// The lowest round trip of the last seconds.
    pub rtt: Duration,
    /// By how much the round trips of the last 30 s differed from one to the next, in the mean.
    pub jitter: Duration,
    /// The share of packets sent that were lost, from 0 to 1.
    pub loss: f64,
}

/// The ways on which one node can reach another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The node that sends.
    pub from: Member,
    /// The node that it sends to.
    pub to: Member,
    /// The ways, the cheapest first: for each node that may come next, the best over it.
    pub ways: Vec<Way>,
}

/// A way and what it costs, as round trips.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The nodes between the two ends; none if it is the direct way.
    pub relays: Vec<Member>,
    /// In all.
    pub cost: Duration,
    /// The round trips of its links.
    pub rtt: Duration,
    /// For packets that are lost on them.
    pub of_loss: Duration,
    /// For packets that are late on them.
    pub of_jitter: Duration,
    /// For money that is paid between clouds.
    pub of_price: Duration,
    /// For the relays.
    pub of_relays: Duration,
    /// Whether it is the one that is gone. It may be a little dearer than the cheapest: a way is not changed for
    /// little.
    pub chosen: bool,
}

/// An answered ping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ping {
    /// The node that answered.
    pub node: Member,
    /// The nodes that the ping passed on its way there; none if it went directly.
    pub relays: Vec<Member>,
    /// Where that node is dialled; empty for the asked node itself.
    pub address: String,
    /// How long it took, there and back.
    pub took: Duration,
}

/// A node that was found by an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Which it is.
    pub node: Member,
    /// Where it answered.
    pub address: String,
}

impl Node {
    /// The links between the nodes of the mesh, as far as this node knows them. Needs no quorum.
    ///
    /// # Errors
    /// As every request.
    pub async fn links(&self) -> Result<Links, Fault> {
        let mut client = self.client();
        let sent = |request| async move { client.links(request).await };
        let response = self.ask(Stake::Call, self.timeout(), proto::LinksRequest {}, sent).await?;
        let link = |proto::Link { from, to, rtt_us, loss, jitter_us }| Link {
            from,
            to,
            rtt: Duration::from_micros(rtt_us),
            jitter: Duration::from_micros(jitter_us),
            loss,
        };
        let links = response.links.into_iter().map(link).collect();
        Ok(Links { nodes: members(response.nodes), links })
    }

    /// The ways from one node, by its name or id, to another, and which one it goes; from the node that is asked, if
    /// none is named.
    ///
    /// # Errors
    /// `NotFound` if there is no such node, `Unreachable` if the one that sends can't be asked; else as every request.
    pub async fn explain(&self, from: Option<&str>, to: &str) -> Result<Explanation, Fault> {
        let mut client = self.client();
        let sent = |request| async move { client.explain(request).await };
        let message = proto::ExplainRequest { from: from.unwrap_or_default().to_owned(), to: to.to_owned() };
        let response = self.ask(Stake::Call, self.timeout(), message, sent).await?;
        let us = Duration::from_micros;
        let way = |way: proto::Way| Way {
            relays: members(way.relays),
            cost: us(way.cost_us),
            rtt: us(way.rtt_us),
            of_loss: us(way.loss_cost_us),
            of_jitter: us(way.jitter_cost_us),
            of_price: us(way.price_cost_us),
            of_relays: us(way.relay_cost_us),
            chosen: way.chosen,
        };
        Ok(Explanation {
            from: response.from.unwrap_or_default().into(),
            to: response.to.unwrap_or_default().into(),
            ways: response.ways.into_iter().map(way).collect(),
        })
    }

    /// Has this node link the node of its mesh that answers at an address (`IP:PORT`, or `HOST:PORT`, which it looks
    /// up), whichever it is, and dial it there too from now on.
    ///
    /// # Errors
    /// `Unreachable` if nothing answers there, `Usage` if it is the asked node itself, `Conflict` if it is no node of
    /// this mesh, or not any more; else as every request.
    pub async fn connect_node(&self, address: &str) -> Result<Connection, Fault> {
        let mut client = self.client();
        let sent = |request| async move { client.connect(request).await };
        let message = proto::ConnectRequest { address: address.to_owned() };
        let proto::ConnectResponse { node, address } =
            self.ask(Stake::Call, self.timeout(), message, sent).await?;
        Ok(Connection { node: node.unwrap_or_default().into(), address })
    }

    /// Has this node send a ping to another, by its name or id, on the way that calls go.
    ///
    /// # Errors
    /// `NotFound` if there is no such node, `Unreachable` or `Timeout` if it does not answer; else as every request.
    pub async fn ping(&self, node: &str) -> Result<Ping, Fault> {
        let mut client = self.client();
        let sent = |request| async move { client.ping(request).await };
        let message = proto::PingRequest { node: node.to_owned() };
        let proto::PingResponse { node, relays, address, took_us } =
            self.ask(Stake::Call, self.timeout(), message, sent).await?;
        let took = Duration::from_micros(took_us);
        Ok(Ping { node: node.unwrap_or_default().into(), relays: members(relays), address, took })
    }
}

fn members(members: Vec<proto::Member>) -> Vec<Member> {
    members.into_iter().map(Member::from).collect()
}
