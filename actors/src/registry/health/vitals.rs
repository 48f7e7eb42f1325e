//! What is known of how one instance is: what its check came to, and when its owner was heard last.

use super::{
    Care, Check, Owner,
    probe::brief,
    tally::{Tally, Verdict},
};
use micro_sdk::wire::Health;
use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

/// After how many times its time to live an instance whose owner is silent is gone: long enough that a program which
/// was held up comes back to it.
const GONE_AFTER: u32 = 10;

/// How one instance is.
pub(in super::super) struct Vitals {
    check: Option<Check>,
    ttl: Option<Duration>,
    owner: Owner,
    state: Mutex<State>,
    /// What `state` says, for those who ask with each call.
    passing: AtomicBool,
    /// A report may have moved the time at which something is due.
    reported: Notify,
    /// Whether it was given up.
    lost: watch::Sender<bool>,
}

struct State {
    tally: Option<Tally>,
    /// When its owner was heard.
    heard: Instant,
    /// As it was told last.
    health: Health,
}

impl Vitals {
    /// Of an instance that has just been attached.
    pub fn new(care: Care, now: Instant) -> Self {
        let Care { check, ttl, owner } = care;
        let health = if check.is_some() { Health::Unknown } else { Health::Passing };
        let tally = check.as_ref().map(|check| Tally::new(check.unhealthy_after, check.healthy_after));
        Vitals {
            check,
            ttl,
            owner,
            passing: AtomicBool::new(health.is_passing()),
            state: Mutex::new(State { tally, heard: now, health }),
            reported: Notify::new(),
            lost: watch::Sender::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The check that its node makes.
    pub fn check(&self) -> Option<&Check> {
        self.check.as_ref().filter(|check| check.probe != super::Probe::Reported)
    }

    /// Whether its owner says how it is.
    pub fn is_reported(&self) -> bool {
        self.check.as_ref().is_some_and(|check| check.probe == super::Probe::Reported)
    }

    /// Whether something has to be looked at as time passes.
    pub fn is_watched(&self) -> bool {
        self.check.is_some() || self.ttl.is_some()
    }

    /// Who may speak for it.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Whether callers are led to it.
    pub fn is_passing(&self) -> bool {
        self.passing.load(Ordering::Relaxed)
    }

    /// As it was told last.
    pub fn health(&self) -> Health {
        self.state().health.clone()
    }

    /// Counts a result of the check.
    pub fn note(&self, result: Result<(), String>) {
        if let Some(tally) = &mut self.state().tally {
            tally.note(result);
        }
    }

    /// Its owner was heard, and says how it is. What it says counts where its owner is to report, and is a sign of life
    /// anywhere.
    pub fn report(&self, now: Instant, result: Result<(), String>) {
        self.state().heard = now;
        if self.check().is_none() {
            self.note(result.map_err(|why| brief(&why)));
        }
        self.reported.notify_one();
    }

    /// Returns once a report has come since it returned last.
    pub async fn reported(&self) {
        self.reported.notified().await;
    }

    /// When it has to be looked at again though nothing happens; none if never.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let heard = self.state().heard;
        self.ttl.map(|ttl| if now < heard + ttl { heard + ttl } else { heard + ttl * GONE_AFTER })
    }

    /// Whether its owner was silent for so long that it is gone.
    pub fn is_over(&self, now: Instant) -> bool {
        self.ttl.is_some_and(|ttl| now >= self.state().heard + ttl * GONE_AFTER)
    }

    /// Takes up what has changed. Gives how it is now, if that is other than what was told last.
    pub fn settle(&self, now: Instant, today: SystemTime) -> Option<Health> {
        let mut state = self.state();
        let silent = self.ttl.filter(|ttl| now >= state.heard + *ttl);
        let verdict = state.tally.as_ref().map(Tally::verdict);
        let reason = match (verdict, silent) {
            (Some(Verdict::Failing(why)), _) => Some(why.clone()),
            (_, Some(ttl)) => Some(format!("its owner has said nothing for {ttl:?}")),
            (_, None) => None,
        };
        let health = match (reason, verdict) {
            // The reason stays that of the change.
            (Some(_), _) if matches!(state.health, Health::Failing { .. }) => return None,
            (Some(reason), _) => {
                let since = today.duration_since(UNIX_EPOCH).unwrap_or_default();
                let since_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
                Health::Failing { reason, since_ms }
            }
            (None, Some(Verdict::Unknown)) => Health::Unknown,
            (None, _) => Health::Passing,
        };
        if state.health == health {
            return None;
        }
        state.health = health.clone();
        self.passing.store(health.is_passing(), Ordering::Relaxed);
        Some(health)
    }

    /// It was given up.
    pub fn lose(&self) {
        self.lost.send_replace(true);
    }

    /// Returns once it was given up.
    pub fn lost(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut lost = self.lost.subscribe();
        async move {
            if lost.wait_for(|lost| *lost).await.is_err() {
                // It ended in another way.
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Probe, *};

    const TTL: Duration = Duration::from_secs(30);

    fn vitals(probe: Option<Probe>, ttl: Option<Duration>, now: Instant) -> Vitals {
        let (interval, timeout) = (Duration::from_secs(5), Duration::from_secs(1));
        let check =
            probe.map(|probe| Check { probe, interval, timeout, unhealthy_after: 2, healthy_after: 1 });
        Vitals::new(Care { check, ttl, owner: Owner::Host }, now)
    }

    #[tokio::test]
    async fn an_instance_without_a_check_passes_and_one_with_a_check_is_unknown_until_its_first_result() {
        let now = Instant::now();
        let plain = vitals(None, None, now);
        assert!(plain.is_passing() && !plain.is_watched() && plain.due(now).is_none());
        let checked = vitals(Some(Probe::Tcp), None, now);
        assert_eq!((checked.health(), checked.settle(now, UNIX_EPOCH)), (Health::Unknown, None));
        checked.note(Ok(()));
        assert_eq!(checked.settle(now, UNIX_EPOCH), Some(Health::Passing));
        assert_eq!(checked.settle(now, UNIX_EPOCH), None);
        (0..2).for_each(|_| checked.note(Err("refused".to_owned())));
        let failing = Health::Failing { reason: "refused".to_owned(), since_ms: 7 };
        assert_eq!(checked.settle(now, UNIX_EPOCH + Duration::from_millis(7)), Some(failing.clone()));
        assert_eq!(checked.settle(now, UNIX_EPOCH + Duration::from_millis(9)), None);
        assert!(checked.health() == failing && !checked.is_passing());
        // What its owner says is no result of a check that the node makes.
        checked.report(now, Ok(()));
        assert_eq!(checked.settle(now, UNIX_EPOCH), None);
        checked.note(Ok(()));
        assert_eq!(checked.settle(now, UNIX_EPOCH), Some(Health::Passing));
    }

    #[tokio::test]
    async fn a_silent_owner_makes_it_failing_and_then_gone() {
        let now = Instant::now();
        let vitals = vitals(None, Some(TTL), now);
        assert_eq!(vitals.due(now), Some(now + TTL));
        let late = now + TTL;
        assert!(matches!(vitals.settle(late, UNIX_EPOCH), Some(Health::Failing { .. })));
        assert!(!vitals.is_over(late) && vitals.due(late) == Some(now + TTL * 10));
        vitals.report(late, Ok(()));
        assert_eq!(vitals.settle(late, UNIX_EPOCH), Some(Health::Passing));
        assert!(!vitals.is_over(now + TTL * 10) && vitals.is_over(late + TTL * 10));
    }

    #[tokio::test]
    async fn what_an_owner_reports_counts_where_it_is_to_report() {
        let now = Instant::now();
        let vitals = vitals(Some(Probe::Reported), Some(TTL), now);
        assert!(vitals.check().is_none() && vitals.is_watched());
        vitals.report(now, Ok(()));
        assert_eq!(vitals.settle(now, UNIX_EPOCH), Some(Health::Passing));
        (0..2).for_each(|_| vitals.report(now, Err("exit code 1".to_owned())));
        let failing = Health::Failing { reason: "exit code 1".to_owned(), since_ms: 0 };
        assert_eq!(vitals.settle(now, UNIX_EPOCH), Some(failing));
    }
}
