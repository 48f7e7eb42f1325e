//! The timing of the group, which follows the round trips between this node and the other voters.
//!
//! openraft's own timing is fixed when it starts, and right for hosts that are near each other; it is never undercut.
//! This lengthens it where hosts are far apart. A leader's heartbeats are asked for by the [`Pacer`], and a voter's
//! elections are held back by it:
//!
//! ```text
//! heard of the leader        silence_min             silence_max
//!  ├── nobody else is voted for ─┼── somewhere in here ─────┤ it stands for election
//! ```

use crate::{
    ConsensusConfig,
    raft::{Group, Raft},
};
use micro_mesh::Mesh;
use micro_sdk::wire::{NodeId, Seams};
use openraft::{
    Instant as _, ServerState, async_runtime::WatchReceiver, errors::Fatal, metrics::RaftServerMetrics,
    type_config::alias::WatchReceiverOf,
};
use std::time::Duration;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};

/// How many round trips lie between two heartbeats. One heartbeat to a follower is under way at a time, and the round
/// that makes a read linearizable waits for it: with one round trip it would always have to wait. With more, fewer
/// heartbeats fit into a silence.
const HEARTBEAT_ROUND_TRIPS: u32 = 2;
/// How many round trips a leader may be silent for at least, as etcd advises for its election timeout: five heartbeats,
/// so that a few late ones cost no leader.
const SILENCE_ROUND_TRIPS: u32 = 10;
/// The longest round trip that is followed. With it a voter waits for 25 to 50 s, and etcd allows no more than that
/// either: who is farther away than this does better without a vote.
const ROUND_TRIP_MAX: Duration = Duration::from_millis(2500);
/// How often round trips are looked at: they are measured once a second.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// For how long round trips have to be shorter before the timing follows: a voter that is away for a moment has none.
const FALL_AFTER: Duration = Duration::from_secs(30);

/// The timing just now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// The longest round trip to another voter that it follows; zero while none was measured.
    pub round_trip: Duration,
    /// How often a leader shows that it lives.
    pub heartbeat: Duration,
    /// The shortest silence of its leader after which a voter stands for election.
    pub silence_min: Duration,
    /// The longest. Drawn from between them, so that two voters rarely stand at once.
    pub silence_max: Duration,
}

impl Pace {
    /// The timing over such a round trip. Never quicker than what `config` says.
    pub(crate) fn over(round_trip: Duration, config: &ConsensusConfig) -> Self {
        let followed = round_trip.min(ROUND_TRIP_MAX);
        let lease = config.election_timeout_max;
        let silence_min = (lease + config.election_timeout_min).max(followed * SILENCE_ROUND_TRIPS);
        let usual_spread = config.election_timeout_max - config.election_timeout_min;
        Pace {
            round_trip,
            heartbeat: config.heartbeat.max(followed * HEARTBEAT_ROUND_TRIPS),
            silence_min,
            // As Raft draws timeouts, from one to two of the shortest: candidates are several round trips apart.
            silence_max: silence_min + usual_spread.max(followed * SILENCE_ROUND_TRIPS),
        }
    }
}

/// The round trip that is followed: up at once, down when it has been shorter for a while.
#[derive(Default)]
struct Followed {
    round_trip: Duration,
    /// Since when it has been shorter, and the longest since.
    shorter: Option<(Instant, Duration)>,
}

impl Followed {
    fn measured(&mut self, round_trip: Duration, now: Instant) {
        if round_trip >= self.round_trip {
            *self = Followed { round_trip, shorter: None };
            return;
        }
        let (since, longest) = self.shorter.get_or_insert((now, round_trip));
        *longest = round_trip.max(*longest);
        if now >= *since + FALL_AFTER {
            *self = Followed { round_trip: *longest, shorter: None };
        }
    }
}

/// Sets the pace of one node.
pub(crate) struct Pacer {
    raft: Raft,
    metrics: WatchReceiverOf<Group, RaftServerMetrics<Group>>,
    mesh: Mesh,
    seams: Seams,
    config: ConsensusConfig,
    followed: Followed,
    looked: Instant,
    pace: watch::Sender<Pace>,
    /// Where between the shortest and the longest silence this voter stands next.
    draw: f64,
    holds_back: bool,
}

