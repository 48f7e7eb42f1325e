//! Where the leader ought to be: near most writes. A write goes to the leader and from there to a majority of the
//! voters, so its caller waits for both ways.
//!
//! What is here looks and chooses. A leader hands its office over rarely, and for a reason that holds for a while: each
//! move costs the writes of about a second.

use crate::network::{card::Heard, leadership::stays, steward::able_voters};
use micro_consensus::{Consensus, Observation};
use micro_mesh::{LinkReport, Mesh, Place};
use micro_sdk::wire::NodeId;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

/// How often the leader counts where writes come from.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Over how many counts writes are weighed: those of a minute, so that no burst moves anything.
const LOOKS: usize = 12;
/// How long a leader keeps its office at least: whatever callers do, it moves no more often than this.
const TERM_MIN: Duration = Duration::from_secs(180);
/// How long it stays where an operator has put it.
const APPOINTED: Duration = Duration::from_secs(600);
/// The share of all writes that has to come from one other region.
const SHARE_MIN: f64 = 0.6;
/// The writes of a minute that are worth a move.
const WRITES_MIN: u64 = 60;
/// What a write has to save: less is within what round trips vary by.
const SAVING_MIN: Duration = Duration::from_millis(10);
/// The same, as a share of what it costs: a move within one continent for the sake of another saves little.
const SAVING_SHARE_MIN: f64 = 0.2;
/// How long the next leader may take to take over: some round trips.
const HAND_OVER_PATIENCE: Duration = Duration::from_secs(5);

/// When an operator last put the leader where it is. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Appointment(Arc<Mutex<Option<Instant>>>);

impl Appointment {
    /// An operator has just made this node the leader.
    pub fn note(&self) {
        *self.0.lock().expect("no code panics while it holds the instant") = Some(Instant::now());
    }

    fn holds(&self) -> bool {
        let noted = *self.0.lock().expect("no code panics while it holds the instant");
        noted.is_some_and(|at| at.elapsed() < APPOINTED)
    }
}

/// A cloud's region: where hosts are near each other.
type Region = (String, String);

/// Keeps the leader near most writes, while this node leads.
pub(crate) struct Residence {
    mesh: Mesh,
    consensus: Consensus,
    appointment: Appointment,
    /// Since when this node leads.
    since: Option<Instant>,
    /// The counts of writes of the last minute, the oldest first. One more than are weighed.
    looks: VecDeque<BTreeMap<NodeId, u64>>,
    looked: Option<Instant>,
}

impl Residence {
    pub fn new(mesh: Mesh, consensus: Consensus, appointment: Appointment) -> Self {
        let (since, looks, looked) = (None, VecDeque::new(), None);
        Residence { mesh, consensus, appointment, since, looks, looked }
    }

    /// Looks at what this node sees of the group, and hands the office over if it should be elsewhere.
    pub async fn look(&mut self, seen: &Observation) {
        let now = Instant::now();
        if !seen.leading {
            (self.since, self.looked) = (None, None);
            return self.looks.clear();
        }
        let since = *self.since.get_or_insert(now);
        if self.looked.is_some_and(|looked| now < looked + LOOK_EVERY) {
            return;
        }
        self.looked = Some(now);
        self.looks.push_back(self.consensus.origins());
        if self.looks.len() <= LOOKS {
            return;
        }
        let before = self.looks.pop_front().unwrap_or_default();
        if now < since + TERM_MIN || self.appointment.holds() || seen.changing {
            return;
        }
        let counted = self.looks.back().into_iter().flatten();
        let writes = counted.map(|(node, total)| (*node, total - before.get(node).copied().unwrap_or(0)));
        let scene = self.scene(seen, writes.collect());
        let Some(Better { to, region: (cloud, region), share, saving }) = scene.better_leader() else {
            return;
        };
        let (percent, saving_ms) = ((share * 100.0).round(), saving.as_millis());
        tracing::info!(%to, cloud, region, percent, saving_ms, "most writes come from another region: it is to lead");
        // One that does not take over is not asked again before this leader has had its time once more.
        (self.since, self.looked) = (None, None);
        self.looks.clear();
        if !self.consensus.hand_over(|other| other == to, HAND_OVER_PATIENCE).await {
            tracing::warn!(%to, "the voter near most writes has not taken over");
        }
    }

