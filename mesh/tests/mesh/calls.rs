//! Calls between nodes.

use crate::world::{World, eventually, head};
use bytes::Bytes;
use micro_sdk::wire::{Code, Effect, NodeId, limits::BODY_BYTES_MAX};
use std::{sync::atomic::Ordering, time::Duration};
use tokio::time::{Instant, timeout};

#[tokio::test]
async fn a_call_brings_back_the_answer() {
    let world = World::new(1);
    let ((a, _), (b, _)) = (world.node(1), world.node(2));
    a.learn(b.node(), b.advertise());
    let hello = Bytes::from_static(b"hello");
    assert_eq!(a.call(b.node(), &head("echo", 5000), hello.clone()).await, Ok(hello));
    // The link works both ways, though `b` was never told where `a` is.
    assert_eq!(
        b.call(a.node(), &head("who", 5000), Bytes::new()).await,
        Ok(Bytes::from(b.node().to_string()))
    );
    // A node can call itself.
    assert_eq!(
        a.call(a.node(), &head("who", 5000), Bytes::new()).await,
        Ok(Bytes::from(a.node().to_string()))
    );
}

#[tokio::test]
async fn a_fault_comes_back_as_it_was_made() {
    let world = World::new(1);
    let ((a, _), (b, _)) = (world.node(1), world.node(2));
    a.learn(b.node(), b.advertise());
    let fault = a.call(b.node(), &head("nothing", 5000), Bytes::new()).await.expect_err("no such endpoint");
    assert_eq!((fault.code, fault.effect), (Code::NotFound, Effect::None));
    assert_eq!(fault.message, "no endpoint nothing");
    assert_eq!(fault.help, ["try echo"]);
}

#[tokio::test]
async fn bodies_of_all_sizes_travel() {
    let world = World::new(1);
    let ((a, _), (b, _)) = (world.node(1), world.node(2));
    a.learn(b.node(), b.advertise());
    for size in [0, 1, 1000, 100_000, BODY_BYTES_MAX] {
        let body = Bytes::from((0..size).map(|at| at as u8).collect::<Vec<_>>());
        let answer = a.call(b.node(), &head("echo", 30_000), body.clone()).await;
        assert!(answer.is_ok_and(|answer| answer == body), "{size} bytes");
    }
}

#[tokio::test]
async fn oversized_bodies_are_refused_on_both_ways() {
    let world = World::new(1);
    let ((a, _), (b, _)) = (world.node(1), world.node(2));
    a.learn(b.node(), b.advertise());
    let body = Bytes::from(vec![0; BODY_BYTES_MAX + 1]);
    let fault = a.call(b.node(), &head("echo", 5000), body).await.expect_err("too large");
    assert_eq!((fault.code, fault.effect), (Code::Usage, Effect::None));
    assert!(fault.message.contains("16777216"), "{fault}");
    let fault = a.call(b.node(), &head("large", 5000), Bytes::new()).await.expect_err("too large");
    assert_eq!((fault.code, fault.effect), (Code::Failed, Effect::Unknown));
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_on_both_ends() {
    let world = World::new(1);
    let ((a, _), (b, echo)) = (world.node(1), world.node(2));
    a.learn(b.node(), b.advertise());
    a.call(b.node(), &head("echo", 5000), Bytes::new()).await.expect("a link");
    let started = Instant::now();
    let fault = a.call(b.node(), &head("sleep", 300), Bytes::new()).await.expect_err("too slow");
    assert_eq!((fault.code, fault.effect), (Code::Timeout, Effect::Unknown));
    assert!((200..2000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    let ended = || echo.dropped.load(Ordering::Relaxed) >= 1;
    eventually("the handler's work has ended", Duration::from_secs(2), ended).await;
}

#[tokio::test]
async fn a_call_that_is_dropped_is_dropped_over_there() {
    let world = World::new(1);
    let ((a, _), (b, echo)) = (world.node(1), world.node(2));
    a.learn(b.node(), b.advertise());
    a.call(b.node(), &head("echo", 5000), Bytes::new()).await.expect("a link");
    let before = echo.dropped.load(Ordering::Relaxed);
    let sleep = head("sleep", 60_000);
    let call = a.call(b.node(), &sleep, Bytes::new());
    assert!(timeout(Duration::from_millis(200), call).await.is_err(), "still under way");
    let ended = || echo.dropped.load(Ordering::Relaxed) > before;
    eventually("the handler's work has ended", Duration::from_secs(2), ended).await;
}

#[tokio::test]
async fn a_node_that_drains_and_closes_has_answered_what_was_in_work() {
    let world = World::new(1);
    let ((a, _), (b, _)) = (world.node(1), world.node(2));
    a.learn(b.node(), b.advertise());
    a.call(b.node(), &head("echo", 5000), Bytes::new()).await.expect("they are linked");
    let nap = head("nap", 5000);
    let calls =
        futures::future::join_all((0..20).map(|_| a.call(b.node(), &nap, Bytes::from(vec![7; 100_000]))));
    let stop = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let drained = b.drain(Duration::from_secs(3)).await;
        b.close("stop").await;
        drained
    };
    let (answers, drained) = futures::join!(calls, stop);
    assert!(drained);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

#[tokio::test]
async fn the_deadline_only_shrinks() {
    let world = World::new(1);
    let ((a, _), (b, _)) = (world.node(1), world.node(2));
    a.learn(b.node(), b.advertise());
    let left = a.call(b.node(), &head("left", 5000), Bytes::new()).await.expect("an answer");
    let left: u32 = String::from_utf8_lossy(&left).parse().expect("a number");
    assert!(left <= 5000 && left > 1000, "{left}");
}

#[tokio::test]
async fn nobody_there_is_said_at_once_and_with_nothing_done() {
    let world = World::new(1);
    let (a, _) = world.node(1);
    let fault = a.call(NodeId(77), &head("echo", 5000), Bytes::new()).await.expect_err("unknown");
    assert_eq!((fault.code, fault.effect), (Code::Unreachable, Effect::None));
    // A port that nobody answers at: the deadline is kept.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    a.learn(NodeId(78), silent.local_addr().expect("bound"));
    let fault = a.call(NodeId(78), &head("echo", 300), Bytes::new()).await.expect_err("silent");
    assert_eq!((fault.code, fault.effect), (Code::Timeout, Effect::None));
    let fault = a.call(NodeId(78), &head("echo", 20_000), Bytes::new()).await.expect_err("silent");
    assert_eq!((fault.code, fault.effect), (Code::Unreachable, Effect::None));
    assert!(fault.message.contains("nothing answers"), "{fault}");
}

#[tokio::test]
async fn many_calls_at_once_are_all_answered() {
    let world = World::new(1);
    let ((a, _), (b, _)) = (world.node(1), world.node(2));
    a.learn(b.node(), b.advertise());
    let calls = (0..500u32).map(|number| {
        let (a, to) = (a.clone(), b.node());
        async move {
            let body = Bytes::from(number.to_string());
            assert_eq!(a.call(to, &head("echo", 20_000), body.clone()).await, Ok(body));
        }
    });
    futures::future::join_all(calls).await;
}
