//! The authority that certifies the nodes of the mesh.

use super::{Node, node::Stake};
use crate::{proto, wire::Fault};
use serde::Serialize;
use std::time::Duration;

/// A new authority is agreed on by a majority, perhaps while a leader is elected.
const ROTATE_TIMEOUT: Duration = Duration::from_secs(30);

/// The authority of the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Authority {
    /// The SHA-256 of its certificate, in hexadecimal digits: join tokens name it.
    pub pin: String,
    /// When it was made, as RFC 3339.
    pub made: String,
    /// When it ends, as RFC 3339.
    pub ends: String,
    /// The one before, while it is believed.
    pub former: Option<FormerAuthority>,
}

/// An authority that is believed until all nodes have a certificate of the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FormerAuthority {
    /// Its pin.
    pub pin: String,
    /// The members that have no certificate of the next one yet, by name.
    pub waiting_for: Vec<String>,
}

impl From<Option<proto::Authority>> for Authority {
    fn from(authority: Option<proto::Authority>) -> Self {
        let proto::Authority { pin, made, ends, former } = authority.unwrap_or_default();
        let former =
            former.map(|proto::FormerAuthority { pin, waiting_for }| FormerAuthority { pin, waiting_for });
        Authority { pin, made, ends, former }
    }
}

impl Node {
    /// The authority that certifies the nodes of the mesh, as the node that is asked has it.
    ///
    /// # Errors
    /// As every request.
    pub async fn authority(&self) -> Result<Authority, Fault> {
        let mut client = self.client();
        let sent = |request| async move { client.show_authority(request).await };
        let response = self.ask(Stake::Read, self.timeout(), proto::ShowAuthorityRequest {}, sent).await?;
        Ok(response.authority.into())
    }

    /// Has a new authority certify the nodes from now on. All nodes renew by themselves; the one that certified so far
    /// is believed until they have.
    ///
    /// # Errors
    /// `Conflict` while the last one is being replaced, `Unavailable` without quorum; else as every request.
    pub async fn rotate_authority(&self) -> Result<Authority, Fault> {
        let mut client = self.client();
        let sent = |request| async move { client.rotate_authority(request).await };
        let patience = self.timeout().max(ROTATE_TIMEOUT);
        let response = self.ask(Stake::Call, patience, proto::RotateAuthorityRequest {}, sent).await?;
        Ok(response.authority.into())
    }

    /// Ends the belief in the former authority now. With `even_if_nodes_are_left_behind` also if members that are down
    /// need it to come back: they have to join anew then.
    ///
    /// # Errors
    /// `Conflict` if there is none, or nodes would be shut out, `Unavailable` without quorum; else as every request.
    pub async fn finish_authority(&self, even_if_nodes_are_left_behind: bool) -> Result<Authority, Fault> {
        let mut client = self.client();
        let sent = |request| async move { client.finish_authority(request).await };
        let message = proto::FinishAuthorityRequest { even_if_nodes_are_left_behind };
        let response = self.ask(Stake::Call, self.timeout().max(ROTATE_TIMEOUT), message, sent).await?;
        Ok(response.authority.into())
    }
}
