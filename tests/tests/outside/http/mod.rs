//! The HTTP api from outside: a built node, a service in this process, curl and raw bytes.

mod calls;
pub(crate) mod clerk;
mod corpus;
mod documents;
mod hedged;
mod mcp;
mod pages;
mod platform;
mod programs;
mod streams;
mod talker;
pub mod tls;

use anyhow::Context;
use micro_tests::{Answer, send};
use std::net::SocketAddr;
use tokio::process::Command;

/// One request on a connection of its own: `METHOD TARGET`, further headers, a body.
pub(crate) async fn ask(api: SocketAddr, line: &str, headers: &[&str], body: &str) -> anyhow::Result<Answer> {
    let host = headers.iter().any(|header| header.to_ascii_lowercase().starts_with("host:"));
    let mut request = format!("{line} HTTP/1.1\r\nconnection: close\r\n");
    if !host {
        request += &format!("host: {api}\r\n");
    }
    for header in headers {
        request += &format!("{header}\r\n");
    }
    if !body.is_empty() {
        request += &format!("content-length: {}\r\n", body.len());
    }
    send(api, format!("{request}\r\n{body}").as_bytes()).await
}

/// What curl prints.
async fn curl(arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "20", "--noproxy", "*"]).args(arguments);
    let output = command.kill_on_drop(true).output().await.context("curl")?;
    anyhow::ensure!(
        output.status.success(),
        "curl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
