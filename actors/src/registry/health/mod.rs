//! Whether instances work: their node checks them, hears their owners, and tells the mesh what has changed.
//!
//! ```text
//!   check ── results in a row ──► tally ─┐
//!   owner ── reports ──────────► ttl ────┴─► vitals ── changed ──► announcement
//! ```
//!
//! A node connects to the loopback address that an instance is attached with, and nowhere else; it runs no command
//! for a check. Who has a check of another kind runs it there, and reports.

mod check;
mod owner;
mod probe;
mod tally;
mod vigil;
mod vitals;

pub use check::{Check, Probe};
pub use owner::Owner;
pub(crate) use probe::deepest;
pub(super) use vigil::Vigil;
pub(super) use vitals::Vitals;

use micro_sdk::wire::{Code, Fault};
use std::time::Duration;

/// The shortest time that an owner may be given: shorter, and a pause of a busy host looks like death.
const TTL_MIN: Duration = Duration::from_millis(500);
/// The longest: ten times as long, and what is gone would be told for a month.
const TTL_MAX: Duration = Duration::from_secs(3 * 24 * 3600);

/// How an instance is kept in sight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Care {
    /// What its node does to find out whether it works; none if it counts as working.
    pub check: Option<Check>,
    /// How long its owner may be silent before it counts as failing; none for as long as it likes.
    pub ttl: Option<Duration>,
    /// Who may speak for it.
    pub owner: Owner,
}

impl Care {
    /// Refuses what no node does.
    ///
    /// # Errors
    /// [`Code::Usage`] with the bounds.
    pub(super) fn refuse(&self) -> Result<(), Fault> {
        if let Some(ttl) = self.ttl.filter(|ttl| !(TTL_MIN..=TTL_MAX).contains(ttl)) {
            let message = format!("a time to live of {ttl:?} can't be: it takes {TTL_MIN:?} to {TTL_MAX:?}");
            return Err(Fault::new(Code::Usage, message));
        }
        let Some(check) = &self.check else { return Ok(()) };
        if check.probe == Probe::Reported && self.ttl.is_none() {
            let message = "whose health its owner reports needs a time to live, for when that is silent";
            return Err(Fault::new(Code::Usage, message));
        }
        check.refuse()
    }
}
