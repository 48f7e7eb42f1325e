//! What is to be done for a certificate: a function of what is kept and of the time, and of nothing else.
//!
//! ```text
//!   none, or two thirds of its life are over ──► no failure lately ──► order it, renew it
//!                                            └─► a failure lately  ──► wait
//!   else ──► nothing
//! ```

use bincode::{Decode, Encode};

/// The pauses behind failures in a row. The first is short, since most failures pass; then they grow sixfold, up to a
/// time after which a mended name is still taken up on the same day.
const PAUSES_MS: [u64; 5] = [10_000, 60_000, 360_000, 2_160_000, 10_800_000];
/// How many orders of a name may fail within an hour. Public authorities take five, and then nothing at all for
/// another hour.
const FAILURES_AN_HOUR: usize = 4;
const HOUR_MS: u64 = 3_600_000;
/// The longest reason that is kept: what an authority says is of any length.
const WHY_BYTES_MAX: usize = 300;

/// From when until when a certificate counts, and when it came, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Validity {
    pub issued_ms: u64,
    pub ends_ms: u64,
    /// By the clock of the node that ordered it.
    pub ordered_ms: u64,
}

impl Validity {
    /// When the next one is due: at two thirds of its life. One that seems to be that old when it comes, by a clock
    /// that is wrong, is not ordered again and again.
    pub fn renew_at_ms(&self) -> u64 {
        let life_ms = self.ends_ms.saturating_sub(self.issued_ms);
        let rest_ms = (life_ms / 3).min(HOUR_MS);
        (self.issued_ms + life_ms * 2 / 3).max(self.ordered_ms + rest_ms)
    }
}

/// Orders of a name that came to nothing. One that is under way counts as such until it has succeeded: so a node that
/// crashes in the midst of it, again and again, asks the authority no more often than one that is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Setback {
    /// When those of the last hour were begun, in milliseconds since 1970.
    pub recent_ms: Vec<u64>,
    /// How many in a row.
    pub in_row: u32,
    /// Not before this is the next one.
    pub next_ms: u64,
    /// What was in the way; empty while it is under way, or if nobody lived to tell.
    pub why: String,
}

impl Setback {
    /// What is kept once another order is begun behind `before`. `chance` makes pauses up to half again as long.
    pub fn begun(before: Option<&Setback>, now_ms: u64, chance: u16) -> Self {
        let mut setback = before.cloned().unwrap_or_default();
        setback.recent_ms.retain(|begun_ms| begun_ms + HOUR_MS > now_ms && *begun_ms <= now_ms);
        setback.recent_ms.push(now_ms);
        setback.in_row = setback.in_row.saturating_add(1);
        setback.why.clear();
        let pause_ms = jittered(setback.pause_ms(), chance);
        // The budget: of those that were begun within an hour, the first has to be over an hour ago.
        let first = setback.recent_ms.iter().rev().nth(FAILURES_AN_HOUR - 1);
        let budget_ms = first.map_or(0, |first| first + jittered(HOUR_MS, chance));
        setback.next_ms = (now_ms + pause_ms).max(budget_ms);
        setback
    }

    /// The same once that order has failed. One that was refused because there are too many waits for an hour.
    #[must_use]
    pub fn failed(mut self, why: &str, limited: bool, now_ms: u64, chance: u16) -> Self {
        let pause_ms = if limited { self.pause_ms().max(HOUR_MS) } else { self.pause_ms() };
        self.next_ms = self.next_ms.max(now_ms + jittered(pause_ms, chance));
        self.why = in_a_line(why);
        self
    }

    fn pause_ms(&self) -> u64 {
        let step = usize::try_from(self.in_row.saturating_sub(1)).unwrap_or(usize::MAX);
        PAUSES_MS[step.min(PAUSES_MS.len() - 1)]
    }
}

/// A pause, made longer by up to a half, so that many meshes that failed at once do not come back at once.
fn jittered(pause_ms: u64, chance: u16) -> u64 {
    pause_ms + pause_ms / 2 * u64::from(chance) / u64::from(u16::MAX)
}

/// What others have said, as it may stand in a log and in a table.
fn in_a_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line[..line.floor_char_boundary(WHY_BYTES_MAX)].to_owned()
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing: the certificate is good for a while.
    Nothing,
    /// One is due, and was tried not long ago.
    Wait,
    /// The first one is to be ordered.
    Order,
    /// The next one is to be ordered.
    Renew,
}

