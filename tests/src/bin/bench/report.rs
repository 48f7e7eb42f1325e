//! All that was measured, and on what machine.

use crate::figure::Figure;
use serde::Serialize;
use std::{fmt, fs};

/// All that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The form of this document: programs look here first.
    pub schema: &'static str,
    /// How many cores nodes, the other programs and the load tool shared.
    pub cores: usize,
    /// The load averages before the first row: what else the machine was doing.
    pub load_average_before: String,
    /// The load averages after the last row.
    pub load_average_after: String,
    /// What was measured, in order.
    pub figures: Vec<Figure>,
    /// What could not be measured, and why.
    pub failures: Vec<String>,
}

impl Report {
    /// A report with nothing in it yet.
    pub fn new() -> Self {
        Report {
            schema: "micro-node.bench/v1",
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            load_average_before: load_average(),
            load_average_after: String::new(),
            figures: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Takes in what a part measured, or that it failed: the parts after it are worth having all the same.
    pub fn take(&mut self, part: &str, measured: anyhow::Result<Vec<Figure>>) {
        match measured {
            Ok(figures) => self.figures.extend(figures),
            Err(error) => {
                eprintln!("✘ {part}: {error:#}");
                self.failures.push(format!("{part}: {error:#}"));
            }
        }
    }

    /// Nothing more will be measured.
    pub fn finish(&mut self) {
        self.load_average_after = load_average();
    }
}

/// The table.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { cores, load_average_before, load_average_after, .. } = self;
        write!(f, "{cores} cores, shared by nodes, the other programs and the load tool; ")?;
        writeln!(f, "load average {load_average_before} before, {load_average_after} after")?;
        writeln!(f, "{}", Figure::heading())?;
        for figure in &self.figures {
            writeln!(f, "{figure}")?;
        }
        for failure in &self.failures {
            writeln!(f, "✘ {failure}")?;
        }
        let count = |wanted| self.figures.iter().filter(|figure| figure.met == Some(wanted)).count();
        write!(f, "{} bars met, {} missed", count(true), count(false))
    }
}

/// The averages over one, five and fifteen minutes (proc(5)).
fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
