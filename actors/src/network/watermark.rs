//! Keeps the node from filling its disk: below the low watermark it takes no entries, above the high one it does again.
//! A disk that is full to the last byte would end the process, since what can't be written can't be acknowledged.

use crate::network::{Complaint, Complaints};
use micro_consensus::Consensus;
use micro_storage::Room;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// Below this a node takes no entries: room for the segment of the log in work, for all that is gathered in memory and
/// goes to disk, and for the largest merge of files that may be under way; and for what is written between two looks.
const LOW_BYTES: u64 = 128 << 20;
/// From this on it takes entries again. The gap keeps it from changing its mind with every write.
const HIGH_BYTES: u64 = 160 << 20;
/// How often it looks. A look costs a microsecond; a busy node writes some tens of megabytes in between.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Watches the room of one node.
pub(crate) struct Watermark {
    room: Arc<dyn Room>,
    consensus: Consensus,
    complaints: Complaints,
    low: bool,
}

impl Watermark {
    pub fn new(room: Arc<dyn Room>, consensus: Consensus, complaints: Complaints) -> Self {
        Watermark { room, consensus, complaints, low: false }
    }

    /// Looks until the task is ended.
    pub async fn run(mut self) {
        loop {
            self.look();
            sleep(LOOK_EVERY).await;
        }
    }

    fn look(&mut self) {
        let free = match self.room.free_bytes() {
            Ok(free) => free,
            Err(error) => return tracing::warn!(%error, "the disk does not say how much room is left"),
        };
        let low = is_low(self.low, free);
        if low == self.low {
            return;
        }
        self.low = low;
        self.consensus.set_read_only(low);
        self.complaints.set(Complaint::DiskFull, low);
        match low {
            true => tracing::error!(
                free,
                needed = HIGH_BYTES,
                "the disk is nearly full: this node takes no writes"
            ),
            false => tracing::info!(free, "the disk has room again: this node takes writes"),
        }
    }
}

/// Whether a node with `free` bytes, that was low before or not, is low now.
fn is_low(was: bool, free: u64) -> bool {
    free < if was { HIGH_BYTES } else { LOW_BYTES }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gap_between_the_marks_changes_nothing() {
        assert!(is_low(false, LOW_BYTES - 1) && !is_low(false, LOW_BYTES));
        assert!(is_low(true, HIGH_BYTES - 1) && !is_low(true, HIGH_BYTES));
    }
}