/// What is to be done for a name, of which this is kept.
pub(crate) fn step(certificate: Option<Validity>, setback: Option<&Setback>, now_ms: u64) -> Step {
    if certificate.is_some_and(|certificate| now_ms < certificate.renew_at_ms()) {
        return Step::Nothing;
    }
    if setback.is_some_and(|setback| now_ms < setback.next_ms) {
        return Step::Wait;
    }
    if certificate.is_some() { Step::Renew } else { Step::Order }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 24 * HOUR_MS;

    fn certificate(issued_ms: u64, life_ms: u64) -> Validity {
        Validity { issued_ms, ends_ms: issued_ms + life_ms, ordered_ms: issued_ms }
    }

    #[test]
    fn a_certificate_is_ordered_kept_and_renewed_at_two_thirds_of_its_life() {
        let good = certificate(1000, 90 * DAY_MS);
        for (kept, now_ms, expected) in [
            (None, 0, Step::Order),
            (Some(good), 1000, Step::Nothing),
            (Some(good), 999 + 60 * DAY_MS, Step::Nothing),
            (Some(good), 1000 + 60 * DAY_MS, Step::Renew),
            (Some(good), 1000 + 200 * DAY_MS, Step::Renew),
        ] {
            assert_eq!(step(kept, None, now_ms), expected, "{now_ms}");
        }
    }

    #[test]
    fn after_a_failure_the_next_order_waits() {
        let begun = Setback::begun(None, 5000, 0);
        assert_eq!((begun.in_row, begun.next_ms, begun.why.as_str()), (1, 15_000, ""));
        assert_eq!(step(None, Some(&begun), 14_999), Step::Wait);
        assert_eq!(step(None, Some(&begun), 15_000), Step::Order);
        let failed = begun.failed("connection\nrefused", false, 9000, u16::MAX);
        assert_eq!((failed.next_ms, failed.why.as_str()), (24_000, "connection refused"));
        let due = certificate(0, 3000);
        assert_eq!(step(Some(due), Some(&failed), 10_000), Step::Wait);
        assert_eq!(step(Some(due), Some(&failed), 24_000), Step::Renew);
        let good = certificate(0, 90_000);
        assert_eq!(step(Some(good), Some(&failed), 10_000), Step::Nothing, "another node was faster");
    }

    #[test]
    fn who_is_told_that_there_were_too_many_waits_for_an_hour() {
        let limited = Setback::begun(None, 0, 0).failed("too many", true, 1000, 0);
        assert_eq!(limited.next_ms, 1000 + HOUR_MS);
    }

    #[test]
    fn no_hour_has_more_failures_than_its_budget() {
        for chance in [0, 7, u16::MAX] {
            let (mut now_ms, mut begun_at, mut setback) = (1_000_000, Vec::new(), None::<Setback>);
            while now_ms < 1_000_000 + 2 * DAY_MS {
                assert_eq!(step(None, setback.as_ref(), now_ms), Step::Order);
                begun_at.push(now_ms);
                // Also a node that dies in the midst of it, and tells of no failure.
                let begun = Setback::begun(setback.as_ref(), now_ms, chance);
                let next = if chance == 7 { begun } else { begun.failed("down", false, now_ms + 20, chance) };
                now_ms = next.next_ms;
                setback = Some(next);
            }
            let most = begun_at.windows(FAILURES_AN_HOUR + 1).map(|few| few[FAILURES_AN_HOUR] - few[0]).min();
            assert!(most.is_some_and(|shortest_ms| shortest_ms >= HOUR_MS), "{begun_at:?}");
            assert!(begun_at.len() > 12, "it is given up: {begun_at:?}");
        }
    }

    #[test]
    fn a_clock_that_is_wrong_does_not_order_without_an_end() {
        let ordered_ms = 1000 * DAY_MS;
        let past = Validity { ordered_ms, ..certificate(0, 90 * DAY_MS) };
        assert_eq!(step(Some(past), None, ordered_ms + HOUR_MS - 1), Step::Nothing);
        assert_eq!(step(Some(past), None, ordered_ms + HOUR_MS), Step::Renew);
        let back = Setback { recent_ms: vec![10 * DAY_MS], next_ms: 5, ..Setback::default() };
        assert_eq!(Setback::begun(Some(&back), 7 * DAY_MS, 0).recent_ms, [7 * DAY_MS]);
    }
}
