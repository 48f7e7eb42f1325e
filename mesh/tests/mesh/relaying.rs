//! Nodes that reach each other through others: those whose address nobody can dial, and dial out themselves.

use crate::world::{Echo, EchoHandle, World, config, eventually, head, linked};
use bytes::Bytes;
use futures::StreamExt;
use micro_mesh::{Lane, LinkState, Mesh, MeshConfig, Piece, Socket};
use micro_sdk::wire::{Code, Effect, NodeId};
use std::{net::SocketAddr, sync::Arc, time::Duration};

const SOON: Duration = Duration::from_secs(10);

/// A node that serves, at an address that it does not tell: what it tells is one where nobody answers. Where it is.
fn hidden(world: &World, node: u64) -> (Mesh, SocketAddr) {
    let socket = Socket::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let address = socket.local_addr().expect("bound");
    // Port 9 discards (RFC 863), if anything is there at all.
    let config = config(node, 1, ([127, 0, 0, 1], 9).into());
    let mesh = Mesh::start(config, world.identity(node), world.trust(), socket).expect("a good identity");
    mesh.serve(Arc::new(EchoHandle(Arc::new(Echo::new(world.authority.clone())))));
    (mesh, address)
}

/// So many nodes in a row, each linked to its neighbours alone.
async fn row(world: &World, nodes: u64) -> Vec<Mesh> {
    let mut row: Vec<(Mesh, SocketAddr)> = Vec::new();
    for node in 1..=nodes {
        let (mesh, address) = hidden(world, node);
        if let Some((before, known)) = row.last() {
            mesh.learn(before.node(), *known);
            linked(&mesh, before.node()).await;
            linked(before, mesh.node()).await;
        }
        row.push((mesh, address));
    }
    row.into_iter().map(|(mesh, _)| mesh).collect()
}

/// What `mesh` passes on its way to `node`; none while it can't be reached.
fn relays(mesh: &Mesh, node: u64) -> Option<Vec<u64>> {
    let route = mesh.routes().into_iter().find(|route| route.node == NodeId(node))?;
    let relays = route.relays.iter().map(|node| node.0).collect();
    (route.state == LinkState::Up).then_some(relays)
}

#[tokio::test]
async fn calls_conversations_and_lanes_go_over_a_relay_as_over_a_link() {
    let world = World::new(1);
    let row = row(&world, 3).await;
    let (a, c) = (&row[0], &row[2]);
    let over = || relays(a, 3) == Some(vec![2]) && relays(c, 1) == Some(vec![2]);
    eventually("the two are linked over the third", SOON, over).await;
    let answer = a.call(c.node(), &head("who", 5000), Bytes::new()).await.expect("it answers");
    assert_eq!(answer, a.node().to_string(), "the far end knows who calls");
    let body = Bytes::from(vec![7; 3 << 20]);
    assert_eq!(c.call(a.node(), &head("echo", 20_000), body.clone()).await.expect("it answers"), body);

    let said =
        futures::stream::iter((0..100).map(|count| Piece::Data(Bytes::from(vec![count; 1000])))).boxed();
    let mut heard = a.converse(c.node(), &head("echo", 20_000), said, SOON).await.expect("it answers");
    let mut bytes = 0;
    while let Some(Ok(piece)) = heard.next().await {
        if let Piece::Data(data) = piece {
            bytes += data.len();
        }
    }
    assert_eq!(bytes, 100_000);

    for lane in [Lane::Append, Lane::Snapshot] {
        let (mut sender, mut receiver) = a.open(c.node(), lane, SOON).await.expect("there is a way");
        let frame = vec![3; 4 << 20];
        sender.send(&frame).await.expect("it is taken");
        assert_eq!(receiver.next().await.expect("it answers"), Some(Bytes::from(frame.len().to_string())));
    }
}

#[tokio::test]
async fn ways_have_three_relays_at_most() {
    let world = World::new(1);
    let row = row(&world, 6).await;
    let over = || relays(&row[0], 5) == Some(vec![2, 3, 4]) && relays(&row[5], 2) == Some(vec![5, 4, 3]);
    eventually("the ends are linked", SOON, over).await;
    let answer = row[0].call(NodeId(5), &head("who", 5000), Bytes::new()).await.expect("it answers");
    assert_eq!(answer, NodeId(1).to_string());
    let fault = row[0].call(NodeId(6), &head("echo", 6000), Bytes::new()).await.expect_err("it is too far");
    assert_eq!((fault.code, fault.effect), (Code::Unreachable, Effect::None), "{fault}");
}

#[tokio::test]
async fn what_is_in_flight_when_a_relay_goes_fails_and_says_so_and_another_relay_takes_over() {
    let world = World::new(1);
    let (a, at_a) = hidden(&world, 1);
    let (d, at_d) = hidden(&world, 4);
    let mut relaying = Vec::new();
    for node in [2, 3] {
        let (relay, _) = world.node(node);
        relay.learn(a.node(), at_a);
        relay.learn(d.node(), at_d);
        linked(&a, relay.node()).await;
        linked(&d, relay.node()).await;
        relaying.push(relay);
    }
    let over = |relay| relays(&a, 4) == Some(vec![relay]);
    eventually("they are linked", SOON, || over(2) || over(3)).await;
    let first = relays(&a, 4).expect("just seen")[0];
    let gone = relaying.iter().find(|relay| relay.node().0 == first).expect("one of the two");
    gone.close("it is switched off").await;
    // The connection between the two outlives its relay: what is asked meanwhile is late, not lost.
    let answer = a.call(d.node(), &head("who", 10_000), Bytes::new()).await.expect("it answers");
    assert_eq!(answer, a.node().to_string());
    let other = 5 - first;
    eventually("the other relay is used", SOON, || over(other)).await;
}

#[tokio::test]
async fn who_can_not_be_dialled_is_reached_over_the_link_that_it_has_made_also_for_bulk() {
    let world = World::new(1);
    let (a, _) = world.node(1);
    let (b, _) = hidden(&world, 2);
    b.learn(a.node(), a.advertise());
    linked(&a, b.node()).await;
    assert_eq!(relays(&a, 2), Some(Vec::new()), "directly");
    let answer = a.call(b.node(), &head("who", 5000), Bytes::new()).await.expect("it answers");
    assert_eq!(answer, a.node().to_string());
    let (mut sender, mut receiver) = a.open(b.node(), Lane::Snapshot, SOON).await.expect("there is a way");
    let frame = vec![3; 4 << 20];
    sender.send(&frame).await.expect("it is taken");
    assert_eq!(receiver.next().await.expect("it answers"), Some(Bytes::from(frame.len().to_string())));
}

#[tokio::test]
async fn a_node_that_has_told_several_addresses_is_dialled_at_the_one_where_it_is() {
    let world = World::new(1);
    let socket = Socket::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let also = vec![([127, 0, 0, 2], 9).into(), socket.local_addr().expect("bound")];
    let config = MeshConfig { also, ..config(2, 1, ([127, 0, 0, 1], 9).into()) };
    let b = Mesh::start(config, world.identity(2), world.trust(), socket).expect("a good identity");
    b.serve(Arc::new(EchoHandle(Arc::new(Echo::new(world.authority.clone())))));
    // One that can't be dialled itself: the link is not made from the other end.
    let ((a, _), (c, _)) = (hidden(&world, 1), world.node(3));
    a.learn(c.node(), c.advertise());
    b.learn(c.node(), c.advertise());
    eventually("they are linked directly", SOON, || relays(&a, 2) == Some(Vec::new())).await;
    a.call(b.node(), &head("who", 5000), Bytes::new()).await.expect("it answers");
}
