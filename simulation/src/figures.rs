//! How long requests of the registers' clients took, by the cloud of the node that they asked.

use crate::{
    clouds,
    report::Report,
    workload::{Asked, Op, Told},
};
use std::{collections::BTreeMap, fmt, time::Duration};

/// A kind of request: its name, and whether a request is of it.
type Kind = (&'static str, fn(&Asked) -> bool);
/// What is told apart.
const KINDS: [Kind; 3] = [
    ("write", |asked| matches!(asked, Asked::Write { .. } | Asked::Swap { .. } | Asked::Delete)),
    ("linearizable read", |asked| *asked == Asked::Read),
    ("stale read", |asked| *asked == Asked::ReadStale),
];

/// The times of a span of a run.
pub struct Figures {
    /// By cloud and kind, in ascending order.
    took: BTreeMap<(&'static str, usize), Vec<Duration>>,
}

impl Figures {
    /// Of what was asked from the one time to the other after the clients had begun, and answered.
    pub fn of(report: &Report, from: Duration, to: Duration) -> Self {
        let mut took: BTreeMap<(&'static str, usize), Vec<Duration>> = BTreeMap::new();
        let span = report.begun + from..report.begun + to;
        for op in report.history.iter().filter(|op| span.contains(&op.from)) {
            let kind = KINDS.iter().position(|(_, is_it)| is_it(&op.asked));
            if let (Some(kind), Some(cloud), Some(time)) = (kind, clouds::of_client(&op.client), answered(op))
            {
                took.entry((cloud, kind)).or_default().push(time);
            }
        }
        took.values_mut().for_each(|times| times.sort_unstable());
        Figures { took }
    }

    /// How many writes of a cloud's clients were done.
    pub fn writes(&self, cloud: &'static str) -> usize {
        self.took.get(&(cloud, 0)).map_or(0, Vec::len)
    }

    /// How long half of the writes of a cloud's clients took at most; none if there were none.
    pub fn median_write(&self, cloud: &'static str) -> Option<Duration> {
        Some(percentile(self.took.get(&(cloud, 0))?, 50))
    }
}

/// How long it took, if it was served.
fn answered(op: &Op) -> Option<Duration> {
    let (at, told) = op.told.as_ref()?;
    let served = matches!(told, Told::Done(_) | Told::Found(_) | Told::Refused);
    served.then(|| at.saturating_sub(op.from))
}

/// The nearest rank, of at least one.
fn percentile(times: &[Duration], percent: usize) -> Duration {
    times[(times.len() * percent).div_ceil(100).clamp(1, times.len()) - 1]
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| cloud | request | count | p50 | p99 |\n|---|---|---|---|---|")?;
        for ((cloud, kind), times) in &self.took {
            let [p50, p99] = [50, 99].map(|percent| percentile(times, percent).as_millis());
            write!(f, "\n| {cloud} | {} | {} | {p50} ms | {p99} ms |", KINDS[*kind].0, times.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        let ms = |percent| percentile(&times, percent).as_millis();
        assert_eq!((ms(50), ms(99), ms(100)), (100, 198, 200));
        assert_eq!(percentile(&times[..1], 50), times[0]);
    }
}
