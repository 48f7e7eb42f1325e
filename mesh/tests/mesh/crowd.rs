//! Meshes of many nodes: real QUIC and TLS, in virtual time, over a network that is memory.

use crate::{
    air::{Air, Traffic, address},
    world::{Echo, EchoHandle, World, config, head},
};
use bytes::Bytes;
use micro_mesh::{LinkState, Mesh};
use micro_sdk::wire::NodeId;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// How often is looked.
const LOOK: Duration = Duration::from_millis(100);

/// Many nodes.
struct Crowd {
    world: World,
    air: Arc<Air>,
    nodes: BTreeMap<u64, Mesh>,
}

impl Crowd {
    fn new(regions: u64) -> Self {
        let air = Arc::new(Air::new(regions, Duration::from_millis(20)));
        Crowd { world: World::new(1), air, nodes: BTreeMap::new() }
    }

    /// A node starts that knows the one before it, and the first.
    fn start(&mut self, node: u64) {
        let socket = self.air.socket(node);
        let mut config = config(node, 1, address(node));
        config.place.region = format!("r{}", node % self.air.regions);
        let mesh = Mesh::start(config, self.world.identity(node), self.world.trust(), socket)
            .expect("a good identity and socket");
        mesh.serve(Arc::new(EchoHandle(Arc::new(Echo::new(self.world.authority.clone())))));
        let before = self.nodes.range(..node).next_back().map(|(before, _)| *before);
        for known in [before, Some(1)].into_iter().flatten().filter(|known| *known != node) {
            mesh.learn(NodeId(known), address(known));
        }
        self.nodes.insert(node, mesh);
    }

    /// A node is gone from one moment to the next.
    fn kill(&mut self, node: u64) {
        self.air.cut(node);
        self.nodes.remove(&node);
    }

    /// Whether each takes exactly those for alive that are here.
    fn agree(&self) -> bool {
        self.nodes.values().all(|mesh| {
            let members = mesh.gossip().members();
            let alive = members.iter().filter(|member| member.alive).map(|member| member.node.0);
            alive.eq(self.nodes.keys().copied())
        })
    }

    /// Waits until [`agree`](Self::agree); how long that took.
    async fn agreed(&self, what: &str, within: Duration) -> Duration {
        let start = Instant::now();
        while !self.agree() {
            assert!(start.elapsed() < within, "not within {within:?}: {what}; {}", self.differences());
            sleep(LOOK).await;
        }
        start.elapsed()
    }

    /// What each sees that is not so.
    fn differences(&self) -> String {
        let wrong = |(by, mesh): (&u64, &Mesh)| {
            let members = mesh.gossip().members();
            let lacks = self
                .nodes
                .keys()
                .filter(|node| !members.iter().any(|member| member.node.0 == **node && member.alive));
            let dead =
                members.iter().filter(|member| member.alive && !self.nodes.contains_key(&member.node.0));
            let (lacks, dead) = (lacks.count(), dead.count());
            (lacks + dead > 0).then(|| format!("{by} lacks {lacks} and sees {dead} dead"))
        };
        self.nodes.iter().filter_map(wrong).take(10).collect::<Vec<_>>().join(", ")
    }

    /// What a node sends in a second, while nothing happens for this long and nobody is taken for dead.
    async fn quiet(&self, period: Duration) -> Traffic {
        let (start, before) = (Instant::now(), self.air.traffic());
        while start.elapsed() < period {
            assert!(self.agree(), "nothing has happened: {}", self.differences());
            sleep(LOOK).await;
        }
        let (after, share) = (self.air.traffic(), self.nodes.len() as u64 * period.as_secs());
        Traffic {
            datagrams: (after.datagrams - before.datagrams) / share,
            bytes: (after.bytes - before.bytes) / share,
        }
    }

    /// The fewest and the most links of a node.
    fn links(&self) -> (usize, usize) {
        let links = |mesh: &Mesh| mesh.routes().iter().filter(|route| route.state == LinkState::Up).count();
        let counts: Vec<usize> = self.nodes.values().map(links).collect();
        (counts.iter().copied().min().unwrap_or(0), counts.iter().copied().max().unwrap_or(0))
    }
}

/// Starts so many nodes at once, lets them live, and kills one. Prints what that took.
async fn lives(nodes: u64, regions: u64) {
    let mut crowd = Crowd::new(regions);
    (1..=nodes).for_each(|node| crowd.start(node));
    let met = crowd.agreed("all see all", Duration::from_secs(10)).await;
    // Links that only the beginning needed go first.
    sleep(Duration::from_secs(100)).await;
    let traffic = crowd.quiet(Duration::from_secs(10)).await;
    let (fewest, most) = crowd.links();
    crowd.kill(nodes / 2);
    let died = crowd.agreed("a death is seen by all", Duration::from_secs(10)).await;
    println!(
        "{nodes} nodes in {regions} regions: all see all after {met:?}; {fewest} to {most} links a node; each sends \
         {} bytes in {} datagrams a second; a death is seen by all after {died:?}",
        traffic.bytes, traffic.datagrams,
    );
}

