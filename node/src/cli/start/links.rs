//! The flags about the links to other nodes.

use super::{joining, unit};
use crate::{cli::failure::Failure, config::LinksConfig};
use clap::{Args, builder::FalseyValueParser};
use micro_mesh::{LINK_TIMEOUT_MAX, LINK_TIMEOUT_MIN, Price};
use micro_sdk::client::Address;
use std::{net::SocketAddr, time::Duration};

/// The links to other nodes.
#[derive(Debug, Args)]
pub(super) struct LinkFlags {
    /// Nodes of other clouds reach this one, also where they reach no other of its cloud: they keep links to it first,
    /// and go over it rather than over others
    #[arg(long, env = "MICRO_NODE_GATEWAY", value_parser = FalseyValueParser::new())]
    gateway: bool,

    /// After how long without an answer a link counts as dead, and others take over: 500ms to 60s
    #[arg(long, env = "MICRO_NODE_LINK_TIMEOUT", value_name = "DURATION", default_value = "2s",
          value_parser = timeout)]
    link_timeout: Duration,

    /// What a GB between two clouds costs, as aws:gcp=0.09; may be given more than once. Of two ways, a cent makes one
    /// as bad as a millisecond does
    #[arg(long, env = "MICRO_NODE_COST_PER_GB", value_name = "CLOUD:CLOUD=AMOUNT", value_delimiter = ',')]
    cost_per_gb: Vec<Price>,
}

impl LinkFlags {
    /// What they say, with the places where others reach the node: the first one beside the rest.
    ///
    /// # Errors
    /// If a place can't be looked up, or nobody could dial it.
    pub(super) async fn config(
        self,
        advertise: &[Address],
    ) -> Result<(Option<SocketAddr>, LinksConfig), Failure> {
        let mut addresses = Vec::new();
        for place in advertise {
            let address = joining::advertised(place).await?;
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let first = (!addresses.is_empty()).then(|| addresses.remove(0));
        let LinkFlags { gateway, link_timeout, cost_per_gb } = self;
        Ok((first, LinksConfig { also: addresses, gateway, timeout: link_timeout, prices: cost_per_gb }))
    }
}

/// Reads after how long a link counts as dead.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = unit::duration(text)?;
    match (LINK_TIMEOUT_MIN..=LINK_TIMEOUT_MAX).contains(&timeout) {
        true => Ok(timeout),
        false => Err("it takes 500ms to 60s".to_owned()),
    }
}
