//! What another policy would have made of the calls of the last minutes.

use super::{
    Calls,
    attempts::{is_an_answer, passes},
    budget::Budgets,
    choice::{Choice, Chosen, Seat},
    latencies::Latencies,
    traffic::Sample,
};
use crate::policy::Policy;
use bincode::{Decode, Encode};
use micro_sdk::wire::{Code, Effect, Namespace, ServiceName};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// What another policy would have made of the calls of the last minutes, that one node took in or all of them. Where
/// chance decides, it is what is to be expected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Rehearsal {
    /// The nodes that took calls in, of those that were asked.
    pub nodes: u32,
    /// The calls that are known of.
    pub calls: u64,
    /// Over how much time, in milliseconds: the longest of all nodes.
    pub covers_ms: u64,
    /// Those that failed, as things were: not those whose callers asked for what can't be had.
    pub failed: u64,
    /// Answered ones that would have taken longer than they may.
    pub timed_out: u64,
    /// Failed ones that would have been tried again, and were not.
    pub tried_again: u64,
    /// Failed ones for whose further attempts there would have been no budget.
    pub out_of_budget: u64,
    /// Those that needed more attempts than they would have had.
    pub given_up: u64,
    /// Those of which a second instance would have been asked.
    pub hedged: u64,
    /// The same as things were.
    pub hedged_before: u64,
    /// Those that came when more were in work than there may be.
    pub shed: u64,
    /// How many went to each version, and would go to it.
    pub versions: BTreeMap<String, (u64, u64)>,
}

impl Rehearsal {
    /// With what another node told.
    #[must_use]
    pub fn and(mut self, other: Rehearsal) -> Self {
        self.nodes += other.nodes;
        self.calls += other.calls;
        self.covers_ms = self.covers_ms.max(other.covers_ms);
        self.failed += other.failed;
        self.timed_out += other.timed_out;
        self.tried_again += other.tried_again;
        self.out_of_budget += other.out_of_budget;
        self.given_up += other.given_up;
        self.hedged += other.hedged;
        self.hedged_before += other.hedged_before;
        self.shed += other.shed;
        for (version, (before, after)) in other.versions {
            let both = self.versions.entry(version).or_default();
            *both = (both.0 + before, both.1 + after);
        }
        self
    }
}

impl Calls {
    /// What `policy` would have made of the calls of a service that this node took in.
    pub fn rehearse(&self, namespace: &Namespace, service: &ServiceName, policy: &Policy) -> Rehearsal {
        let (now, callee) = (Instant::now(), self.callee(namespace, service));
        let candidates = self.0.registry.candidates(namespace, service).unwrap_or_default();
        let seats = self.seats(&callee, candidates, now);
        let present = self.policy(namespace, service);
        rehearse(&callee.traffic.recent(now), policy, &present, &seats, now)
    }
}

fn rehearse(
    samples: &[Sample],
    policy: &Policy,
    present: &Policy,
    seats: &[Seat],
    now: Instant,
) -> Rehearsal {
    let oldest = samples.first().map_or(Duration::ZERO, |sample| now.saturating_duration_since(sample.at));
    let mut rehearsal = Rehearsal {
        nodes: u32::from(!samples.is_empty()),
        calls: samples.len() as u64,
        covers_ms: u64::try_from(oldest.as_millis()).unwrap_or(u64::MAX),
        ..Rehearsal::default()
    };
    let budgets = Budgets::new();
    let latencies = latencies(samples, now);
    for (place, sample) in samples.iter().enumerate() {
        budgets.earn(sample.pair, &policy.retry, sample.at);
        note_time(&mut rehearsal, sample, policy, seats.len());
        note_attempts(&mut rehearsal, sample, policy, &budgets);
        if seats.len() != 1 {
            note_hedge(&mut rehearsal, sample, policy, &latencies, &budgets);
        }
        // Calls that came to nobody have no version, and would have none.
        if !sample.version.is_empty() {
            // What chance and load decide would only be decided differently, and not by the policy.
            let changed = policy.routes != present.routes;
            note_version(&mut rehearsal, sample, changed.then_some(policy), seats, place, now);
        }
    }
    rehearsal
}

/// How long each endpoint took.
fn latencies(samples: &[Sample], now: Instant) -> BTreeMap<Arc<str>, Latencies> {
    let mut latencies = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.fault.is_none()) {
        latencies.entry(sample.endpoint.clone()).or_insert_with(Latencies::new).observe(sample.took, now);
    }
    latencies
}

fn note_time(rehearsal: &mut Rehearsal, sample: &Sample, policy: &Policy, instances: usize) {
    let late = policy.timeout.is_some_and(|timeout| sample.took > timeout);
    rehearsal.timed_out += u64::from(late && sample.fault.is_none());
    let room = u64::from(policy.limit.most).saturating_mul(instances.max(1) as u64);
    rehearsal.shed += u64::from(u64::from(sample.in_flight) > room);
}

