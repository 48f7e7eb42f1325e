//! `links [SHARE]`: how much two nodes say to each other, each on a thread of its own, over one QUIC link of this host.
//! Prints a line of JSON: calls a second by how many are in flight, and for bulk the bytes a second, beside those of a
//! plain quinn stream. One in SHARE of the work is done. `./dev bench call` runs it.
//!
//! A node's calls pass doors and services at both ends; this is what is left without them.

#![expect(clippy::disallowed_methods, reason = "it measures real time, and is not simulated")]

mod echo;
mod pair;
mod plain;

use bytes::Bytes;
use futures::{StreamExt, stream};
use micro_mesh::{FRAME_BYTES_MAX, Lane, Mesh, Piece};
use micro_sdk::wire::{Caller, Head, Namespace, NodeId, TraceId};
use pair::Pair;
use std::{
    env,
    error::Error,
    time::{Duration, Instant},
};

/// Calls of one measurement, with one in flight and with more.
const CALLS: [usize; 2] = [20_000, 300_000];
/// What a call carries, there and back, in bytes.
const BODY: usize = 256;
/// What is sent in bulk, in bytes: seconds of it.
const BULK: usize = 2 << 30;
/// How long the two may take to be linked, or one answer to come.
const LIMIT: Duration = Duration::from_secs(30);

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let share = env::args().nth(1).map(|share| share.parse()).transpose()?.unwrap_or(1).max(1);
    let pair = Pair::start()?;
    let figures = pair.run(async |mesh, there| {
        let mut figures = Vec::new();
        for in_flight in [1, 64, 512] {
            let count = CALLS[usize::from(in_flight > 1)] / share;
            figures.push((format!("calls_{in_flight}"), calls(&mesh, there, count, in_flight).await?));
        }
        figures.push(("lane_bytes".to_owned(), lane(&mesh, there, BULK / share).await?));
        figures.push(("conversation_bytes".to_owned(), conversation(&mesh, there, BULK / share).await?));
        Ok::<_, Failure>(figures)
    })?;
    let plain = ("quinn_bytes".to_owned(), plain::bulk(BULK / share)?);
    let members: Vec<String> =
        figures.iter().chain([&plain]).map(|(name, value)| format!("\"{name}\":{value:.0}")).collect();
    println!("{{{}}}", members.join(","));
    Ok(())
}

/// So many things a second, of what took so long.
fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

fn head() -> Head {
    Head {
        namespace: Namespace::default(),
        service: "echo".parse().expect("a good name"),
        endpoint: "Echo.say".to_owned(),
        caller: Caller::Admin,
        trace: TraceId(1),
        deadline_ms: u32::try_from(LIMIT.as_millis()).expect("it is short"),
        hops: 0,
        idempotency_key: None,
        metadata: Vec::new(),
        instance: None,
        attempts: None,
    }
}

/// Calls that are answered with what they carry, so many at a time.
async fn calls(mesh: &Mesh, to: NodeId, count: usize, in_flight: usize) -> Result<f64, Failure> {
    let (head, body) = (head(), Bytes::from(vec![b'x'; BODY]));
    let began = Instant::now();
    let mut answers =
        stream::iter(0..count).map(|_| mesh.call(to, &head, body.clone())).buffer_unordered(in_flight);
    while let Some(answer) = answers.next().await {
        if answer.map_err(|fault| fault.to_string())? != body {
            return Err("an answer is not what was asked".into());
        }
    }
    Ok(rate(count, began.elapsed()))
}

/// Frames of a bulk lane, as snapshots and blobs travel; the other end says how much has come in.
async fn lane(mesh: &Mesh, to: NodeId, bytes: usize) -> Result<f64, Failure> {
    let (mut sender, mut receiver) =
        mesh.open(to, Lane::Blob, LIMIT).await.map_err(|fault| fault.to_string())?;
    let frame = vec![b'x'; FRAME_BYTES_MAX / 8];
    let began = Instant::now();
    for _ in 0..bytes.div_ceil(frame.len()) {
        sender.send(&frame).await?;
    }
    sender.finish();
    let told = receiver.next().await?.ok_or("the other end said nothing")?;
    let sent = bytes.div_ceil(frame.len()) * frame.len();
    if told != sent.to_string() {
        return Err(format!("of {sent} bytes came {}", String::from_utf8_lossy(&told)).into());
    }
    Ok(rate(sent, began.elapsed()))
}

/// Pieces of a conversation, as the bodies and streams of people's services travel.
async fn conversation(mesh: &Mesh, to: NodeId, bytes: usize) -> Result<f64, Failure> {
    let data = Bytes::from(vec![b'x'; micro_mesh::DATA_BYTES_MAX]);
    let pieces = bytes.div_ceil(data.len());
    let sent = pieces * data.len();
    let said = stream::iter(0..pieces).map(move |_| Piece::Data(data.clone()));
    let said = said.chain(stream::once(async { Piece::End(Vec::new()) })).boxed();
    let began = Instant::now();
    let mut heard = mesh.converse(to, &head(), said, LIMIT).await.map_err(|fault| fault.to_string())?;
    let mut told = Bytes::new();
    while let Some(piece) = heard.next().await {
        match piece.map_err(|fault| fault.to_string())? {
            Piece::Data(data) => told = data,
            Piece::Fault(fault) => return Err(fault.to_string().into()),
            Piece::Head(_) | Piece::End(_) => {}
        }
    }
    if told != sent.to_string() {
        return Err(format!("of {sent} bytes came {}", String::from_utf8_lossy(&told)).into());
    }
    Ok(rate(sent, began.elapsed()))
}
