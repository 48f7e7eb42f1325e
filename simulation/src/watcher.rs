//! Looks at all nodes and their disks, so that the checkers need not know where to look.

use crate::{
    checkers::Violation,
    clouds,
    machine::{Machine, Shared},
    seams,
    sighting::{Line, Network, NodeSight, Papers, Position, Progress, Sighting, StatePrint},
    trace::Fnv,
};
use micro_consensus::{LogPosition, Observation};
use micro_mesh::LinkState;
use micro_node::node::Node;
use micro_storage::{Family, LogRecord, LogStore, Order, ScanRange, StateView, StorageError};
use std::{
    collections::BTreeMap,
    ops::Bound,
    time::{Duration, SystemTime},
};

/// How often states are digested: it costs a walk over all records.
const STATE_EVERY: Duration = Duration::from_millis(500);

/// Under this key of the family `Raft` lies how far the state has been applied.
const APPLIED: &[u8] = b"applied";

/// Looks, and remembers what it saw.
#[derive(Default)]
pub struct Watcher {
    sighting: Sighting,
    states_at: Duration,
    /// By name: what was found fresh in a log between two looks.
    fresh: BTreeMap<String, u64>,
}

impl Watcher {
    /// Looks at everything.
    ///
    /// # Errors
    /// If a disk gives back other bytes than were written, which no fault of the storm makes it do.
    pub fn look(&mut self, shared: &Shared, at: Duration) -> Result<&Sighting, Violation> {
        self.sighting.at = at;
        let with_state = at >= self.states_at + STATE_EVERY;
        if with_state {
            self.states_at = at;
        }
        self.sighting.network = shared.options.clouds.then(|| network(shared));
        for machine in &shared.machines {
            let sight = self.sighting.nodes.entry(machine.name.clone()).or_default();
            let clock = seams::clock(shared.trace.clone(), machine.skew.clone());
            look_at(machine, sight, with_state, clock.now()).map_err(|error| bad_disk(machine, &error))?;
            let too_long = is_too_long(machine, sight, shared.options.snapshot_bytes);
            sight.log_too_long = too_long.map_err(|error| bad_disk(machine, &error))?;
            let glanced = self.fresh.remove(&machine.name);
            sight.fresh_from = glanced.into_iter().chain(sight.fresh_from).min();
        }
        Ok(&self.sighting)
    }

    /// Reads the log of a node that is about to die, whose disk can't be read before its next start: what
    /// it made durable since the last look counts.
    ///
    /// # Errors
    /// As [`look`](Self::look).
    pub fn glance(&mut self, machine: &Machine) -> Result<(), Violation> {
        let sight = self.sighting.nodes.entry(machine.name.clone()).or_default();
        let storage = machine.storage.borrow();
        let Some(storage) = storage.as_ref() else { return Ok(()) };
        sight.fresh_from = None;
        read_log(&*storage.log, sight).map_err(|error| bad_disk(machine, &error))?;
        if let Some(fresh) = sight.fresh_from {
            self.fresh
                .entry(machine.name.clone())
                .and_modify(|from| *from = fresh.min(*from))
                .or_insert(fresh);
        }
        Ok(())
    }
}

fn bad_disk(machine: &Machine, error: &StorageError) -> Violation {
    Violation { checker: "disks", what: format!("{}: {error}", machine.name) }
}

fn look_at(
    machine: &Machine,
    sight: &mut NodeSight,
    with_state: bool,
    now: SystemTime,
) -> Result<(), StorageError> {
    (sight.fresh_from, sight.state, sight.progress, sight.papers) = (None, None, None, None);
    sight.ways.clear();
    sight.boot = machine.boot.get();
    if let Some(node) = machine.node.borrow().upgrade() {
        let mut progress = progress(node.consensus().observe());
        // A node whose disk failed is right to stop.
        progress.stopped = progress.stopped.filter(|_| !machine.damaged.get());
        sight.progress = Some(progress);
        sight.papers = Some(papers(&node, now));
        let up = node.mesh().routes().into_iter().filter(|route| route.state == LinkState::Up);
        sight.ways = up.map(|route| (route.node, route.relays)).collect();
    }
    sight.id = machine.id.get();
    if let Some(storage) = machine.storage.borrow().as_ref() {
        read_log(&*storage.log, sight)?;
        if with_state {
            sight.state = state(machine)?;
        }
    }
    Ok(())
}

/// Whether the log of a running node takes twice the bytes that make a snapshot due, what is kept behind one left
/// aside.
fn is_too_long(machine: &Machine, sight: &NodeSight, snapshot_bytes: u64) -> Result<bool, StorageError> {
    let storage = machine.storage.borrow();
    let applied = sight.progress.as_ref().and_then(|progress| progress.applied);
    let (Some(storage), Some(applied)) = (storage.as_ref(), applied) else { return Ok(false) };
    let tail = storage.log.tail(snapshot_bytes.saturating_mul(2))?;
    Ok(tail.min(applied.index) > storage.log.range()?.start)
}