fn note_attempts(rehearsal: &mut Rehearsal, sample: &Sample, policy: &Policy, budgets: &Budgets) {
    let most = policy.retry.attempts;
    let Some((code, effect)) = sample.fault else {
        rehearsal.given_up += u64::from(sample.attempts > most);
        return;
    };
    if is_an_answer(code) {
        return;
    }
    rehearsal.failed += 1;
    let safe = effect == Effect::None || policy.is_idempotent(&sample.endpoint);
    // What was late as a whole has no time for another attempt.
    if !passes(code) || code == Code::Timeout || !safe || sample.attempts >= most {
        return;
    }
    match budgets.spend(sample.pair, &policy.retry, sample.at) {
        true => rehearsal.tried_again += 1,
        false => rehearsal.out_of_budget += 1,
    }
}

fn note_hedge(
    rehearsal: &mut Rehearsal,
    sample: &Sample,
    policy: &Policy,
    latencies: &BTreeMap<Arc<str>, Latencies>,
    budgets: &Budgets,
) {
    rehearsal.hedged_before += u64::from(sample.hedged);
    let hedge = &policy.hedge;
    if !hedge.enabled || policy.retry.attempts < 2 || !policy.is_idempotent(&sample.endpoint) {
        return;
    }
    let after = latencies.get(&sample.endpoint).and_then(|latencies| latencies.quantile(hedge.quantile));
    let slow = after.is_some_and(|after| sample.took > after.max(hedge.least));
    rehearsal.hedged += u64::from(slow && budgets.spend(sample.pair, &policy.retry, sample.at));
}

fn note_version(
    rehearsal: &mut Rehearsal,
    sample: &Sample,
    changed: Option<&Policy>,
    seats: &[Seat],
    place: usize,
    now: Instant,
) {
    let version = rehearsal.versions.entry(sample.version.to_string()).or_default();
    version.0 += 1;
    let Some(policy) = changed else {
        version.1 += 1;
        return;
    };
    // The place stands for chance: of many calls, each share gets as many as it would.
    let chance = (place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    if let Chosen::Seat(seat) = Choice::new(seats, policy, None, chance).next(&[], chance, now) {
        rehearsal.versions.entry(seat.instance.version.clone()).or_default().1 += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn sample(took: Duration, fault: Option<(Code, Effect)>) -> Sample {
        let (service, namespace) = ("shop".parse().expect("a name"), Namespace::default());
        let pair = Budgets::new().pair(&micro_sdk::wire::Caller::Admin, &namespace, &service);
        let (at, endpoint, version) = (Instant::now(), "Cart.list".into(), "1.0".into());
        Sample { at, endpoint, version, took, fault, attempts: 1, hedged: false, in_flight: 3, pair }
    }

    fn rehearsed(samples: &[Sample], policy: &str) -> Rehearsal {
        let policy = Policy::parse(policy).expect("a good policy");
        rehearse(samples, &policy, &Policy::default(), &[], Instant::now())
    }

    #[test]
    fn it_counts_what_would_be_late_and_what_would_be_tried_again() {
        let lost = sample(MS, Some((Code::Unavailable, Effect::Unknown)));
        let samples = [sample(30 * MS, None), sample(MS, None), lost.clone(), lost];
        let as_it_is = rehearsed(&samples, "{}");
        assert_eq!(
            (as_it_is.calls, as_it_is.failed, as_it_is.tried_again),
            (4, 2, 0),
            "nobody knows what they did"
        );
        let idempotent = rehearsed(&samples, r#"{"idempotent": ["Cart.*"], "timeout": "20ms"}"#);
        assert_eq!((idempotent.tried_again, idempotent.timed_out), (2, 1));
        let poor = r#"{"idempotent": ["Cart.*"], "retry": {"burst": 1, "budget": 0}}"#;
        let poor = rehearsed(&samples, poor);
        assert_eq!((poor.tried_again, poor.out_of_budget), (1, 1));
        assert_eq!(rehearsed(&samples, r#"{"limit": {"most": 2, "least": 1}}"#).shed, 4);
    }

    #[test]
    fn what_a_caller_did_wrong_is_no_failure_and_the_policy_that_there_is_changes_nothing() {
        let missed = sample(MS, Some((Code::NotFound, Effect::None)));
        let nobody = Sample { version: "".into(), ..missed.clone() };
        let as_it_is = rehearsed(&[sample(MS, None), missed, nobody], "{}");
        assert_eq!((as_it_is.calls, as_it_is.failed), (3, 0));
        assert_eq!(as_it_is.versions, BTreeMap::from([("1.0".to_owned(), (2, 2))]));
    }

    #[test]
    fn it_counts_what_would_be_asked_of_a_second_one() {
        let mut samples: Vec<Sample> = (0..95).map(|_| sample(MS, None)).collect();
        samples.extend((0..5).map(|_| sample(100 * MS, None)));
        assert_eq!(rehearsed(&samples, "{}").hedged, 0);
        let hedged = rehearsed(&samples, r#"{"idempotent": ["Cart.list"]}"#).hedged;
        assert_eq!(hedged, 5);
    }
}
