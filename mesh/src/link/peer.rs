//! A peer: where it is dialled, the links to it, and the task that keeps one.
//!
//! Both ends may dial at the same moment. Of two links the one is used that was opened by the lower node id;
//! the other takes no new streams, and is closed by its dialler once it is empty. Since a link may have died
//! unnoticed, one that still answers goes before one that does not.
//!
//! Whoever has renewed its certificate dials again. The new link goes before the old one, on which calls and
//! conversations may end in their time: no longer than the old certificates count.

use super::{Link, Refusal, close_code, describe, dial, has_left, lock};
use crate::{LinkState, Route, Trust, mesh::Inner, prelude::Purpose};
use micro_sdk::wire::{Code, Fault, NodeId, Seams};
use quinn::VarInt;
use std::{
    cmp::Reverse,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout, timeout_at},
};

/// The wait after the first failed dial; it doubles with each.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// The longest wait between dials: a host that is back is found again this soon.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// How often a link is looked at.
const TEND_INTERVAL: Duration = Duration::from_secs(1);
/// A link that has lived this long was no failure.
const PROVEN: Duration = Duration::from_secs(5);
/// How long both ends are given to agree on which link is kept, before an unused one is closed.
const AGREE: Duration = Duration::from_secs(2);
/// When a link that is not used any more is closed, whatever is on it. Lanes are reopened by their owners.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// The wait after a dial that was to replace a link and failed: the link is as good as it was.
const REPLACE_PAUSE: Duration = Duration::from_secs(1);
/// When a peer that answers QUIC but no ping is given up.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// What those who wait for a link see.
#[derive(Clone, Debug, Default)]
struct Outlook {
    link: Option<Arc<Link>>,
    /// Dials that have failed.
    failures: u64,
    /// The peer is not of the mesh any more.
    gone: bool,
}

impl Outlook {
    fn open_link(&self) -> Option<Arc<Link>> {
        self.link.clone().filter(|link| link.is_open())
    }
}

#[derive(Debug)]
struct State {
    address: SocketAddr,
    /// The newest life that the address was heard of from; 0 before any.
    boot: u64,
    links: Vec<Arc<Link>>,
    dialling: bool,
    /// It has said that it shuts down, and was not dialled since.
    left: bool,
    shown: LinkState,
    since: SystemTime,
    problem: String,
}

/// Another node.
pub(crate) struct Peer {
    pub(crate) node: NodeId,
    own: NodeId,
    seams: Seams,
    state: Mutex<State>,
    outlook: watch::Sender<Outlook>,
    /// Somebody waits for a link.
    wanted: Notify,
    /// The links have changed.
    changed: Notify,
}

impl Peer {
    pub(crate) fn new(node: NodeId, own: NodeId, address: SocketAddr, seams: Seams) -> Arc<Self> {
        let state = State {
            address,
            boot: 0,
            links: Vec::new(),
            dialling: false,
            left: false,
            shown: LinkState::Down,
            since: seams.clock.now(),
            problem: "not dialled yet".to_owned(),
        };
        Arc::new(Peer {
            node,
            own,
            seams,
            state: Mutex::new(state),
            outlook: watch::Sender::default(),
            wanted: Notify::new(),
            changed: Notify::new(),
        })
    }

    /// Where it is dialled.
    pub(crate) fn address(&self) -> SocketAddr {
        lock(&self.state).address
    }

    /// Takes note of where it is dialled from now on.
    pub(crate) fn move_to(&self, address: SocketAddr) {
        let mut state = lock(&self.state);
        if state.address != address {
            state.address = address;
            drop(state);
            self.wanted.notify_one();
        }
    }

    /// Takes note of where the node itself, in the life `boot`, says that it is dialled. `heard` is false for
    /// hearsay, which counts only if it is of a later life than what is known.
    pub(crate) fn moved_to(&self, address: SocketAddr, boot: u64, heard: bool) {
        let mut state = lock(&self.state);
        if boot > state.boot || (heard && boot == state.boot) {
            state.boot = boot;
            drop(state);
            self.move_to(address);
        }
    }

