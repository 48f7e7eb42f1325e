//! Meshes of hundreds of nodes in virtual time: gossip as it is, from chitchat to the choice of neighbours, over links
//! that are memory. QUIC and TLS, of which a mesh has thousands of connections, are left out; with them, meshes of up
//! to 50 are in `tests/mesh/crowd`.
//!
//! `MICRO_NODE_CROWD=500,1000` has the first test run meshes of these sizes instead of its own.

mod ground;
mod stand;

use super::{
    Gossip, RESTART_BITS, compact,
    digest::{SYN, written::of_nodes},
};
use crate::{LINK_TIMEOUT, MeshConfig, Place, WAY_LEEWAY, routing::Region};
use ground::{Ground, Traffic};
use micro_sdk::wire::{Blocking, Clock, ClusterId, Entropy, Job, NodeId, Seams};
use stand::Stand;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

/// How often is looked.
const LOOK: Duration = Duration::from_millis(100);
/// How long a mesh may take to find together, and to hear of a death.
const SOON: Duration = Duration::from_secs(10);
/// How long it is looked on while nothing happens.
const QUIET: Duration = Duration::from_secs(3);
/// How long a mesh may take to find together that has lost most of its nodes at once.
const FOUND_AGAIN: Duration = Duration::from_secs(60);
/// How long it takes between two regions, one way.
const FAR: Duration = Duration::from_millis(20);

/// What gossip does not use.
struct Nothing;

impl Clock for Nothing {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}

impl Entropy for Nothing {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

impl Blocking for Nothing {
    fn run(&self, job: Job) {
        job();
    }
}

/// Many nodes.
struct Crowd {
    ground: Arc<Ground>,
    nodes: BTreeMap<u64, (Gossip, JoinHandle<()>)>,
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.nodes.values().for_each(|(_, task)| task.abort());
    }
}

fn config(node: u64, region: String) -> MeshConfig {
    MeshConfig {
        advertise: ([10, 0, (node >> 8) as u8, node as u8], 4800).into(),
        also: Vec::new(),
        name: format!("n{node}"),
        place: Place { cloud: "lab".to_owned(), region, zone: format!("z{node}") },
        boot: 1,
        version: "0.1.0".to_owned(),
        seams: Seams { clock: Arc::new(Nothing), entropy: Arc::new(Nothing), blocking: Arc::new(Nothing) },
        gossip_interval: Duration::from_millis(500),
        way_leeway: WAY_LEEWAY,
        link_timeout: LINK_TIMEOUT,
        gateway: false,
        prices: Vec::new(),
    }
}

impl Crowd {
    fn new(regions: u64) -> Self {
        Crowd { ground: Arc::new(Ground::new(regions, FAR)), nodes: BTreeMap::new() }
    }

    /// A node starts that knows the one before it, and the first.
    fn start(&mut self, node: u64) {
        let region = format!("r{}", node % self.ground.regions);
        let stands_in = Region::of("lab", &region);
        let config = config(node, region);
        let gossip = Gossip::new(&config, NodeId(node), ClusterId(1), config.advertise);
        let before = self.nodes.range(..node).next_back().map(|(before, _)| *before);
        let known = [before, self.nodes.keys().next().copied()].into_iter().flatten().map(NodeId).collect();
        self.ground.enter(NodeId(node), &gossip);
        let stand = Stand::new(NodeId(node), stands_in, known, self.ground.clone());
        stand.choose(&[]);
        let task = tokio::spawn(gossip.clone().run(Arc::new(stand)));
        self.nodes.insert(node, (gossip, task));
    }

    /// A node is gone from one moment to the next.
    fn kill(&mut self, node: u64) {
        self.ground.leave(NodeId(node));
        if let Some((_, task)) = self.nodes.remove(&node) {
            task.abort();
        }
    }

    /// How many each takes for alive that are not here, and the other way round, by node; none of those that are right.
    fn wrong(&self) -> Vec<(u64, usize, usize)> {
        let wrong = |(by, (gossip, _)): (&u64, &(Gossip, JoinHandle<()>))| {
            let members = gossip.members();
            let alive = members.iter().filter(|member| member.alive).map(|member| member.node.0);
            let (right, dead): (Vec<u64>, Vec<u64>) = alive.partition(|node| self.nodes.contains_key(node));
            let lacks = self.nodes.len() - right.len();
            (lacks + dead.len() > 0).then_some((*by, lacks, dead.len()))
        };
        self.nodes.iter().filter_map(wrong).collect()
    }

    /// Waits until each takes exactly those for alive that are here; how long that took.
    async fn agreed(&self, what: &str, within: Duration) -> Duration {
        let start = Instant::now();
        loop {
            let wrong = self.wrong();
            if wrong.is_empty() {
                return start.elapsed();
            }
            assert!(start.elapsed() < within, "not within {within:?}: {what}; {}", in_words(&wrong));
            sleep(LOOK).await;
        }
    }

    /// What a node sends in a second, while nothing happens for this long and nobody is taken for dead.
    async fn quiet(&self, period: Duration) -> Traffic {
        let (start, before) = (Instant::now(), self.ground.traffic());
        while start.elapsed() < period {
            let wrong = self.wrong();
            assert!(wrong.is_empty(), "nothing has happened: {}", in_words(&wrong));
            sleep(LOOK).await;
        }
        let (after, share) = (self.ground.traffic(), self.nodes.len() as u64 * period.as_secs());
        Traffic {
            messages: (after.messages - before.messages) / share,
            bytes: (after.bytes - before.bytes) / share,
        }
    }

