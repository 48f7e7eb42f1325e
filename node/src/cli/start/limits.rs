//! The flags that bound what callers may ask for.

use crate::config::{Limit, LimitsConfig, Setting};
use clap::Args;

/// How much callers may ask for, of the ports of this node: a number, or `off`.
#[derive(Debug, Args)]
pub(super) struct LimitFlags {
    /// Requests a second of callers without an account, of each address; twice as many at once [default: 200 for other
    /// hosts, off for this one]
    #[arg(long, env = "MICRO_NODE_LIMIT_UNKNOWN", value_name = "N|off")]
    limit_unknown: Option<Limit>,

    /// Requests a second of each account; twice as many at once [default: 50000]
    #[arg(long, env = "MICRO_NODE_LIMIT_ACCOUNT", value_name = "N|off")]
    limit_account: Option<Limit>,

    /// Logins a second of each address, and as each account; a tenth of it as one account from one address
    /// [default: 10]
    #[arg(long, env = "MICRO_NODE_LIMIT_LOGIN", value_name = "N|off")]
    limit_login: Option<Limit>,

    /// Connections of each address at each port [default: 256 for other hosts, off for this one]
    #[arg(long, env = "MICRO_NODE_LIMIT_CONNECTIONS", value_name = "N|off")]
    limit_connections: Option<Limit>,
}

impl LimitFlags {
    /// What they say.
    pub(super) fn config(&self) -> LimitsConfig {
        LimitsConfig {
            unknown: self.limit_unknown.unwrap_or_default(),
            account: self.limit_account.unwrap_or_default(),
            login: self.limit_login.unwrap_or_default(),
            connections: self.limit_connections.unwrap_or_default(),
        }
    }
}

/// What the settings of a node say of limits.
///
/// # Errors
/// If one of them is none.
pub(super) fn of(settings: &[Setting]) -> Result<LimitsConfig, String> {
    let limit = |name: &str| {
        let setting = settings.iter().find(|setting| setting.name == name);
        setting.and_then(|setting| setting.value.as_deref()).map_or(Ok(Limit::Usual), str::parse)
    };
    Ok(LimitsConfig {
        unknown: limit("limit-unknown")?,
        account: limit("limit-account")?,
        login: limit("limit-login")?,
        connections: limit("limit-connections")?,
    })
}