impl Pacer {
    /// Starts the task that sets the pace of `raft`, and tells it.
    pub fn start(
        raft: Raft,
        mesh: Mesh,
        seams: Seams,
        config: ConsensusConfig,
    ) -> (watch::Receiver<Pace>, JoinHandle<()>) {
        let (pace, told) = watch::channel(Pace::over(Duration::ZERO, &config));
        let mut pacer = Pacer {
            metrics: raft.server_metrics(),
            raft,
            mesh,
            seams,
            config,
            followed: Followed::default(),
            looked: Instant::now(),
            pace,
            draw: 0.0,
            holds_back: false,
        };
        pacer.draw_anew();
        (told, tokio::spawn(pacer.run()))
    }

    /// Ends when Raft has stopped.
    async fn run(mut self) {
        loop {
            let pace = *self.pace.borrow();
            sleep(pace.heartbeat).await;
            let now = Instant::now();
            if now >= self.looked + LOOK_EVERY {
                self.looked = now;
                self.follow(now);
            }
            let done = match self.leads() {
                true => self.raft.trigger().heartbeat().await,
                false => self.hold_back(&pace).await,
            };
            if done.is_err() {
                return;
            }
        }
    }

    fn leads(&self) -> bool {
        self.metrics.borrow_watched().state == ServerState::Leader
    }

    /// Follows the round trips to the voters that are linked.
    fn follow(&mut self, now: Instant) {
        let voters: Vec<NodeId> = self.metrics.borrow_watched().membership_config.voter_ids().collect();
        let longest = voters.into_iter().filter_map(|voter| self.mesh.rtt(voter)).max();
        self.followed.measured(longest.unwrap_or_default(), now);
        let pace = Pace::over(self.followed.round_trip, &self.config);
        self.pace.send_if_modified(|known| std::mem::replace(known, pace) != pace);
    }

    /// Lets openraft stand for election only once nobody has led, or stood, for long enough.
    async fn hold_back(&mut self, pace: &Pace) -> Result<(), Fatal<Group>> {
        let lease = self.config.election_timeout_max;
        let longer = pace.silence_max > lease + self.config.election_timeout_max;
        let holds_back = longer && {
            let seen =
                |state: &openraft::RaftState<Group>| (state.vote_last_modified(), state.vote_ref().committed);
            let (heard, led) = self.raft.with_raft_state(seen).await?;
            let silence = pace.silence_min + (pace.silence_max - pace.silence_min).mul_f64(self.draw);
            // Behind an election that nobody has won there is no lease to wait for.
            let silence = if led { silence } else { silence - lease };
            heard.is_some_and(|heard| heard.elapsed() < silence)
        };
        if holds_back != self.holds_back {
            self.holds_back = holds_back;
            self.raft.runtime_config().elect(!holds_back);
            if holds_back {
                self.draw_anew();
            }
        }
        Ok(())
    }

    fn draw_anew(&mut self) {
        self.draw = f64::from(u32::from_le_bytes(self.seams.random())) / f64::from(u32::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn near_hosts_have_the_usual_timing_and_far_ones_ten_round_trips() {
        let timing = |round_trip| {
            let pace = Pace::over(ms(round_trip), &ConsensusConfig::default());
            (pace.heartbeat, pace.silence_min, pace.silence_max)
        };
        assert_eq!(timing(0), (ms(100), ms(3000), ms(4000)));
        assert_eq!(timing(50), (ms(100), ms(3000), ms(4000)));
        assert_eq!(timing(220), (ms(440), ms(3000), ms(5200)));
        assert_eq!(timing(600), (ms(1200), ms(6000), ms(12_000)));
        assert_eq!(timing(60_000), (ms(5000), ms(25_000), ms(50_000)), "at most 50 s");
    }

    #[tokio::test(start_paused = true)]
    async fn it_follows_up_at_once_and_down_after_a_while() {
        let begin = Instant::now();
        let mut followed = Followed::default();
        for (second, measured, expected) in [
            (0, 20, 20),
            (1, 200, 200),
            (2, 0, 200),
            (3, 90, 200),
            (20, 50, 200),
            (32, 50, 90),
            (40, 30, 90),
            (41, 90, 90),
            (69, 30, 90),
            (98, 30, 90),
            (99, 30, 30),
        ] {
            followed.measured(ms(measured), begin + Duration::from_secs(second));
            assert_eq!(followed.round_trip, ms(expected), "after {second} s");
        }
    }
}
