//! Histograms that keep nothing, in the place of the crate of this name.
//!
//! openraft counts its own work in histograms, for a feature of it (`runtime-stats`) that we don't build. The crate
//! that it takes them from makes tables for all sixteen resolutions when the first histogram is made, and holds them
//! from then on: 26 MB, nearly half of what an idle node took. This is as much of that crate's interface as openraft
//! uses without the feature. If it ever uses more, or we build the feature, it does not compile, and this has to go.

use std::{fmt, marker::PhantomData};

/// A histogram of nothing. `T` is what that crate lets users tie to its periods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<T = ()>(PhantomData<T>);

impl<T> Histogram<T> {
    /// A histogram.
    #[allow(clippy::new_without_default, reason = "openraft asks for no default")]
    pub fn new() -> Self {
        Histogram(PhantomData)
    }

    /// Takes no note of `_value`.
    pub fn record(&mut self, _value: u64) {}

    /// Takes no note of `_value`, `_count` times.
    pub fn record_n(&mut self, _value: u64, _count: u64) {}

    /// What is known of the values: nothing.
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats::default()
    }
}

/// What a histogram says of its values: 0 throughout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PercentileStats {
    /// How many there were.
    pub samples: u64,
    /// Half of them are no larger.
    pub p50: u64,
    /// Nine of ten are no larger.
    pub p90: u64,
    /// All but one of a hundred are no larger.
    pub p99: u64,
    /// All but one of a thousand are no larger.
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not counted")
    }
}

/// A picture of histograms, with nothing on it.
#[derive(Clone, Debug, Default)]
pub struct AsciiChart;

impl AsciiChart {
    /// A picture.
    pub fn new() -> Self {
        AsciiChart
    }

    /// Puts nothing on it.
    #[must_use]
    pub fn add(self, _name: &str, _histogram: Histogram) -> Self {
        self
    }
}
