//! One call, from its first attempt to what comes of it.

use super::{
    Calls, Counted,
    breaker::Outcome,
    budget::Pair,
    callee::Callee,
    choice::{Choice, Chosen, Seat},
    latencies::Latencies,
    outlook::Passage,
    traffic::Sample,
};
use crate::{
    Body,
    kit::RAW,
    policy::{ATTEMPTS_MAX, Policy},
    registry::Instances,
};
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Frame;
use micro_sdk::wire::{Code, Effect, Fault, Head, Instance, InstanceId, limits::DEADLINE_MS_NONE};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// An instance that did not answer within so long is at fault for it. Of one that was given less, nothing is known: its
/// caller was in a hurry.
const PATIENCE: Duration = Duration::from_secs(1);
/// Instances that are passed over for nothing: more are tried only against the budget.
const PASSED_OVER_MAX: usize = 16;

/// One call, from its first attempt to what comes of it.
pub(crate) struct Attempts {
    calls: Calls,
    callee: Arc<Callee>,
    policy: Arc<Policy>,
    seats: Vec<Seat>,
    pair: Pair,
    key: Option<String>,
    /// What decides of which share of the calls it is.
    chance: u64,
    began: Instant,
    deadline: Option<Instant>,
    /// Attempts at most.
    most: u8,
    made: u8,
    tried: Vec<InstanceId>,
    /// The endpoint that was called last, by its full name, and how long it takes.
    called: Option<(Arc<str>, Arc<Latencies>)>,
    hedged: bool,
    /// Whether nobody knows what came of an attempt: then nobody knows what came of the call, unless it is answered.
    uncertain: bool,
    /// Whether the head of the last answer says that the instance failed.
    told_failure: bool,
}

/// An attempt: the instance that was chosen for it, and the note that it is on its way.
pub(crate) struct Attempt {
    /// Whom it goes to.
    pub instance: Arc<Instance>,
    passage: Passage,
}

impl Attempts {
    pub(super) fn new(calls: Calls, head: &Head, candidates: Instances) -> Self {
        let now = Instant::now();
        let (namespace, service) = (&head.namespace, &head.service);
        let (callee, policy) = (calls.callee(namespace, service), calls.policy(namespace, service));
        let pair = calls.0.budgets.pair(&head.caller, namespace, service);
        calls.0.budgets.earn(pair, &policy.retry, now);
        callee.in_flight.fetch_add(1, Ordering::Relaxed);
        calls.0.counters.add(Counted::Call);
        let given = Duration::from_millis(head.deadline_ms.into());
        let (seats, chance) = (calls.seats(&callee, candidates, now), calls.chance());
        Attempts {
            key: policy.sticky.as_ref().and_then(|sticky| sticky.key(head)).map(|key| key.into_owned()),
            deadline: (head.deadline_ms != DEADLINE_MS_NONE).then(|| now + given),
            most: head.attempts.map_or(policy.retry.attempts, |most| most.clamp(1, ATTEMPTS_MAX)),
            began: now,
            made: 0,
            tried: Vec::new(),
            called: None,
            hedged: false,
            uncertain: false,
            told_failure: false,
            calls,
            callee,
            policy,
            seats,
            pair,
            chance,
        }
    }

    /// The same for a call of one request and one answer, which has no more time than the policy gives it.
    pub fn unary(mut self) -> Self {
        if let Some(timeout) = self.policy.timeout {
            let end = self.began + timeout;
            self.deadline = Some(self.deadline.map_or(end, |deadline| deadline.min(end)));
        }
        self
    }

    /// When the call ends, if it does.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The next attempt.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if nobody is left, or nobody who may be called now.
    pub fn next(&mut self, head: &Head) -> Result<Attempt, Fault> {
        let now = Instant::now();
        let choice = Choice::new(&self.seats, &self.policy, self.key.as_deref(), self.chance);
        match choice.next(&self.tried, self.calls.chance(), now) {
            Chosen::Seat(seat) => {
                let attempt = Attempt { instance: seat.instance.clone(), passage: seat.outlook.begin(now) };
                self.tried.push(attempt.instance.id);
                self.made = self.made.saturating_add(1);
                Ok(attempt)
            }
            Chosen::Open(wait) => Err(open(head, wait)),
            Chosen::None => Err(unreached(head)),
        }
    }

    /// How long the first attempt may take before a second one is made beside it; none if that is never done.
    pub fn hedge_after(&mut self, endpoint: &str) -> Option<Duration> {
        let policy = self.policy.clone();
        let hedge = &policy.hedge;
        if !hedge.enabled || self.seats.len() < 2 || self.most < 2 || !self.policy.is_idempotent(endpoint) {
            return None;
        }
        let after = self.called(endpoint).1.quantile(hedge.quantile)?.max(hedge.least);
        // There has to be time for an answer of the second.
        self.deadline.is_none_or(|deadline| self.began + 2 * after < deadline).then_some(after)
    }

