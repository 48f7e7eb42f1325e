//! Frames on lanes.

use crate::world::{World, eventually};
use bytes::Bytes;
use futures::FutureExt;
use micro_mesh::{FRAME_BYTES_MAX, FrameError, Lane, frame_into};
use micro_sdk::wire::{Code, NodeId};
use std::time::Duration;
use tokio::time::timeout;

const TTL: Duration = Duration::from_secs(5);

#[tokio::test]
async fn frames_come_back_whole_and_in_order() {
    let world = World::new(1);
    let ((a, _), (b, echo)) = (world.node(1), world.node(2));
    a.learn(b.node(), b.advertise());
    for lane in [Lane::Append, Lane::Forward, Lane::Read, Lane::Snapshot, Lane::Vote, Lane::Fetch] {
        let (mut sender, mut receiver) = a.open(b.node(), lane, TTL).await.expect("a lane");
        let mut buffer = Vec::new();
        for number in 0..1000u32 {
            frame_into(&mut buffer, |buffer| buffer.extend_from_slice(&number.to_le_bytes()));
        }
        frame_into(&mut buffer, |_| ());
        sender.send_all(Bytes::from(buffer)).await.expect("sent");
        for number in 0..1000u32 {
            let frame = match receiver.ready() {
                Some(frame) => frame,
                None => receiver.next().await.expect("no error").expect("no end"),
            };
            assert_eq!(frame, number.to_le_bytes()[..], "{lane:?}");
        }
        assert_eq!(receiver.next().await, Ok(Some(Bytes::new())));
        sender.finish();
        assert_eq!(receiver.next().await, Ok(None));
        let wanted = format!("{lane:?} finished");
        let ended = || echo.lanes.lock().expect("no panic").contains(&wanted);
        eventually("the other end saw the end", TTL, ended).await;
    }
}

#[tokio::test]
async fn a_snapshot_has_a_connection_of_its_own_while_it_lasts() {
    let world = World::new(1);
    let ((a, _), (b, _)) = (world.node(1), world.node(2));
    a.learn(b.node(), b.advertise());
    let vote = a.open(b.node(), Lane::Vote, TTL).await.expect("a lane");
    let before = a.connections();
    let (mut sender, mut receiver) = a.open(b.node(), Lane::Snapshot, TTL).await.expect("a lane");
    assert_eq!(a.connections(), before + 1);
    // The largest frame arrives whole, though its sender is dropped right after.
    sender.send(&vec![7; FRAME_BYTES_MAX]).await.expect("sent");
    sender.finish();
    drop(sender);
    let answer = receiver.next().await.expect("no error").expect("an answer");
    assert_eq!(answer, FRAME_BYTES_MAX.to_string());
    drop(receiver);
    eventually("the connection is closed", TTL, || a.connections() == before).await;
    drop(vote);
}

#[tokio::test]
async fn oversized_frames_are_refused_by_both_ends() {
    let world = World::new(1);
    let ((a, _), (b, _)) = (world.node(1), world.node(2));
    a.learn(b.node(), b.advertise());
    let (mut sender, receiver) = a.open(b.node(), Lane::Read, TTL).await.expect("a lane");
    let error = sender.send(&vec![0; FRAME_BYTES_MAX + 1]).await.expect_err("too large");
    assert_eq!(error, FrameError::TooLarge { bytes: FRAME_BYTES_MAX + 1, limit: FRAME_BYTES_MAX });
    let mut receiver = receiver.with_limit(10);
    sender.send(b"0123456789").await.expect("nothing of the large one was sent");
    assert_eq!(receiver.next().await, Ok(Some(Bytes::from_static(b"0123456789"))));
    sender.send(b"0123456789a").await.expect("sent");
    assert_eq!(receiver.next().await, Err(FrameError::TooLarge { bytes: 11, limit: 10 }));
}

#[tokio::test]
async fn a_lie_about_the_length_is_refused_over_there() {
    let world = World::new(1);
    let ((a, _), (b, echo)) = (world.node(1), world.node(2));
    a.learn(b.node(), b.advertise());
    let (mut sender, mut receiver) = a.open(b.node(), Lane::Append, TTL).await.expect("a lane");
    sender.send_all(Bytes::from_static(&[0xff; 8])).await.expect("sent");
    assert!(receiver.next().await.is_err(), "the other end has given up");
    let ended = || echo.lanes.lock().expect("no panic").iter().any(|how| how.contains("is more than"));
    eventually("the other end says why", TTL, ended).await;
}

#[tokio::test]
async fn a_sender_that_is_dropped_does_not_look_finished() {
    let world = World::new(1);
    let ((a, _), (b, echo)) = (world.node(1), world.node(2));
    a.learn(b.node(), b.advertise());
    let (mut sender, mut receiver) = a.open(b.node(), Lane::Append, TTL).await.expect("a lane");
    sender.send(b"x").await.expect("sent");
    receiver.next().await.expect("no error").expect("an answer");
    drop(sender);
    assert!(matches!(receiver.next().await, Err(FrameError::Reset { .. })));
    let ended = || echo.lanes.lock().expect("no panic").iter().any(|how| how.contains("failed"));
    eventually("the other end saw a failure", TTL, ended).await;
}

#[tokio::test]
async fn next_loses_nothing_when_it_is_dropped() {
    let world = World::new(1);
    let ((a, _), (b, _)) = (world.node(1), world.node(2));
    a.learn(b.node(), b.advertise());
    let (mut sender, mut receiver) = a.open(b.node(), Lane::Append, TTL).await.expect("a lane");
    let frame = vec![5; 60_000];
    for round in 0..50 {
        sender.send(&frame).await.expect("sent");
        let mut drops = 0;
        let answer = loop {
            match timeout(Duration::from_micros(50), receiver.next()).await {
                Ok(answer) => break answer,
                Err(_) => drops += 1,
            }
        };
        assert_eq!(answer, Ok(Some(Bytes::from(frame.clone()))), "round {round}, dropped {drops} times");
        assert!(receiver.next().now_or_never().is_none());
    }
}

#[tokio::test]
async fn a_lane_to_nobody_is_refused() {
    let world = World::new(1);
    let (a, _) = world.node(1);
    let fault = a.open(NodeId(9), Lane::Vote, TTL).await.expect_err("unknown");
    assert_eq!(fault.code, Code::Unreachable);
}
