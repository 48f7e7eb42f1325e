//! Builds the status document from what this node knows; the lag of replicas is asked of the leader.

use crate::{
    network::{card::Heard, platform::NetworkService, steward::caught_up},
    registry::Registry,
};
use micro_consensus::Observation;
use micro_mesh::{LinkState, Member, Route};
use micro_sdk::wire::{
    NodeId,
    status::{
        ConsensusStatus, NodeState, NodeStatus, Problem, ReplicaStatus, Role, STATUS_SCHEMA, Severity, Status,
    },
};
use std::collections::BTreeMap;

/// A leader that a quorum has not confirmed for this long may have lost it. Two election timeouts.
const QUORUM_AGE_MAX: std::time::Duration = std::time::Duration::from_secs(4);

/// Everything that goes into one document.
pub(crate) struct View<'a> {
    pub network: &'a NetworkService,
    pub seen: Observation,
    pub members: Vec<Member>,
    pub routes: BTreeMap<NodeId, Route>,
    /// How far each replica is, from the leader; none when it did not answer.
    pub replicas: Option<Vec<ReplicaStatus>>,
    pub registry: &'a Registry,
}

impl View<'_> {
    /// The document.
    pub fn document(&self) -> Status {
        let mut nodes: Vec<NodeStatus> = self.node_ids().into_iter().map(|node| self.node(node)).collect();
        let here = self.seen.node;
        nodes.sort_by(|a, b| (a.id != here, &a.name).cmp(&(b.id != here, &b.name)));
        let consensus = self.consensus();
        let services = self.registry.status();
        let problems = self.problems(&nodes, &consensus);
        Status {
            schema: STATUS_SCHEMA.to_owned(),
            cluster: self.network.cluster(),
            seen_by: here,
            nodes,
            consensus,
            services,
            problems,
        }
    }

    /// All nodes to show: members of the group, whether they live or not, and everyone alive in gossip.
    fn node_ids(&self) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> = self.seen.addresses.iter().map(|(node, _)| *node).collect();
        nodes.extend(self.members.iter().filter(|member| member.alive).map(|member| member.node));
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
        let up = route.filter(|route| route.state == LinkState::Up);
        let state = heard.as_ref().map_or(NodeState::Down, |heard| {
            let state = heard.state();
            // The link knows before gossip does.
            if !here && up.is_none() && state == NodeState::Ready { NodeState::Down } else { state }
        });
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
            path: if here {
                Some("self".to_owned())
            } else {
                up.map(|route| format!("direct {}", route.address))
            },
            address,
            rtt_ms: up.and_then(|route| route.rtt).map(|rtt| (rtt.as_secs_f64() * 1e6).round() / 1e3),
            version: heard.as_ref().map(Heard::version).unwrap_or_default(),
            uptime_s: heard
                .as_ref()
                .filter(|_| state != NodeState::Down)
                .and_then(|heard| heard.uptime_s(self.network.now())),
            actors: if here {
                Some(self.network.actors())
            } else {
                heard.as_ref().filter(|_| state != NodeState::Down).and_then(Heard::actors)
            },
        }
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

    /// The leader, unless it is this node and has lost its quorum.
    fn leader(&self) -> Option<NodeId> {
        // A sole voter is its own quorum, and nobody else confirms it.
        let sole = self.seen.voters.len() == 1;
        let lost = self.seen.leading && !sole && self.seen.quorum_age.is_some_and(|age| age > QUORUM_AGE_MAX);
        self.seen.leader.filter(|_| !lost)
    }

    fn why_learner(&self, node: NodeId, state: NodeState) -> String {
        let voters = self.seen.voters.len();
        let wanted = self.network.voters_wanted();
        let replica = self.replicas.iter().flatten().find(|replica| replica.node == node);
        let last_log = self.seen.last_log;
        if state == NodeState::Down {
            "it is down".to_owned()
        } else if replica.is_some_and(|replica| !caught_up(replica.matched, last_log)) {
            let lag = replica.map_or(0, |replica| replica.lag);
            format!("it is catching up: {lag} entries behind")
        } else if voters >= wanted {
            format!("there are {voters} voters, as many as are wanted")
        } else {
            let target = if voters.is_multiple_of(2) { voters + 1 } else { voters + 2 };
            let missing = target.saturating_sub(voters + self.seen.learners.len());
            if missing > 0 {
                format!("voters go from {voters} to {target} at once: {missing} more node needed")
            } else {
                format!("voters go from {voters} to {target} at once, when all have caught up")
            }
        }
    }

    fn consensus(&self) -> ConsensusStatus {
        ConsensusStatus {
            quorum: self.leader().is_some() && self.replicas.is_some(),
            leader: self.leader(),
            term: self.seen.term,
            commit: self.seen.committed.map(|at| at.index),
            applied: self.seen.applied.map(|at| at.index),
            voters: self.seen.voters.iter().copied().collect(),
            learners: self.seen.learners.iter().copied().collect(),
            replicas: self.replicas.clone().unwrap_or_default(),
        }
    }

    fn problems(&self, nodes: &[NodeStatus], consensus: &ConsensusStatus) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |severity, message: String, help: &str| {
            problems.push(Problem { severity, message, help: help.to_owned() });
        };
        let down = |node: &&NodeStatus| node.state == NodeState::Down;
        if let Some(why) = &self.seen.stopped {
            let help = "see the node's log, then start it again";
            add(Severity::Critical, format!("consensus has stopped on this node: {why}"), help);
        } else if !consensus.quorum {
            let message =
                "no quorum: writes and linearizable reads wait until a majority of the voters is back";
            add(
                Severity::Critical,
                message.to_owned(),
                "start the voters that are down, or see why they can't be reached",
            );
        }
        for node in nodes.iter().filter(down) {
            let voter = matches!(node.role, Role::Voter | Role::Leader);
            let severity = if voter && !consensus.quorum { Severity::Critical } else { Severity::Warning };
            let what = if voter { "voter" } else { "node" };
            let help = "start it again; its replica catches up by itself";
            add(severity, format!("{what} {} is down", node.name), help);
        }
        for node in nodes {
            for actor in node.actors.iter().flatten().filter(|actor| actor.restarts > 0) {
                let times = actor.restarts;
                let message = format!(
                    "actor {} on {} was restarted {times} times after a panic",
                    actor.name, node.name
                );
                add(Severity::Warning, message, "see the log of that node: this is a defect of micro-node");
            }
        }
        if consensus.voters.len() == 2 {
            let message = "two voters: the loss of either stops writes";
            add(Severity::Warning, message.to_owned(), "add a node: `micro-node token create`");
        } else if consensus.voters.len() == 1 && nodes.len() > 1 {
            let message = "one voter: the loss of it stops writes, and with its disk all is lost";
            add(Severity::Warning, message.to_owned(), "voters go to three when three nodes have caught up");
        }
        problems.sort_by_key(|problem| problem.severity);
        problems
    }
}
