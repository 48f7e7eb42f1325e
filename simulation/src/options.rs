//! What a run is told.

use crate::workload::Kind;
use micro_consensus::SNAPSHOT_BYTES_USUAL;
use micro_mesh::CERTIFICATE_LIFE;
use std::{fmt, str::FromStr, time::Duration};

/// A bug put in on purpose, to prove that the checkers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlantedBug {
    /// The log calls writes durable before they are.
    AckBeforeSync,
    /// Votes are gone after a crash.
    VoteNotPersisted,
    /// Linearizable reads are answered without asking the quorum.
    ReadWithoutQuorum,
    /// Clients that ask for a linearizable read get a stale one.
    StaleReads,
    /// Transactions are done without looking at their comparisons.
    ComparesIgnored,
    /// Each page of a list shows the records as they are when it is asked for.
    TornPages,
    /// Transactions are compared with what they write only, not with what they read.
    ReadsNotCompared,
    /// Idempotency keys get lost between client and node.
    KeysDropped,
    /// What a lock guards is written without looking whether it is still held.
    FenceNotChecked,
    /// A watch that goes on begins one revision too late.
    WatchSkips,
    /// A watch that goes on tells the last revision again.
    WatchRepeats,
    /// A log says that a sync went well that failed.
    SyncErrorSwallowed,
    /// A snapshot does not hold what repeated requests were answered.
    OutcomesLostInSnapshots,
    /// How far the log was applied is not written together with the effects.
    AppliedIndexApart,
    /// A value of the configuration is set by reading the whole tree, changing it, and writing it back.
    WholeTreeWritten,
    /// A disk says that a blob is durable before it is.
    BlobNotSynced,
    /// A state is served in spite of its damage.
    RotUnseen,
    /// A node goes on with what a damaged log has before its first damaged entry.
    DamagedLogCut,
    /// What a transaction does otherwise is done, too.
    ElseDoneToo,
    /// Each replica ends records by its own clock.
    ExpiryByOwnClock,
    /// What ends soon is ended already.
    LeasesEndEarly,
    /// What was to end at first ends then, although it was renewed meanwhile.
    RenewalsForgotten,
    /// A node never learns how little room its disk has left.
    RoomUnseen,
    /// A copy of the state that is there already is taken for the one that was asked for.
    OldCopies,
    /// A node can't write its identity once it has one, so that each renewal of its certificate comes to nothing.
    RenewalsSkipped,
    /// A way to another node is kept as long as it can be gone, however slow it has become.
    WaysKept,
    /// All calls are tried again, also those that must not be done twice.
    AllTriedAgain,
    /// A backup is taken without the blobs.
    BlobsNotBackedUp,
    /// The log is bounded by the number of its entries only.
    LogBytesUnbounded,
    /// No snapshot is made while another is read.
    ReadersHoldUp,
    /// Calls of nodes to which the way has relays are not answered.
    RelayedCallsLost,
    /// Gateways do not tell that they are some.
    GatewaysUntold,
}

