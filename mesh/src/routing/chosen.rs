//! The way that is gone to a node.

use super::graph::Costed;
use crate::relay::Path;
use std::time::Duration;
use tokio::time::Instant;

/// How long a way is gone at least, if it can be gone: for so long nothing says whether the change was a good one.
pub(super) const HELD_FOR: Duration = Duration::from_secs(3);
/// A way that costs as much more than when it was chosen was chosen by old news: where two links become slow at once,
/// the one of which that is heard first is left for the other.
const DEARER: f64 = 1.5;

/// A way as it is gone, and since when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chosen {
    pub(super) costed: Costed,
    pub(super) since: Instant,
    /// What it cost when it was chosen.
    pub(super) cost_then: u64,
    /// There was no direct link when it was chosen.
    pub(super) makeshift: bool,
}

impl Chosen {
    /// The way to go: the one `before` while it can be gone and is not clearly the worse, else the `best`. One over
    /// relays that was chosen only since there was no direct link gives way to that at once: it would need the relays
    /// for ever.
    pub(super) fn next(
        before: Option<Chosen>,
        best: Costed,
        cost: impl Fn(&Path) -> Option<u64>,
        leeway: f64,
        now: Instant,
    ) -> Chosen {
        let kept = before.and_then(|before| {
            let cost = cost(&before.costed.path)?;
            let good = best.cost as f64 >= cost as f64 * (1.0 - leeway);
            let spare = before.makeshift && best.path.relays().is_empty();
            let dearer = cost as f64 > before.cost_then as f64 * DEARER;
            let young = !dearer && now.saturating_duration_since(before.since) < HELD_FOR;
            let costed = Costed { path: before.costed.path, cost };
            let stays = (good || young) && !spare || best.path == costed.path;
            stays.then_some(Chosen { costed, ..before })
        });
        kept.unwrap_or(Chosen { costed: best, since: now, cost_then: best.cost, makeshift: true })
    }

    /// When it may be left for another one that is hardly better.
    pub(super) fn ripens(&self) -> Instant {
        self.since + HELD_FOR
    }
}
