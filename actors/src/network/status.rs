//! Builds the status document from what this node knows; the lag of replicas is asked of the leader.

use crate::{
    blob::{Health, Missing},
    network::{
        card::Heard,
        placement::{Candidate, Voters, best_voters},
        platform::NetworkService,
        problems::problems,
        replicas::Replicas,
        steward::caught_up,
    },
    registry::Registry,
};
use micro_consensus::Observation;
use micro_mesh::{LinkState, Member, Route};
use micro_sdk::wire::{
    NodeId,
    status::{
        BlobsStatus, ConsensusStatus, NodeState, NodeStatus, ReplicaStatus, Role, STATUS_SCHEMA, Status,
        TimingStatus,
    },
};
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

/// Everything that goes into one document.
pub(crate) struct View<'a> {
    pub network: &'a NetworkService,
    pub seen: Observation,
    pub members: Vec<Member>,
    pub routes: BTreeMap<NodeId, Route>,
    /// What the leader knows of the replicas; none when it did not answer.
    pub replicas: Option<Replicas>,
    pub registry: &'a Registry,
    /// How the blobs are, and on which nodes that are up copies are missing.
    pub blobs: (Health, Vec<(NodeId, Missing)>),
}

impl View<'_> {
    /// The document.
    pub fn document(&self) -> Status {
        let mut nodes: Vec<NodeStatus> = self.node_ids().into_iter().map(|node| self.node(node)).collect();
        let here = self.seen.node;
        nodes.sort_by(|a, b| (a.id != here, &a.name).cmp(&(b.id != here, &b.name)));
        let consensus = self.consensus();
        let services = self.registry.status();
        let problems = problems(self, &nodes, &consensus);
        let (health, missing) = &self.blobs;
        let blobs = BlobsStatus {
            short: health.short,
            unreachable: health.unreachable,
            missing: missing.iter().map(|(_, missing)| missing.copies).sum(),
            lost: missing.iter().map(|(_, missing)| missing.lost).max().unwrap_or(0),
        };
        Status {
            schema: STATUS_SCHEMA.to_owned(),
            cluster: self.network.cluster(),
            seen_by: here,
            nodes,
            consensus,
            services,
            blobs,
            problems,
        }
    }

    /// All nodes to show: members of the group, whether they live or not, and everyone alive in gossip.
    fn node_ids(&self) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> = self.seen.addresses.iter().map(|(node, _)| *node).collect();
        // One that is no member has left, and its gossip outlives its link, or comes just now and is linked.
        let linked = |node: NodeId| self.routes.get(&node).is_some_and(Route::is_reachable);
        let alive = self.members.iter().filter(|member| member.alive && linked(member.node));
        nodes.extend(alive.map(|member| member.node));
        nodes.push(self.seen.node);
        nodes.sort();
        nodes.dedup();
        nodes
    }

    fn node(&self, node: NodeId) -> NodeStatus {
        let here = node == self.seen.node;
        let member = self.members.iter().find(|member| member.node == node);
        let heard = member.map(Heard);
        let route = self.routes.get(&node);
        let up = route.filter(|route| route.is_reachable());
        let state = heard.as_ref().map_or(NodeState::Down, |heard| {
            let state = heard.state();
            // The link knows before gossip does.
            if !here && up.is_none() && state == NodeState::Ready { NodeState::Down } else { state }
        });
        let relays = up.map(|route| self.relays(route)).unwrap_or_default();
        let place = heard.as_ref().map(Heard::place).unwrap_or_default();
        let membership_address =
            self.seen.addresses.iter().find(|(of, _)| *of == node).map(|(_, address)| address.clone());
        let address =
            member.map(|member| member.address.to_string()).or(membership_address).unwrap_or_default();
        let role = self.role(node);
        NodeStatus {
            id: node,
            name: heard.as_ref().map_or_else(|| self.network.name_of(node), Heard::name),
            state,
            role,
            role_reason: (role == Role::Learner).then(|| self.why_learner(node, state)),
            cloud: place.cloud,
            region: place.region,
            zone: place.zone,
            path: if here { Some("self".to_owned()) } else { up.map(|route| path(route, &relays)) },
            relays,
            address,
            rtt_ms: up.and_then(|route| route.rtt).map(|rtt| (rtt.as_secs_f64() * 1e6).round() / 1e3),
            version: heard.as_ref().map(Heard::version).unwrap_or_default(),
            uptime_s: heard
                .as_ref()
                .filter(|_| state != NodeState::Down)
                .and_then(|heard| heard.uptime_s(self.network.now())),
            certificate: self.network.certificate(node),
            gateway: member.is_some_and(Member::is_gateway),
            actors: if here {
                Some(self.network.actors())
            } else {
                heard.as_ref().filter(|_| state != NodeState::Down).and_then(Heard::actors)
            },
        }
    }

    /// The names of the nodes that are passed on a way.
    fn relays(&self, route: &Route) -> Vec<String> {
        route.relays.iter().map(|relay| self.network.name_of(*relay)).collect()
    }

    /// Now, in seconds since 1970.
    pub fn now_s(&self) -> u64 {
        self.network.now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    /// The pin of the authority that the mesh goes over to, if it does.
    pub fn succession(&self) -> Option<String> {
        self.network.succession()
    }

    fn role(&self, node: NodeId) -> Role {
        if self.leader() == Some(node) {
            Role::Leader
        } else if self.seen.voters.contains(&node) {
            Role::Voter
        } else if self.seen.learners.contains(&node) {
            Role::Learner
        } else {
            Role::None
        }
    }

    /// The leader, unless it is this node and has lost its quorum, or it can't be reached any more.
    fn leader(&self) -> Option<NodeId> {
        let reached = |leader: &NodeId| {
            let up = self.routes.get(leader).is_some_and(Route::is_reachable);
            *leader == self.seen.node || up
        };
        self.seen.leader.filter(reached).filter(|_| !self.seen.quorum_lost)
    }

    fn why_learner(&self, node: NodeId, state: NodeState) -> String {
        let voters = self.seen.voters.len();
        let wanted = self.network.voters_wanted();
        let replica = self.replica(node);
        let last_log = self.seen.last_log;
        if state == NodeState::Down {
            "it is down".to_owned()
        } else if replica.as_ref().is_some_and(|replica| !caught_up(replica.matched, last_log)) {
            let lag = replica.map_or(0, |replica| replica.lag);
            format!("it is catching up: {lag} entries behind")
        } else if voters >= wanted {
            format!("there are {voters} voters, as many as are wanted")
        } else {
            let target = if voters.is_multiple_of(2) { voters + 1 } else { voters + 2 };
            let missing = target.saturating_sub(voters + self.seen.learners.len());
            if missing > 0 {
                format!("voters go from {voters} to {target} at once: {missing} more node needed")
            } else if self.clouds_limit_voters() {
                format!("with more than {voters} voters the loss of one cloud would stop writes")
            } else {
                format!("voters go from {voters} to {target} at once, when all have caught up")
            }
        }
    }

    /// Whether there are no more voters because a majority of them would stand in one cloud.
    fn clouds_limit_voters(&self) -> bool {
        let place = |node: NodeId| {
            let member = self.members.iter().find(|member| member.node == node);
            member.map(|member| Heard(member).place()).unwrap_or_default()
        };
        let voters: Voters = self.seen.voters.iter().map(|node| (*node, place(*node))).collect();
        let learners = self.seen.learners.iter();
        let candidates: Vec<Candidate> =
            learners.map(|node| Candidate { node: *node, place: place(*node), fit: true }).collect();
        best_voters(&voters, &candidates, self.network.voters_wanted(), self.seen.node, false).is_none()
    }

    fn replica(&self, node: NodeId) -> Option<ReplicaStatus> {
        self.replicas.iter().flat_map(Replicas::figures).find(|replica| replica.node == node)
    }

    fn consensus(&self) -> ConsensusStatus {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let pace = self.seen.pace;
        ConsensusStatus {
            quorum: self.leader().is_some() && self.replicas.is_some(),
            leader: self.leader(),
            term: self.seen.term,
            commit: self.seen.committed.map(|at| at.index),
            applied: self.seen.applied.map(|at| at.index),
            voters: self.seen.voters.iter().copied().collect(),
            learners: self.seen.learners.iter().copied().collect(),
            replicas: self.replicas.iter().flat_map(|replicas| replicas.figures()).collect(),
            timing: TimingStatus {
                round_trip_ms: ms(pace.round_trip),
                heartbeat_ms: ms(pace.heartbeat),
                election_timeout_ms_min: ms(pace.silence_min),
                election_timeout_ms_max: ms(pace.silence_max),
            },
        }
    }
}

/// How a node is reached, for people.
fn path(route: &Route, relays: &[String]) -> String {
    match relays {
        [] if route.state == LinkState::Idle => format!("on demand {}", route.address),
        [] => format!("direct {}", route.address),
        relays => format!("via {}", relays.join(", ")),
    }
}