    /// The link in use, if there is one now.
    pub(crate) fn current(&self) -> Option<Arc<Link>> {
        self.outlook.borrow().open_link()
    }

    /// Whether a link is up, and its peer heard of within the last seconds.
    pub(crate) fn is_up(&self) -> bool {
        self.current().is_some_and(|link| link.is_fresh())
    }

    /// The link to use. Without one, waits for the dial under way or causes one.
    ///
    /// # Errors
    /// `Unreachable` if that dial fails, `Timeout` at the deadline; nothing was sent.
    pub(crate) async fn link(&self, deadline: Instant) -> Result<Arc<Link>, Fault> {
        if let Some(link) = self.current() {
            return Ok(link);
        }
        let mut outlook = self.outlook.subscribe();
        let failures = outlook.borrow_and_update().failures;
        self.wanted.notify_one();
        let settled = outlook
            .wait_for(|outlook| outlook.open_link().is_some() || outlook.failures > failures || outlook.gone);
        let link = match timeout_at(deadline, settled).await {
            Ok(Ok(outlook)) => outlook.open_link(),
            Ok(Err(_)) => None,
            Err(_) => {
                let (node, address) = (self.node, self.address());
                return Err(Fault::new(
                    Code::Timeout,
                    format!("node {node} at {address} could not be reached before the deadline"),
                ));
            }
        };
        link.ok_or_else(|| self.unreachable())
    }

    fn unreachable(&self) -> Fault {
        let state = lock(&self.state);
        let (node, address, problem) = (self.node, state.address, &state.problem);
        Fault::new(Code::Unreachable, format!("node {node} at {address} can't be reached: {problem}"))
    }

    /// Adds a link. Those of lives that it supersedes are closed.
    pub(crate) fn add(&self, link: &Arc<Link>) {
        let mut state = lock(&self.state);
        for old in state.links.iter().filter(|other| link.life.supersedes(other.life)) {
            // Mostly nobody hears it: the process is gone.
            old.close(Refusal::Superseded.code(), &Refusal::Superseded.to_string());
        }
        state.links.push(link.clone());
        self.refresh(state);
        self.changed.notify_one();
    }

    /// Takes a link out that is closed.
    pub(crate) fn remove(&self, link: &Arc<Link>) {
        let mut state = lock(&self.state);
        state.links.retain(|other| !Arc::ptr_eq(other, link));
        if let Some(reason) = link.connection.close_reason() {
            state.problem = describe(&reason);
            state.left = has_left(&reason);
        }
        self.refresh(state);
        self.changed.notify_one();
    }

    /// Parts with the peer: its links are closed, its task ends.
    pub(crate) fn part(&self, code: VarInt, reason: &str) {
        for link in &lock(&self.state).links {
            link.close(code, reason);
        }
        self.outlook.send_modify(|outlook| outlook.gone = true);
    }

    /// Chooses the link to use and tells those who wait. Called when anything may have changed.
    pub(crate) fn look(&self) {
        self.refresh(lock(&self.state));
    }