    /// Lets all live for a while, has one tell something, and kills another. Prints what that took.
    async fn works(&mut self, tells: u64, what: &str) {
        let traffic = self.quiet(QUIET).await;
        let (nodes, (fewest, most)) = (self.nodes.len(), self.ground.links());
        self.nodes[&tells].0.set("svc/x", "1".to_owned());
        let start = Instant::now();
        while !self.told(tells, "svc/x") {
            assert!(start.elapsed() < SOON, "what one tells is known everywhere");
            sleep(LOOK).await;
        }
        let told = start.elapsed();
        self.kill(self.nodes.keys().copied().find(|node| *node != tells).expect("there are others"));
        let died = self.agreed("a death is seen by all", SOON).await;
        println!(
            "{nodes} nodes, {what}; {fewest} to {most} links a node; each sends {} bytes in {} messages a second; news \
             are known to all after {told:?}, a death after {died:?}",
            traffic.bytes, traffic.messages,
        );
    }

    /// Ids that a node knows, at most.
    fn ids(&self) -> usize {
        self.nodes.values().map(|(gossip, _)| gossip.ids()).max().unwrap_or(0)
    }

    /// Whether all have heard what a node tells under this key.
    fn told(&self, by: u64, key: &str) -> bool {
        self.nodes.values().all(|(gossip, _)| {
            let members = gossip.members();
            members.iter().any(|member| member.node.0 == by && member.values.contains_key(key))
        })
    }
}

fn in_words(wrong: &[(u64, usize, usize)]) -> String {
    let some = wrong.iter().take(10);
    let some = some.map(|(by, lacks, dead)| format!("{by} lacks {lacks} and sees {dead} dead"));
    format!("{} are wrong: {}", wrong.len(), some.collect::<Vec<_>>().join(", "))
}

/// Starts so many nodes at once, lets them live, and kills one. Prints what that took.
async fn lives(nodes: u64, regions: u64) {
    let mut crowd = Crowd::new(regions);
    (1..=nodes).for_each(|node| crowd.start(node));
    let met = crowd.agreed("all see all", SOON).await;
    // What all tell of their links is known everywhere by then.
    sleep(Duration::from_secs(2)).await;
    crowd.works(nodes, &format!("{regions} regions: all see all after {met:?}")).await;
}

/// The sizes that were asked for, or these.
fn sizes(usual: &[u64]) -> Vec<u64> {
    match std::env::var("MICRO_NODE_CROWD") {
        Ok(sizes) => sizes.split(',').map(|size| size.parse().expect("sizes are numbers")).collect(),
        Err(_) => usual.to_vec(),
    }
}

#[tokio::test(start_paused = true)]
async fn up_to_two_hundred_nodes_see_each_other_and_a_death_within_ten_seconds() {
    for nodes in sizes(&[10, 50, 200]) {
        lives(nodes, (nodes / 25).clamp(2, 4)).await;
    }
}

impl Crowd {
    /// So many come, see all, and die at once.
    async fn come_and_go(&mut self, who: std::ops::RangeInclusive<u64>) {
        who.clone().for_each(|node| self.start(node));
        self.agreed("those that came are seen", SOON).await;
        who.for_each(|node| self.kill(node));
        self.agreed("those that died are seen dead, and nobody else", FOUND_AGAIN).await;
    }
}

#[tokio::test(start_paused = true)]
async fn five_hundred_dead_do_not_keep_two_hundred_from_hearing_of_each_other() {
    let mut crowd = Crowd::new(1);
    crowd.start(1);
    for first in (10_001..=10_401).step_by(100) {
        crowd.come_and_go(first..=first + 99).await;
    }
    (2..=200).for_each(|node| crowd.start(node));
    let met = crowd.agreed("all see all", SOON).await;
    assert_eq!(crowd.ids(), 700, "the dead are not forgotten yet");
    crowd.works(1, &format!("500 dead are known: all see all after {met:?}")).await;
}

/// Where five of six die at once, some have lost all their neighbours.
#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_mesh_that_has_lost_most_of_its_nodes_finds_together_again() {
    let mut crowd = Crowd::new(1);
    (1..=20).for_each(|node| crowd.start(node));
    crowd.agreed("all see all", SOON).await;
    crowd.come_and_go(10_001..=10_100).await;
}

#[tokio::test(start_paused = true)]
async fn more_ids_than_fit_into_one_message_of_chitchats_are_told_all_the_same() {
    let mut crowd = Crowd::new(1);
    (1..=20).for_each(|node| crowd.start(node));
    crowd.agreed("all see all", SOON).await;
    // One is told of a thousand others, and of an earlier life of who tells that: nobody hears anything more of them.
    let peer = crowd.ground.linked(NodeId(1))[0];
    let named = (10_001..=11_000).map(|node| (node, 1 << RESTART_BITS)).chain([(peer.0, 0)]);
    let mut message = Vec::new();
    compact::pack(&of_nodes(SYN, named), &mut message);
    crowd.nodes[&1].0.receive(peer, 1, &message);
    let start = Instant::now();
    while crowd.nodes.values().any(|(gossip, _)| gossip.ids() < 1020) {
        assert!(start.elapsed() < SOON, "all hear of them");
        sleep(LOOK).await;
    }
    (21..=30).for_each(|node| crowd.start(node));
    let met = crowd.agreed("those that come are seen by all", SOON).await;
    assert_eq!(crowd.ids(), 1031, "each counts once: nowhere was gossip started again");
    crowd.works(30, &format!("{} ids; those that come are seen by all after {met:?}", crowd.ids())).await;
}
