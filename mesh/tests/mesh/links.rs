//! Links: who may be linked, how many, and how they end.

use crate::world::{World, config, eventually, head, linked};
use bytes::Bytes;
use micro_mesh::{Expulsion, LinkState, Mesh, MeshError, Socket};
use micro_sdk::wire::{Code, Effect, Fault, NodeId};
use std::time::Duration;
use tokio::time::timeout;

async fn call_fails(from: &Mesh, to: NodeId) -> Fault {
    let fault = from.call(to, &head("echo", 8000), Bytes::new()).await.expect_err("must not be linked");
    assert_eq!((fault.code, fault.effect), (Code::Unreachable, Effect::None), "{fault}");
    fault
}

#[tokio::test]
async fn a_node_of_another_mesh_is_refused() {
    let (ours, theirs) = (World::new(1), World::new(2));
    let ((a, _), (b, _)) = (ours.node(1), theirs.node(2));
    a.learn(b.node(), b.advertise());
    let fault = call_fails(&a, b.node()).await;
    assert!(fault.message.contains("it is of another mesh"), "{fault}");
}

#[tokio::test]
async fn a_node_of_another_authority_is_refused_though_it_names_our_mesh() {
    let (ours, theirs) = (World::new(1), World::new(1));
    let ((a, _), (b, _)) = (ours.node(1), theirs.node(2));
    a.learn(b.node(), b.advertise());
    let fault = call_fails(&a, b.node()).await;
    assert!(fault.message.contains("another mesh's authority"), "{fault}");
}

#[tokio::test]
async fn a_node_that_is_not_the_one_dialled_is_refused_by_name() {
    let world = World::new(1);
    let ((a, _), (b, _)) = (world.node(1), world.node(2));
    a.learn(NodeId(3), b.advertise());
    let fault = call_fails(&a, NodeId(3)).await;
    let wanted = format!("its certificate is of node {}, but node {} was dialled", NodeId(2), NodeId(3));
    assert!(fault.message.contains(&wanted), "{fault}");
    assert!(a.routes().iter().any(|route| route.problem.contains(&wanted)));
}

#[tokio::test]
async fn a_node_that_dials_itself_notices() {
    let world = World::new(1);
    let (a, _) = world.node(1);
    a.learn(NodeId(3), a.advertise());
    let fault = call_fails(&a, NodeId(3)).await;
    assert!(fault.message.contains("which is this node itself"), "{fault}");
}

#[tokio::test]
async fn two_that_dial_at_once_end_with_one_link() {
    let world = World::new(1);
    for _ in 0..3 {
        let ((a, _), (b, _)) = (world.node(1), world.node(2));
        a.learn(b.node(), b.advertise());
        b.learn(a.node(), a.advertise());
        let (to_a, to_b) = (head("echo", 5000), head("echo", 5000));
        let both = futures::join!(
            a.call(b.node(), &to_b, Bytes::from_static(b"b")),
            b.call(a.node(), &to_a, Bytes::from_static(b"a"))
        );
        assert!(both.0.is_ok() && both.1.is_ok(), "{both:?}");
        let one = || a.connections() == 1 && b.connections() == 1;
        eventually("one link is left", Duration::from_secs(8), one).await;
        for (from, to) in [(&a, &b), (&b, &a)] {
            from.call(to.node(), &head("echo", 5000), Bytes::new()).await.expect("the one left works");
        }
        assert_eq!((a.connections(), b.connections()), (1, 1));
    }
}

#[tokio::test]
async fn a_clean_close_is_seen_at_once() {
    let world = World::new(1);
    let ((a, _), (b, _)) = (world.node(1), world.node(2));
    a.learn(b.node(), b.advertise());
    linked(&a, b.node()).await;
    let said = || {
        a.routes()
            .iter()
            .any(|route| route.state != LinkState::Up && route.problem.contains("it has shut down (upgrade)"))
    };
    let seen = eventually("the close and its reason are seen", Duration::from_secs(1), said);
    futures::join!(b.close("upgrade"), seen);
    assert!(b.call(a.node(), &head("echo", 1000), Bytes::new()).await.is_err(), "a closed mesh calls nobody");
}