    fn refresh(&self, mut state: MutexGuard<'_, State>) {
        let lower = self.own.min(self.node);
        let rank =
            |link: &&Arc<Link>| (link.is_fresh(), link.renewals(), link.opened_by == lower, link.order);
        let best = state.links.iter().filter(|link| link.is_open()).max_by_key(rank).cloned();
        for link in &state.links {
            link.set_superseded(best.as_ref().is_some_and(|best| !Arc::ptr_eq(best, link)));
        }
        let shown = match &best {
            Some(link) if link.is_fresh() => LinkState::Up,
            Some(_) => LinkState::Down,
            None if state.dialling => LinkState::Connecting,
            None => LinkState::Down,
        };
        if shown == LinkState::Up {
            state.problem.clear();
        } else if best.is_some() {
            state.problem = "it does not answer".to_owned();
        }
        if shown != state.shown {
            let (peer, address, problem) = (self.node, state.address, &state.problem);
            // Only a link that comes or goes is news; how often it was dialled in vain is not.
            if LinkState::Up == shown || LinkState::Up == state.shown {
                tracing::info!(%peer, %address, state = ?shown, problem, "link");
            } else {
                tracing::debug!(%peer, %address, state = ?shown, problem, "link");
            }
            state.shown = shown;
            state.since = self.seams.clock.now();
        }
        // Under the lock, so that what is published last is what was found last.
        self.outlook.send_if_modified(|outlook| {
            let order = |link: &Option<Arc<Link>>| link.as_ref().map(|link| link.order);
            let changed = order(&outlook.link) != order(&best);
            outlook.link = best;
            changed
        });
    }

    /// Whether any connection to it is held.
    pub(crate) fn is_linked(&self) -> bool {
        !lock(&self.state).links.is_empty()
    }

    /// Whether there is no link that is up, or one that was made with the latest of this node's certificates, of which
    /// it had `renewals` before.
    pub(crate) fn is_linked_since(&self, renewals: u64) -> bool {
        self.current().is_none_or(|link| !link.is_fresh() || link.terms.own >= renewals)
    }

    /// Closes links whose peer has shown what does not count for who has this `trust`.
    pub(crate) fn part_unless(&self, trust: &Trust, now: SystemTime) {
        for link in lock(&self.state).links.iter().filter(|link| !link.is_believed(trust, now)) {
            link.close(
                close_code::REFUSED,
                "the certificate is of an authority that is not believed any more",
            );
        }
    }

    /// Has the peer's task look at its links now.
    pub(crate) fn look_anew(&self) {
        self.changed.notify_one();
    }

    /// The way to the peer, for people and for choices.
    pub(crate) fn route(&self) -> Route {
        let current = self.current();
        let (rtt, loss) = current.map_or((None, 0.0), |link| {
            let pulse = link.pulse();
            (pulse.rtt(), pulse.loss())
        });
        let state = lock(&self.state);
        Route {
            node: self.node,
            address: state.address,
            state: state.shown,
            rtt,
            loss,
            since: state.since,
            left: state.left && state.links.is_empty(),
            problem: state.problem.clone(),
        }
    }

    /// Takes note that a dial has begun.
    fn begin_dial(&self) -> SocketAddr {
        let mut state = lock(&self.state);
        (state.dialling, state.left) = (true, false);
        let address = state.address;
        self.refresh(state);
        address
    }

    /// Takes note of how it ended.
    fn end_dial(&self, outcome: Result<(), String>) {
        let mut state = lock(&self.state);
        state.dialling = false;
        let failed = outcome.is_err() && state.links.is_empty();
        if let Err(problem) = outcome
            && failed
        {
            state.problem = problem;
        }
        self.refresh(state);
        if failed {
            self.outlook.send_modify(|outlook| outlook.failures += 1);
        }
    }

    /// Looks after the links for a while. `false` if there is none, or only one that was made with another certificate
    /// than this node has now.
    async fn tend(&self, renewals: u64) -> bool {
        self.drop_expired();
        self.look();
        let Some(best) = self.current() else { return false };
        if best.terms.own < renewals && best.is_fresh() {
            return false;
        }
        if best.silence() > SILENCE_MAX {
            best.close(close_code::SILENT, "no ping was answered");
        }
        self.drop_duplicates(&best);
        let _ = timeout(TEND_INTERVAL, self.changed.notified()).await;
        true
    }

    /// Closes links that were made with a certificate which does not count any more.
    fn drop_expired(&self) {
        let now = self.seams.clock.now();
        for link in lock(&self.state).links.iter().filter(|link| link.terms.ends <= now) {
            link.close(close_code::EXPIRED, "a certificate of this link has ended");
        }
    }

