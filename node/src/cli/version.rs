//! `micro-node version`.

use super::{
    failure::Failure,
    output::Output,
    shape::{ItemShape, Shapes},
};
use clap::Args;
use schemars::JsonSchema;
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

/// Which micro-node this is.
#[derive(Serialize, JsonSchema)]
struct VersionItem {
    /// Its version.
    version: &'static str,
    /// The system that it is built for.
    os: &'static str,
    /// The processor that it is built for.
    arch: &'static str,
}

const VERSION: ItemShape<VersionItem> = ItemShape::new("version", &["version"]);

pub(super) const SHAPES: Shapes = &[&VERSION];

impl Version {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let item = VersionItem {
            version: env!("CARGO_PKG_VERSION"),
            os: std::env::consts::OS,
            arch: std::env::consts::ARCH,
        };
        if self.json || output.json() {
            return output.item(&VERSION, &item);
        }
        output.text(&format!("micro-node {}", item.version))
    }
}
