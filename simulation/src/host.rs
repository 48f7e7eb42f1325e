//! What runs on a host: the node, put together on the simulation's seams, and its clients.

use crate::{
    machine::{Machine, Seat, Shared},
    options::PlantedBug,
    seams::{self, VirtualTime},
    socket::SimulatedSocket,
    workload::{self, Client, DEADLINE},
};
use bytes::Bytes;
use micro_actors::{
    registry::{AttachGuard, InsideHandler},
    store::{DeleteRequest, ReadRequest, TablePath, WriteRequest},
};
use micro_consensus::ConsensusConfig;
use micro_mesh::{JoinToken, Place, Socket};
use micro_node::{
    config::{Config, Join, VotersWanted},
    node::{Context, Host, Local, Node},
};
use micro_sdk::wire::{Caller, Code, Endpoint, Fault};
use micro_storage::{Storage, memory};
use rand::{SeedableRng, rngs::SmallRng};
use std::{rc::Rc, sync::Arc, time::Duration};
use tokio::{task::spawn_local, time::sleep};

/// How often a node that waits for a join token looks, and how often the others look for one that waits.
const DESK_EVERY: Duration = Duration::from_millis(50);
/// How long a join token is good for.
const TOKEN_TTL: Duration = Duration::from_secs(15 * 60);
/// The entries after which a snapshot is made: few, so that snapshots and purges happen in every run.
const SNAPSHOT_EVERY: u64 = 400;
/// The entries kept behind a snapshot: few, so that a replica that was away needs one.
const LOG_KEPT: u64 = 50;
/// The one endpoint of the echo service.
const ECHO: &str = "Echo.call";
/// With this many nodes and more, five of them vote.
const FIVE_VOTERS_FROM: usize = 5;