impl PlantedBug {
    /// All, by the names they are called by on the command line.
    pub const ALL: [(&'static str, PlantedBug); 32] = [
        ("ack-before-sync", PlantedBug::AckBeforeSync),
        ("vote-not-persisted", PlantedBug::VoteNotPersisted),
        ("read-without-quorum", PlantedBug::ReadWithoutQuorum),
        ("stale-reads", PlantedBug::StaleReads),
        ("compares-ignored", PlantedBug::ComparesIgnored),
        ("torn-pages", PlantedBug::TornPages),
        ("reads-not-compared", PlantedBug::ReadsNotCompared),
        ("keys-dropped", PlantedBug::KeysDropped),
        ("fence-not-checked", PlantedBug::FenceNotChecked),
        ("watch-skips", PlantedBug::WatchSkips),
        ("watch-repeats", PlantedBug::WatchRepeats),
        ("sync-error-swallowed", PlantedBug::SyncErrorSwallowed),
        ("outcomes-lost-in-snapshots", PlantedBug::OutcomesLostInSnapshots),
        ("applied-index-apart", PlantedBug::AppliedIndexApart),
        ("whole-tree-written", PlantedBug::WholeTreeWritten),
        ("blob-not-synced", PlantedBug::BlobNotSynced),
        ("rot-unseen", PlantedBug::RotUnseen),
        ("damaged-log-cut", PlantedBug::DamagedLogCut),
        ("else-done-too", PlantedBug::ElseDoneToo),
        ("expiry-by-own-clock", PlantedBug::ExpiryByOwnClock),
        ("leases-end-early", PlantedBug::LeasesEndEarly),
        ("renewals-forgotten", PlantedBug::RenewalsForgotten),
        ("room-unseen", PlantedBug::RoomUnseen),
        ("old-copies", PlantedBug::OldCopies),
        ("renewals-skipped", PlantedBug::RenewalsSkipped),
        ("ways-kept", PlantedBug::WaysKept),
        ("all-tried-again", PlantedBug::AllTriedAgain),
        ("blobs-not-backed-up", PlantedBug::BlobsNotBackedUp),
        ("log-bytes-unbounded", PlantedBug::LogBytesUnbounded),
        ("readers-hold-up", PlantedBug::ReadersHoldUp),
        ("relayed-calls-lost", PlantedBug::RelayedCallsLost),
        ("gateways-untold", PlantedBug::GatewaysUntold),
    ];
}

impl fmt::Display for PlantedBug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = PlantedBug::ALL.iter().find(|(_, bug)| bug == self).map(|(name, _)| name);
        f.write_str(name.expect("all bugs have names"))
    }
}

impl FromStr for PlantedBug {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = PlantedBug::ALL.iter().find(|(name, _)| *name == text);
        known.map(|(_, bug)| *bug).ok_or_else(|| {
            let names: Vec<&str> = PlantedBug::ALL.iter().map(|(name, _)| *name).collect();
            format!("no such bug: choose one of {}", names.join(", "))
        })
    }
}

/// What the clients of registers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// They read and write on all nodes alike.
    Even,
    /// Those in the cloud of this host, counted from 0, do; all others rest for long.
    From(usize),
    /// They read only.
    Reads,
}

/// What a run is told. Together with the commit it says all about the run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where all chance comes from.
    pub seed: u64,
    /// How many nodes.
    pub nodes: usize,
    /// How many hosts wait to take the place of another.
    pub spares: usize,
    /// How long faults go on, in simulated time.
    pub storm: Duration,
    /// What clients do beside registers and calls; none for kinds drawn from the seed.
    pub workloads: Option<Vec<Kind>>,
    /// How long the certificates of nodes count.
    pub certificate_life: Duration,
    /// How many bytes of the log make a snapshot due. A quarter of them is kept behind it.
    pub snapshot_bytes: u64,
    /// Whether the hosts are spread over three clouds, as far from each other as those of people.
    pub clouds: bool,
    /// What the clients of registers do.
    pub traffic: Traffic,
    /// The hosts, by number, that other clouds go over.
    pub gateways: Vec<usize>,
    /// Pairs of hosts, by number, the first of which has the second send back as much as it can.
    pub loads: Vec<(usize, usize)>,
    /// A bug put in on purpose.
    pub planted_bug: Option<PlantedBug>,
    /// Whether events are shown on standard error as they happen.
    pub show: bool,
}

impl Options {
    /// Three nodes, a spare host, and one minute of faults.
    pub fn new(seed: u64) -> Self {
        Options {
            seed,
            nodes: 3,
            spares: 1,
            storm: Duration::from_secs(60),
            workloads: None,
            certificate_life: CERTIFICATE_LIFE,
            snapshot_bytes: SNAPSHOT_BYTES_USUAL,
            clouds: false,
            traffic: Traffic::Even,
            gateways: Vec::new(),
            loads: Vec::new(),
            planted_bug: None,
            show: false,
        }
    }

    /// A seed of its own for each part of the world, so that a change in one does not shift the chance of
    /// all others.
    pub fn seed_of(&self, part: &str) -> u64 {
        let mut digest = crate::trace::Fnv::default();
        digest.add_number(self.seed);
        digest.add(part.as_bytes());
        digest.0
    }
}
