//! Links that die without a word: real QUIC and TLS, in virtual time, over a network that is memory.

use crate::{
    air::{Air, address},
    world::{Echo, EchoHandle, World, config, head},
};
use bytes::Bytes;
use micro_mesh::{LINK_TIMEOUT, LinkState, Mesh, MeshConfig};
use micro_sdk::wire::NodeId;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// How often is looked.
const LOOK: Duration = Duration::from_millis(10);
/// How long traffic may take to go another way, once it is noticed that a link is dead.
const MOVE: Duration = Duration::from_secs(1);

/// Three nodes that are linked from each to each, and give a link up after so long.
async fn three(air: &Arc<Air>, world: &World, link_timeout: Duration) -> Vec<Mesh> {
    let start = |node: u64| {
        let config = MeshConfig { link_timeout, ..config(node, 1, address(node)) };
        let mesh = Mesh::start(config, world.identity(node), world.trust(), air.socket(node))
            .expect("a good identity and socket");
        mesh.serve(Arc::new(EchoHandle(Arc::new(Echo::new(world.authority.clone())))));
        for other in (1..=3).filter(|other| *other != node) {
            mesh.learn(NodeId(other), address(other));
        }
        mesh
    };
    let nodes: Vec<Mesh> = (1..=3).map(start).collect();
    // What all tell of their links is known everywhere by then.
    sleep(Duration::from_secs(20)).await;
    assert_eq!(relays(&nodes[0], 2), Some(Vec::new()), "the way is direct at first");
    nodes
}

/// What `mesh` passes on its way to `node`; none while it can't be reached.
fn relays(mesh: &Mesh, node: u64) -> Option<Vec<u64>> {
    let route = mesh.routes().into_iter().find(|route| route.node == NodeId(node))?;
    (route.state == LinkState::Up).then(|| route.relays.iter().map(|node| node.0).collect())
}

/// Waits until `check` holds; how long that is after `start`.
async fn after(start: Instant, what: &str, within: Duration, check: impl Fn() -> bool) -> Duration {
    while !check() {
        assert!(start.elapsed() <= within, "not within {within:?}: {what}");
        sleep(LOOK).await;
    }
    start.elapsed()
}

/// Cuts one of three links, of nodes that give a link up after so long.
async fn dies(link_timeout: Duration) {
    let (air, world) = (Arc::new(Air::new(1, Duration::ZERO)), World::new(1));
    let nodes = three(&air, &world, link_timeout).await;
    let (a, b) = (&nodes[0], &nodes[1]);
    let (start, moved_within) = (Instant::now(), link_timeout + MOVE);
    air.part(1, 2);
    let counts = |mesh: &Mesh, from, to| {
        mesh.links().iter().any(|link| (link.from, link.to) == (NodeId(from), NodeId(to)))
    };
    let dead = after(start, "the link is dead at both ends", link_timeout + LOOK, || {
        !counts(a, 1, 2) && !counts(b, 2, 1)
    });
    let moved = after(start, "both go over the third", moved_within, || {
        relays(a, 2) == Some(vec![3]) && relays(b, 1) == Some(vec![3])
    });
    let (dead, moved) = tokio::join!(dead, moved);
    let answer = a.call(NodeId(2), &head("who", 1000), Bytes::new()).await.expect("it goes over the third");
    assert_eq!(answer, NodeId(1).to_string());
    println!("given up after {link_timeout:?}: noticed after {dead:?}, gone around after {moved:?}");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_dies_without_a_word_is_noticed_in_time_and_gone_around_within_a_second_more() {
    for link_timeout in [LINK_TIMEOUT, Duration::from_millis(500), Duration::from_secs(6)] {
        dies(link_timeout).await;
    }
}
