//! A node that is linked by an address alone.

use crate::world::{Echo, EchoHandle, World, config, eventually, linked};
use micro_mesh::{LinkState, Mesh, MeshConfig, Socket};
use micro_sdk::wire::{Code, NodeId};
use std::{
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

/// Whether `mesh` dials a node at this address among others.
fn dials(mesh: &Mesh, node: NodeId, address: SocketAddr) -> bool {
    mesh.addresses(node).contains(&address)
}

/// The node of this configuration, which listens there and serves.
fn bound(world: &World, node: u64, listen: SocketAddr, config: MeshConfig) -> Mesh {
    let socket = Socket::bind(listen).expect("a free port");
    let mesh = Mesh::start(config, world.identity(node), world.trust(), socket).expect("it starts");
    mesh.serve(Arc::new(EchoHandle(Arc::new(Echo::new(world.authority.clone())))));
    mesh
}

#[tokio::test]
async fn nodes_that_know_nothing_of_each_other_are_linked_by_an_address() {
    let world = World::new(1);
    let ((a, _), (b, _), (c, _)) = (world.node(1), world.node(2), world.node(3));
    b.learn(c.node(), c.advertise());
    linked(&b, c.node()).await;
    assert_eq!(a.connect(b.advertise()).await, Ok(b.node()));
    linked(&a, b.node()).await;
    linked(&b, a.node()).await;
    // Gossip does the rest.
    linked(&a, c.node()).await;
    assert_eq!(a.connect(b.advertise()).await, Ok(b.node()), "once more");
    let one = || a.connections() == 2 && a.routes().iter().all(|route| route.state == LinkState::Up);
    eventually("one connection to each is left", Duration::from_secs(10), one).await;
}

#[tokio::test]
async fn an_address_that_a_node_does_not_tell_is_dialled_as_long_as_it_works() {
    let world = World::new(1);
    let (a, _) = world.node(1);
    // As behind a router that maps ports: where it says that it is, nobody is.
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let b = bound(&world, 2, ([127, 0, 0, 1], 0).into(), config(2, 1, nowhere));
    let (node, real) = (b.node(), b.local_addr());
    a.learn(node, nowhere);
    assert_eq!(a.connect(real).await, Ok(node));
    linked(&a, node).await;
    eventually("gossip tells", Duration::from_secs(5), || a.address(node) == Some(nowhere)).await;
    assert!(dials(&a, node, real) && dials(&a, node, nowhere));
    b.close("away for a moment").await;
    drop(b);
    let down = || a.routes().iter().any(|route| route.node == node && route.state != LinkState::Up);
    eventually("the link is gone", Duration::from_secs(5), down).await;
    // The port is given back a moment later.
    eventually("the port is free", Duration::from_secs(5), || Socket::bind(real).is_ok()).await;
    let _again = bound(&world, 2, real, config(2, 2, nowhere));
    linked(&a, node).await;
}

#[tokio::test]
async fn whoever_is_no_other_node_of_the_mesh_is_refused_with_what_to_do() {
    let (ours, theirs, named_alike) = (World::new(1), World::new(2), World::new(1));
    let ((a, _), (b, _)) = (ours.node(1), ours.node(2));
    let (foreign, impostor) = (theirs.node(4).0, named_alike.node(3).0);
    let gone =
        Socket::bind(([127, 0, 0, 1], 0).into()).expect("a free port").local_addr().expect("it has one");
    a.gossip().forget(b.node());
    for (address, code, why) in [
        (a.advertise(), Code::Usage, "is this node itself"),
        (a.local_addr(), Code::Usage, "is this node itself"),
        (foreign.advertise(), Code::Conflict, "it is of another mesh"),
        (impostor.advertise(), Code::Conflict, "is no node of this mesh: its certificate"),
        (b.advertise(), Code::Conflict, "was removed from this mesh"),
        (gone, Code::Unreachable, "nothing answers"),
    ] {
        let fault = a.connect(address).await.expect_err(why);
        assert!(fault.code == code && fault.message.contains(why), "{fault:?}");
        assert!(!fault.help.is_empty(), "{fault:?}");
    }
    assert!(a.routes().is_empty(), "none of them is known: {:?}", a.routes());
}

#[tokio::test]
async fn a_node_that_is_dialled_by_itself_under_another_address_notices() {
    let world = World::new(1);
    let port =
        UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.local_addr()).expect("one is free").port();
    let config = config(1, 1, ([127, 0, 0, 1], port).into());
    let a = bound(&world, 1, ([0, 0, 0, 0], port).into(), config);
    let fault = a.connect(([127, 0, 0, 2], port).into()).await.expect_err("it is itself");
    assert!(fault.code == Code::Usage && fault.message.contains("this node itself"), "{fault:?}");
}
