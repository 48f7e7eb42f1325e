//! The kinds of work that clients do, and which of them a run has.

use crate::options::Options;
use micro_actors::store::TablePath;
use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};
use std::{fmt, str::FromStr};

/// A kind of work beside registers and calls, which every run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Money goes from account to account.
    Bank,
    /// A set grows.
    Set,
    /// Items go into a queue and out of it, and many a request is done twice.
    Queue,
    /// Transactions append to lists.
    Append,
    /// Watchers watch.
    Watch,
    /// A lock is held by leases.
    Lock,
    /// The configuration is changed.
    Config,
    /// Blobs are put, read and deleted.
    Blob,
    /// Records end by themselves, unless they are renewed.
    Expiry,
    /// Backups are taken and restored.
    Backup,
    /// A service does work.
    Work,
}

/// As many kinds as a run has that is told none: more would make it slow, and fewer would leave out what comes of
/// work of several kinds at once.
const DRAWN: usize = 2;

impl Kind {
    /// All, by the names they are called by on the command line.
    pub const ALL: [(&'static str, Kind); 11] = [
        ("bank", Kind::Bank),
        ("set", Kind::Set),
        ("queue", Kind::Queue),
        ("append", Kind::Append),
        ("watch", Kind::Watch),
        ("lock", Kind::Lock),
        ("config", Kind::Config),
        ("blob", Kind::Blob),
        ("expiry", Kind::Expiry),
        ("backup", Kind::Backup),
        ("work", Kind::Work),
    ];

    /// Those of a run.
    pub fn of(options: &Options) -> Vec<Kind> {
        if let Some(kinds) = &options.workloads {
            return kinds.clone();
        }
        let mut kinds: Vec<Kind> = Kind::ALL.iter().map(|(_, kind)| *kind).collect();
        kinds.shuffle(&mut SmallRng::seed_from_u64(options.seed_of("workloads")));
        kinds.truncate(DRAWN);
        kinds
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Kind::ALL.iter().find(|(_, kind)| kind == self).map(|(name, _)| name);
        f.write_str(name.expect("all kinds have names"))
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Kind::ALL.iter().find(|(name, _)| *name == text);
        known.map(|(_, kind)| *kind).ok_or_else(|| {
            let names: Vec<&str> = Kind::ALL.iter().map(|(name, _)| *name).collect();
            format!("no such workload: choose from {}", names.join(", "))
        })
    }
}

/// A table of the store that one kind of work has for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table(pub &'static str);

impl Table {
    /// That of the registers: the table of those who name none.
    pub const REGISTERS: Table = Table("");

    /// Where it lies.
    pub fn path(self) -> TablePath {
        match self {
            Table::REGISTERS => TablePath::default(),
            Table(name) => TablePath::parse("simulation", "", name).expect("a good name"),
        }
    }
}
