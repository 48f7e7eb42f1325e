//! Two nodes, each on a thread of its own, as each has a core of its own where it counts.

use crate::{Failure, LIMIT, echo::Echo};
use micro_mesh::{
    Authority, CERTIFICATE_LIFE, Identity, LINK_TIMEOUT, LinkState, Mesh, MeshConfig, NodeKey, Place, Socket,
    Trust, WAY_LEEWAY,
};
use micro_sdk::wire::{Blocking, Clock, ClusterId, Entropy, Job, NodeId, Seams};
use ring::rand::{SecureRandom, SystemRandom};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant, SystemTime},
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
    time::sleep,
};

const HERE: NodeId = NodeId(1);
const THERE: NodeId = NodeId(2);

/// Two nodes that are linked.
pub(super) struct Pair {
    runtime: Runtime,
    mesh: Mesh,
    /// Ends the other node.
    _end: oneshot::Sender<()>,
}

impl Pair {
    /// # Errors
    /// If a node can't be started, or they can't be linked.
    pub fn start() -> Result<Self, Failure> {
        let authority = Authority::generate(ClusterId(1), SystemTime::now());
        let (here, there) = (identity(&authority, HERE)?, identity(&authority, THERE)?);
        let trust = Trust::of(authority.certificate());
        let (told, address) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let believed = trust.clone();
        thread::Builder::new().name("there".to_owned()).spawn(move || {
            let served = || {
                let runtime = Builder::new_current_thread().enable_all().build()?;
                let mesh = runtime.block_on(async { node(THERE, there, believed) })?;
                Ok::<_, Failure>((runtime, mesh))
            };
            match served() {
                Ok((runtime, mesh)) => {
                    let _ = told.send(Ok(mesh.advertise()));
                    // Its sender is dropped in the end, and never used.
                    let _ = runtime.block_on(ended);
                }
                Err(error) => drop(told.send(Err(error))),
            }
        })?;
        let address: SocketAddr = address.recv()??;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mesh = runtime.block_on(async {
            let mesh = node(HERE, here, trust)?;
            mesh.learn(THERE, address);
            linked(&mesh).await.map(|()| mesh)
        })?;
        Ok(Pair { runtime, mesh, _end: end })
    }

    /// Has one of them say something to the other.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn run<T>(&self, work: impl AsyncFnOnce(Mesh, NodeId) -> Result<T, Failure>) -> Result<T, Failure> {
        self.runtime.block_on(work(self.mesh.clone(), THERE))
    }
}

/// What is the same in all of them: the time and the chance of this host.
struct Host;

impl Clock for Host {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

impl Entropy for Host {
    fn fill(&self, bytes: &mut [u8]) {
        SystemRandom::new().fill(bytes).expect("the operating system gives random bytes");
    }
}

impl Blocking for Host {
    fn run(&self, job: Job) {
        job();
    }
}

fn identity(authority: &Authority, node: NodeId) -> Result<Identity, Failure> {
    let (key, now) = (NodeKey::generate(), SystemTime::now());
    let certificate = authority.issue(&key.request(node), CERTIFICATE_LIFE, now)?;
    Ok(key.with_certificate(&certificate, node, authority.cluster(), now)?)
}

fn node(node: NodeId, identity: Identity, trust: Trust) -> Result<Mesh, Failure> {
    let host = Arc::new(Host);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = MeshConfig {
        advertise: address,
        also: Vec::new(),
        name: format!("n{node}"),
        place: Place::default(),
        boot: 1,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        seams: Seams { clock: host.clone(), entropy: host.clone(), blocking: host },
        gossip_interval: Duration::from_millis(500),
        way_leeway: WAY_LEEWAY,
        link_timeout: LINK_TIMEOUT,
        gateway: false,
        prices: Vec::new(),
    };
    let mesh = Mesh::start(config, identity, trust, Socket::bind(address)?)?;
    mesh.serve(Arc::new(Echo));
    Ok(mesh)
}

async fn linked(mesh: &Mesh) -> Result<(), Failure> {
    let began = Instant::now();
    while !mesh.routes().iter().any(|route| route.state == LinkState::Up) {
        if began.elapsed() > LIMIT {
            return Err("the two nodes are not linked".into());
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
