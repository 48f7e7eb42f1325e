//! `./dev bench api`: calls of a service through the doors, with a token, beside nginx in front of the same service and
//! beside calls with nobody between.

mod decisions;
mod nginx;
mod wrk;

use crate::{
    calls::{ANSWER, KNOWN_LIMIT, QUESTION},
    figure::{Bar, Figure, Latency, Peer, Sample},
    load::{Load, Pressure, Request},
    report::Report,
    selection::Selection,
};
use anyhow::{Context, ensure};
use micro_sdk::client::{NewAccount, Token};
use micro_tests::{Cluster, Greeter, post, until};
pub use nginx::Nginx;
use std::net::SocketAddr;

/// What the way through a node of the same host may add to a call (half of all calls), in microseconds.
const ADDED_LOCAL_US: f64 = 100.0;
/// The same through two nodes, with a link between them.
const ADDED_LINK_US: f64 = 250.0;

/// How the doors are to be measured.
pub struct Plan {
    /// Which rows.
    pub selection: Selection,
    /// How often each: the median counts.
    pub runs: usize,
    /// One in this many requests is sent.
    pub share: u32,
}

/// How a service is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
    Grpc,
}
use Protocol::{Grpc, Http1, Http2};

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Http1 => "HTTP/1.1",
            Http2 => "HTTP/2",
            Grpc => "gRPC",
        }
    }

    /// So many requests in flight: in HTTP/1.1 each has a connection, else they share one.
    fn pressure(self, in_flight: u32) -> Pressure {
        let (connections, streams) = if self == Http1 { (in_flight, 1) } else { (1, in_flight) };
        Pressure { requests: if in_flight == 1 { 4_000 } else { 60_000 }, connections, streams }
    }

    fn request(self, address: SocketAddr, path: &str, token: Option<&str>) -> Request {
        let kind = if self == Grpc { "application/grpc" } else { "application/json" };
        let mut headers = vec![format!("content-type: {kind}")];
        headers.extend(token.map(|token| format!("authorization: Bearer {token}")));
        let mut body = QUESTION.as_bytes().to_vec();
        if self == Grpc {
            headers.push("te: trailers".to_owned());
            let length = u32::try_from(body.len()).expect("a question is short");
            body.splice(..0, [&[0][..], &length.to_be_bytes()].concat());
        }
        Request { url: format!("http://{address}{path}"), headers, body, answer_bytes_min: ANSWER.len() }
    }
}

/// Where the service is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Through the node that it is attached to.
    SameNode,
    /// Through another node.
    OneLink,
    /// By nginx.
    Nginx,
    /// By itself.
    Direct,
}

/// Two nodes with a service, and what else calls it.
struct Scene {
    load: Load,
    share: u32,
    cluster: Cluster,
    nginx: Nginx,
    service: SocketAddr,
    secret: Token,
    _greeter: Greeter,
}

/// Measures what is wanted.
pub async fn measure(plan: &Plan, report: &mut Report) {
    report.take("decisions", decisions::measure(&plan.selection, plan.runs).await);
    let mut scene = match Scene::set(plan.share).await {
        Ok(scene) => scene,
        Err(error) => return report.take("two nodes with a service", Err(error)),
    };
    for protocol in [Http1, Http2, Grpc] {
        report.take(protocol.name(), scene.protocol(plan, protocol).await);
    }
    report.take("the end of two nodes", scene.cluster.stop().await.map(|()| Vec::new()));
}

impl Scene {
    async fn set(share: u32) -> anyhow::Result<Self> {
        let cluster = Cluster::of(2).await?;
        let greeter = Greeter::start(cluster.root(), &cluster.members[0], false)?;
        for member in &cluster.members {
            until("the service answers", KNOWN_LIMIT, async || {
                let answer = post(member.at().api, "/helloworld/call", QUESTION).await?;
                ensure!(answer.status == 200 && answer.body == ANSWER, "{} {}", answer.status, answer.body);
                Ok(())
            })
            .await?;
        }
        let created = cluster.client(0).await?.auth().create_account("bench", NewAccount::default()).await?;
        let secret = created.secret.context("one was made")?;
        let service = greeter.address()?;
        let nginx = Nginx::start(service).await?;
        Ok(Scene { load: Load::new(share)?, share, cluster, nginx, service, secret, _greeter: greeter })
    }