#[tokio::test(start_paused = true)]
async fn ten_nodes_see_each_other_and_a_death_within_ten_seconds() {
    lives(10, 2).await;
}

#[tokio::test(start_paused = true)]
async fn twenty_nodes_that_are_not_all_linked_see_each_other_and_a_death_within_ten_seconds() {
    lives(20, 2).await;
}

#[tokio::test(start_paused = true)]
async fn fifty_nodes_see_each_other_and_a_death_within_ten_seconds() {
    lives(50, 3).await;
}

/// Lets so many nodes come and go beside others that stay.
async fn outlives(stay: u64, die: u64) {
    let mut crowd = Crowd::new(1);
    (1..=stay).for_each(|node| crowd.start(node));
    crowd.agreed("all see all", Duration::from_secs(10)).await;
    let doomed: Vec<u64> = (1001..=1000 + die).collect();
    for some in doomed.chunks(50) {
        some.iter().for_each(|node| crowd.start(*node));
        crowd.agreed("those that came are seen", Duration::from_secs(15)).await;
        some.iter().for_each(|node| crowd.kill(*node));
        crowd.agreed("those that died are seen dead", Duration::from_secs(15)).await;
    }
    let known = crowd.nodes[&1].gossip().members().len() as u64;
    assert_eq!(known, stay + die, "the dead are not forgotten yet");
    let next = stay + 1;
    crowd.start(next);
    let met = crowd.agreed("one that comes is seen by all", Duration::from_secs(10)).await;
    crowd.nodes[&next].gossip().set("svc/x", "1".to_owned());
    let told = |mesh: &Mesh| {
        let members = mesh.gossip().members();
        members.iter().any(|member| member.node.0 == next && member.values.contains_key("svc/x"))
    };
    let start = Instant::now();
    while !crowd.nodes.values().all(told) {
        assert!(start.elapsed() < Duration::from_secs(10), "what it tells is known everywhere");
        sleep(LOOK).await;
    }
    let traffic = crowd.quiet(Duration::from_secs(10)).await;
    println!(
        "{stay} nodes that know {die} dead: one that comes is seen by all after {met:?}; each sends {} bytes a second",
        traffic.bytes
    );
}

#[tokio::test(start_paused = true)]
async fn the_dead_do_not_keep_the_living_from_hearing_of_each_other() {
    outlives(20, 100).await;
}

#[tokio::test(start_paused = true)]
async fn who_is_called_is_linked_for_the_call_and_for_a_while_after_it() {
    let mut crowd = Crowd::new(2);
    (1..=24).for_each(|node| crowd.start(node));
    crowd.agreed("all see all", Duration::from_secs(10)).await;
    sleep(Duration::from_secs(100)).await;
    let (_, most) = crowd.links();
    assert!(most < 23, "not all are linked: one has {most} links");
    let caller = &crowd.nodes[&1];
    let state =
        |node| caller.routes().into_iter().find(|route| route.node == NodeId(node)).expect("it is known");
    let idle: Vec<u64> = (2..=24).filter(|node| state(*node).state == LinkState::Idle).collect();
    let called = *idle.first().expect("some are not linked");
    let route = state(called);
    assert!(caller.is_up(NodeId(called)) && route.problem.is_empty());
    assert!(route.rtt.is_some(), "how far it is, is known by the links of others");
    let answer = caller.call(NodeId(called), &head("who", 2000), Bytes::new()).await.expect("it is dialled");
    assert_eq!(answer, NodeId(1).to_string());
    assert_eq!((state(called).state, state(called).relays), (LinkState::Up, Vec::new()));
    sleep(Duration::from_secs(40)).await;
    assert_eq!(state(called).state, LinkState::Up, "the next call does not wait");
    sleep(Duration::from_secs(80)).await;
    assert_eq!(state(called).state, LinkState::Idle, "there was none");
    caller.call(NodeId(called), &head("who", 2000), Bytes::new()).await.expect("it is dialled again");
    // One that has died is not called in vain for long, and is not held for reachable.
    crowd.kill(called);
    crowd.agreed("its death is seen", Duration::from_secs(10)).await;
    assert!(!crowd.nodes[&1].is_up(NodeId(called)));
}