    /// A second attempt beside the first, if there is somebody else and the budget has it.
    pub fn second(&mut self, head: &Head) -> Option<Attempt> {
        let untried = self.seats.iter().any(|seat| !self.tried.contains(&seat.instance.id));
        if self.hedged || self.made >= self.most || !untried || !self.spend() {
            return None;
        }
        self.hedged = true;
        self.count(Counted::Hedged);
        self.next(head).ok()
    }

    /// Notes what came of an attempt.
    pub fn note<T>(&mut self, attempt: Attempt, endpoint: &str, answer: &Result<T, Fault>) {
        let now = Instant::now();
        let given = self.deadline.map(|deadline| deadline.saturating_duration_since(self.began));
        let outcome = outcome(answer, given);
        self.uncertain |= answer.as_ref().is_err_and(|fault| fault.effect == Effect::Unknown);
        let Attempt { instance, passage } = attempt;
        let (took, opened) = passage.end(outcome, &self.policy.breaker, now);
        if outcome == Outcome::Good {
            self.called(endpoint).1.observe(took, now);
        }
        if opened {
            self.count(Counted::CircuitOpened);
            let service = &instance.service;
            tracing::warn!(%service, instance = format!("{:016x}", instance.id), node = %instance.node,
                "an instance gets no calls for a while: those that it had were lost");
        }
    }

    /// The same of a conversation that has begun, or has not: what came of it says its head, or its trailers when it
    /// ends. Until then it counts as good.
    pub fn note_begun(
        &mut self,
        attempt: Attempt,
        endpoint: &str,
        answer: Result<Response<Body>, Fault>,
    ) -> Result<Response<Body>, Fault> {
        let outlook = attempt.passage.outlook().clone();
        self.told_failure = answer.as_ref().is_ok_and(has_failed);
        match &answer {
            Ok(_) if self.told_failure => {
                let failed = Fault::new(Code::Failed, "the answer says so");
                self.note(attempt, endpoint, &Err::<(), _>(failed));
            }
            answer => self.note(attempt, endpoint, answer),
        }
        let seen = move |frame: Frame<Bytes>| {
            if frame.trailers_ref().is_some_and(tells_failure) {
                outlook.failed_in_the_end(Instant::now());
            }
            frame
        };
        answer.map(|response| response.map(|body| body.map_frame(seen).boxed_unsync()))
    }

    /// Whether there is another attempt after `fault`; then it has been paid for, and its pause is over.
    pub async fn again(&mut self, head: &Head, fault: &Fault) -> bool {
        if !self.may_be_done_again(&head.endpoint, fault) {
            return false;
        }
        let untried = self.seats.iter().any(|seat| !self.tried.contains(&seat.instance.id));
        let unsent =
            fault.effect == Effect::None && matches!(fault.code, Code::Unreachable | Code::Unavailable);
        let now = Instant::now();
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            return false;
        }
        // Whoever could not be reached was given no work: another one is asked instead.
        if unsent && untried && self.tried.len() < PASSED_OVER_MAX {
            self.made = self.made.saturating_sub(1);
            self.count(Counted::PassedOver);
            return true;
        }
        if self.made >= self.most || !self.spend() {
            return false;
        }
        let pause = self.pause();
        if self.deadline.is_some_and(|deadline| now + pause >= deadline) {
            return false;
        }
        sleep(pause).await;
        if !untried {
            self.look_again(head);
        }
        self.count(Counted::TriedAgain);
        true
    }

    /// Notes what came of the call, and returns it: with an effect that is unknown if that of any attempt was. The last
    /// one was of `instance`, if there was one.
    ///
    /// # Errors
    /// That of the answer.
    pub fn end<T>(
        &self,
        endpoint: &str,
        instance: Option<&Instance>,
        answer: Result<T, Fault>,
    ) -> Result<T, Fault> {
        let answer = answer.map_err(|fault| if self.uncertain { fault.effect_unknown() } else { fault });
        let now = Instant::now();
        self.callee.traffic.note(Sample {
            at: now,
            endpoint: match &self.called {
                Some((called, _)) if **called == *endpoint => called.clone(),
                _ => endpoint.into(),
            },
            version: instance.map_or("", |instance| &instance.version).into(),
            took: now.saturating_duration_since(self.began),
            fault: match &answer {
                Ok(_) => self.told_failure.then_some((Code::Failed, Effect::Unknown)),
                Err(fault) => Sample::fault_of(fault),
            },
            attempts: self.made,
            hedged: self.hedged,
            in_flight: self.callee.in_flight.load(Ordering::Relaxed),
            pair: self.pair,
        });
        answer
    }

    /// The name of an endpoint, and how long it takes. It is looked up once, unless versions name it differently.
    fn called(&mut self, endpoint: &str) -> &(Arc<str>, Arc<Latencies>) {
        // Paths are without number, and all of them one endpoint.
        let endpoint = if endpoint.starts_with(RAW) { RAW } else { endpoint };
        let known = self.called.take().filter(|(name, _)| **name == *endpoint);
        self.called.insert(known.unwrap_or_else(|| self.callee.latencies(endpoint)))
    }

    /// All were tried: others may have come, and those that there are may be tried once more.
    fn look_again(&mut self, head: &Head) {
        self.tried.clear();
        if let Ok(candidates) = self.calls.0.registry.candidates(&head.namespace, &head.service) {
            let candidates = offering(candidates, |instance| instance.endpoints.contains(&head.endpoint));
            self.seats = self.calls.seats(&self.callee, candidates, Instant::now());
        }
    }

    /// Whether another attempt does no harm, and may help.
    fn may_be_done_again(&self, endpoint: &str, fault: &Fault) -> bool {
        passes(fault.code) && (fault.effect == Effect::None || self.policy.is_idempotent(endpoint))
    }

    fn spend(&self) -> bool {
        let spent = self.calls.0.budgets.spend(self.pair, &self.policy.retry, Instant::now());
        if !spent {
            self.count(Counted::OutOfBudget);
        }
        spent
    }

    fn count(&self, counted: Counted) {
        self.calls.0.counters.add(counted);
    }

    /// A random part of a time that doubles with each attempt (M. Brooker, "Exponential Backoff And Jitter", 2015).
    fn pause(&self) -> Duration {
        let retry = &self.policy.retry;
        let doublings = u32::from(self.made.saturating_sub(1)).min(16);
        let longest = retry.backoff.saturating_mul(1 << doublings).min(retry.backoff_max);
        longest.mul_f64(self.calls.chance() as f64 / u64::MAX as f64)
    }
}

