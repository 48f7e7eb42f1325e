//! A peer: where it is dialled, the links to it, and which of them is used.
//!
//! There may be two: a direct one, and one over relays where that is the better way, or the only one. Both ends may
//! dial at the same moment. Of two links of a kind the one is used that was opened by the lower node id; the other
//! takes no new streams, and is closed by its dialler once it is empty. Since a link may have died unnoticed, one
//! that still answers goes before one that does not.

use super::{
    Demand, Link, LinkKind, Refusal, close_code, demand::LINGER, describe, has_left, lock,
    peer_state::PeerState, whereabouts::Whereabouts,
};
use crate::{LinkState, Route, Trust, relay::Path, routing::OwnLink};
use micro_sdk::wire::{Code, Fault, NodeId, Seams};
use quinn::VarInt;
use std::{
    cmp::Reverse,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::SystemTime,
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout_at},
};

/// What those who wait for a link see.
#[derive(Clone, Debug, Default)]
struct Outlook {
    link: Option<Arc<Link>>,
    /// The best of the direct ones, whether it is in use or not.
    direct: Option<Arc<Link>>,
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

/// What the task hears that keeps a link of one kind.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// Somebody waits for a link.
    pub(super) wanted: Notify,
    /// The links have changed, or whether there has to be one.
    pub(super) changed: Notify,
}

/// Another node.
pub(crate) struct Peer {
    pub(crate) node: NodeId,
    pub(super) own: NodeId,
    pub(super) seams: Seams,
    state: Mutex<PeerState>,
    outlook: watch::Sender<Outlook>,
    direct: Signals,
    relayed: Signals,
    /// The way over relays has changed.
    rerouted: Notify,
}