/// One start of a host's node, from power on to its end.
///
/// # Errors
/// None: a node that ends is started anew, as by a supervisor of processes, and why it ended is in the trace.
pub async fn live(shared: Rc<Shared>, seat: Seat) -> turmoil::Result {
    let machine = shared.machine(seat);
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
    *machine.storage.borrow_mut() = Some(storage.clone());
    let join = join(shared, seat).await;
    let node = Node::assemble(config(shared, machine, join), host(shared, machine, storage).await?).await?;
    let node = Rc::new(node);
    machine.id.set(Some(node.card().id));
    *machine.node.borrow_mut() = Rc::downgrade(&node);
    let local = node.local().clone();
    let _echo = attach_echo(&local, &machine.name)?;
    tokio::select! {
        biased;
        () = machine.stop.notified() => {}
        end = node.ended() => return end,
        end = serve(shared, machine, &node, local) => return end,
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
async fn serve(shared: &Rc<Shared>, machine: &Machine, node: &Node, local: Local) -> Result<(), Fault> {
    node.ready().await?;
    shared.trace.line(&machine.name, format_args!("ready as {}", node.card().id));
    machine.joined.set(true);
    machine.ready.set(true);
    spawn_local(issue_tokens(shared.clone(), local.clone()));
    let boot = machine.boot.get();
    workload::start(shared, |kind| {
        let name = format!("{}.{boot}.{kind}", machine.name);
        let rng = SmallRng::seed_from_u64(shared.options.seed_of(&name));
        let door = Door { name: machine.name.clone(), local: local.clone() };
        Client { name, door, rng, shared: shared.clone() }
    });
    std::future::pending().await
}

fn config(shared: &Shared, machine: &Machine, join: Option<Join>) -> Config {
    let name = machine.name.clone();
    let voters =
        if shared.machines.len() < FIVE_VOTERS_FROM { VotersWanted::Three } else { VotersWanted::Five };
    // Paths and doors are never touched: a simulated node has neither files nor listeners.
    Config {
        place: Place { cloud: "simulated".into(), region: "one".into(), zone: name.clone() },
        data_dir: format!("/simulated/{name}").into(),
        socket: format!("/simulated/{name}/socket").into(),
        api: ([127, 0, 0, 1], 7401).into(),
        proxy: ([127, 0, 0, 1], 7402).into(),
        mesh_listen: Some(machine.address()),
        advertise: Some(machine.address()),
        join,
        voters,
        door_threads: None,
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
    Ok(Host {
        storage,
        socket: Socket::Simulated(Arc::new(socket)),
        seams: seams::seams(seed, shared.trace.clone(), machine.skew.clone()),
        listeners: None,
        consensus: ConsensusConfig {
            snapshot_every: SNAPSHOT_EVERY,
            log_kept: LOG_KEPT,
            planted_bug,
            ..ConsensusConfig::default()
        },
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

/// Makes join tokens for nodes that wait for one, as an operator would.
async fn issue_tokens(shared: Rc<Shared>, local: Local) {
    loop {
        sleep(DESK_EVERY).await;
        let waits = |(name, token): (&String, &Option<JoinToken>)| token.is_none().then(|| name.clone());
        let Some(name) = shared.desk.borrow().iter().find_map(waits) else { continue };
        let reply = local.create_token(&operator(), TOKEN_TTL).await;
        if let Ok(token) = reply.map_err(drop).and_then(|reply| reply.token.parse().map_err(drop)) {
            shared.desk.borrow_mut().entry(name).and_modify(|waiting| *waiting = Some(token));
        }
    }
}

fn operator() -> Context {
    Context::of(Caller::Admin).within(DEADLINE)
}

/// The name of a node's own echo service.
fn echo_service(node: &str) -> String {
    format!("echo-{node}")
}

fn attach_echo(local: &Local, node: &str) -> Result<AttachGuard, Fault> {
    let endpoint = Endpoint {
        name: ECHO.to_owned(),
        request_schema: "{}".to_owned(),
        response_schema: "{}".to_owned(),
        doc: "Answers what it is sent.".to_owned(),
    };
    let echo: InsideHandler = Arc::new(|_, body| Box::pin(async move { Ok(body) }));
    local.attach_inside(echo_service(node).parse().expect("a good name"), vec![endpoint], echo)
}

/// One node as clients ask it.
#[derive(Clone)]
pub struct Door {
    name: String,
    local: Local,
}

impl Door {
    /// The node.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes a value and returns its version. With a version, only if the key has that one still.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn write(&self, key: &str, value: u64, if_version: Option<u64>) -> Result<u64, Fault> {
        let request = WriteRequest::new(TablePath::default(), key, value.to_string());
        let request = WriteRequest { if_version, ..request };
        Ok(self.local.write(&operator(), request).await?.version)
    }

    /// Writes a value that ends by itself after `ttl_ms`.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn write_ending(&self, key: &str, value: u64, ttl_ms: u64) -> Result<(), Fault> {
        let request = WriteRequest::new(TablePath::default(), key, value.to_string());
        self.local.write(&operator(), WriteRequest { ttl_ms, ..request }).await.map(drop)
    }

    /// Deletes a key.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn delete(&self, key: &str) -> Result<(), Fault> {
        let request = DeleteRequest { table: TablePath::default(), key: key.to_owned(), if_version: None };
        self.local.delete(&operator(), request).await.map(drop)
    }

    /// Reads value and version of a key.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn read(&self, key: &str, stale: bool) -> Result<Option<(u64, u64)>, Fault> {
        let request = ReadRequest { key: key.to_owned(), stale, ..ReadRequest::default() };
        let Some(record) = self.local.read(&operator(), request).await?.record else { return Ok(None) };
        Ok(Some((parse(&record.value.0)?, record.version)))
    }

    /// Calls the echo service of a node.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn echo(&self, node: &str, value: u64) -> Result<u64, Fault> {
        let service = echo_service(node).parse().expect("a good name");
        let body = Bytes::from(value.to_string());
        let head = self.local.head(&operator(), service, ECHO);
        parse(&self.local.call(head, body).await?.body)
    }
}

fn parse(bytes: &[u8]) -> Result<u64, Fault> {
    let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Fault::new(Code::Internal, format!("{bytes:?} is not a number that a client wrote")))
}
