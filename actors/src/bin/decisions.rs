//! `decisions [RUNS]`: how long the check of a remembered token takes, and a decision by a thousand rules. Prints a
//! line of JSON, in nanoseconds: for each the median of so many runs. `./dev bench api` runs it.

use micro_actors::{
    audit::{Audit, AuditExtent},
    auth::Rehearsal,
};
use micro_sdk::wire::{Blocking, Clock, Entropy, Job, Seams};
use ring::rand::{SecureRandom, SystemRandom};
use std::{
    env,
    hint::black_box,
    sync::Arc,
    time::{Instant, SystemTime},
};

/// How many rules decide.
const RULES: usize = 1000;
/// How often in one run: a run takes some milliseconds, for which most of them are not interrupted.
const TIMES: u32 = 10_000;
/// How many runs if nothing is said.
const RUNS: usize = 101;

/// The time of day and the chance of this host.
struct Host;

impl Clock for Host {
    #[expect(clippy::disallowed_methods, reason = "to read it is part of what is measured")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

impl Entropy for Host {
    #[expect(clippy::disallowed_methods, reason = "this program is not simulated")]
    fn fill(&self, bytes: &mut [u8]) {
        SystemRandom::new().fill(bytes).expect("the operating system gives random bytes");
    }
}

impl Blocking for Host {
    fn run(&self, job: Job) {
        job();
    }
}

fn main() {
    let runs = env::args().nth(1).and_then(|runs| runs.parse().ok()).unwrap_or(RUNS);
    let host = Arc::new(Host);
    let seams = Seams { clock: host.clone(), entropy: host.clone(), blocking: host };
    // As a node has it that was told nothing: what is granted to a caller of a service is no news to it.
    let (audit, _intake) = Audit::new(AuditExtent::Changes, seams.clone());
    let rehearsal = Rehearsal::new(&seams, audit, RULES);
    let caller = rehearsal.verify().expect("the token is good");
    let verify = median_ns(runs, || drop(black_box(rehearsal.verify().expect("it still is"))));
    let authorize = median_ns(runs, || rehearsal.authorize(black_box(&caller)).expect("a rule grants it"));
    println!(
        "{{\"verify_ns\":{verify:.1},\"authorize_ns\":{authorize:.1},\"rules\":{RULES},\"runs\":{runs}}}"
    );
}

/// How long `work` takes once.
fn median_ns(runs: usize, mut work: impl FnMut()) -> f64 {
    let mut took: Vec<f64> = (0..runs.max(1))
        .map(|_| {
            let began = now();
            (0..TIMES).for_each(|_| work());
            began.elapsed().as_nanos() as f64 / f64::from(TIMES)
        })
        .collect();
    took.sort_by(f64::total_cmp);
    took[took.len() / 2]
}

#[expect(clippy::disallowed_methods, reason = "it measures real time")]
fn now() -> Instant {
    Instant::now()
}
