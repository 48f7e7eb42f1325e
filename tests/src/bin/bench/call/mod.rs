//! `./dev bench call`: gRPC calls of a service on the same node, over one link, and over a link of two hops, beside
//! calls with nobody between and beside nginx.
//!
//! All runs in a network of its own, in which two of the three nodes can't reach each other. Then what a link carries
//! by itself, between two nodes in one process, beside a plain stream of quinn.

mod links;
mod network;

use crate::{
    api::Nginx,
    calls::KNOWN_LIMIT,
    figure::{Bar, Figure, Peer, Sample},
    load::{Load, Pressure, Request},
    report::Report,
    selection::Selection,
};
use anyhow::{Context, ensure};
use micro_tests::{Greeter, Member, post, until};
pub use network::enter;
use std::{fs, net::SocketAddr, time::Duration};
use tempfile::TempDir;

/// What the way over one link may add to a call (half of all calls), in microseconds.
const ADDED_LINK_US: f64 = 150.0;
/// The calls a second that one core of the node is to take in which passes them on over a link.
const PER_CORE: f64 = 25_000.0;
/// From the start of the nodes until the relayed way is gone.
const WAY_LIMIT: Duration = Duration::from_secs(60);

/// How calls are to be measured.
pub struct Plan {
    /// Which rows.
    pub selection: Selection,
    /// How often each: the median counts.
    pub runs: usize,
    /// One in this many requests is sent.
    pub share: u32,
}

/// Where the service is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    SameNode,
    OneLink,
    TwoHops,
    Nginx,
    Direct,
}

/// How much is asked and answered.
#[derive(Clone, Copy, Debug)]
struct Size {
    name: &'static str,
    bytes: usize,
    /// Requests of one run with one in flight, and with more.
    requests: [u32; 2],
}

const SIZES: [Size; 2] = [
    Size { name: "256 B", bytes: 256, requests: [4_000, 40_000] },
    Size { name: "64 KiB", bytes: 64 << 10, requests: [2_000, 6_000] },
];
const IN_FLIGHT: [u32; 3] = [1, 64, 512];
const WAYS: [(Way, &str); 3] =
    [(Way::SameNode, "same node"), (Way::OneLink, "one link"), (Way::TwoHops, "two hops")];

fn row_name(size: Size, way: &str, in_flight: u32) -> String {
    format!("call {}, {way}, {in_flight} in flight", size.name)
}

/// Three nodes, with a service on the first. The third reaches it over the second only.
struct Scene {
    load: Load,
    members: Vec<Member>,
    nginx: Nginx,
    service: SocketAddr,
    secret: String,
    _greeter: Greeter,
    _root: TempDir,
}

/// Measures what is wanted.
pub async fn measure(plan: &Plan, report: &mut Report) {
    report.take("a link by itself", links::measure(&plan.selection, plan.runs, plan.share).await);
    let calls = SIZES.iter().flat_map(|size| {
        WAYS.iter().flat_map(move |(_, way)| IN_FLIGHT.map(|in_flight| row_name(*size, way, in_flight)))
    });
    if !calls.into_iter().any(|row| plan.selection.wants(&row)) {
        return;
    }
    let scene = match Scene::set(plan.share).await {
        Ok(scene) => scene,
        Err(error) => return report.take("three nodes in a row", Err(error)),
    };
    for size in SIZES {
        for (way, name) in WAYS {
            report.take(name, scene.rows(plan, size, way, name).await);
        }
    }
}