impl Drop for Attempts {
    fn drop(&mut self) {
        self.callee.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What an answer says of the instance that gave it, of a call that was given so much time.
fn outcome<T>(answer: &Result<T, Fault>, given: Option<Duration>) -> Outcome {
    let Err(fault) = answer else { return Outcome::Good };
    match fault.code {
        code if is_an_answer(code) => Outcome::Good,
        Code::Failed | Code::Internal | Code::Unknown => Outcome::Failed,
        Code::Limited | Code::Overloaded => Outcome::Busy,
        Code::Unreachable => Outcome::Cut,
        Code::Timeout if given.is_some_and(|given| given < PATIENCE) => Outcome::Busy,
        _ => Outcome::Lost,
    }
}

/// Whether the head of an answer says that the instance failed: by HTTP, or by gRPC, which has it there if nothing
/// follows.
fn has_failed(response: &Response<Body>) -> bool {
    const FAILURES: [StatusCode; 4] = [
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ];
    FAILURES.contains(&response.status()) || tells_failure(response.headers())
}

/// Whether a status of gRPC says that the instance failed: UNKNOWN, INTERNAL, UNAVAILABLE, or DATA_LOSS.
fn tells_failure(headers: &HeaderMap) -> bool {
    headers
        .get("grpc-status")
        .is_some_and(|status| ["2", "13", "14", "15"].iter().any(|failure| status == failure))
}

/// Whether a fault is what an instance that is well says to a caller who asks for what can't be had.
pub(super) fn is_an_answer(code: Code) -> bool {
    matches!(
        code,
        Code::Usage
            | Code::Denied
            | Code::NotFound
            | Code::Conflict
            | Code::Compacted
            | Code::Unimplemented
            | Code::TooLarge
    )
}

/// Whether what happened may be over with the next attempt.
pub(super) fn passes(code: Code) -> bool {
    matches!(code, Code::Unreachable | Code::Unavailable | Code::Limited | Code::Overloaded | Code::Timeout)
}

fn open(head: &Head, wait: Duration) -> Fault {
    let Head { service, .. } = head;
    let message = format!(
        "calls of {service} failed one after the other: it gets none for {} ms",
        wait.as_millis().max(1)
    );
    Fault::new(Code::Unavailable, message)
        .help(format!("look after its instances: `micro-node services {service}`"))
        .help(format!("`micro-node policy get {service}` shows when a circuit opens, and for how long"))
}

/// Those of the instances that have what is asked for, if any has it: of programs that share a name, and of versions,
/// each gets the calls that are for it.
pub(crate) fn offering(instances: Instances, has: impl Fn(&Instance) -> bool) -> Instances {
    if instances.len() < 2 {
        return instances;
    }
    let (have, others): (Instances, Instances) = instances.into_iter().partition(|instance| has(instance));
    if have.is_empty() { others } else { have }
}

/// That no instance took a call.
pub(crate) fn unreached(head: &Head) -> Fault {
    let message = format!("no instance of {} can be reached", head.service);
    Fault::new(Code::Unavailable, message).help("see `micro-node status`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Empty;

    #[test]
    fn the_head_of_an_answer_says_whether_it_failed() {
        for (status, grpc, failed) in [
            (200, None, false),
            (404, None, false),
            (500, None, true),
            (502, None, true),
            (503, None, true),
            (200, Some("0"), false),
            (200, Some("5"), false),
            (200, Some("13"), true),
        ] {
            let mut response = Response::builder().status(status);
            if let Some(grpc) = grpc {
                response = response.header("grpc-status", grpc);
            }
            let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
            assert_eq!(has_failed(&response.body(body).expect("a head")), failed, "{status} {grpc:?}");
        }
    }
}
