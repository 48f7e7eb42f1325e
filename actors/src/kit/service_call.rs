//! Calls of people's services, one request for one answer: by the contract of calls at the node whose door they came
//! in at, and at the node of the instance that was chosen there.

use super::{Dispatch, dispatch::Answer, endpoint::endpoint};
use crate::{
    audit::Origin,
    calls::{Attempt, Attempts, Counted, offering},
    registry::Instances,
};
use bytes::Bytes;
use futures::future::select;
use micro_sdk::wire::{Code, Fault, Head, Instance, InstanceId};
use std::sync::Arc;
use tokio::time::{Duration, Instant, timeout};

impl Dispatch {
    /// Calls a person's service, as the contract of calls says (see [`calls`](crate::calls)).
    ///
    /// The rules know an endpoint by its full name, which the instance says. Whoever may not call what is not there
    /// does not learn that it is not.
    pub(super) async fn call_service(
        &self,
        origin: Origin,
        mut head: Head,
        body: Bytes,
    ) -> Result<Answer, Fault> {
        if head.endpoint.starts_with('-') {
            self.authorize(origin, &head)?;
        }
        let patience = Duration::from_millis(u64::from(head.deadline_ms));
        let candidates = self.registry().candidates_soon(&head.namespace, &head.service, patience).await;
        let candidates = candidates.or_else(|fault| self.authorize(origin, &head).and(Err(fault)))?;
        let candidates = match head.instance {
            Some(meant) => {
                let mut asked = head.clone();
                let offered = candidates.iter().find(|instance| endpoint(instance, &head.endpoint).is_ok());
                match offered {
                    Some(instance) => self.name(origin, &mut asked, instance, endpoint)?,
                    None => self.authorize(origin, &head)?,
                }
                only(candidates, meant)?
            }
            None => candidates,
        };
        let candidates = offering(candidates, |instance| endpoint(instance, &head.endpoint).is_ok());
        let mut attempts = self.calls().attempts(&head, candidates).unary();
        let (mut last, mut called) = (None, None);
        let answer = loop {
            let attempt = match attempts.next(&head) {
                Ok(attempt) => attempt,
                // What the last one said is more than that nobody is left.
                Err(fault) => break Err(last.unwrap_or(fault)),
            };
            if let Err(fault) = self.name(origin, &mut head, &attempt.instance, endpoint) {
                break Err(fault);
            }
            if attempt.instance.streams_of(&head.endpoint).any() {
                break Err(is_a_stream(&head));
            }
            called = Some(attempt.instance.clone());
            match self.race(&mut attempts, attempt, &mut head, &body).await {
                Err(fault) if attempts.again(&head, &fault).await => last = Some(fault),
                answer => break answer,
            }
        };
        attempts.end(&head.endpoint, called.as_deref(), answer)
    }

    /// Has an endpoint be called by its full name, if the caller may.
    pub(super) fn name(
        &self,
        origin: Origin,
        head: &mut Head,
        instance: &Instance,
        full: impl Fn(&Instance, &str) -> Result<String, Fault>,
    ) -> Result<(), Fault> {
        head.endpoint =
            full(instance, &head.endpoint).or_else(|fault| self.authorize(origin, head).and(Err(fault)))?;
        self.authorize(origin, head)
    }

    /// Makes an attempt, and a second beside it if the first takes long and both do no harm. The first answer counts,
    /// and who comes too late is told that nobody waits.
    async fn race(
        &self,
        attempts: &mut Attempts,
        attempt: Attempt,
        head: &mut Head,
        body: &Bytes,
    ) -> Result<Answer, Fault> {
        aim(head, &attempt, attempts.deadline());
        match attempts.hedge_after(&head.endpoint) {
            Some(after) => self.hedged(attempts, attempt, after, head, body).await,
            None => {
                let sent = self.sent(attempt, head, body).await;
                noted(attempts, head, sent)
            }
        }
    }

    async fn hedged(
        &self,
        attempts: &mut Attempts,
        attempt: Attempt,
        after: Duration,
        head: &Head,
        body: &Bytes,
    ) -> Result<Answer, Fault> {
        let mut one = Box::pin(self.sent(attempt, head, body));
        let second = match timeout(after, &mut one).await {
            Ok(sent) => return noted(attempts, head, sent),
            // Another version may not have the endpoint.
            Err(_) => {
                attempts.second(head).filter(|second| second.instance.endpoints.contains(&head.endpoint))
            }
        };
        let Some(second) = second else { return noted(attempts, head, one.await) };
        let mut other = head.clone();
        aim(&mut other, &second, attempts.deadline());
        let two = Box::pin(self.sent(second, &other, body));
        let (first, other) = select(one, two).await.factor_first();
        match noted(attempts, head, first) {
            Ok(answer) => Ok(answer),
            Err(_) => noted(attempts, head, other.await),
        }
    }

