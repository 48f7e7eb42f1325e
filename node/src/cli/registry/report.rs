//! `micro-node registry report`.

use super::{
    Failure, Globals, Output, Shapes,
    found::{self, Found},
    session,
};
use crate::cli::shape::ItemShape;
use clap::{Args, ValueEnum};
use micro_sdk::{
    client::Node,
    wire::{Code, Fault},
};
use schemars::JsonSchema;
use serde::Serialize;

/// Say how an instance is that was registered at the asked node
///
/// Each report is a sign of life within its time to live. That it fails counts for one that was registered with
/// --health reported.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node registry report shop passing
  micro-node registry report 00000000075bcd15 failing --reason 'disk full'")]
pub(super) struct Report {
    /// The id of an instance, or the name of a service that has one
    #[arg(value_name = "ID|NAME")]
    name: String,

    /// How it is
    #[arg(value_name = "HEALTH")]
    health: Verdict,

    /// Why it fails
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// How an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// It works
    Passing,
    /// It does not
    Failing,
}

/// A report that was taken.
#[derive(Serialize, JsonSchema)]
struct ReportedItem {
    /// The instance that it is about.
    #[serde(flatten)]
    found: Found,
    /// How it was said to be.
    reported: Verdict,
}

const REPORTED: ItemShape<ReportedItem> = ItemShape::new("registry-reported", &["registry report"]);

pub(super) const SHAPES: Shapes = &[&REPORTED];

impl Report {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        if self.reason.is_some() && self.health == Verdict::Passing {
            return Err(Failure::usage("what passes has no reason: --reason is for failing"));
        }
        let result = match self.health {
            Verdict::Passing => Ok(()),
            Verdict::Failing => Err(self.reason.unwrap_or_default()),
        };
        let found = session::run(globals, async |node| {
            let one = the_one(&node, &self.name).await?;
            node.registry().report_health(&one.service, &one.instance, result).await?;
            Ok(one)
        })?;
        let Found { service, instance, .. } = &found;
        if !output.json() {
            return output.text(&format!("the report on the instance {instance} of {service} was taken"));
        }
        output.item(&REPORTED, &ReportedItem { found, reported: self.health })
    }
}

/// The one instance that is meant.
async fn the_one(node: &Node, name_or_id: &str) -> Result<Found, Fault> {
    let mut found = found::instances(node, name_or_id).await?;
    if found.len() == 1 {
        return Ok(found.remove(0));
    }
    let ids: Vec<&str> = found.iter().map(|one| one.instance.as_str()).collect();
    Err(Fault::new(Code::Usage, format!("{name_or_id} has {} instances", ids.len()))
        .help(format!("say which one: {}", ids.join(", "))))
}