impl Peer {
    /// A peer that is to be linked always, or only while somebody wants that.
    pub(crate) fn new(node: NodeId, own: NodeId, address: SocketAddr, kept: bool, seams: Seams) -> Arc<Self> {
        let state = PeerState {
            place: Whereabouts::new(address),
            links: Vec::new(),
            dialling: 0,
            demand: Demand::new(kept, Instant::now()),
            alive: false,
            relayed: None,
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
            direct: Signals::default(),
            relayed: Signals::default(),
            rerouted: Notify::new(),
        })
    }

    /// Where it is dialled.
    pub(crate) fn address(&self) -> SocketAddr {
        lock(&self.state).place.address
    }

    /// Where it is dialled, in the order in which that is tried.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        lock(&self.state).place.all()
    }

    /// Takes note of where it may be dialled too, as was known at the last start.
    pub(crate) fn may_be_at(&self, address: SocketAddr) {
        lock(&self.state).place.may_be_at(address);
    }

    /// Takes note of where it was reached.
    pub(crate) fn reached_at(&self, address: SocketAddr) {
        lock(&self.state).place.reached_at(address);
    }

    /// Takes note of where it may be dialled too, as the node says in the life `boot`.
    pub(crate) fn also_at(&self, also: Vec<SocketAddr>, boot: u64) {
        lock(&self.state).place.also_at(also, boot);
    }

    /// Takes note of where it is dialled from now on.
    pub(crate) fn move_to(&self, address: SocketAddr) {
        self.dial_anew_if(std::mem::replace(&mut lock(&self.state).place.address, address) != address);
    }

    /// Takes note of where the node itself, in the life `boot`, says that it is dialled. `heard` is false for hearsay.
    pub(crate) fn moved_to(&self, address: SocketAddr, boot: u64, heard: bool) {
        self.dial_anew_if(lock(&self.state).place.moved_to(address, boot, heard));
    }

    fn dial_anew_if(&self, moved: bool) {
        if moved {
            self.direct.wanted.notify_one();
        }
    }

    /// The link in use, if there is one now.
    pub(crate) fn current(&self) -> Option<Arc<Link>> {
        self.outlook.borrow().open_link()
    }

    /// The best direct link, if there is one now.
    pub(crate) fn direct(&self) -> Option<Arc<Link>> {
        self.outlook.borrow().direct.clone().filter(|link| link.is_open())
    }

    /// How the direct links are, for choosing ways; none if there is none that answers. One that was only just made is
    /// not known yet, and stands in the place of one that is.
    pub(crate) fn measured(&self) -> Option<OwnLink> {
        let demand = lock(&self.state).demand;
        let links = self.links();
        let mut direct: Vec<_> =
            links.iter().filter(|link| link.kind == LinkKind::Direct && link.is_open()).collect();
        direct.sort_by_key(|link| Reverse(link.order));
        let steady = direct.last().is_some_and(|first| demand.is_steady(first.born, Instant::now()));
        let metric = direct.into_iter().find_map(|link| link.measured())?;
        Some(OwnLink { metric, kept: demand.is_kept(), steady })
    }

    /// Resolves when the way to the peer is not `way` any more.
    pub(super) async fn leaves(&self, way: Option<Path>) {
        while self.way() == way {
            self.rerouted.notified().await;
        }
    }

    /// The way to the peer, if that has relays.
    pub(super) fn way(&self) -> Option<Path> {
        lock(&self.state).relayed
    }

    /// The best link of a kind, if there is one now.
    pub(super) fn best(&self, kind: LinkKind) -> Option<Arc<Link>> {
        lock(&self.state).best(self.own.min(self.node), |link| link.kind == kind)
    }

    pub(super) fn signals(&self, kind: LinkKind) -> &Signals {
        match kind {
            LinkKind::Direct => &self.direct,
            LinkKind::Relayed => &self.relayed,
        }
    }

    /// Takes note of the way to the peer, if that has relays. A link over them is then kept beside the direct one, and
    /// used.
    pub(crate) fn go(&self, relayed: Option<Path>) {
        let mut state = lock(&self.state);
        if state.go(relayed) {
            self.refresh(state);
            self.relayed.changed.notify_one();
            self.rerouted.notify_one();
        }
    }

    /// Whether there is to be a link of the kind.
    pub(super) fn wants(&self, kind: LinkKind) -> bool {
        let state = lock(&self.state);
        let used = |link: &Arc<Link>| link.is_open() && link.opened_by == self.own && link.idle() < LINGER;
        let wanted = state.demand.is_wanted(Instant::now()) || state.links.iter().any(used);
        wanted && (kind == LinkKind::Direct || state.relayed.is_some())
    }

    /// Whether a link over relays had better wait, since there may be a direct one soon.
    pub(super) fn hopes_for_direct(&self) -> bool {
        let direct = self.best(LinkKind::Direct).map(|link| link.born);
        lock(&self.state).demand.hopes_for_direct(direct, Instant::now())
    }

    /// Whether it can't be dialled, as far as is known, and has not dialled this node.
    pub(crate) fn is_undialable(&self) -> bool {
        self.direct().is_none() && lock(&self.state).demand.is_undialable()
    }

    /// Takes note of whether there is always to be a link, and whether the mesh is so small that there is one between
    /// each two.
    pub(crate) fn keep(&self, kept: bool, full: bool) {
        let mut state = lock(&self.state);
        if state.demand.keep(kept, full, Instant::now()) {
            self.refresh(state);
            self.look_anew();
        }
    }

    /// Takes note of whether it is alive, by gossip.
    pub(crate) fn heard_of(&self, alive: bool) {
        let mut state = lock(&self.state);
        state.alive = alive;
        if state.links.is_empty() {
            self.refresh(state);
        }
    }

    /// Whether a link is up, and its peer heard of within the last seconds.
    pub(crate) fn is_up(&self) -> bool {
        self.current().is_some_and(|link| link.is_fresh())
    }

    /// Whether it is up, or would be linked if anybody wanted that, as far as is known.
    pub(crate) fn is_reachable(&self) -> bool {
        self.is_up() || self.is_idle()
    }

    /// Whether it is not linked, since nobody wants that.
    pub(crate) fn is_idle(&self) -> bool {
        lock(&self.state).shown == LinkState::Idle
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
        lock(&self.state).demand.want(Instant::now());
        self.look_anew();
        self.direct.wanted.notify_one();
        self.relayed.wanted.notify_one();
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
        let (node, address, problem) = (self.node, state.place.address, &state.problem);
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
        self.look_anew();
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
        self.look_anew();
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

    fn refresh(&self, mut state: MutexGuard<'_, PeerState>) {
        let lower = self.own.min(self.node);
        let best = state.best(lower, |_| true);
        let direct = state.best(lower, |link| link.kind == LinkKind::Direct);
        for link in &state.links {
            link.set_superseded(best.as_ref().is_some_and(|best| !Arc::ptr_eq(best, link)));
        }
        let before = state.shown;
        if state.show(best.as_deref()) {
            state.since = self.seams.clock.now();
            let address = best.as_deref().and_then(Link::address).unwrap_or(state.place.address);
            let (peer, problem, shown) = (self.node, &state.problem, state.shown);
            // Only a link that comes or goes is news; how often it was dialled in vain is not.
            if LinkState::Up == shown || LinkState::Up == before {
                tracing::info!(%peer, %address, state = ?shown, problem, "link");
            } else {
                tracing::debug!(%peer, %address, state = ?shown, problem, "link");
            }
        }
        // Under the lock, so that what is published last is what was found last.
        self.outlook.send_if_modified(|outlook| {
            let order = |link: &Option<Arc<Link>>| link.as_ref().map(|link| link.order);
            let changed = order(&outlook.link) != order(&best);
            (outlook.link, outlook.direct) = (best, direct);
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

    /// Has the peer's tasks look at its links now.
    pub(crate) fn look_anew(&self) {
        self.direct.changed.notify_one();
        self.relayed.changed.notify_one();
    }

    /// The links to it.
    pub(super) fn links(&self) -> Vec<Arc<Link>> {
        lock(&self.state).links.clone()
    }

    /// The way to the peer, for people and for choices.
    pub(crate) fn route(&self) -> Route {
        let current = self.current();
        let is_relayed = current.as_ref().is_some_and(|link| link.kind == LinkKind::Relayed);
        let reached = current.as_ref().and_then(|link| link.address());
        let (rtt, loss) = current.map_or((None, 0.0), |link| {
            let pulse = link.pulse();
            (pulse.rtt(), pulse.loss())
        });
        let state = lock(&self.state);
        let relayed = state.relayed.filter(|_| is_relayed);
        Route {
            node: self.node,
            address: reached.unwrap_or(state.place.address),
            relays: relayed.map(|path| path.relays().to_vec()).unwrap_or_default(),
            state: state.shown,
            rtt,
            loss,
            since: state.since,
            left: state.left && state.links.is_empty(),
            problem: state.problem.clone(),
        }
    }

    /// Takes note that a dial has begun.
    pub(super) fn begin_dial(&self, kind: LinkKind) {
        let mut state = lock(&self.state);
        state.dialling += 1;
        if kind == LinkKind::Direct {
            state.left = false;
        }
        self.refresh(state);
    }

    /// Takes note of how it ended.
    pub(super) fn end_dial(&self, kind: LinkKind, outcome: Result<(), String>) {
        let mut state = lock(&self.state);
        state.dialling -= 1;
        if kind == LinkKind::Direct {
            state.demand.dialled(outcome.is_ok());
            // Who has hoped for this one need not any more.
            self.relayed.changed.notify_one();
        }
        // Who waits for a link waits for the one over relays, if there is to be one.
        let decides = kind == LinkKind::Relayed || state.relayed.is_none();
        let failed = outcome.is_err() && state.links.is_empty() && decides;
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

    /// Whether the last link ended because the peer shuts down.
    pub(crate) fn has_left(&self) -> bool {
        let state = lock(&self.state);
        state.left && state.links.is_empty()
    }

    /// Resolves when the peer is parted with.
    pub(super) fn gone(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut outlook = self.outlook.subscribe();
        async move {
            let _ = outlook.wait_for(|outlook| outlook.gone).await;
        }
    }
}
