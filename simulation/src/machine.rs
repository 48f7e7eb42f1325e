//! One simulated host: what outlives a crash of its node, and what does not.

use crate::{
    checkers::Violation,
    gauge::Gauge,
    options::Options,
    seams::Skew,
    socket::Power,
    trace::Trace,
    weather::Weather,
    workload::{History, Journals, queue::Again},
};
use micro_mesh::JoinToken;
use micro_node::node::Node;
use micro_sdk::wire::NodeId;
use micro_storage::{Family, ScanRange, Storage, memory::MemoryDisk};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    rc::{Rc, Weak},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::sync::Notify;

/// The port of the mesh on every host.
pub const MESH_PORT: u16 = 7400;

/// Which host, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat(pub usize);

/// What the clients do just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The nodes find together; no clients yet.
    Assembly,
    /// Clients work, faults happen.
    Storm,
    /// All is healed, and every node has to serve.
    Heal,
    /// Nothing is asked any more, so that replicas can become equal.
    Rest,
    /// One client reads what there is in the end.
    Last,
}

/// One host.
pub struct Machine {
    /// Its name, which is its node's too.
    pub name: String,
    /// Its address.
    pub ip: Cell<IpAddr>,
    /// Its disk, which survives everything.
    pub disk: Arc<MemoryDisk>,
    /// What is counted between its node and its disk.
    pub gauge: Arc<Gauge>,
    /// How far its clock is off.
    pub skew: Skew,
    /// How often its node was started.
    pub boot: Cell<u32>,
    /// The node's id, once known.
    pub id: Cell<Option<NodeId>>,
    /// Whether the host has a part in the world: a spare one has none yet.
    pub enrolled: Cell<bool>,
    /// Whether its node is to be taken out of the mesh for good.
    pub leaving: Cell<bool>,
    /// Whether its node was taken out: it is of no interest any more.
    pub out: Cell<bool>,
    /// Whether the node is meant to run.
    pub wanted: Cell<bool>,
    /// Whether the disk failed under the running node, so that it may stop.
    pub damaged: Cell<bool>,
    /// Whether the node is to read all of its state.
    pub reads_all: Cell<bool>,
    /// Whether the node is in the mesh: it needs no token any more.
    pub joined: Cell<bool>,
    /// Whether the node has become ready since its start.
    pub ready: Cell<bool>,
    /// Whether the node has served everything after the heal.
    pub probed: Cell<bool>,
    /// Whether its clients have seen in the end all that they wanted to.
    pub shown: Cell<bool>,
    /// When the node ended by itself, if it did.
    pub ended: Cell<Option<Duration>>,
    /// Asks the node to end in order.
    pub stop: Notify,
    /// Whether the host has power: another flag for every start.
    pub power: RefCell<Power>,
    /// The node, while it runs.
    pub node: RefCell<Weak<Node>>,
    /// The storage that the node has open.
    pub storage: RefCell<Option<Storage>>,
}

impl Machine {
    /// A host that was never started.
    pub fn new(name: String) -> Self {
        Machine {
            name,
            ip: Cell::new(IpAddr::from([0, 0, 0, 0])),
            disk: MemoryDisk::new(),
            gauge: Arc::default(),
            skew: Skew::default(),
            boot: Cell::new(0),
            id: Cell::new(None),
            enrolled: Cell::new(true),
            leaving: Cell::new(false),
            out: Cell::new(false),
            wanted: Cell::new(true),
            damaged: Cell::new(false),
            reads_all: Cell::new(false),
            joined: Cell::new(false),
            ready: Cell::new(false),
            probed: Cell::new(false),
            shown: Cell::new(false),
            ended: Cell::new(None),
            stop: Notify::new(),
            power: RefCell::default(),
            node: RefCell::default(),
            storage: RefCell::default(),
        }
    }

    /// Whether it has a part in the world, and its node has not been taken out.
    pub fn is_member(&self) -> bool {
        self.enrolled.get() && !self.out.get()
    }

