//! `micro-node version`.

use super::{failure::Failure, output::Output};
use clap::Args;
use serde::Serialize;

const EXAMPLES: &str = "\
Examples:
  micro-node version
  micro-node version --json";

/// Tell which micro-node this is
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Version {
    /// Show JSON, as -o json does
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct VersionItem {
    version: &'static str,
    os: &'static str,
    arch: &'static str,
}

impl Version {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let item = VersionItem {
            version: env!("CARGO_PKG_VERSION"),
            os: std::env::consts::OS,
            arch: std::env::consts::ARCH,
        };
        if self.json || output.json() {
            return output.item("micro-node/version/v1", &item);
        }
        output.text(&format!("micro-node {}", item.version))
    }
}
