//! What was measured, and what it should be.

use serde::Serialize;
use std::fmt;

/// How long the requests of one run took, each timed by itself.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// Half of all requests took no longer than this.
    pub p50_us: f64,
    /// All but one in a hundred took no longer than this.
    pub p99_us: f64,
}

/// What one side did under load.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Requests a second: the median of all runs.
    pub per_second: f64,
    /// Half of all requests took no longer than this.
    pub p50_us: f64,
    /// All but one in a hundred took no longer than this.
    pub p99_us: f64,
    /// The rates of all runs, in their order: how far they are apart says how much the machine can be believed.
    pub runs: Vec<f64>,
}

impl Sample {
    /// The rates of some runs, and the latencies of further ones, of which the median counts too.
    pub fn new(runs: Vec<f64>, latencies: &[Latency]) -> Self {
        let of = |value: fn(&Latency) -> f64| median(&latencies.iter().map(value).collect::<Vec<_>>());
        let (p50_us, p99_us) = (of(|latency| latency.p50_us), of(|latency| latency.p99_us));
        Sample { per_second: median(&runs), p50_us, p99_us, runs }
    }
}

/// The value in the middle; not a number without values.
pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What another program did with the same load in the same run.
#[derive(Clone, Debug, Serialize)]
pub struct Peer {
    /// What it is called.
    pub name: &'static str,
    /// What it did.
    pub load: Sample,
}

/// What a figure is held to.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bar {
    /// This many times what the other program does in the same run.
    TimesPeer(f64),
    /// No more than this, in the figure's own unit.
    AtMost(f64),
    /// No less than this, in the figure's own unit.
    AtLeast(f64),
}

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// Rates and latencies, where it was measured under load.
    pub load: Option<Sample>,
    /// The same by another program.
    pub peer: Option<Peer>,
    /// Ours through the other's.
    pub ratio: Option<f64>,
    /// What it should be.
    pub bar: Option<Bar>,
    /// Whether it is. `None` without a bar, or when there was nothing to hold it to.
    pub met: Option<bool>,
}

impl Figure {
    /// A plain figure, such as a time or a size.
    pub fn plain(name: &str, value: f64, unit: &'static str, bar: Option<Bar>) -> Self {
        let met = match bar {
            Some(Bar::AtMost(most)) => Some(value <= most),
            Some(Bar::AtLeast(least)) => Some(value >= least),
            Some(Bar::TimesPeer(_)) | None => None,
        };
        Figure { name: name.to_owned(), value, unit, load: None, peer: None, ratio: None, bar, met }
    }

    /// A rate under load, beside another program's if that was measured too.
    pub fn rate(name: &str, ours: Sample, peer: Option<Peer>, bar: Option<Bar>) -> Self {
        let mut figure = Figure::plain(name, ours.per_second, "/s", bar);
        figure.ratio = peer.as_ref().map(|peer| ours.per_second / peer.load.per_second);
        figure.met = match (bar, figure.ratio) {
            (Some(Bar::TimesPeer(times)), Some(ratio)) => Some(ratio >= times),
            _ => None,
        };
        figure.load = Some(ours);
        figure.peer = peer;
        figure
    }

    /// The heading that fits the lines.
    pub fn heading() -> String {
        let side = |rate: &str| format!("{rate:>11} {:>9} {:>9}", "P50", "P99");
        format!("{:<42} {} {} {:>6}  BAR", "WHAT", side("OURS"), side("PEER"), "RATIO")
    }
}

/// One line of the table.
impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = match self.value {
            ..2.0 => 2,
            ..100.0 => 1,
            _ => 0,
        };
        let value = format!("{:.decimals$} {}", self.value, self.unit).replace(" /", "/");
        let latencies = |sample: Option<&Sample>| match sample {
            Some(Sample { p50_us, p99_us, .. }) => {
                (format!("{:.2} ms", p50_us / 1e3), format!("{:.2} ms", p99_us / 1e3))
            }
            None => (String::new(), String::new()),
        };
        let peer = self.peer.as_ref().map(|peer| &peer.load);
        let rate = peer.map_or_else(String::new, |peer| format!("{:.0}/s", peer.per_second));
        let ratio = self.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        let ((p50, p99), (peer_p50, peer_p99)) = (latencies(self.load.as_ref()), latencies(peer));
        write!(f, "{:<42} {value:>11} {p50:>9} {p99:>9} ", self.name)?;
        write!(f, "{rate:>11} {peer_p50:>9} {peer_p99:>9} {ratio:>6}")?;
        match self.bar {
            Some(Bar::TimesPeer(times)) => {
                write!(f, "  {times}x {}", self.peer.as_ref().map_or("the other", |peer| peer.name))?;
            }
            Some(Bar::AtMost(most)) => write!(f, "  at most {most:.1} {}", self.unit)?,
            Some(Bar::AtLeast(least)) => write!(f, "  at least {least} {}", self.unit)?,
            None => return Ok(()),
        }
        f.write_str(match self.met {
            Some(true) => "  met",
            Some(false) => "  MISSED",
            None => "  not compared",
        })
    }
}