    fn scene(&self, seen: &Observation, mut writes: BTreeMap<NodeId, u64>) -> Scene {
        let members = self.mesh.gossip().members();
        let regions: BTreeMap<NodeId, Region> = members
            .iter()
            .map(|member| {
                let Place { cloud, region, .. } = Heard(member).place();
                (member.node, (cloud, region))
            })
            .collect();
        // Of who has left it is not known any more where it was.
        writes.retain(|node, count| *count > 0 && regions.contains_key(node));
        let able = able_voters(seen, &members).into_iter().filter(|node| stays(&self.mesh, *node));
        let distances = Distances::between_regions(&regions, &self.mesh.links());
        Scene {
            leader: seen.node,
            able: able.collect(),
            voters: seen.voters.iter().copied().collect(),
            regions,
            writes,
            distances,
        }
    }
}

/// Round trips between regions, over others where that is quicker.
struct Distances(BTreeMap<(Region, Region), Duration>);

impl Distances {
    /// The quickest link between two regions counts: it is what a node there would have, near enough.
    fn between_regions(regions: &BTreeMap<NodeId, Region>, links: &[LinkReport]) -> Self {
        let mut trips: BTreeMap<(Region, Region), Duration> = BTreeMap::new();
        for link in links {
            let (Some(from), Some(to)) = (regions.get(&link.from), regions.get(&link.to)) else { continue };
            for pair in [(from.clone(), to.clone()), (to.clone(), from.clone())] {
                let trip = trips.entry(pair).or_insert(link.rtt);
                *trip = link.rtt.min(*trip);
            }
        }
        // One relay is enough: those who have no link at all between them are rare.
        let direct = trips.clone();
        for ((from, over), first) in &direct {
            for ((_, to), second) in direct.iter().filter(|((start, _), _)| start == over) {
                let trip = trips.entry((from.clone(), to.clone())).or_insert(*first + *second);
                *trip = (*first + *second).min(*trip);
            }
        }
        Distances(trips)
    }

    fn get(&self, from: &Region, to: &Region) -> Option<Duration> {
        if from == to { Some(Duration::ZERO) } else { self.0.get(&(from.clone(), to.clone())).copied() }
    }
}

/// All that the choice depends on.
struct Scene {
    leader: NodeId,
    /// The other voters that could lead at once.
    able: Vec<NodeId>,
    voters: Vec<NodeId>,
    regions: BTreeMap<NodeId, Region>,
    /// Writes of the last minute, by the node that they came to first.
    writes: BTreeMap<NodeId, u64>,
    distances: Distances,
}

/// A leader that would be better, and why.
#[derive(Debug, PartialEq)]
struct Better {
    to: NodeId,
    /// Where most writes come from.
    region: Region,
    share: f64,
    saving: Duration,
}

impl Scene {
    fn better_leader(&self) -> Option<Better> {
        let mut shares: BTreeMap<&Region, u64> = BTreeMap::new();
        for (node, writes) in &self.writes {
            *shares.entry(self.regions.get(node)?).or_default() += *writes;
        }
        let all: u64 = shares.values().sum();
        let (region, most) = shares.into_iter().max_by_key(|(_, writes)| *writes)?;
        let share = most as f64 / all.max(1) as f64;
        if all < WRITES_MIN || share < SHARE_MIN || self.regions.get(&self.leader) == Some(region) {
            return None;
        }
        let now = self.cost(self.leader)?;
        let costs = self.able.iter().filter_map(|node| Some((self.cost(*node)?, *node)));
        let (then, to) = costs.min()?;
        let saving = now.saturating_sub(then);
        let enough = saving >= SAVING_MIN.max(now.mul_f64(SAVING_SHARE_MIN));
        enough.then(|| Better { to, region: region.clone(), share, saving })
    }

