//! What is wrong with the group as a whole: its leader, its voters, its replicas.

use super::{Problems, name_of};
use crate::network::{placement::vital_cloud, replicas::Replicas};
use micro_mesh::Place;
use micro_sdk::wire::{
    NodeId,
    status::{ConsensusStatus, NodeState, NodeStatus, Role, Severity},
};
use std::collections::BTreeSet;

impl Problems {
    pub(super) fn of_the_group(
        &mut self,
        stopped: Option<&str>,
        consensus: &ConsensusStatus,
        nodes: &[NodeStatus],
    ) {
        let up =
            |voter: &&NodeId| nodes.iter().any(|node| node.id == **voter && node.state != NodeState::Down);
        let majority_up = consensus.voters.iter().filter(up).count() > consensus.voters.len() / 2;
        if let Some(why) = stopped {
            let help = "see the node's log, then start it again";
            self.add(Severity::Critical, format!("consensus has stopped on this node: {why}"), help);
        } else if !consensus.quorum && majority_up {
            self.add(
                Severity::Critical,
                "no leader just now: a majority of the voters is up and elects one; writes and linearizable reads wait",
                "look again in a few seconds; if it lasts, see the logs of the voters",
            );
        } else if !consensus.quorum {
            self.add(
                Severity::Critical,
                "no quorum: writes and linearizable reads wait until a majority of the voters is back",
                "start the voters that are down, or see why they can't be reached",
            );
        }
    }

    pub(super) fn of_the_replicas(
        &mut self,
        replicas: &Replicas,
        leader: Option<NodeId>,
        nodes: &[NodeStatus],
    ) {
        let name = |id: NodeId| name_of(id, nodes);
        for (node, had) in &replicas.reverted {
            let message = format!(
                "the disk of {} had lost log entries that it had acknowledged, up to {had}: they were copied to it again",
                name(*node)
            );
            let help =
                "don't trust that disk: reset the node on another one, and join again with a new token";
            self.add(Severity::Warning, message, help);
        }
        if let Some(file) = &replicas.damaged_snapshot {
            let leader = leader.map_or_else(|| "the leader".to_owned(), name);
            let message =
                format!("{file} on {leader} is not what was written: no replica can be brought up with it");
            let help = "if other voters are up, reset that node and join again with a new token";
            self.add(Severity::Critical, message, help);
        }
    }

    pub(super) fn of_the_voters(&mut self, voters: usize, nodes: usize) {
        if voters == 2 {
            self.add(
                Severity::Warning,
                "two voters: the loss of either stops writes",
                "add a node: `micro-node token create`",
            );
        } else if voters == 1 && nodes > 1 {
            self.add(
                Severity::Warning,
                "one voter: the loss of it stops writes, and with its disk all is lost",
                "voters go to three when three nodes have caught up",
            );
        }
    }

    /// A mesh in several clouds had better survive the loss of any one of them.
    pub(super) fn of_the_clouds(&mut self, nodes: &[NodeStatus]) {
        let clouds: BTreeSet<&str> = nodes.iter().map(|node| node.cloud.as_str()).collect();
        let voters = nodes.iter().filter(|node| matches!(node.role, Role::Voter | Role::Leader));
        let places: Vec<Place> =
            voters.map(|node| Place { cloud: node.cloud.clone(), ..Place::default() }).collect();
        let Some(vital) = vital_cloud(places.iter()).filter(|cloud| !cloud.is_empty()) else { return };
        // Fewer voters have a warning of their own.
        if clouds.len() < 2 || places.len() < 3 {
            return;
        }
        let (all, there) = (places.len(), places.iter().filter(|place| place.cloud == vital).count());
        let message =
            format!("the loss of cloud {vital} would stop writes: {there} of {all} voters are there");
        let help = match clouds.len() {
            2 => "add a node in a third cloud: `micro-node token create`",
            _ => "voters are spread over clouds by themselves once a node in each has caught up",
        };
        self.add(Severity::Info, message, help);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sample::node, *};
    use micro_sdk::wire::status::TimingStatus;

    #[test]
    fn a_replica_that_lost_what_it_had_acknowledged_is_told() {
        let seen = micro_consensus::Observation {
            findings: vec![
                micro_consensus::Finding::LogReverted { node: NodeId(7), had: 120 },
                micro_consensus::Finding::SnapshotDamaged { file: "snapshots/x/state/1.sst".to_owned() },
            ],
            ..observation()
        };
        let mut list = Problems::default();
        list.of_the_replicas(&Replicas::seen_by_leader(&seen), Some(NodeId(1)), &[]);
        assert!(
            list.0[0].message.contains("up to 120") && list.0[0].message.contains(&NodeId(7).to_string())
        );
        assert_eq!(list.0[1].severity, Severity::Critical);
    }

    #[test]
    fn an_election_is_told_from_a_lost_quorum() {
        let group = |states: [NodeState; 3]| {
            let nodes: Vec<NodeStatus> = (1..).zip(states).map(|(id, state)| node(id, "n", state)).collect();
            let voters = nodes.iter().map(|node| node.id).collect();
            let consensus = ConsensusStatus {
                quorum: false,
                leader: None,
                term: 1,
                commit: None,
                applied: None,
                voters,
                learners: Vec::new(),
                replicas: Vec::new(),
                timing: TimingStatus::default(),
            };
            let mut list = Problems::default();
            list.of_the_group(None, &consensus, &nodes);
            list.0.remove(0).message
        };
        assert!(
            group([NodeState::Ready, NodeState::Starting, NodeState::Down]).starts_with("no leader just now")
        );
        assert!(group([NodeState::Ready, NodeState::Down, NodeState::Down]).starts_with("no quorum"));
    }

    fn observation() -> micro_consensus::Observation {
        micro_consensus::Observation {
            node: NodeId(1),
            term: 1,
            vote: (NodeId(1), true),
            leader: Some(NodeId(1)),
            leading: true,
            quorum_lost: false,
            last_log: Some(200),
            committed: None,
            applied: None,
            snapshot: None,
            purged: None,
            voters: [NodeId(1)].into(),
            learners: [].into(),
            addresses: Vec::new(),
            changing: false,
            replication: Vec::new(),
            pace: micro_consensus::Pace::default(),
            findings: Vec::new(),
            stopped: None,
        }
    }
}
