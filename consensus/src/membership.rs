//! How the membership is changed: one change after the other.

use crate::{
    Consensus, ConsensusError,
    raft::{Group, Raft},
};
use micro_sdk::wire::NodeId;
use openraft::{
    BasicNode, ChangeMembers,
    error::{ChangeMembershipError, ClientWriteError, RaftError},
    raft::ClientWriteResponse,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};
use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};

/// How long a change of membership may take, with the wait for its turn: a few rounds through the log, in a group that
/// may be electing.
const MEMBERSHIP_DEADLINE: Duration = Duration::from_secs(10);
/// The pause before a change is tried again that met one which an earlier leader had begun: about one round through the
/// log.
const TURN_PAUSE: Duration = Duration::from_millis(50);

/// The turn to change the membership. Raft refuses a change while another one is under way; whoever joins at such a
/// moment should wait and not fail.
pub(crate) type ChangeTurn = Mutex<()>;

/// A change.
#[derive(Clone)]
enum Change {
    /// A node becomes a learner.
    Admit(NodeId, BasicNode),
    /// Voters that are none any more become learners.
    Keeping(ChangeMembers<NodeId, BasicNode>),
    /// Voters that are none any more leave.
    Dropping(ChangeMembers<NodeId, BasicNode>),
}

type Changed = Result<ClientWriteResponse<Group>, RaftError<Group, ClientWriteError<Group>>>;

impl Consensus {
    /// Takes a node in as a learner. Leader only.
    ///
    /// # Errors
    /// [`ConsensusError::NotLeader`], or why the group refused.
    pub async fn add_learner(&self, node: NodeId, address: SocketAddr) -> Result<(), ConsensusError> {
        let learner = BasicNode::new(address);
        self.change(Change::Admit(node, learner)).await
    }

    /// Notes the address of a member. Leader only.
    ///
    /// # Errors
    /// [`ConsensusError::NotLeader`], or why the group refused.
    pub async fn set_address(&self, node: NodeId, address: SocketAddr) -> Result<(), ConsensusError> {
        let nodes = BTreeMap::from([(node, BasicNode::new(address))]);
        self.change(Change::Keeping(ChangeMembers::SetNodes(nodes))).await
    }

    /// Replaces the voters, all at once. Those that leave become learners. Leader only.
    ///
    /// # Errors
    /// [`ConsensusError::NotLeader`], or why the group refused.
    pub async fn change_voters(&self, voters: BTreeSet<NodeId>) -> Result<(), ConsensusError> {
        self.change(Change::Keeping(ChangeMembers::ReplaceAllVoters(voters))).await
    }

    /// Completes a change of the voters that another leader had begun: it goes through two sets of voters, and whoever
    /// leads when both are there has to go on to the second alone. Leader only; nothing if there is no such change.
    ///
    /// # Errors
    /// [`ConsensusError::NotLeader`], or why the group refused.
    pub async fn finish_change(&self) -> Result<(), ConsensusError> {
        if !self.observe().changing {
            return Ok(());
        }
        // A change that adds nobody goes from both sets to the second.
        self.change(Change::Keeping(ChangeMembers::AddVoterIds(BTreeSet::new()))).await
    }

    /// Removes a node from the group for good, voter or learner. Leader only.
    ///
    /// # Errors
    /// [`ConsensusError::NotLeader`], or why the group refused.
    pub async fn remove(&self, node: NodeId) -> Result<(), ConsensusError> {
        let gone = BTreeSet::from([node]);
        if self.observe().voters.contains(&node) {
            self.change(Change::Dropping(ChangeMembers::RemoveVoters(gone.clone()))).await?;
        }
        if self.observe().learners.contains(&node) {
            self.change(Change::Dropping(ChangeMembers::RemoveNodes(gone))).await?;
        }
        Ok(())
    }

    async fn change(&self, change: Change) -> Result<(), ConsensusError> {
        let changed = timeout(MEMBERSHIP_DEADLINE, self.change_in_turn(change)).await;
        changed.unwrap_or(Err(ConsensusError::Timeout))
    }

    async fn change_in_turn(&self, change: Change) -> Result<(), ConsensusError> {
        let _turn = self.inner.changing.lock().await;
        loop {
            if !self.observe().leading {
                return Err(ConsensusError::NotLeader);
            }
            match change.clone().make(&self.inner.ground.raft).await {
                Ok(_) => return Ok(()),
                // openraft says so in words of its own; for us it is one thing.
                Err(_) if !self.observe().leading => return Err(ConsensusError::NotLeader),
                Err(error) if is_in_progress(&error) => sleep(TURN_PAUSE).await,
                Err(error) => return Err(ConsensusError::Membership(error.to_string())),
            }
        }
    }
}

impl Change {
    async fn make(self, raft: &Raft) -> Changed {
        match self {
            Change::Admit(node, learner) => raft.add_learner(node, learner, false).await,
            Change::Keeping(members) => raft.change_membership(members, true).await,
            Change::Dropping(members) => raft.change_membership(members, false).await,
        }
    }
}

/// Whether a change was refused, with nothing done, because of another one.
fn is_in_progress(error: &RaftError<Group, ClientWriteError<Group>>) -> bool {
    let RaftError::APIError(ClientWriteError::ChangeMembershipError(refused)) = error else { return false };
    matches!(refused, ChangeMembershipError::InProgress(_))
}