/// The links between the hosts.
fn network(shared: &Shared) -> Network {
    let mut round_trips = BTreeMap::new();
    for ((one, other), latency) in shared.latencies.borrow().iter() {
        let [one, other] = [*one, *other].map(|seat| shared.machine(seat));
        let [a, b] = [one, other].map(|machine| machine.ip.get());
        if !shared.weather.is_blocked(a, b) && !shared.weather.is_blocked(b, a) {
            round_trips.insert((one.name.clone(), other.name.clone()), 2 * *latency);
            round_trips.insert((other.name.clone(), one.name.clone()), 2 * *latency);
        }
    }
    let of = |machine: &Machine| (machine.name.clone(), clouds::name(shared, machine));
    let gateways = shared.machines.iter().filter(|machine| clouds::is_gateway(shared, machine));
    Network {
        round_trips,
        changed: shared.network_changed.get(),
        unsteady: shared.unsteady.get(),
        clouds: shared.machines.iter().map(of).collect(),
        gateways: gateways.map(|machine| machine.name.clone()).collect(),
    }
}

fn progress(seen: Observation) -> Progress {
    let position =
        |position: Option<LogPosition>| position.map(|p| Position { term: p.term, index: p.index });
    Progress {
        term: seen.term,
        voted_for: seen.vote.0,
        leading: seen.leading,
        leader: seen.leader,
        last: seen.last_log,
        committed: position(seen.committed),
        applied: position(seen.applied),
        snapshot: position(seen.snapshot),
        purged: position(seen.purged),
        voters: seen.voters,
        changing: seen.changing,
        stopped: seen.stopped,
    }
}

/// What a node shows to others `now`, by its own clock.
fn papers(node: &Node, now: SystemTime) -> Papers {
    let (identity, trust) = (node.mesh().identity(), node.mesh().trust());
    Papers {
        ended: now.duration_since(identity.expires()).ok(),
        authority: identity.pin(),
        believed: trust.pin(),
        handing_over: trust.is_handing_over(),
    }
}

fn line(record: &LogRecord) -> Line {
    let mut print = Fnv::default();
    print.add(&[record.kind]);
    print.add(&record.body);
    Line { term: record.term, leader: record.leader, print: print.0 }
}

/// Brings the copy of a log up to date: drops what was purged, finds the last entry that is still the same,
/// and reads what follows it.
fn read_log(log: &dyn LogStore, sight: &mut NodeSight) -> Result<(), StorageError> {
    let range = log.range()?;
    sight.log = sight.log.split_off(&range.start);
    sight.log_start = range.start;
    // Steps back double, so that a long tail that was replaced costs few looks.
    let (mut from, mut step) = (range.start, 1);
    let mut probe = sight.log.keys().next_back().copied();
    while let Some(index) = probe {
        let stored = log.read(index..index + 1, usize::MAX)?;
        if stored.first().map(line).as_ref() == sight.log.get(&index) {
            from = index + 1;
            break;
        }
        probe = index.checked_sub(step).filter(|index| *index >= range.start);
        step *= 2;
    }
    // The split is the tail that is gone.
    drop(sight.log.split_off(&from));
    let records = log.read(from..range.end, usize::MAX)?;
    sight.fresh_from = records.first().map(|record| record.index);
    sight.log.extend(records.iter().map(|record| (record.index, line(record))));
    Ok(())
}

/// The digest of a node's state, read past its fence: a look must not be what finds damage. None if it is damaged.
fn state(machine: &Machine) -> Result<Option<StatePrint>, StorageError> {
    let mut found = Ok(None);
    machine.disk.look_at_state(&mut |state| found = digest(state));
    match found {
        Err(StorageError::Corrupt { .. }) => Ok(None),
        found => found,
    }
}

/// The digest of a state, or none while nothing was applied to it.
pub fn digest(state: &dyn StateView) -> Result<Option<StatePrint>, StorageError> {
    let Some(applied) = state.get(Family::Raft, APPLIED)? else { return Ok(None) };
    let mut print = Fnv::default();
    for family in Family::ALL.into_iter().filter(|family| *family != Family::Raft) {
        let all = ScanRange { start: Bound::Unbounded, end: Bound::Unbounded };
        for (key, value) in state.scan(family, all, Order::Ascending, usize::MAX, usize::MAX)? {
            print.add_number(key.len() as u64);
            print.add(&key);
            print.add_number(value.len() as u64);
            print.add(&value);
        }
    }
    Ok(Some(StatePrint { applied: applied.to_vec(), print: print.0 }))
}

/// The digests of all states, by name. Nodes that don't run are left out.
pub fn states(shared: &Shared) -> BTreeMap<String, StatePrint> {
    let found = |machine: &Machine| {
        machine.storage.borrow().as_ref()?;
        Some((machine.name.clone(), state(machine).ok()??))
    };
    shared.members().filter_map(found).collect()
}
