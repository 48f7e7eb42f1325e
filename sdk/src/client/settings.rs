//! The settings of a node, as it tells them itself.

use super::{Node, node::Stake};
use crate::{proto, wire::Fault};
use serde::Serialize;

/// One setting of a node, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Setting {
    /// As its flag is called, without the dashes.
    pub name: String,
    /// Its value, if it has one; `[secret]` for a secret.
    pub value: Option<String>,
    /// `flag`, `environment`, `file`, `last start` or `default`.
    pub source: String,
    /// The flag or the variable, or the file and the line; empty for the rest.
    pub place: String,
}

impl Node {
    /// The settings that the node was started with, and where each comes from.
    ///
    /// # Errors
    /// As every request.
    pub async fn settings(&self) -> Result<Vec<Setting>, Fault> {
        let mut client = self.client();
        let sent = |request| async move { client.settings(request).await };
        let response = self.ask(Stake::Read, self.timeout(), proto::SettingsRequest {}, sent).await?;
        let setting = |setting: proto::Setting| {
            let proto::Setting { name, value, source, place } = setting;
            Setting { name, value, source, place }
        };
        Ok(response.settings.into_iter().map(setting).collect())
    }
}
