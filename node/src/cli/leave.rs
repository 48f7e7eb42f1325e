//! `micro-node leave`.

use super::{
    confirmation,
    failure::Failure,
    globals::Globals,
    output::Output,
    progress::Progress,
    session,
    shape::{ItemShape, Shapes},
    unit,
};
use clap::Args;
use micro_sdk::{
    client::{BlobsHandedOver, Node},
    wire::{NodeId, status::Status},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How long blobs that find no other node are tried again: a node that joins is known to all, and takes copies, within
/// a few seconds.
const STUCK_PATIENCE: Duration = Duration::from_secs(20);
/// The pause before they are.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  micro-node leave
  micro-node leave --yes                             without a question, as scripts need
  micro-node leave --address unix:/run/b.sock        another node on this host
  micro-node leave --wait 2h                         many or large blobs

A node that only restarts keeps its membership: end it with SIGTERM instead.";

/// Give up a node's membership for good, and end its process
///
/// Its blobs are copied to other nodes first, as far as they have too few copies there.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Leave {
    /// How long to wait for the copies of its blobs, such as 30s or 2h
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = unit::duration)]
    wait: Duration,

    /// Also if blobs have too few copies on other nodes, and don't wait for any
    #[arg(long)]
    even_if_blobs_are_lost: bool,
}

/// A node that has left.
#[derive(Serialize, JsonSchema)]
struct LeaveItem {
    /// Its id.
    node: NodeId,
    /// Its name.
    name: String,
}

const LEAVE: ItemShape<LeaveItem> = ItemShape::new("leave", &["leave"]);

pub(super) const SHAPES: Shapes = &[&LEAVE];

impl Leave {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        // Two conversations, because the question between them must not hold a connection open, and Ctrl-C at
        // it has to end the process at once.
        let status = session::run(globals, async |node| Ok(node.status().await?))?;
        let (node, name) = (status.seen_by, name(&status));
        confirmation::ask(
            globals,
            &format!(
                "Node {name} ({node}) gives up its place in mesh {} for good. It can come back only after \
                 `micro-node reset`, as a new node. Go on?",
                status.cluster
            ),
        )?;
        let lost = self.even_if_blobs_are_lost;
        if !lost {
            session::run(globals, async |node| self.hand_over(&node, output).await)?;
        }
        session::run(globals, async |node| Ok(node.leave(lost).await?))?;
        if output.json() {
            return output.item(&LEAVE, &LeaveItem { node, name });
        }
        output.remark(&format!(
            "node {name} has left; `micro-node reset` on its host makes its data directory fit for a new life"
        ));
        Ok(())
    }
}

impl Leave {
    /// Has the blobs copied, as long as there is time. Whether all are is the node's to say, when it leaves.
    ///
    /// A node that has just joined takes no copies yet, so that those that are stuck are tried again for a while.
    async fn hand_over(&self, node: &Node, output: &Output) -> Result<(), Failure> {
        let deadline = Instant::now() + self.wait;
        let (mut fewest, mut gained) = (u64::MAX, Instant::now());
        loop {
            let progress = Progress::count(output, "handing over blobs");
            let blobs = node.blobs();
            let handing = blobs.hand_over(|so_far: BlobsHandedOver| progress.of(so_far.done, so_far.blobs));
            let Ok(handed) = timeout_at(deadline, handing).await else { return Ok(()) };
            let BlobsHandedOver { blobs, stuck, .. } = handed?;
            drop(progress);
            output.detail(&format!("{blobs} blobs were looked at, of which {stuck} have too few copies"));
            if stuck < fewest {
                (fewest, gained) = (stuck, Instant::now());
            }
            if stuck == 0 || gained.elapsed() >= STUCK_PATIENCE || Instant::now() + RETRY_PAUSE >= deadline {
                return Ok(());
            }
            sleep(RETRY_PAUSE).await;
        }
    }
}

fn name(status: &Status) -> String {
    let own = status.nodes.iter().find(|node| node.id == status.seen_by);
    own.map_or_else(|| status.seen_by.to_string(), |node| node.name.clone())
}
