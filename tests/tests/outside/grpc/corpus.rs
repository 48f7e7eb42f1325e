//! Bad requests as lines: `tests/corpus/grpc`, in which messages are wrong, and connections. The files say how they are
//! written. The node answers what they say, lives, and keeps nothing.

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use micro_tests::{Cluster, Plan, resident_kib};
use std::{fs, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const REQUESTS: &str = include_str!("../../../corpus/grpc/requests.txt");
const CONNECTIONS: &str = include_str!("../../../corpus/grpc/connections.txt");

/// Longer than the node waits for the beginning of a connection.
const PATIENCE: Duration = Duration::from_secs(15);
/// What the node may have more in memory when all is over: its allocator keeps some of what was free'd.
const GROWTH_KIB_MAX: u64 = 64 << 10;
/// What a client of HTTP/2 begins with (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0are you?";
const PONG: &[u8] = b"\0\0\x08\x06\x01\0\0\0\0are you?";

/// The bytes that a text is written for.
fn bytes(text: &str) -> anyhow::Result<Vec<u8>> {
    let (mut made, mut rest) = (Vec::new(), text);
    while let Some(letter) = rest.chars().next() {
        let behind = &rest[letter.len_utf8()..];
        rest = match letter {
            '\\' => escaped(behind, &mut made)?,
            '$' if behind.starts_with('(') => {
                let (inside, behind) = enclosed(&behind[1..], ['(', ')'])?;
                let (what, times) = inside.rsplit_once('*').context("no number of times")?;
                made.extend(bytes(what)?.repeat(times.parse()?));
                behind
            }
            '<' => {
                let (inside, behind) = enclosed(behind, ['<', '>'])?;
                let message = bytes(inside)?;
                made.push(0);
                made.extend(u32::try_from(message.len())?.to_be_bytes());
                made.extend(message);
                behind
            }
            '{' if behind.starts_with(|letter: char| letter.is_ascii_uppercase()) => {
                let (inside, behind) = enclosed(behind, ['{', '}'])?;
                made.extend(part(inside)?);
                behind
            }
            letter => {
                made.extend(letter.encode_utf8(&mut [0; 4]).as_bytes());
                behind
            }
        };
    }
    Ok(made)
}

fn escaped<'a>(text: &'a str, made: &mut Vec<u8>) -> anyhow::Result<&'a str> {
    let letter = text.chars().next().context("a stroke at the end")?;
    made.push(match letter {
        'r' => b'\r',
        'n' => b'\n',
        'x' => {
            made.push(u8::from_str_radix(text.get(1..3).context("two digits")?, 16)?);
            return Ok(&text[3..]);
        }
        other => u8::try_from(other)?,
    });
    Ok(&text[letter.len_utf8()..])
}

/// What is before the bracket that closes, and what is behind it.
fn enclosed(text: &str, [open, close]: [char; 2]) -> anyhow::Result<(&str, &str)> {
    let mut depth = 1;
    let end = text.find(|letter| {
        depth += i32::from(letter == open) - i32::from(letter == close);
        depth == 0
    });
    let end = end.with_context(|| format!("no {close} closes {text:?}"))?;
    Ok((&text[..end], &text[end + 1..]))
}

/// What stands for `{word arguments}`.
fn part(inside: &str) -> anyhow::Result<Vec<u8>> {
    let (word, arguments) = inside.split_once(' ').unwrap_or((inside, ""));
    Ok(match word {
        "P" => PREFACE.to_vec(),
        "S" => frame(None, 4, 0, 0, &[])?,
        "F" | "L" => {
            let mut rest = arguments;
            let mut number = || -> anyhow::Result<u32> {
                let (number, behind) = rest.split_once(' ').context("a number")?;
                rest = behind;
                Ok(u32::from_str_radix(number, 16)?)
            };
            let length = if word == "L" { Some(number()?) } else { None };
            let (kind, flags, stream) = (number()?, number()?, number()?);
            frame(length, u8::try_from(kind)?, u8::try_from(flags)?, stream, &bytes(rest)?)?
        }
        // POST and http are in the table that both sides have (RFC 7541, appendix A).
        "Q" => {
            [&b"\x83\x86"[..], &header(b":path", &bytes(arguments)?)?, &header(b":authority", b"a")?].concat()
        }
        "K" => {
            let (name, value) = arguments.split_once(' ').context("a name and a value")?;
            header(name.as_bytes(), &bytes(value)?)?
        }
        _ => bail!("{{{inside}}} stands for nothing"),
    })
}

