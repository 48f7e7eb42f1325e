//! The arguments that name an endpoint, and what goes along with a call of it.

use super::unit;
use clap::Args;
use micro_sdk::wire::ServiceName;

/// What `call` and `stream` have in common.
#[derive(Debug, Args)]
pub(super) struct Callee {
    /// The service
    pub service: ServiceName,

    /// The endpoint, as Handler.method, or method where the service has a sole handler
    pub endpoint: String,

    /// A header to send along; may be given more than once
    #[arg(short = 'H', long = "header", alias = "metadata", value_name = "KEY=VALUE",
          value_parser = unit::pair)]
    pub headers: Vec<(String, String)>,
}
