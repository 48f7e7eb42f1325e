//! The way into the group for the callers of one thread.

use crate::{
    Pace, PlantedBug, errand::Errands, office::Office, origins::Origins, proposer::Proposer, raft::Raft,
    read_only::ReadOnly, reader::Reader, replica::Replica, timekeeper::Timekeeper,
};
use micro_mesh::Mesh;
use tokio::{sync::watch, task::JoinHandle};

/// What every intake of a node stands on.
#[derive(Clone)]
pub(crate) struct Ground {
    pub raft: Raft,
    pub replica: Replica,
    pub mesh: Mesh,
    pub office: Office,
    /// Proposals that may wait for their turn in one intake.
    pub proposals_waiting_max: usize,
    pub planted_bug: Option<PlantedBug>,
    /// Tells the time that proposals are stamped with while this node leads.
    pub timekeeper: Timekeeper,
    pub read_only: ReadOnly,
    pub errands: Errands,
    pub origins: Origins,
    pub pace: watch::Receiver<Pace>,
}

/// A queue of proposals and one of reads, each drained in batches on the runtime that the intake was made on. Callers
/// on another thread would be woken one by one across threads, which costs more than their requests.
pub(crate) struct Intake {
    pub proposer: Proposer,
    pub reader: Reader,
    tasks: [JoinHandle<()>; 2],
}

impl Intake {
    /// Starts the tasks that drain the queues.
    pub fn start(ground: Ground) -> Self {
        let (proposer, proposing) = Proposer::start(ground.clone());
        let (reader, reading) = Reader::start(ground);
        Intake { proposer, reader, tasks: [proposing, reading] }
    }

    /// Takes nothing in any more.
    pub fn close(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.close();
    }
}
