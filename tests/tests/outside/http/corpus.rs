//! Bad requests as files: `tests/corpus/http`. Each is sent as raw bytes; the node answers what the file says, and
//! lives.
//!
//! A file says in lines that begin with `#` what it is about, then `expect STATUS|STATUS` (or `closed`) and `answers
//! N`, and behind `---` the request. Each line of it is sent with CR and LF, unless it ends in a backslash. `HOST` is
//! the node's address, `\r`, `\n`, `\t`, `\xNN` and `\\` are bytes, and `$(text*N)` is the text N times. What is
//! refused is explained as JSON, but where another protocol has a way of its own: `explained elsewhere`.

use super::clerk;
use anyhow::{Context, ensure};
use futures::{StreamExt, stream};
use micro_tests::{Cluster, repeated, resident_kib};
use std::{fs, net::SocketAddr, path::Path, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// The most that a connection may stay open without being used: longer than any deadline in the files.
const PATIENCE: Duration = Duration::from_secs(4);
/// How many are sent at once: those that wait hold nobody up, and those that do not have an answer in time.
const AT_ONCE: usize = 64;
/// What a node may have in memory behind all of them, in KiB: each is bounded by itself, far below this.
const RESIDENT_MAX: u64 = 1 << 20;

struct Case {
    name: String,
    expected: Vec<String>,
    answers: usize,
    explained: bool,
    request: Vec<u8>,
}

impl Case {
    fn read(path: &Path, host: &str) -> anyhow::Result<Case> {
        let text = fs::read_to_string(path)?;
        let (head, request) = text.split_once("---\n").context("no line of dashes")?;
        let word = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        Ok(Case {
            name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            expected: word("expect ").context("no expectation")?.split('|').map(str::to_owned).collect(),
            answers: word("answers ").context("no number of answers")?.parse()?,
            explained: word("explained ") != Some("elsewhere"),
            request: bytes(&request.replace("HOST", host))?,
        })
    }
}

/// The bytes that a request is written for.
fn bytes(text: &str) -> anyhow::Result<Vec<u8>> {
    let text = repeated(text)?;
    let mut bytes = Vec::new();
    let mut letters = text.bytes();
    while let Some(letter) = letters.next() {
        match letter {
            b'\n' => bytes.extend(b"\r\n"),
            b'\\' => match letters.next() {
                None | Some(b'\n') => {}
                Some(b'r') => bytes.push(b'\r'),
                Some(b'n') => bytes.push(b'\n'),
                Some(b't') => bytes.push(b'\t'),
                Some(b'x') => {
                    let digits = [letters.next(), letters.next()].map(|digit| digit.unwrap_or(b'?'));
                    bytes.push(u8::from_str_radix(std::str::from_utf8(&digits)?, 16)?);
                }
                Some(other) => bytes.push(other),
            },
            other => bytes.push(other),
        }
    }
    Ok(bytes)
}

/// All that comes back until the connection is closed, or nothing comes any more.
async fn exchange(api: SocketAddr, request: &[u8]) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(api).await?;
    // The node may close before it has read all of it.
    let _cut = timeout(PATIENCE, stream.write_all(request)).await;
    let mut answer = Vec::new();
    let mut piece = [0; 16 << 10];
    while let Ok(Ok(length @ 1..)) = timeout(PATIENCE, stream.read(&mut piece)).await {
        answer.extend_from_slice(&piece[..length]);
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

async fn check(api: SocketAddr, case: &Case) -> anyhow::Result<()> {
    let answer = exchange(api, &case.request).await?;
    let count = answer.matches("HTTP/1.1 ").count() + answer.matches("HTTP/1.0 ").count();
    ensure!(count == case.answers, "{count} answers: {answer}");
    if case.expected == ["closed"] {
        return Ok(());
    }
    let status = answer.split(' ').nth(1).unwrap_or_default();
    ensure!(case.expected.iter().any(|expected| expected == status), "{status}: {answer}");
    // hyper refuses what is no HTTP without a word; all that we refuse is explained.
    let (head, body) = answer.split_once("\r\n\r\n").context("no end of the head")?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.and_then(|length| length.parse().ok()).unwrap_or(body.len());
    // Of an answer to HEAD only the length is told.
    let length = if case.request.starts_with(b"HEAD ") { 0 } else { length };
    let body = body.get(..length).context("half a body")?;
    if case.explained && !body.is_empty() && !["100", "200"].contains(&status) {
        let problem: serde_json::Value = serde_json::from_str(body)?;
        ensure!(problem["code"].is_string() && problem["trace_id"].is_string(), "{problem}");
    }
    Ok(())
}

#[tokio::test]
async fn bad_requests_are_answered_as_they_deserve_and_the_node_lives() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(1).await?;
    let _clerk = clerk::serve(&cluster, 0, "default", 64).await?;
    let api = cluster.members[0].at().api;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/http");
    let mut cases = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        cases.push(Case::read(&path, &api.to_string()).with_context(|| path.display().to_string())?);
    }
    ensure!(cases.len() >= 550, "the corpus has shrunk to {}", cases.len());
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    let checks = stream::iter(&cases).map(|case| async move { (case, check(api, case).await) });
    let outcomes: Vec<_> = checks.buffered(AT_ONCE).collect().await;
    let findings: Vec<String> = outcomes
        .into_iter()
        .filter_map(|(case, outcome)| Some(format!("{}: {:#}", case.name, outcome.err()?)))
        .collect();
    ensure!(findings.is_empty(), "{} of {}:\n{}", findings.len(), cases.len(), findings.join("\n"));
    ensure!(cluster.members[0].is_running(), "the node has ended");
    let answer = super::ask(api, "GET /clerk/echo?age=7", &[], "").await?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let resident = resident_kib(cluster.members[0].at().pid)?;
    ensure!(resident < RESIDENT_MAX, "it has {resident} KiB in memory");
    let log = fs::read_to_string(cluster.members[0].log())?;
    ensure!(!log.contains("panicked"), "it panicked: {}", cluster.members[0].last_words());
    Ok(())
}
