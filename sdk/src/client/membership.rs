//! Who is a member of the mesh, who leads, and who works.

use super::{Node, node::Stake};
use crate::{proto, wire::Fault};
use serde::Serialize;
use std::time::Duration;

/// Leaving hands leadership over and waits until the others have agreed.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(60);
/// Removing a node asks all others and changes the voters.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(30);

/// A node of the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Member {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// What must not keep a node from being removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemoveEvenIf {
    /// It is up, and could leave itself.
    pub up: bool,
    /// The only copies of blobs are on it.
    pub blobs_are_lost: bool,
}

impl From<proto::Member> for Member {
    fn from(member: proto::Member) -> Self {
        let proto::Member { id, name } = member;
        Member { id, name }
    }
}

impl Node {
    /// Gives up the node's membership for good, and ends its process. Its blobs should be handed over before:
    /// [`Blobs::hand_over`](super::Blobs::hand_over); or it leaves `even_if_blobs_are_lost`.
    ///
    /// # Errors
    /// `Conflict` if blobs would have too few copies then, `Unavailable` without quorum; else as every request.
    pub async fn leave(&self, even_if_blobs_are_lost: bool) -> Result<(), Fault> {
        let mut client = self.client();
        let sent = |request| async move { client.leave(request).await };
        let message = proto::LeaveRequest { even_if_blobs_are_lost };
        self.ask(Stake::Call, self.timeout().max(LEAVE_TIMEOUT), message, sent).await?;
        Ok(())
    }

    /// Hands the leadership of the mesh to `to`, the name or id of a voter, or to the one that is furthest, and gives
    /// who leads now. Whoever leads already is no error.
    ///
    /// # Errors
    /// `NotFound` if there is no such node, `Conflict` if it does not vote, `Unavailable` if it did not take it over;
    /// else as every request.
    pub async fn transfer_leadership(&self, to: Option<&str>) -> Result<Member, Fault> {
        let mut client = self.client();
        let sent = |request| async move { client.transfer(request).await };
        let message = proto::TransferRequest { to: to.unwrap_or_default().to_owned() };
        let response = self.ask(Stake::Call, self.timeout(), message, sent).await?;
        Ok(response.leader.unwrap_or_default().into())
    }

    /// Takes a node, by its name or id, out of work for a while, or with `undo` puts it to work again: the node that is
    /// asked, if none is named. It stays a member.
    ///
    /// # Errors
    /// `NotFound` if there is no such node, `Unreachable` if it is down; else as every request.
    pub async fn drain(&self, node: Option<&str>, undo: bool) -> Result<Member, Fault> {
        let mut client = self.client();
        let sent = |request| async move { client.drain(request).await };
        let message = proto::DrainRequest { node: node.unwrap_or_default().to_owned(), undo };
        let response = self.ask(Stake::Call, self.timeout(), message, sent).await?;
        Ok(response.drained.unwrap_or_default().into())
    }

    /// Takes another node, by its name or id, out of the mesh for good: one whose host is lost. It is not let in again.
    /// `even_if` says what must not keep it from that.
    ///
    /// # Errors
    /// `NotFound` if there is no such node, `Conflict` if it is up, has the only copies of blobs, or the others would
    /// have no quorum, `Unavailable` without one; else as every request.
    pub async fn remove_node(&self, node: &str, even_if: RemoveEvenIf) -> Result<Member, Fault> {
        let mut client = self.client();
        let sent = |request| async move { client.remove(request).await };
        let RemoveEvenIf { up: even_if_up, blobs_are_lost: even_if_blobs_are_lost } = even_if;
        let message = proto::RemoveRequest { node: node.to_owned(), even_if_up, even_if_blobs_are_lost };
        let response = self.ask(Stake::Call, self.timeout().max(REMOVE_TIMEOUT), message, sent).await?;
        Ok(response.removed.unwrap_or_default().into())
    }
}