    /// What a write would take in the mean if this voter led; none if that is not known.
    fn cost(&self, leader: NodeId) -> Option<Duration> {
        let home = self.regions.get(&leader)?;
        let trip = |node: &NodeId| self.distances.get(self.regions.get(node)?, home);
        let others = self.voters.iter().filter(|voter| **voter != leader);
        let mut trips = others.map(trip).collect::<Option<Vec<Duration>>>()?;
        trips.sort_unstable();
        // With itself, so many of the nearest are a majority.
        let quorum = match self.voters.len() / 2 {
            0 => Duration::ZERO,
            others => *trips.get(others - 1)?,
        };
        let all: u64 = self.writes.values().sum();
        let weighed =
            |(node, writes): (&NodeId, &u64)| Some(trip(node)?.mul_f64(*writes as f64 / all.max(1) as f64));
        Some(self.writes.iter().map(weighed).sum::<Option<Duration>>()? + quorum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A link whose round trip takes so many milliseconds.
    fn link((from, to, rtt): (u64, u64, u64)) -> LinkReport {
        LinkReport { from: NodeId(from), to: NodeId(to), rtt: ms(rtt), jitter: Duration::ZERO, loss: 0.0 }
    }

    /// One voter in each of three clouds, 68, 176 and 220 ms apart, and one more node in the third. The first leads.
    fn scene(writes: &[(u64, u64)]) -> Scene {
        let clouds = [(1, "america"), (2, "europe"), (3, "asia"), (4, "asia")];
        let regions: BTreeMap<NodeId, Region> =
            clouds.map(|(id, cloud)| (NodeId(id), (cloud.to_owned(), "r".to_owned()))).into();
        let links = [(1, 2, 68), (2, 3, 176), (3, 1, 220), (3, 4, 1), (4, 2, 190)].map(link);
        Scene {
            leader: NodeId(1),
            able: [2, 3].map(NodeId).to_vec(),
            voters: [1, 2, 3].map(NodeId).to_vec(),
            distances: Distances::between_regions(&regions, &links),
            regions,
            writes: writes.iter().map(|(node, count)| (NodeId(*node), *count)).collect(),
        }
    }

    #[track_caller]
    fn check(writes: &[(u64, u64)], expected: Option<u64>) {
        let better = scene(writes).better_leader();
        assert_eq!(better.map(|better| better.to), expected.map(NodeId), "{writes:?}");
    }

    #[test]
    fn the_leader_goes_where_most_writes_come_from() {
        // From Asia a write takes 288 ms to America and its majority, and 176 ms in Asia.
        check(&[(3, 100)], Some(3));
        check(&[(3, 48), (4, 48), (1, 4)], Some(3));
        // A fifth from America, and only a tenth is saved.
        check(&[(3, 40), (4, 40), (1, 20)], None);
        check(&[(1, 100)], None);
        check(&[(3, 59), (1, 41)], None);
        check(&[(3, 59)], None);
        assert_eq!(scene(&[(3, 100)]).better_leader().expect("it goes").saving, ms(112));
    }

    #[test]
    fn a_move_has_to_save_something() {
        // Europe is as far from a majority as America is: for a share of the 68 ms nothing is moved.
        check(&[(2, 100)], Some(2));
        check(&[(2, 60), (1, 40)], None);
        let mut near = scene(&[(2, 100)]);
        for trip in near.distances.0.values_mut() {
            *trip /= 10;
        }
        assert_eq!(near.better_leader(), None, "7 ms are not worth it");
    }

    #[test]
    fn nobody_leads_who_can_not_or_is_nowhere() {
        let mut scene = scene(&[(3, 100)]);
        scene.able.retain(|node| *node != NodeId(3));
        assert_eq!(scene.better_leader(), None, "Europe would save less than a fifth");
        scene.able.push(NodeId(3));
        scene.regions.remove(&NodeId(2));
        assert_eq!(scene.better_leader(), None, "where a voter is, is not known");
    }

    #[tokio::test(start_paused = true)]
    async fn an_operators_word_holds_for_a_while() {
        let appointment = Appointment::default();
        assert!(!appointment.holds());
        appointment.clone().note();
        tokio::time::advance(APPOINTED - ms(1)).await;
        assert!(appointment.holds());
        tokio::time::advance(ms(1)).await;
        assert!(!appointment.holds());
    }

    #[test]
    fn distances_go_over_a_relay_where_there_is_no_link() {
        let mut cut = scene(&[(3, 100)]);
        let region = |id| cut.regions[&NodeId(id)].clone();
        let (america, asia) = (region(1), region(3));
        assert_eq!(cut.distances.get(&america, &asia), Some(ms(220)));
        cut.distances = Distances::between_regions(&cut.regions, &[(1, 2, 68), (2, 3, 176)].map(link));
        assert_eq!(cut.distances.get(&america, &asia), Some(ms(244)));
        assert_eq!(cut.distances.get(&asia, &asia), Some(Duration::ZERO));
    }
}
