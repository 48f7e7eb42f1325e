//! Load by h2load: the same tool and the same prepared request for both sides.

use crate::Row;
use anyhow::{Context, ensure};
use serde::Serialize;
use std::{fmt, fs, path::PathBuf};
use tokio::process::Command;

/// Whom to load.
pub struct Target {
    /// The address and the path up to the method.
    pub base: String,
    /// A header that lets requests in.
    pub header: Option<String>,
}

/// How to load.
pub struct Load {
    /// Where requests and logs go.
    pub scratch: PathBuf,
    /// How often: the median counts.
    pub runs: usize,
    /// The part of each row's requests that is sent: one in this many.
    pub share: u32,
}

/// One measured figure.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// Half of all requests took no longer than this.
    pub p50_us: Option<f64>,
    /// All but one in a hundred took no longer than this.
    pub p99_us: Option<f64>,
    /// What etcd did.
    pub etcd: Option<f64>,
    /// Ours through etcd's.
    pub ratio: Option<f64>,
    /// What the ratio, or the figure, should be.
    pub bar: Option<f64>,
    /// Whether it is.
    pub met: Option<bool>,
}

impl Figure {
    /// Puts etcd's figure beside, and the bar that the ratio is held to.
    pub fn beside(&mut self, other: &Figure, bar: f64) {
        let ratio = self.value / other.value;
        self.etcd = Some(other.value);
        self.ratio = Some(ratio);
        self.bar = Some(bar);
        self.met = Some(ratio >= bar);
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |us: Option<f64>| us.map_or_else(|| "-".to_owned(), |us| format!("{:.2}ms", us / 1000.0));
        let etcd = self.etcd.map_or_else(|| "-".to_owned(), |etcd| format!("{etcd:.0}/s"));
        let ratio = self.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let value = format!("{:.0}{}", self.value, self.unit);
        let (p50, p99) = (ms(self.p50_us), ms(self.p99_us));
        write!(f, "{:<44} {value:>12} {p50:>10} {p99:>10} {etcd:>12} {ratio:>7}", self.name)?;
        match (self.bar, self.met) {
            (Some(bar), Some(true)) => write!(f, "  bar {bar} met"),
            (Some(bar), Some(false)) => write!(f, "  bar {bar} MISSED"),
            _ => Ok(()),
        }
    }
}

impl Load {
    /// Sends a row's requests and returns the run in the middle.
    ///
    /// # Errors
    /// If the tool is missing, or any request did not succeed.
    pub async fn measure(
        &self,
        row: &Row,
        target: &Target,
        method: &str,
        body: &[u8],
        content_type: &str,
    ) -> anyhow::Result<Figure> {
        let file = self.scratch.join("request");
        fs::write(&file, body)?;
        let mut figures = Vec::new();
        for _ in 0..self.runs {
            figures.push(self.once(row, target, method, &file, content_type).await?);
        }
        figures.sort_by(|a, b| a.value.total_cmp(&b.value));
        Ok(figures.swap_remove(figures.len() / 2))
    }

    async fn once(
        &self,
        row: &Row,
        target: &Target,
        method: &str,
        file: &std::path::Path,
        content_type: &str,
    ) -> anyhow::Result<Figure> {
        let log = self.scratch.join("latencies");
        let _ = fs::remove_file(&log);
        let requests = (row.requests / self.share).max(row.connections * row.streams);
        let mut command = Command::new("h2load");
        command
            .args(["-n", &requests.to_string(), "-c", &row.connections.to_string()])
            .args(["-m", &row.streams.to_string(), "-d"])
            .arg(file)
            .arg(format!("--log-file={}", log.display()))
            .args(["-H", &format!("content-type: {content_type}"), "-H", "te: trailers"]);
        if let Some(header) = &target.header {
            command.args(["-H", header]);
        }
        command.arg(format!("{}/{method}", target.base)).kill_on_drop(true);
        let output = command.output().await.context("h2load, of the package nghttp2-client")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or("").to_owned();
        let counts = line("requests:");
        ensure!(
            counts.contains(&format!(" {requests} succeeded")),
            "not every request succeeded: {counts} {text}"
        );
        let finished = line("finished in");
        let per_second = finished.split(", ").find_map(|part| part.strip_suffix(" req/s"));
        let value = per_second.and_then(|rate| rate.parse().ok()).context("h2load prints a rate")?;
        let mut latencies: Vec<f64> = fs::read_to_string(&log)?
            .lines()
            .filter_map(|line| line.split('\t').nth(2)?.parse().ok())
            .collect();
        latencies.sort_by(f64::total_cmp);
        let at = |part: f64| latencies.get((latencies.len() as f64 * part) as usize).copied();
        Ok(Figure { value, unit: "/s", p50_us: at(0.5), p99_us: at(0.99), ..Figure::default() })
    }
}
