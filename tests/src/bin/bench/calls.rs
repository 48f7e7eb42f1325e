//! Calls of a service through the HTTP api: of one on the same node, and of one across a link.

use crate::{
    figure::{Figure, Sample},
    load::{Load, Pressure, Request},
    selection::Selection,
};
use anyhow::ensure;
use micro_tests::{Cluster, Greeter, post, until};
use std::time::Duration;

/// Until the service is known everywhere, on a machine that is busy otherwise.
pub const KNOWN_LIMIT: Duration = Duration::from_secs(20);

/// One in flight shows the way there and back, 64 what a node gets through.
const PRESSURES: [Pressure; 2] = [
    Pressure { requests: 2_000, connections: 1, streams: 1 },
    Pressure { requests: 40_000, connections: 1, streams: 64 },
];

const SAME_NODE: &str = "call, same node";
const ONE_LINK: &str = "call, across one link";

/// What the service is asked.
pub const QUESTION: &str = r#"{"name":"Jane"}"#;
/// What it answers.
pub const ANSWER: &str = r#"{"msg":"Hello Jane"}"#;

fn name(path: &str, pressure: Pressure) -> String {
    format!("{path}, {} in flight", pressure.in_flight())
}

/// Whether any row is wanted.
pub fn is_wanted(selection: &Selection) -> bool {
    let names = [SAME_NODE, ONE_LINK].map(|path| PRESSURES.map(|pressure| name(path, pressure)));
    names.as_flattened().iter().any(|name| selection.wants(name))
}

/// Runs `helloworld` beside the first of two nodes, and calls it through each of them.
///
/// # Errors
/// If the service is not found, or a call fails.
pub async fn measure(
    load: &Load,
    cluster: &Cluster,
    (host, other): (usize, usize),
    selection: &Selection,
    runs: usize,
) -> anyhow::Result<Vec<Figure>> {
    let greeter = Greeter::start(cluster.root(), &cluster.members[host], false)?;
    let mut figures = Vec::new();
    for (path, index) in [(SAME_NODE, host), (ONE_LINK, other)] {
        let api = cluster.members[index].at().api;
        until("the service answers", KNOWN_LIMIT, async || {
            let answer = post(api, "/helloworld/call", QUESTION).await?;
            ensure!(answer.status == 200 && answer.body == ANSWER, "{} {}", answer.status, answer.body);
            Ok(())
        })
        .await?;
        let request = Request {
            url: format!("http://{api}/helloworld/call"),
            headers: vec!["content-type: application/json".to_owned()],
            body: QUESTION.into(),
            answer_bytes_min: ANSWER.len(),
        };
        for pressure in PRESSURES {
            let name = name(path, pressure);
            if !selection.wants(&name) {
                continue;
            }
            eprint!("==> {name}:");
            let mut rates = Vec::new();
            for _ in 0..runs {
                let rate = load.rate(pressure, &request).await?;
                eprint!("  {rate:.0}/s");
                rates.push(rate);
            }
            eprintln!();
            let sample = Sample::new(rates, &[load.latency(pressure, &request).await?]);
            figures.push(Figure::rate(&name, sample, None, None));
        }
    }
    greeter.kill().await?;
    Ok(figures)
}
