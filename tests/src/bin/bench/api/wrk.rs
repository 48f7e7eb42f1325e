//! Load by wrk, over HTTP/1.1.

use crate::{
    figure::Latency,
    load::{Pressure, Request},
};
use anyhow::{Context, ensure};
use std::{fs, path::Path};
use tokio::process::Command;

/// How long one run takes: wrk counts time, not requests.
const SECONDS: u32 = 4;

/// One run of one thread: the requests a second, and how long they took.
///
/// # Errors
/// If the tool is missing, or if any request was not answered well.
pub async fn run(
    scratch: &Path,
    pressure: Pressure,
    request: &Request,
    share: u32,
) -> anyhow::Result<(f64, Latency)> {
    let quoted = |text: &str| format!("{text:?}");
    let body = String::from_utf8(request.body.clone()).context("a body of text")?;
    let headers = request.headers.iter().filter_map(|line| line.split_once(": "));
    let headers: Vec<String> =
        headers.map(|(name, value)| format!("wrk.headers[{}] = {}\n", quoted(name), quoted(value))).collect();
    let script = scratch.join("request.lua");
    fs::write(&script, format!("wrk.method = \"POST\"\nwrk.body = {}\n{}", quoted(&body), headers.concat()))?;
    let seconds = (SECONDS / share).max(1);
    let mut command = Command::new("wrk");
    command.args(["-t1", "--latency", "-c", &pressure.connections.to_string(), "-d", &seconds.to_string()]);
    let output = command.arg("-s").arg(&script).arg(&request.url).kill_on_drop(true).output().await;
    let output = output.context("wrk, of Debian's package wrk")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{}\n{said}{}", request.url, String::from_utf8_lossy(&output.stderr));
    read(&said).with_context(|| format!("{}\n{said}", request.url))
}

fn read(said: &str) -> anyhow::Result<(f64, Latency)> {
    ensure!(!said.contains("Non-2xx") && !said.contains("Socket errors"), "not every answer was good");
    let line = |start: &str| said.lines().find_map(|line| line.trim_start().strip_prefix(start));
    let rate = line("Requests/sec:").context("wrk printed no rate")?.trim().parse()?;
    let at = |percent: &str| {
        let text = line(percent).with_context(|| format!("wrk printed no {percent}"))?.trim();
        let (number, unit) = text.split_at(text.find(|letter: char| letter.is_alphabetic()).unwrap_or(0));
        let factor = match unit {
            "us" => 1.0,
            "ms" => 1e3,
            "s" => 1e6,
            _ => anyhow::bail!("{text:?} is no time"),
        };
        Ok(number.parse::<f64>()? * factor)
    };
    Ok((rate, Latency { p50_us: at("50%")?, p99_us: at("99%")? }))
}