    /// The rows of one protocol.
    async fn protocol(&self, plan: &Plan, protocol: Protocol) -> anyhow::Result<Vec<Figure>> {
        let mut figures = Vec::new();
        let other = if protocol == Grpc { Way::Direct } else { Way::Nginx };
        for (way, name, added_us) in
            [(Way::SameNode, "same node", ADDED_LOCAL_US), (Way::OneLink, "across one link", ADDED_LINK_US)]
        {
            let row = format!("{}, {name}, 64 in flight", protocol.name());
            if plan.selection.wants(&row) {
                // A second node between costs what a second nginx would: only the first is held to one.
                let bar = (way == Way::SameNode && other == Way::Nginx).then_some(Bar::TimesPeer(1.0));
                let pressure = protocol.pressure(64);
                figures.push(self.row(&row, protocol, [way, other], pressure, plan.runs, bar).await?);
            }
            let row = format!("{}, {name}, 1 in flight", protocol.name());
            let added = format!("added p50, {}, {name}", protocol.name());
            if plan.selection.wants_any(&[&row, &added]) {
                let pressure = protocol.pressure(1);
                let figure = self.row(&row, protocol, [way, Way::Direct], pressure, plan.runs, None).await?;
                let (ours, direct) =
                    figure.load.as_ref().zip(figure.peer.as_ref()).context("both are measured")?;
                let value = ours.p50_us - direct.load.p50_us;
                figures.push(figure.clone());
                figures.push(Figure::plain(&added, value, "us", Some(Bar::AtMost(added_us))));
            }
        }
        Ok(figures)
    }

    /// One run of ours, one of the other, and again: a machine that drifts then drifts for both.
    async fn row(
        &self,
        name: &str,
        protocol: Protocol,
        ways: [Way; 2],
        pressure: Pressure,
        runs: usize,
        bar: Option<Bar>,
    ) -> anyhow::Result<Figure> {
        eprint!("==> {name}:");
        let token = self.token().await?;
        let mut rates = [Vec::new(), Vec::new()];
        let mut latencies = [Vec::new(), Vec::new()];
        for run in 0..runs {
            for (index, way) in ways.into_iter().enumerate() {
                let request = self.request(protocol, way, &token);
                // With one in flight it is the latency that counts, and so it is the median of as many runs.
                let timed = run + 1 == runs || pressure.in_flight() == 1;
                let (rate, latency) = self.run(protocol, pressure, &request, timed).await?;
                eprint!("  {way:?} {rate:.0}/s");
                rates[index].push(rate);
                latencies[index].extend(latency);
            }
        }
        eprintln!();
        let sample = |index: usize| Sample::new(rates[index].clone(), &latencies[index]);
        let peer = Peer { name: if ways[1] == Way::Nginx { "nginx" } else { "direct" }, load: sample(1) };
        Ok(Figure::rate(name, sample(0), Some(peer), bar))
    }

    /// The rate of one run, and how long its requests took if `timed`.
    async fn run(
        &self,
        protocol: Protocol,
        pressure: Pressure,
        request: &Request,
        timed: bool,
    ) -> anyhow::Result<(f64, Option<Latency>)> {
        if protocol == Http1 {
            let (rate, latency) = wrk::run(self.load.scratch(), pressure, request, self.share).await?;
            return Ok((rate, Some(latency)));
        }
        let rate = self.load.rate(pressure, request).await?;
        let latency = if timed { Some(self.load.latency(pressure, request).await?) } else { None };
        Ok((rate, latency))
    }

    fn request(&self, protocol: Protocol, way: Way, token: &str) -> Request {
        let member = |index: usize| self.cluster.members[index].at();
        let path = match (way, protocol) {
            (Way::Direct, _) => "/Greeter/call",
            (_, Grpc) => "/helloworld.Greeter/Call",
            _ => "/helloworld/call",
        };
        let address = match (way, protocol) {
            (Way::SameNode, Grpc) => member(0).proxy,
            (Way::OneLink, Grpc) => member(1).proxy,
            (Way::SameNode, _) => member(0).api,
            (Way::OneLink, _) => member(1).api,
            (Way::Nginx, Http1) => self.nginx.http1,
            (Way::Nginx, _) => self.nginx.http2,
            (Way::Direct, _) => self.service,
        };
        let ours = matches!(way, Way::SameNode | Way::OneLink);
        protocol.request(address, path, ours.then_some(token))
    }

    /// An access token that is good for longer than a row takes.
    async fn token(&self) -> anyhow::Result<String> {
        let node = self.cluster.client(0).await?;
        Ok(node.auth().login("bench", &self.secret).await?.access.expose().to_owned())
    }
}
