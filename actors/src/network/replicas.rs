//! What a leader knows of the replicas, as it tells the other nodes.

use bincode::{Decode, Encode};
use micro_consensus::{Finding, Observation};
use micro_sdk::wire::{NodeId, status::ReplicaStatus};

/// How far the replicas of the group are, and what was found wrong with them. From their leader.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Replicas {
    figures: Vec<Figure>,
    /// Replicas that lacked entries they had acknowledged, and up to which.
    pub reverted: Vec<(NodeId, u64)>,
    /// The file of the leader's snapshot that is not what was written.
    pub damaged_snapshot: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Figure {
    node: NodeId,
    matched: Option<u64>,
    lag: u64,
}

impl Replicas {
    /// As the leader sees them, itself first.
    pub fn seen_by_leader(seen: &Observation) -> Self {
        let end = seen.last_log.map_or(0, |last| last + 1);
        let figure = |node: NodeId, matched: Option<u64>| {
            let lag = end.saturating_sub(matched.map_or(0, |matched| matched + 1));
            Figure { node, matched, lag }
        };
        let others = seen.replication.iter().filter(|replica| replica.node != seen.node);
        let mut figures: Vec<_> = others.map(|replica| figure(replica.node, replica.matched)).collect();
        figures.insert(0, figure(seen.node, seen.last_log));
        let mut replicas = Replicas { figures, reverted: Vec::new(), damaged_snapshot: None };
        for finding in &seen.findings {
            match finding {
                Finding::LogReverted { node, had } => replicas.reverted.push((*node, *had)),
                Finding::SnapshotDamaged { file } => replicas.damaged_snapshot = Some(file.clone()),
            }
        }
        replicas
    }

    /// How far each is.
    pub fn figures(&self) -> impl Iterator<Item = ReplicaStatus> + '_ {
        let status =
            |figure: &Figure| ReplicaStatus { node: figure.node, matched: figure.matched, lag: figure.lag };
        self.figures.iter().map(status)
    }
}
