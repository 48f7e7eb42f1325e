//! How much may be tried again: less than would turn a trouble into a storm.

use crate::policy::RetryPolicy;
use micro_sdk::wire::{Caller, Namespace, ServiceName};
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::Mutex,
    time::Duration,
};
use tokio::time::Instant;

/// Pairs of caller and callee that are remembered. Each takes 40 bytes; those that have not called for longest go
/// first.
const PAIRS_MAX: usize = 4096;
/// How long it takes until a budget that was spent is whole again without a call: who calls once a minute may try
/// again too.
const WHOLE_AGAIN: Duration = Duration::from_secs(10);

/// The budgets of all callers of all services, as this node takes their calls in. A budget is a bucket of tokens: each
/// call puts a share of one in, and each attempt beyond the first takes one out (gRFC A6, "Client Retries", throttling;
/// Finagle, `RetryBudget`).
pub(super) struct Budgets {
    hasher: RandomState,
    buckets: Mutex<HashMap<u64, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// What is in it now.
    fn filled(self, policy: &RetryPolicy, now: Instant) -> f64 {
        let burst = f64::from(policy.burst);
        let passed = now.saturating_duration_since(self.at).as_secs_f64() / WHOLE_AGAIN.as_secs_f64();
        (self.tokens + burst * passed).min(burst)
    }
}

/// Who calls what: the key of one budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pair(u64);

impl Budgets {
    pub fn new() -> Self {
        Budgets { hasher: RandomState::new(), buckets: Mutex::default() }
    }

    /// The pair of a call.
    pub fn pair(&self, caller: &Caller, namespace: &Namespace, service: &ServiceName) -> Pair {
        let account = caller.account().map(|account| (&account.namespace, &account.name));
        Pair(self.hasher.hash_one((std::mem::discriminant(caller), account, namespace, service)))
    }

    /// A call is made: its pair earns a share of another attempt.
    pub fn earn(&self, pair: Pair, policy: &RetryPolicy, now: Instant) {
        let mut buckets = self.buckets.lock().expect("no code panics while it holds the budgets");
        if buckets.len() >= PAIRS_MAX && !buckets.contains_key(&pair.0) {
            let oldest = buckets.iter().min_by_key(|(_, bucket)| bucket.at).map(|(key, _)| *key);
            oldest.map(|key| buckets.remove(&key));
        }
        let full = Bucket { tokens: f64::from(policy.burst), at: now };
        let bucket = buckets.entry(pair.0).or_insert(full);
        let tokens = (bucket.filled(policy, now) + policy.budget).min(f64::from(policy.burst));
        *bucket = Bucket { tokens, at: now };
    }

    /// Takes what another attempt costs, if it is there.
    pub fn spend(&self, pair: Pair, policy: &RetryPolicy, now: Instant) -> bool {
        let mut buckets = self.buckets.lock().expect("no code panics while it holds the budgets");
        let Some(bucket) = buckets.get_mut(&pair.0) else { return policy.burst > 0 };
        let tokens = bucket.filled(policy, now);
        let enough = tokens >= 1.0;
        *bucket = Bucket { tokens: if enough { tokens - 1.0 } else { tokens }, at: now };
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(budget: f64, burst: u32) -> RetryPolicy {
        RetryPolicy { budget, burst, ..RetryPolicy::default() }
    }

    #[test]
    fn in_the_long_run_the_share_of_calls_that_are_tried_again_is_the_budget() {
        let (budgets, policy, now) = (Budgets::new(), policy(0.2, 10), Instant::now());
        let (service, namespace) = ("shop".parse().expect("a name"), Namespace::default());
        let pair = budgets.pair(&Caller::Anonymous, &namespace, &service);
        let mut again = 0;
        for _ in 0..1000 {
            budgets.earn(pair, &policy, now);
            again += u32::from(budgets.spend(pair, &policy, now));
        }
        assert!((205..=211).contains(&again), "{again}: 200 earned, and 10 that it began with");
        assert_ne!(pair, budgets.pair(&Caller::Admin, &namespace, &service), "another caller has another");
        assert!(!budgets.spend(pair, &policy, now));
        assert!(budgets.spend(pair, &policy, now + Duration::from_secs(1)), "a tenth of ten is one");
    }

    #[test]
    fn it_forgets_who_has_not_called_for_longest() {
        let (budgets, policy, start) = (Budgets::new(), policy(0.0, 1), Instant::now());
        for pair in 0..=PAIRS_MAX as u64 {
            budgets.earn(Pair(pair), &policy, start + Duration::from_millis(pair));
        }
        let buckets = budgets.buckets.lock().expect("nobody panics");
        assert_eq!(
            (buckets.len(), buckets.contains_key(&0), buckets.contains_key(&1)),
            (PAIRS_MAX, false, true)
        );
    }
}
