//! What runs on a host: the node, put together on the simulation's seams, and its clients.

use crate::{
    clouds,
    door::Door,
    echo::offer_echo,
    gauge,
    machine::{Machine, Seat, Shared},
    operator,
    options::PlantedBug,
    planted,
    seams::{self, VirtualTime},
    socket::SimulatedSocket,
    workload::{self, Client, load, work},
};
use micro_consensus::ConsensusConfig;
use micro_mesh::{Place, Socket, WAY_LEEWAY};
use micro_node::{
    config::{
        AuditConfig, Config, DnsListen, HttpConfig, Join, LimitsConfig, LinksConfig, StorageConfig,
        ThreadsConfig, VotersWanted,
    },
    node::{Host, Local, Node},
};
use micro_sdk::wire::{Code, Fault};
use micro_storage::{Storage, memory};
use rand::{SeedableRng, rngs::SmallRng};
use std::{rc::Rc, sync::Arc, time::Duration};
use tokio::{task::spawn_local, time::sleep};

/// How often a node that waits for a join token looks.
const DESK_EVERY: Duration = Duration::from_millis(50);
/// The entries after which a snapshot is made: few, so that snapshots and purges happen in every run.
const SNAPSHOT_EVERY: u64 = 400;
/// The entries kept behind a snapshot: few, so that a replica that was away needs one.
const LOG_KEPT: u64 = 50;
/// How long a node takes to read its blobs through: short, so that one which has rotted is found in time, in every run.
const SCRUB_ROUND: Duration = Duration::from_secs(10);
/// With this many nodes and more, five of them vote.
const FIVE_VOTERS_FROM: usize = 5;

/// One start of a host's node, from power on to its end.
///
/// # Errors
/// None: a node that ends is started anew, as by a supervisor of processes, and why it ended is in the trace.
pub async fn live(shared: Rc<Shared>, seat: Seat) -> turmoil::Result {
    let machine = shared.machine(seat);
    if !machine.is_member() {
        // A spare host is off, until it is bounced.
        return std::future::pending().await;
    }
    machine.boot.set(machine.boot.get() + 1);
    shared.trace.line(&machine.name, format_args!("start {}", machine.boot.get()));
    let end = match run(&shared, seat).await {
        Ok(()) => "ended in order".to_owned(),
        Err(fault) => format!("ended: {fault}"),
    };
    shared.trace.line(&machine.name, end);
    machine.ended.set(Some(shared.trace.now()));
    Ok(())
}

async fn run(shared: &Rc<Shared>, seat: Seat) -> Result<(), Fault> {
    let machine = shared.machine(seat);
    let storage = memory::open(&machine.disk, Arc::new(VirtualTime));
    let storage = storage.map_err(|error| Fault::new(Code::Failed, error.to_string()))?;
    let storage = gauge::gauged(storage, &machine.gauge, &machine.disk);
    let clock = seams::clock(shared.trace.clone(), machine.skew.clone());
    let storage = planted::with_bug(storage, shared.options.planted_bug, clock);
    *machine.storage.borrow_mut() = Some(storage.clone());
    let join = join(shared, seat).await;
    let node = Node::assemble(config(shared, machine, join), host(shared, machine, storage).await?).await?;
    machine.read_all();
    let node = Rc::new(node);
    machine.id.set(Some(node.card().id));
    *machine.node.borrow_mut() = Rc::downgrade(&node);
    let local = node.local().clone();
    let _work = work::attach(&local, shared, machine.boot.get().into())?;
    let _load = load::attach(&local, shared, &machine.name)?;
    tokio::select! {
        biased;
        () = machine.stop.notified() => {}
        end = node.ended() => return end,
        never = offer_echo(&local, &machine.name) => match never {},
        end = serve(shared, seat, &node, local.clone()) => return end,
    }
    shared.trace.line(&machine.name, "was asked to end");
    *machine.node.borrow_mut() = std::rc::Weak::new();
    match Rc::try_unwrap(node) {
        Ok(node) => node.stop().await,
        Err(_) => unreachable!("nobody else keeps the node beyond one look"),
    }
    Ok(())
}

