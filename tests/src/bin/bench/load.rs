//! Load by h2load, and by wrk for HTTP/1.1: the same tool and the same prepared requests for every side.

use crate::figure::Latency;
use anyhow::{Context, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;
use tokio::process::Command;

/// How hard to press: so many requests in all, and no more at a time than there are streams.
#[derive(Clone, Copy, Debug)]
pub struct Pressure {
    /// Requests of one run.
    pub requests: u32,
    /// Connections.
    pub connections: u32,
    /// Streams of each.
    pub streams: u32,
}

impl Pressure {
    /// How many requests are in flight.
    pub fn in_flight(&self) -> u32 {
        self.connections * self.streams
    }
}

/// One request, sent again and again.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where to.
    pub url: String,
    /// Header lines.
    pub headers: Vec<String>,
    /// The body.
    pub body: Vec<u8>,
    /// The fewest bytes of a good answer.
    pub answer_bytes_min: usize,
}

/// The load tool, and a folder for what it reads and writes.
pub struct Load {
    scratch: TempDir,
    share: u32,
}

impl Load {
    /// A load tool that sends one in `share` of the requests of each run.
    ///
    /// # Errors
    /// If there is no room for a temporary folder.
    pub fn new(share: u32) -> anyhow::Result<Self> {
        Ok(Load { scratch: tempfile::tempdir().context("a folder for requests and logs")?, share })
    }

    /// A folder for what a tool reads.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// How many requests one run sends.
    pub fn sent(&self, pressure: Pressure) -> u32 {
        (pressure.requests / self.share).max(pressure.in_flight())
    }

    /// One run: the requests a second.
    ///
    /// # Errors
    /// If the tool is missing, or if any request was not answered with a message.
    pub async fn rate(&self, pressure: Pressure, request: &Request) -> anyhow::Result<f64> {
        self.run(pressure, request, None).await
    }

    /// One run in which each request is timed. It is a run of its own, since the tool writes a line for each, on the
    /// cores that the nodes would use.
    ///
    /// # Errors
    /// If the tool is missing, or if any request was not answered with a message.
    pub async fn latency(&self, pressure: Pressure, request: &Request) -> anyhow::Result<Latency> {
        let log = self.fresh_log()?;
        self.run(pressure, request, Some(&log)).await?;
        percentiles(&log)
    }

    /// One run in which each request is timed: how long the slowest took, in milliseconds.
    ///
    /// # Errors
    /// As [`latency`](Self::latency).
    pub async fn slowest_ms(&self, pressure: Pressure, request: &Request) -> anyhow::Result<f64> {
        let log = self.fresh_log()?;
        self.run(pressure, request, Some(&log)).await?;
        let slowest = latencies(&log)?.last().copied().context("h2load logged no latencies")?;
        Ok(slowest as f64 / 1e3)
    }

    async fn run(&self, pressure: Pressure, request: &Request, log: Option<&Path>) -> anyhow::Result<f64> {
        let Pressure { connections, streams, .. } = pressure;
        let requests = self.sent(pressure);
        let mut command = Command::new("h2load");
        command.args(["-n", &requests.to_string(), "-c", &connections.to_string()]);
        command.args(["-m", &streams.to_string(), "-d"]).arg(self.body(request)?);
        command.args(log.map(|log| format!("--log-file={}", log.display())));
        command.args(request.headers.iter().flat_map(|header| ["-H", header]));
        let output = command.arg(&request.url).kill_on_drop(true).output().await;
        let output = output.context("h2load, of Debian's package nghttp2-client")?;
        let said = String::from_utf8_lossy(&output.stdout);
        let complaints = String::from_utf8_lossy(&output.stderr);
        rate(&said, requests, request.answer_bytes_min)
            .with_context(|| format!("{}\n{said}{complaints}", request.url))
    }

    /// Sends the request once, and returns all that came back: headers, body and trailers.
    ///
    /// # Errors
    /// If the tool is missing, or there is no answer within ten seconds.
    pub async fn once(&self, request: &Request) -> anyhow::Result<String> {
        let mut command = Command::new("nghttp");
        command.args(["--verbose", "--timeout=10s", "--data"]).arg(self.body(request)?);
        command.args(request.headers.iter().flat_map(|header| ["-H", header]));
        let output = command.arg(&request.url).kill_on_drop(true).output().await;
        let output = output.context("nghttp, of Debian's package nghttp2-client")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success() && said.contains("recv"), "no answer from {}: {said}", request.url);
        Ok(said)
    }

    fn fresh_log(&self) -> anyhow::Result<PathBuf> {
        let log = self.scratch.path().join("latencies");
        if log.exists() {
            // The tool would append.
            fs::remove_file(&log)?;
        }
        Ok(log)
    }

    fn body(&self, request: &Request) -> anyhow::Result<PathBuf> {
        let file = self.scratch.path().join("request");
        fs::write(&file, &request.body)?;
        Ok(file)
    }
}

/// The rate that h2load prints, if every request got an answer of status 2xx with a message in it.
fn rate(said: &str, requests: u32, answer_bytes_min: usize) -> anyhow::Result<f64> {
    let line = |start: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(start));
        line.with_context(|| format!("h2load printed no line \"{start}\""))
    };
    let all = format!(" {requests} ");
    ensure!(line("requests:")?.contains(&format!("{all}succeeded")), "not every request succeeded");
    ensure!(line("status codes:")?.starts_with(&format!("{all}2xx")), "not every answer was 2xx");
    // "traffic: 1.15MB (1201500) total, 98.6KB (101000) headers (space savings 84.1%), 16.6KB (17000) data"
    let data = line("traffic:")?.rsplit('(').next().and_then(|rest| rest.split(')').next());
    let data: usize = data.context("h2load printed no bytes of data")?.parse()?;
    let least = requests as usize * answer_bytes_min;
    ensure!(data >= least, "{data} bytes of data where {requests} good answers have at least {least}");
    // "finished in 1.94s, 773.52 req/s, 45.13KB/s"
    let rate = line("finished in")?.split(", ").find_map(|part| part.strip_suffix(" req/s"));
    rate.context("h2load printed no rate")?.parse().context("h2load's rate")
}

/// The 50th and 99th percentile.
fn percentiles(log: &Path) -> anyhow::Result<Latency> {
    let latencies = latencies(log)?;
    let at = |percent: usize| latencies.get(latencies.len() * percent / 100).copied();
    let (p50, p99) = at(50).zip(at(99)).context("h2load logged no latencies")?;
    Ok(Latency { p50_us: p50 as f64, p99_us: p99 as f64 })
}

/// The log's third column, microseconds a request, shortest first.
fn latencies(log: &Path) -> anyhow::Result<Vec<u64>> {
    let text = fs::read_to_string(log).context("h2load's log")?;
    let mut latencies: Vec<u64> =
        text.lines().filter_map(|line| line.split('\t').nth(2)?.parse().ok()).collect();
    latencies.sort_unstable();
    Ok(latencies)
}