    /// Sends a call to the instance of an attempt, at which it is aimed.
    async fn sent(&self, attempt: Attempt, head: &Head, body: &Bytes) -> (Attempt, Result<Answer, Fault>) {
        let Instance { id, node, .. } = *attempt.instance;
        let answer = match node == self.node() {
            true => self.counted(self.registry().call_instance(id, head, body.clone()).await),
            false => {
                let sent = Box::pin(self.call_at(node, head.clone(), body.clone())).await;
                sent.map_err(|fault| self.lost(node, fault))
            }
        };
        (attempt, answer.map(|body| Answer { body, node }))
    }

    /// Has an instance of this node answer a call that another node passed on: the one that was chosen there.
    pub(super) async fn answer_here(
        &self,
        origin: Origin,
        mut head: Head,
        body: Bytes,
    ) -> Result<Bytes, Fault> {
        let instance = self.meant(origin, &mut head, endpoint)?;
        if instance.streams_of(&head.endpoint).any() {
            return Err(is_a_stream(&head));
        }
        self.counted(self.registry().call_instance(instance.id, &head, body).await)
    }

    /// Counts what an instance of this node refused for having too much to do.
    pub(super) fn counted<T>(&self, answer: Result<T, Fault>) -> Result<T, Fault> {
        if answer.as_ref().is_err_and(|fault| fault.code == Code::Overloaded) {
            self.calls().counters().add(Counted::Shed);
        }
        answer
    }

    /// The instance here that a call is meant for which another node passed on.
    pub(super) fn meant(
        &self,
        origin: Origin,
        head: &mut Head,
        full: impl Fn(&Instance, &str) -> Result<String, Fault>,
    ) -> Result<Arc<Instance>, Fault> {
        let mut here = self.registry().here(&head.namespace, &head.service);
        if let Some(meant) = head.instance.map(|meant| self.registry().present(meant)) {
            here.retain(|instance| instance.id == meant);
        }
        let left = || {
            let message = format!("there is no instance of {} on this node any more", head.service);
            Fault::new(Code::Unavailable, message).help("the service is moving: try again")
        };
        let instance = here.into_iter().next().ok_or_else(left);
        let instance = instance.or_else(|fault| self.authorize(origin, head).and(Err(fault)))?;
        self.name(origin, head, &instance, full)?;
        Ok(instance)
    }
}

/// The one that the caller means.
fn only(candidates: Instances, meant: InstanceId) -> Result<Instances, Fault> {
    let found: Instances = candidates.iter().filter(|instance| instance.id == meant).cloned().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let all: Vec<String> = candidates.iter().map(|instance| format!("{:016x}", instance.id)).collect();
    let message = format!("no instance {meant:016x} of that service can be called");
    Err(Fault::new(Code::NotFound, message).help(format!("there are: {}", all.join(", "))))
}

/// Has a call be for the instance of an attempt, with the time that is left.
pub(super) fn aim(head: &mut Head, attempt: &Attempt, deadline: Option<Instant>) {
    head.instance = Some(attempt.instance.id);
    if let Some(deadline) = deadline {
        head.deadline_ms = remaining_ms(deadline);
    }
}

/// What came of an attempt, once it is noted.
fn noted(
    attempts: &mut Attempts,
    head: &Head,
    (attempt, answer): (Attempt, Result<Answer, Fault>),
) -> Result<Answer, Fault> {
    attempts.note(attempt, &head.endpoint, &answer);
    answer
}

/// That an endpoint can't be called with one request for one answer.
fn is_a_stream(head: &Head) -> Fault {
    let Head { service, endpoint, .. } = head;
    Fault::new(Code::Usage, format!("{endpoint} of {service} is a stream: it is no call of one answer"))
        .help(format!("`micro-node stream {service} {endpoint}`; the HTTP api and gRPC stream it too"))
}

/// What is left until `deadline`, in milliseconds.
fn remaining_ms(deadline: Instant) -> u32 {
    let left = deadline.saturating_duration_since(Instant::now());
    u32::try_from(left.as_millis()).unwrap_or(u32::MAX)
}