    /// Closes links that are not in use any more. The dialler does; the other end only if the dialler forgets.
    fn drop_duplicates(&self, best: &Arc<Link>) {
        let settled = best.born.elapsed();
        if settled < AGREE || !best.is_fresh() {
            return;
        }
        for link in lock(&self.state).links.iter().filter(|link| !Arc::ptr_eq(link, best)) {
            let patience = if link.opened_by == self.own { DRAIN_MAX } else { 2 * DRAIN_MAX };
            let empty = link.opened_by == self.own && link.streams() == 0;
            // What was begun on a link whose certificates were renewed may end in its time, which is theirs.
            let busy = link.renewals() < best.renewals() && link.calls() > 0;
            if empty || (settled > patience && !busy) {
                link.close(close_code::DUPLICATE, "another connection is used");
            }
        }
    }

    /// The wait after so many failures: between half of it and all of it, so that many nodes don't dial as
    /// one.
    fn backoff(&self, failures: u32) -> Duration {
        let full = BACKOFF_MIN.saturating_mul(1 << failures.min(10)).min(BACKOFF_MAX);
        let share = u16::from_le_bytes(self.seams.random());
        full / 2 + full.mul_f64(f64::from(share) / f64::from(u16::MAX) / 2.0)
    }

    /// Waits until it is time for the next dial: after a while, or when somebody wants a link, or has made
    /// one.
    async fn pause(&self, failures: u32) {
        tokio::select! {
            biased;
            () = self.wanted.notified() => {}
            () = self.changed.notified() => {}
            () = sleep(self.backoff(failures)) => {}
        }
    }

    /// Whether the last link ended because the peer shuts down.
    fn has_left(&self) -> bool {
        let state = lock(&self.state);
        state.left && state.links.is_empty()
    }

    /// Resolves when the peer is parted with.
    fn gone(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut outlook = self.outlook.subscribe();
        async move {
            let _ = outlook.wait_for(|outlook| outlook.gone).await;
        }
    }
}

/// Keeps a link to `peer` until it or the mesh goes.
pub(crate) async fn keep(inner: Arc<Inner>, peer: Arc<Peer>) {
    tokio::select! {
        biased;
        () = inner.closed() => {}
        () = peer.gone() => {}
        () = redial(&inner, &peer) => {}
    }
}

/// Dials whenever there is no link, or none that was made with this node's certificate.
async fn redial(inner: &Arc<Inner>, peer: &Arc<Peer>) {
    let mut failures = 0;
    loop {
        let began = Instant::now();
        while peer.tend(inner.credentials().renewals).await {}
        let replaces = peer.current().is_some();
        if began.elapsed() > PROVEN {
            failures = 0;
        }
        if peer.has_left() {
            // It will not be back at once, unless somebody knows better.
            peer.pause(failures).await;
        }
        let address = peer.begin_dial();
        let outcome = match dial(inner, peer.node, address, Purpose::Link).await {
            Ok(link) => inner.adopt(&link, None).map_err(|refusal| refusal.to_string()),
            Err(problem) => Err(problem),
        };
        if let Err(problem) = &outcome {
            tracing::debug!(peer = %peer.node, %address, problem, "dial failed");
        }
        let connected = outcome.is_ok();
        peer.end_dial(outcome);
        if !connected && peer.current().is_none() {
            // Even somebody who waits gets no more than one dial in the shortest wait.
            sleep(peer.backoff(0)).await;
            peer.pause(failures).await;
            failures += 1;
        } else if !connected && replaces {
            sleep(REPLACE_PAUSE).await;
        }
    }
}

/// Orders routes for display: reachable ones first, then by node.
pub(crate) fn in_order(routes: &mut [Route]) {
    routes.sort_by_key(|route| (Reverse(route.state == LinkState::Up), route.node));
}
