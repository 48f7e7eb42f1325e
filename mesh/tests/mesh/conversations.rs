//! Calls whose request and answer go on.

use crate::world::{World, eventually, head};
use bytes::Bytes;
use futures::{StreamExt, stream};
use micro_mesh::{DATA_BYTES_MAX, Mesh, Piece, Said};
use micro_sdk::wire::{Code, Effect, Fault, Head};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;

const TTL: Duration = Duration::from_secs(10);

fn to(endpoint: &str) -> Head {
    head(endpoint, 10_000)
}

fn data(length: usize) -> Piece {
    Piece::Data(Bytes::from(vec![7; length]))
}

/// So many pieces of the largest size, and an end.
fn pieces(count: usize) -> Said {
    let said = stream::iter(vec![data(DATA_BYTES_MAX); count]);
    said.chain(stream::once(async { Piece::End(vec![("last".to_owned(), b"word".to_vec())]) })).boxed()
}

fn pair(world: &World) -> (Mesh, Mesh) {
    let ((a, _), (b, _)) = (world.node(1), world.node(2));
    a.learn(b.node(), b.advertise());
    (a, b)
}

#[tokio::test]
async fn pieces_come_back_in_order_however_many() {
    let world = World::new(1);
    let (a, b) = pair(&world);
    // Sixteen windows.
    let heard = a.converse(b.node(), &to("echo"), pieces(128), TTL).await.expect("a link");
    let heard: Vec<_> =
        timeout(TTL, heard.map(|piece| piece.expect("no fault")).collect()).await.expect("in time");
    assert_eq!(heard.first(), Some(&Piece::Head(vec![("kind".to_owned(), b"echo".to_vec())])));
    assert_eq!(heard.last(), Some(&Piece::End(vec![("last".to_owned(), b"word".to_vec())])));
    assert_eq!(heard.len(), 1 + 128 + 1);
    assert!(heard[1..129].iter().all(|piece| *piece == data(DATA_BYTES_MAX)));
}

#[tokio::test]
async fn what_nobody_reads_stays_where_it_comes_from_and_holds_up_nothing_else() {
    let world = World::new(1);
    let ((a, _), (b, echo)) = (world.node(1), world.node(2));
    a.learn(b.node(), b.advertise());
    let taken = Arc::new(AtomicUsize::new(0));
    let mut silent = Vec::new();
    // More than the windows of a link would take.
    for _ in 0..400 {
        let taken = taken.clone();
        let said = stream::repeat_with(move || {
            taken.fetch_add(1, Ordering::Relaxed);
            data(DATA_BYTES_MAX)
        });
        silent.push(a.converse(b.node(), &to("deaf"), said.boxed(), TTL).await.expect("a link"));
    }
    let full = || taken.load(Ordering::Relaxed) >= 400 * 7;
    eventually("all windows are full", TTL, full).await;
    let answer = a.call(b.node(), &to("echo"), Bytes::from_static(b"x")).await;
    assert_eq!(answer, Ok(Bytes::from_static(b"x")), "calls go on");
    assert!(taken.load(Ordering::Relaxed) <= 400 * 9, "no more is taken than fits");
    // Calls count there too.
    let dropped = || echo.dropped.load(Ordering::Relaxed);
    let before = dropped();
    drop(silent);
    let over = || dropped() == before + 400;
    eventually("the other side has been told that nobody waits", TTL, over).await;
}

#[tokio::test]
async fn a_refusal_is_the_answer() {
    let world = World::new(1);
    let (a, b) = pair(&world);
    let mut heard = a.converse(b.node(), &to("nowhere"), pieces(1), TTL).await.expect("a link");
    let fault = Fault::new(Code::NotFound, "no endpoint nowhere");
    assert_eq!(heard.next().await, Some(Ok(Piece::Fault(fault))));
    assert_eq!(heard.next().await, None);
}

#[tokio::test]
async fn a_lost_peer_ends_a_conversation_with_the_reason() {
    let world = World::new(1);
    let (a, b) = pair(&world);
    let mut heard = a.converse(b.node(), &to("deaf"), stream::pending().boxed(), TTL).await.expect("a link");
    b.close("the test ends it").await;
    let ended = timeout(TTL, heard.next()).await.expect("in time").expect("it is told");
    let fault = ended.expect_err("there was no answer");
    assert_eq!((fault.code, fault.effect), (Code::Unreachable, Effect::Unknown));
}