    /// Where its mesh listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ip.get(), MESH_PORT)
    }

    /// Whether its node runs, as far as the operating system knows.
    pub fn is_up(&self) -> bool {
        self.wanted.get() && self.ended.get().is_none()
    }

    /// Whether anything of its node may still do anything.
    pub fn has_power(&self) -> bool {
        self.power.borrow().load(Ordering::Relaxed)
    }

    /// Reads all of the state as the node does, if that is to be and it runs. What it meets is the node's affair.
    pub fn read_all(&self) {
        let storage = self.storage.borrow().clone();
        let Some(storage) = storage.filter(|_| self.reads_all.take()) else { return };
        for family in Family::ALL {
            drop(storage.state.scan(family, ScanRange::prefix(b""), usize::MAX, usize::MAX));
        }
    }

    /// Forgets what belonged to the life that is over.
    pub fn gone(&self) {
        self.power.borrow().store(false, Ordering::Relaxed);
        *self.node.borrow_mut() = Weak::new();
        *self.storage.borrow_mut() = None;
        self.ready.set(false);
    }
}

/// What all hosts and the driver of the run share. All on one thread.
pub struct Shared {
    /// What the run was told.
    pub options: Options,
    /// Everything in order.
    pub trace: Trace,
    /// What the network does.
    pub weather: Weather,
    /// How long messages take between two hosts, the lower seat first, where that is always the same.
    pub latencies: RefCell<BTreeMap<(Seat, Seat), Duration>>,
    /// When a link was last cut, mended or changed, or a node was started or died.
    pub network_changed: Cell<Duration>,
    /// Whether what some hosts send and get is late or lost now and then.
    pub unsteady: Cell<bool>,
    /// What clients asked and were told.
    pub history: History,
    /// The same for each kind of work that has more to say.
    pub journals: Journals,
    /// Requests that wait to be done again.
    pub again: Again,
    /// The hosts, by seat.
    pub machines: Vec<Machine>,
    /// What the clients do just now.
    pub phase: Cell<Phase>,
    /// Nodes that wait for a join token, and the tokens made for them.
    pub desk: RefCell<BTreeMap<String, Option<JoinToken>>>,
    /// How often the leadership is to be sent elsewhere.
    pub transfers: Cell<u32>,
    /// Where it is to be sent next; none for where it may go.
    pub heir: RefCell<Option<String>>,
    /// How often the operator is to have the mesh replace its authority.
    pub rotations: Cell<u32>,
    /// What clients saw that must not be.
    pub violations: RefCell<Vec<Violation>>,
    /// The values and versions read in the end.
    pub finals: RefCell<Option<Finals>>,
}

/// Value and version of each key, none for a key without a record.
pub type Finals = BTreeMap<String, Option<(u64, u64)>>;

impl Shared {
    /// A world in which nothing has happened yet.
    pub fn new(options: Options) -> Rc<Self> {
        let trace = Trace::default();
        if options.show {
            trace.show();
        }
        Rc::new(Shared {
            weather: Weather::new(options.seed_of("weather")),
            machines: (1..=options.nodes + options.spares).map(|number| machine(&options, number)).collect(),
            trace,
            latencies: RefCell::default(),
            network_changed: Cell::default(),
            unsteady: Cell::default(),
            history: History::default(),
            journals: Journals::default(),
            again: Again::default(),
            phase: Cell::new(Phase::Assembly),
            desk: RefCell::default(),
            transfers: Cell::new(0),
            heir: RefCell::default(),
            rotations: Cell::new(0),
            violations: RefCell::default(),
            finals: RefCell::default(),
            options,
        })
    }

    /// The hosts that have a part in the world, with nodes that have not been taken out.
    pub fn members(&self) -> impl Iterator<Item = &Machine> {
        self.machines.iter().filter(|machine| machine.is_member())
    }

    /// The machine on `seat`.
    pub fn machine(&self, seat: Seat) -> &Machine {
        &self.machines[seat.0]
    }
}

/// The host with this number: those behind the first ones are spare.
fn machine(options: &Options, number: usize) -> Machine {
    let machine = Machine::new(format!("n{number}"));
    machine.enrolled.set(number <= options.nodes);
    machine.wanted.set(number <= options.nodes);
    machine
}
