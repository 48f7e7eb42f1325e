//! The timing and sizes of the group.

use std::time::Duration;

/// After how many entries a snapshot is made unless it is said: each costs a checkpoint, so not often; replay of this
/// many takes about a second, so not rarely.
pub const SNAPSHOT_EVERY_USUAL: u64 = 200_000;
/// How many entries are kept behind it unless it is said: a replica that was away for a moment needs no snapshot.
pub const LOG_KEPT_USUAL: u64 = 10_000;

/// How many bytes the entries of the log may take before a snapshot is made, however few they are: values may have a
/// mebibyte each, and then the entries of [`SNAPSHOT_EVERY_USUAL`] would fill the disk. A busy node writes as much in
/// some seconds.
pub const SNAPSHOT_BYTES_USUAL: u64 = 128 << 20;
/// How many bytes are kept behind it at most: ten seconds of what a busy mesh writes. A replica that is further behind
/// is sent the whole state.
pub const LOG_KEPT_BYTES_USUAL: u64 = 256 << 20;

/// How the group is paced. The defaults suit hosts in one region; over longer round trips it is slower by itself (see
/// [`Pace`](crate::Pace)).
#[derive(Clone, Debug)]
pub struct ConsensusConfig {
    /// How often a leader shows that it lives, at most. Well below a tenth of the election timeout, so that a few lost
    /// messages cost no leader.
    pub heartbeat: Duration,
    /// The shortest time after the end of a leader's lease after which a follower stands for election. Ten heartbeats:
    /// a stall of the disk (up to half a second was seen on ext4) must not cost the leader its office.
    pub election_timeout_min: Duration,
    /// The longest such time. Twice the shortest spreads candidates apart. A leader's lease is as long: until it is
    /// over, nobody votes for another.
    pub election_timeout_max: Duration,
    /// A snapshot is made after this many entries.
    pub snapshot_every: u64,
    /// Entries kept behind the snapshot.
    pub log_kept: u64,
    /// A snapshot is made once the entries behind the last one take more bytes than this, be they fewer.
    pub snapshot_bytes: u64,
    /// The entries that are kept take no more bytes than these, be they fewer.
    pub log_kept_bytes: u64,
    /// Proposals that may wait for their turn. Beyond it callers are told to come back: a longer queue only adds
    /// delay, not throughput.
    pub proposals_waiting_max: usize,
    /// A bug planted on purpose, to prove that the simulation's checkers see it. None in production.
    pub planted_bug: Option<PlantedBug>,
}

/// A bug planted on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlantedBug {
    /// A linearizable read is answered without asking the quorum.
    ReadWithoutQuorum,
}

impl Default for ConsensusConfig {
    fn default() -> Self {
        ConsensusConfig {
            heartbeat: Duration::from_millis(100),
            election_timeout_min: Duration::from_millis(1000),
            election_timeout_max: Duration::from_millis(2000),
            snapshot_every: SNAPSHOT_EVERY_USUAL,
            log_kept: LOG_KEPT_USUAL,
            snapshot_bytes: SNAPSHOT_BYTES_USUAL,
            log_kept_bytes: LOG_KEPT_BYTES_USUAL,
            proposals_waiting_max: 16_384,
            planted_bug: None,
        }
    }
}

impl ConsensusConfig {
    /// The same in openraft's words.
    pub(crate) fn to_openraft(&self) -> openraft::Config {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let config = openraft::Config {
            cluster_name: "micro-node".to_owned(),
            // How long a heartbeat is waited for, which bounds the round trip over which a leader can know that it
            // leads. It is as long as openraft waits for a vote: over a longer one nobody would be elected. Heartbeats
            // are asked for by the pacer, and so more often than this.
            heartbeat_interval: ms(self.election_timeout_min * 3 / 4),
            election_timeout_min: ms(self.election_timeout_min),
            election_timeout_max: ms(self.election_timeout_max),
            // Entries in one append message: enough to fill the pipe, few enough that one message never holds the
            // thread for long. The log reader bounds them by bytes as well.
            max_payload_entries: 1024,
            max_append_entries: Some(4096),
            api_batch_capacity: 4096,
            // The sync itself is the linger: waiting on top of it cost two thirds of the speed of a lone writer.
            api_batch_linger_ms: 0,
            snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(self.snapshot_every),
            max_in_snapshot_log_to_keep: self.log_kept,
            replication_lag_threshold: self.log_kept.max(self.snapshot_every),
            // A transfer that makes no progress for this long is given up.
            install_snapshot_timeout: 10_000,
            enable_pre_vote: Some(true),
            // A leader that restarts has to be elected again: its log may have lost what was not synced.
            enable_leader_restore: Some(false),
            // A replica that lacks what it had acknowledged is an offence of its disk. It is told (see `Findings`),
            // and healed: until the entries are there again, one loss less is survived.
            allow_log_reversion: Some(true),
            ..openraft::Config::default()
        };
        config.validate().expect("the timeouts are in order by construction")
    }
}