impl Scene {
    async fn set(share: u32) -> anyhow::Result<Self> {
        let root = tempfile::Builder::new().prefix("micro-node-").tempdir_in("/tmp")?;
        let mut members: Vec<Member> = Vec::new();
        for (index, name) in ["alpha", "bravo", "charlie"].into_iter().enumerate() {
            let listen = format!("{}:0", network::address(index));
            members.push(Member::new(root.path(), name, vec!["--mesh-listen".to_owned(), listen])?);
            let invitation = match index {
                0 => Vec::new(),
                // The third can't reach the first.
                _ => members[index - 1].invite(name).await?,
            };
            members[index].start(&invitation).await?;
        }
        let greeter = Greeter::start(root.path(), &members[0], false)?;
        until("the service is called over two hops", WAY_LIMIT, async || {
            let nodes = members[2].cli()?.json(&["network", "nodes", "-o", "json"]).await?;
            let alpha = nodes["items"].as_array().into_iter().flatten().find(|node| node["name"] == "alpha");
            let path = alpha.and_then(|node| node["path"].as_str()).unwrap_or_default();
            ensure!(path == "via bravo", "the way to alpha is {path:?}");
            let answer = post(members[2].at().api, "/helloworld/call", r#"{"name":"Jane"}"#).await?;
            ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
            Ok(())
        })
        .await?;
        let service = until("the service listens", KNOWN_LIMIT, async || greeter.address()).await?;
        let secret = fs::read_to_string(&members[0].at().admin_secret_file)?.trim().to_owned();
        let nginx = Nginx::start(service).await?;
        Ok(Scene { load: Load::new(share)?, members, nginx, service, secret, _greeter: greeter, _root: root })
    }

    async fn rows(&self, plan: &Plan, size: Size, way: Way, name: &str) -> anyhow::Result<Vec<Figure>> {
        let mut figures = Vec::new();
        for in_flight in IN_FLIGHT {
            let row = row_name(size, name, in_flight);
            if !plan.selection.wants(&row) {
                continue;
            }
            // Beside nginx where it does the same, which is to pass calls on to a service of its host.
            let other = if way == Way::SameNode && in_flight > 1 { Way::Nginx } else { Way::Direct };
            let (figure, core) = self.row(&row, size, [way, other], in_flight, plan.runs).await?;
            if let (1, Some(ours), Some(peer)) = (in_flight, &figure.load, &figure.peer) {
                let bar = (way == Way::OneLink && size.bytes == 256).then_some(Bar::AtMost(ADDED_LINK_US));
                let added = format!("added p50, {}, {name}", size.name);
                figures.push(Figure::plain(&added, ours.p50_us - peer.load.p50_us, "us", bar));
            }
            if in_flight > 1 && way == Way::OneLink {
                let bar = (in_flight == 64 && size.bytes == 256).then_some(Bar::AtLeast(PER_CORE));
                figures.push(Figure::plain(&format!("a core, {row}"), core, "/s", bar));
            }
            figures.push(figure);
        }
        Ok(figures)
    }

    /// One run of ours, one of the other, and again; and the calls that one second of the core of the node takes in.
    async fn row(
        &self,
        name: &str,
        size: Size,
        ways: [Way; 2],
        in_flight: u32,
        runs: usize,
    ) -> anyhow::Result<(Figure, f64)> {
        eprint!("==> {name}:");
        let requests = size.requests[usize::from(in_flight > 1)];
        let streams = in_flight.min(64);
        let pressure = Pressure { requests, connections: in_flight / streams, streams };
        let mut rates = [Vec::new(), Vec::new()];
        let mut latencies = [Vec::new(), Vec::new()];
        let mut cores = Vec::new();
        for run in 0..runs {
            for (index, way) in ways.into_iter().enumerate() {
                let before = self.core_seconds(way)?;
                let rate = self.load.rate(pressure, &self.request(way, size)).await?;
                eprint!("  {way:?} {rate:.0}/s");
                rates[index].push(rate);
                if index == 0 {
                    let sent = f64::from(self.load.sent(pressure));
                    cores.push(sent / (self.core_seconds(way)? - before).max(0.01));
                }
                // With one in flight it is the latency that counts, and so it is the median of as many runs.
                if run + 1 == runs || in_flight == 1 {
                    latencies[index].push(self.load.latency(pressure, &self.request(way, size)).await?);
                }
            }
        }
        eprintln!();
        let [ours, theirs] = rates;
        let (ours, theirs) = (Sample::new(ours, &latencies[0]), Sample::new(theirs, &latencies[1]));
        let peer = Peer { name: if ways[1] == Way::Nginx { "nginx" } else { "direct" }, load: theirs };
        Ok((Figure::rate(name, ours, Some(peer), None), crate::figure::median(&cores)))
    }

    fn request(&self, way: Way, size: Size) -> Request {
        let (address, path) = match way {
            Way::SameNode => (self.members[0].at().proxy, "/helloworld.Greeter/Call"),
            Way::OneLink => (self.members[1].at().proxy, "/helloworld.Greeter/Call"),
            Way::TwoHops => (self.members[2].at().proxy, "/helloworld.Greeter/Call"),
            Way::Nginx => (self.nginx.http2, "/helloworld/call"),
            Way::Direct => (self.service, "/Greeter/call"),
        };
        let question = format!(r#"{{"name":"{}"}}"#, "x".repeat(size.bytes));
        let kind = if way == Way::Nginx { "application/json" } else { "application/grpc" };
        let mut headers = vec![format!("content-type: {kind}")];
        let mut body = question.into_bytes();
        if way != Way::Nginx {
            headers.push("te: trailers".to_owned());
            let length = u32::try_from(body.len()).expect("a question is short");
            body.splice(..0, [&[0][..], &length.to_be_bytes()].concat());
        }
        // Only the first node's secret is known to it; to the others callers of this host are nobody in particular.
        if way == Way::SameNode {
            headers.push(format!("authorization: Bearer {}", self.secret));
        }
        Request { url: format!("http://{address}{path}"), headers, body, answer_bytes_min: size.bytes }
    }

    /// The time that the process has had of a core that takes the calls of a way in; of others than ours nobody asks.
    fn core_seconds(&self, way: Way) -> anyhow::Result<f64> {
        let index = match way {
            Way::SameNode => 0,
            Way::OneLink => 1,
            Way::TwoHops => 2,
            Way::Nginx | Way::Direct => return Ok(0.0),
        };
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.members[index].at().pid))?;
        // The fields behind the name, which is in parentheses (proc(5)): utime and stime are the 14th and 15th of all.
        let fields: Vec<&str> = stat.rsplit(')').next().context("a line")?.split_whitespace().collect();
        let ticks: f64 =
            fields.get(11..13).context("times")?.iter().flat_map(|ticks| ticks.parse::<f64>()).sum();
        // Linux tells them in hundredths of a second on all common machines.
        Ok(ticks / 100.0)
    }
}