/// Waits until the node is ready, and then lets clients at it for ever.
async fn serve(shared: &Rc<Shared>, seat: Seat, node: &Node, local: Local) -> Result<(), Fault> {
    let machine = shared.machine(seat);
    node.ready().await?;
    shared.trace.line(&machine.name, format_args!("ready as {}", node.card().id));
    machine.joined.set(true);
    machine.ready.set(true);
    spawn_local(operator::work(shared.clone(), seat, local.clone()));
    let boot = machine.boot.get();
    workload::start(shared, seat, |kind| {
        let name = format!("{}.{boot}.{kind}", machine.name);
        let rng = SmallRng::seed_from_u64(shared.options.seed_of(&name));
        let door = Door::new(&machine.name, local.clone(), shared.options.planted_bug);
        Client { name, door, rng, shared: shared.clone() }
    });
    std::future::pending().await
}

fn config(shared: &Shared, machine: &Machine, join: Option<Join>) -> Config {
    let name = machine.name.clone();
    let voters =
        if shared.options.nodes < FIVE_VOTERS_FROM { VotersWanted::Three } else { VotersWanted::Five };
    let untold = shared.options.planted_bug == Some(PlantedBug::GatewaysUntold);
    let gateway = clouds::is_gateway(shared, machine) && !untold;
    // Paths and doors are never touched: a simulated node has neither files nor listeners.
    Config {
        place: Place { cloud: clouds::name(shared, machine), region: "one".into(), zone: name.clone() },
        data_dir: format!("/simulated/{name}").into(),
        socket: format!("/simulated/{name}/socket").into(),
        api: ([127, 0, 0, 1], 7401).into(),
        http: HttpConfig::default(),
        proxy: ([127, 0, 0, 1], 7402).into(),
        dns: DnsListen::Off,
        mesh_listen: Some(machine.address()),
        advertise: Some(machine.address()),
        join,
        voters,
        links: LinksConfig { gateway, ..LinksConfig::default() },
        threads: ThreadsConfig::default(),
        storage: StorageConfig::default(),
        limits: LimitsConfig::default(),
        certificate_life: shared.options.certificate_life,
        audit: AuditConfig::default(),
        settings: Vec::new(),
        name: Some(name),
    }
}

async fn host(shared: &Shared, machine: &Machine, storage: Storage) -> Result<Host, Fault> {
    let power = machine.power.borrow().clone();
    let socket =
        SimulatedSocket::bind(machine.address(), shared.trace.clone(), shared.weather.clone(), power);
    let socket = socket.await.map_err(|error| Fault::new(Code::Failed, error.to_string()))?;
    let seed = shared.options.seed_of(&format!("{} {}", machine.name, machine.boot.get()));
    let planted_bug = match shared.options.planted_bug {
        Some(PlantedBug::ReadWithoutQuorum) => Some(micro_consensus::PlantedBug::ReadWithoutQuorum),
        _ => None,
    };
    let snapshot_bytes = match shared.options.planted_bug {
        Some(PlantedBug::LogBytesUnbounded) => u64::MAX,
        _ => shared.options.snapshot_bytes,
    };
    Ok(Host {
        storage,
        socket: Socket::Simulated(Arc::new(socket)),
        seams: seams::seams(seed, shared.trace.clone(), machine.skew.clone()),
        listeners: None,
        consensus: ConsensusConfig {
            snapshot_every: SNAPSHOT_EVERY,
            log_kept: LOG_KEPT,
            snapshot_bytes,
            log_kept_bytes: snapshot_bytes / 4,
            planted_bug,
            ..ConsensusConfig::default()
        },
        scrub_round: SCRUB_ROUND,
        // With all of it, no way that can be gone is ever left for a better one.
        way_leeway: if shared.options.planted_bug == Some(PlantedBug::WaysKept) { 1.0 } else { WAY_LEEWAY },
        audit: None,
    })
}

/// How this node gets into the mesh: the first one starts it, the others ask for a token until they are in.
async fn join(shared: &Rc<Shared>, seat: Seat) -> Option<Join> {
    let machine = shared.machine(seat);
    if seat == Seat(0) || machine.joined.get() {
        return None;
    }
    shared.desk.borrow_mut().insert(machine.name.clone(), None);
    loop {
        sleep(DESK_EVERY).await;
        let token = shared.desk.borrow().get(&machine.name).cloned().flatten();
        if let Some(token) = token {
            shared.desk.borrow_mut().remove(&machine.name);
            return Some(Join { addresses: token.addresses.clone(), token: Ok(Some(token)) });
        }
    }
}
