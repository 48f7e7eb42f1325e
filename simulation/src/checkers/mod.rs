//! What must always hold, and what must hold in the end. Checkers look, never steer.
//!
//! The invariants are those of Raft's paper (Ongaro, Ousterhout: "In search of an understandable consensus
//! algorithm", 2014, figure 3), the list that openraft checks in its own fuzzer, and what clients were
//! promised.
//!
//! To add one: a file with a type that implements [`Checker`], a line in [`all`], and a history or a
//! planted bug that it finds.

mod acknowledged_durability;
mod backups;
mod bank_balance;
mod best_ways;
mod blob_contents;
mod bounded_log;
mod calls;
mod certificates;
mod committed_immutable;
mod committed_on_quorum;
mod configuration;
mod echo_answers;
mod election_safety;
mod equal_replicas;
mod expiry;
mod fencing;
mod gateways;
mod idempotency;
mod kept_votes;
mod leader_completeness;
mod ledger;
mod linearizability;
mod log_matching;
mod monotonic_progress;
mod progress_order;
mod reached;
mod running_nodes;
mod serializability;
mod set_elements;
mod settled;
mod stale_reads;
mod state_machine_safety;
mod steady_leader;
mod watches;

use crate::{
    sighting::{Sighting, StatePrint},
    workload::{Journals, Op},
};
use std::{collections::BTreeMap, fmt};

/// Something that must never be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which checker saw it.
    pub checker: &'static str,
    /// What it saw.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.checker, self.what)
    }
}

/// What is known once a run is over, all faults healed and the clients gone.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// All operations of all clients.
    pub history: Vec<Op>,
    /// All requests of other kinds of work.
    pub journals: Journals,
    /// The value and version of every key, read from a quorum at the end. Empty if that never worked.
    pub finals: BTreeMap<String, Option<(u64, u64)>>,
    /// The applied state of every node.
    pub states: BTreeMap<String, StatePrint>,
}

/// Sees to one invariant.
pub trait Checker {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// Called many times a simulated second with all that can be seen.
    ///
    /// # Errors
    /// What must not be.
    fn look(&mut self, _sighting: &Sighting) -> Result<(), Violation> {
        Ok(())
    }

    /// Called once, after everything was healed and came to rest.
    ///
    /// # Errors
    /// What must not be.
    fn conclude(&mut self, _ending: &Ending) -> Result<(), Violation> {
        Ok(())
    }

    /// A violation of this checker's invariant.
    fn violation(&self, what: String) -> Violation {
        Violation { checker: self.name(), what }
    }
}

/// All checkers, fresh.
pub fn all() -> Vec<Box<dyn Checker>> {
    vec![
        Box::<running_nodes::RunningNodes>::default(),
        Box::<election_safety::ElectionSafety>::default(),
        Box::<log_matching::LogMatching>::default(),
        Box::<leader_completeness::LeaderCompleteness>::default(),
        Box::<committed_immutable::CommittedImmutable>::default(),
        Box::<committed_on_quorum::CommittedOnQuorum>::default(),
        Box::<state_machine_safety::StateMachineSafety>::default(),
        Box::<progress_order::ProgressOrder>::default(),
        Box::<monotonic_progress::MonotonicProgress>::default(),
        Box::<kept_votes::KeptVotes>::default(),
        Box::<acknowledged_durability::AcknowledgedDurability>::default(),
        Box::<linearizability::Linearizability>::default(),
        Box::<stale_reads::StaleReads>::default(),
        Box::<echo_answers::EchoAnswers>::default(),
        Box::<bank_balance::BankBalance>::default(),
        Box::<set_elements::SetElements>::default(),
        Box::<blob_contents::BlobContents>::default(),
        Box::<idempotency::Idempotency>::default(),
        Box::<serializability::Serializability>::default(),
        Box::<watches::Watches>::default(),
        Box::<fencing::Fencing>::default(),
        Box::<expiry::Expiry>::default(),
        Box::<backups::Backups>::default(),
        Box::<configuration::Configuration>::default(),
        Box::<calls::Calls>::default(),
        Box::<certificates::Certificates>::default(),
        Box::<best_ways::BestWays>::default(),
        Box::<bounded_log::BoundedLog>::default(),
        Box::<steady_leader::SteadyLeader>::default(),
        Box::<gateways::Gateways>::default(),
        Box::<reached::Reached>::default(),
        Box::<equal_replicas::EqualReplicas>::default(),
    ]
}

/// Sightings for the tests of checkers.
#[cfg(test)]
mod scene {
    use crate::sighting::{Line, NodeSight, Position, Progress, Sighting};
    use micro_sdk::wire::NodeId;
    use std::time::Duration;

    /// A log of which entry `i + 1` was written in the i-th of these terms, by the leader of that number.
    /// The digest is the term's.
    pub fn node(id: u64, terms: &[u64]) -> NodeSight {
        let line = |term: u64| Line { term, leader: term, print: term };
        NodeSight {
            id: Some(NodeId(id)),
            boot: 1,
            log: (1..).zip(terms.iter().map(|term| line(*term))).collect(),
            log_start: 1,
            fresh_from: Some(1),
            ..NodeSight::default()
        }
    }

    /// The same node, running in `term`, with the log committed and applied through `committed`.
    pub fn running(mut node: NodeSight, term: u64, leading: bool, committed: u64) -> NodeSight {
        let position = node.log.get(&committed).map(|line| Position { term: line.term, index: committed });
        let id = node.id.expect("the scene's nodes have ids");
        node.progress = Some(Progress {
            term,
            voted_for: if leading { id } else { NodeId(term) },
            leading,
            leader: None,
            last: node.log.keys().last().copied(),
            committed: position,
            applied: position,
            snapshot: None,
            purged: None,
            voters: (1..=3).map(NodeId).collect(),
            changing: false,
            stopped: None,
        });
        node
    }

    /// These nodes at `ms`.
    pub fn sighting(ms: u64, nodes: impl IntoIterator<Item = NodeSight>) -> Sighting {
        let name = |node: &NodeSight| format!("n{}", node.id.expect("the scene's nodes have ids").0);
        let nodes = nodes.into_iter().map(|node| (name(&node), node)).collect();
        Sighting { at: Duration::from_millis(ms), nodes, network: None }
    }
}