fn frame(length: Option<u32>, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> anyhow::Result<Vec<u8>> {
    let length = length.map_or_else(|| u32::try_from(payload.len()), Ok)?;
    let head = [&length.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    Ok([&head, payload].concat())
}

/// A header that goes into no table, with texts as they are (RFC 7541, 6.2.2).
fn header(name: &[u8], value: &[u8]) -> anyhow::Result<Vec<u8>> {
    let length = |text: &[u8]| match u8::try_from(text.len()) {
        Ok(length @ ..127) => Ok(length),
        _ => bail!("a header of {} bytes is too long to be written here", text.len()),
    };
    Ok([&[0, length(name)?], name, &[length(value)?], value].concat())
}

/// The lines of a corpus, in so many parts, with bars between them.
fn lines<const N: usize>(corpus: &str) -> impl Iterator<Item = anyhow::Result<[&str; N]>> {
    let lines = corpus.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let parts: Vec<&str> = line.splitn(N, '|').collect();
        let parts: [&str; N] =
            parts.try_into().ok().with_context(|| format!("it has not {N} parts: {line}"))?;
        Ok(parts)
    })
}

/// What the node answers to a request: its status, as the corpus writes it.
async fn answer(
    proxy: SocketAddr,
    token: &str,
    [target, headers, body]: [&str; 3],
) -> anyhow::Result<String> {
    let (method, path) = target.trim().split_once(' ').context("a method and a path")?;
    let mut request = http::Request::builder().method(method).uri(match path {
        "*" => http::Uri::from_static("*"),
        path => format!("http://{proxy}{}", String::from_utf8(bytes(path)?)?).parse()?,
    });
    let said: Vec<(&str, &str)> = headers.split(';').filter_map(|line| line.trim().split_once(':')).collect();
    let usual = [("content-type", "application/grpc"), ("te", "trailers"), ("authorization", token)];
    let usual = usual.iter().filter(|(name, _)| said.iter().all(|(said, _)| said != name));
    for (name, value) in usual.chain(&said) {
        let value = bytes(value.trim_start())?;
        if !value.is_empty() {
            request = request.header(*name, http::HeaderValue::from_bytes(&value)?);
        }
    }
    let stream = TcpStream::connect(proxy).await?;
    let (mut client, connection) = h2::client::handshake(stream).await?;
    let driven = tokio::spawn(connection);
    let asked = async {
        let (answer, mut upload) = client.send_request(request.body(())?, false)?;
        upload.send_data(Bytes::from(bytes(body)?), true)?;
        let answer = answer.await?;
        if answer.status() != http::StatusCode::OK {
            return Ok(format!("http {}", answer.status().as_u16()));
        }
        let code = |headers: &http::HeaderMap| {
            headers.get("grpc-status").and_then(|code| code.to_str().ok()).map(|code| format!("grpc {code}"))
        };
        if let Some(code) = code(answer.headers()) {
            return Ok(code);
        }
        let mut body = answer.into_body();
        while body.data().await.transpose()?.is_some() {}
        let trailers = body.trailers().await?.context("no trailers")?;
        code(&trailers).context("no status")
    };
    let answer = timeout(PATIENCE, asked).await.context("no answer")?;
    driven.abort();
    match answer {
        Err(error) if error.downcast_ref::<h2::Error>().is_some_and(h2::Error::is_remote) => {
            Ok("reset".to_owned())
        }
        other => other,
    }
}