#[tokio::test]
async fn a_node_that_starts_anew_is_linked_again() {
    let world = World::new(1);
    let (a, _) = world.node(1);
    let (b, _) = world.node(2);
    let address = b.advertise();
    a.learn(b.node(), address);
    linked(&a, b.node()).await;
    b.close("restart").await;
    drop(b);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let socket = Socket::bind(address).expect("the port is free again");
    let b = Mesh::start(config(2, 2, address), world.identity(2), world.trust(), socket).expect("a start");
    b.serve(std::sync::Arc::new(crate::world::EchoHandle(std::sync::Arc::new(crate::world::Echo::new(
        world.authority.clone(),
    )))));
    linked(&a, b.node()).await;
    let generation =
        || a.gossip().members().iter().any(|member| member.node == b.node() && member.generation == 2);
    eventually("the new life is known", Duration::from_secs(5), generation).await;
}

#[tokio::test]
async fn nothing_is_taken_before_serve() {
    let world = World::new(1);
    let (a, _) = world.node(1);
    let b = world.quiet_node(2);
    a.learn(b.node(), b.advertise());
    assert!(a.call(b.node(), &head("echo", 500), Bytes::new()).await.is_err());
    let echo = crate::world::Echo::new(world.authority.clone());
    b.serve(std::sync::Arc::new(crate::world::EchoHandle(std::sync::Arc::new(echo))));
    a.call(b.node(), &head("echo", 10_000), Bytes::new()).await.expect("it serves now");
}

#[tokio::test]
async fn routes_tell_the_round_trip() {
    let world = World::new(1);
    let ((a, _), (b, _)) = (world.node(1), world.node(2));
    a.learn(b.node(), b.advertise());
    linked(&a, b.node()).await;
    let measured = || a.routes()[0].rtt.is_some_and(|rtt| rtt < Duration::from_millis(500));
    eventually("a ping was answered", Duration::from_secs(3), measured).await;
    let route = &a.routes()[0];
    assert_eq!((route.node, route.address, route.state), (b.node(), b.advertise(), LinkState::Up));
    assert!(route.problem.is_empty() && route.loss < 0.5);
}

#[tokio::test]
async fn a_forgotten_node_is_not_let_in_again() {
    let world = World::new(1);
    let ((a, _), (b, _)) = (world.node(1), world.node(2));
    a.learn(b.node(), b.advertise());
    linked(&a, b.node()).await;
    a.gossip().forget(b.node());
    assert_eq!(a.address(b.node()), None);
    // The first may meet the link just as it is closed.
    let _ = b.call(a.node(), &head("echo", 1000), Bytes::new()).await;
    let fault = call_fails(&b, a.node()).await;
    assert!(fault.message.contains("was removed from the mesh"), "{fault}");
    let word = timeout(Duration::from_secs(2), b.expelled()).await;
    assert_eq!(word.expect("it is told"), (a.node(), Expulsion::Removed));
    let gone = || a.gossip().members().iter().all(|member| member.node != b.node());
    eventually("it is not a member any more", Duration::from_secs(2), gone).await;
}

#[tokio::test]
async fn a_certificate_can_be_renewed_while_running() {
    let world = World::new(1);
    let ((a, _), (b, _)) = (world.node(1), world.node(2));
    a.renew(world.identity(1), world.trust()).expect("the same node and authority");
    b.renew(world.identity(2), world.trust()).expect("the same node and authority");
    a.learn(b.node(), b.advertise());
    a.call(b.node(), &head("echo", 5000), Bytes::new()).await.expect("the new certificates work");
    assert!(matches!(a.renew(world.identity(2), world.trust()), Err(MeshError::Foreign { .. })));
    let other = World::new(1);
    assert!(matches!(a.renew(other.identity(1), world.trust()), Err(MeshError::Unbelieved)));
}

#[tokio::test]
async fn an_address_that_nobody_can_dial_is_not_advertised() {
    let world = World::new(1);
    let socket = Socket::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let config = config(1, 1, ([0, 0, 0, 0], 80).into());
    assert!(matches!(
        Mesh::start(config, world.identity(1), world.trust(), socket),
        Err(MeshError::Advertise(_))
    ));
}
