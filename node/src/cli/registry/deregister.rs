//! `micro-node registry deregister`.

use super::{
    Failure, Globals, Output, Shapes,
    found::{self, Found},
    session,
};
use crate::cli::shape::ListShape;
use clap::Args;
use micro_sdk::{
    client::Node,
    wire::{Code, Fault},
};
use schemars::JsonSchema;
use serde::Serialize;

/// End what was registered at the asked node
///
/// By the name of a service, all of its instances that were registered there; what programs hold by themselves stays.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node registry deregister shop
  micro-node registry deregister 00000000075bcd15")]
pub(super) struct Deregister {
    /// The id of an instance, or the name of a service
    #[arg(value_name = "ID|NAME")]
    name: String,
}

/// What there is to say of what was ended.
#[derive(Serialize, JsonSchema)]
struct EndedSummary {
    /// How many instances were ended.
    count: usize,
}

const ENDED: ListShape<Found, EndedSummary> = ListShape::new("registry-ended", &["registry deregister"]);

pub(super) const SHAPES: Shapes = &[&ENDED];

impl Deregister {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let ended = session::run(globals, async |node| Ok(end(&node, &self.name).await?))?;
        if output.json() {
            return output.items(&ENDED, &ended, &EndedSummary { count: ended.len() });
        }
        let lines =
            ended.iter().map(|one| format!("the instance {} of {} is gone", one.instance, one.service));
        output.text(&lines.collect::<Vec<_>>().join("\n"))
    }
}

/// Ends what is meant, and gives what was ended.
async fn end(node: &Node, name_or_id: &str) -> Result<Vec<Found>, Fault> {
    let (mut ended, mut kept) = (Vec::new(), None);
    for one in found::instances(node, name_or_id).await? {
        match node.registry().deregister(&one.service, &one.instance).await {
            Ok(()) => ended.push(one),
            // Of several that have one name some may be held by their programs, or be at other nodes.
            Err(fault) if matches!(fault.code, Code::Usage | Code::NotFound | Code::Denied) => {
                kept = kept.or(Some(fault));
            }
            Err(fault) => return Err(fault),
        }
    }
    match kept {
        Some(fault) if ended.is_empty() => Err(fault),
        _ => Ok(ended),
    }
}