/// What becomes of a connection on which these bytes came.
async fn fate(proxy: SocketAddr, sent: &[u8]) -> anyhow::Result<&'static str> {
    let stream = TcpStream::connect(proxy).await?;
    let (mut reading, mut writing) = stream.into_split();
    let sent = [sent, PING].concat();
    let writing = tokio::spawn(async move {
        let _cut = timeout(PATIENCE, writing.write_all(&sent)).await;
        // Kept open until it is known what the node makes of it.
        writing
    });
    let mut heard = Vec::new();
    let mut piece = [0; 16 << 10];
    let fate = loop {
        match timeout(PATIENCE, reading.read(&mut piece)).await {
            Err(_) => break "open, and nothing is answered",
            Ok(Ok(0) | Err(_)) => break "closed",
            Ok(Ok(length)) => {
                heard.extend_from_slice(&piece[..length]);
                if heard.windows(PONG.len()).any(|window| window == PONG) {
                    break "lives";
                }
            }
        }
    };
    writing.abort();
    Ok(fate)
}

fn fits(found: &str, expected: &str) -> bool {
    expected.trim().split('/').any(|expected| expected == found)
}

async fn findings(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let at = cluster.members[0].at();
    let token = format!("Bearer {}", fs::read_to_string(&at.admin_secret_file)?.trim());
    let (mut count, mut findings) = (0, Vec::new());
    for line in lines(REQUESTS) {
        let [about, expected, target, headers, body] = line?;
        let found = answer(at.proxy, &token, [target, headers, body]).await;
        let found = found.unwrap_or_else(|error| format!("{error:#}"));
        if !fits(&found, expected) {
            findings.push(format!("{about}: {found} in place of {expected}"));
        }
        count += 1;
    }
    let cases = lines(CONNECTIONS).collect::<anyhow::Result<Vec<[&str; 3]>>>()?;
    // All at once: some are waited for until the node's patience is over.
    let fates = cases.iter().map(|[about, expected, text]| async move {
        let sent = bytes(text.strip_prefix(' ').unwrap_or(text)).with_context(|| (*about).to_owned())?;
        anyhow::Ok((about, expected, fate(at.proxy, &sent).await?))
    });
    for outcome in futures::future::join_all(fates).await {
        let (about, expected, found) = outcome?;
        if !fits(found, expected) {
            findings.push(format!("{about}: {found} in place of {expected}"));
        }
    }
    count += cases.len();
    ensure!(count >= 150, "the corpus has shrunk to {count}");
    Ok(findings)
}

#[tokio::test]
async fn bad_requests_and_connections_are_answered_as_they_deserve_and_the_node_lives() -> anyhow::Result<()>
{
    // What nobody in particular may ask in a second is tested elsewhere.
    let extra = vec!["--limit-unknown".to_owned(), "off".to_owned()];
    let mut cluster = Cluster::start(Plan { size: 1, extra, ..Plan::default() }, &mut |_| ()).await?;
    let pid = cluster.members[0].at().pid;
    let before = resident_kib(pid)?;
    let findings = findings(&cluster).await?;
    ensure!(findings.is_empty(), "{} are not as they should be:\n{}", findings.len(), findings.join("\n"));
    ensure!(cluster.members[0].is_running(), "the node has ended");
    let after = resident_kib(pid)?;
    ensure!(after < before + GROWTH_KIB_MAX, "it had {before} KiB, and has {after}");
    let status = cluster.status(0).await?;
    ensure!(status["schema"] == "micro-node/status/v1", "{status}");
    let log = fs::read_to_string(cluster.members[0].log())?;
    ensure!(!log.contains("panicked"), "it panicked: {}", cluster.members[0].last_words());
    Ok(())
}
