//! The same meshes on a simulated network, in virtual time: crashes and restarts.

use crate::world::{Echo, EchoHandle, World, config, head};
use bytes::Bytes;
use micro_mesh::{DatagramSocket, LinkState, Member, Mesh, Route, Socket};
use micro_sdk::wire::NodeId;
use std::{
    collections::BTreeMap,
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::mpsc;

const PORT: u16 = 4800;

/// A UDP socket of turmoil's.
struct Simulated {
    socket: Arc<turmoil::net::UdpSocket>,
    address: SocketAddr,
    received: Mutex<mpsc::Receiver<(Vec<u8>, SocketAddr)>>,
}

impl Simulated {
    async fn bind(address: SocketAddr) -> io::Result<Arc<Self>> {
        let socket = Arc::new(turmoil::net::UdpSocket::bind(("0.0.0.0", address.port())).await?);
        let (sender, received) = mpsc::channel(10_000);
        let pumped = socket.clone();
        tokio::spawn(async move {
            let mut buffer = vec![0; 65_536];
            while let Ok((length, from)) = pumped.recv_from(&mut buffer).await {
                let _ = sender.try_send((buffer[..length].to_vec(), from));
            }
        });
        Ok(Arc::new(Simulated { socket, address, received: Mutex::new(received) }))
    }
}

impl fmt::Debug for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Simulated({})", self.address)
    }
}

impl DatagramSocket for Simulated {
    fn try_send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        self.socket.try_send_to(bytes, to).map(drop)
    }

    fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.received.lock().expect("no panic").poll_recv(cx).map(|received| {
            let (bytes, from) = received.ok_or(io::ErrorKind::BrokenPipe)?;
            buffer[..bytes.len()].copy_from_slice(&bytes);
            Ok((bytes.len(), from))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

fn address(node: u64) -> SocketAddr {
    SocketAddr::new(turmoil::lookup(format!("n{node}")), PORT)
}

/// What one node sees, looked up often. The mesh itself must not outlive its host.
#[derive(Default)]
struct View {
    members: Arc<Vec<Member>>,
    routes: Vec<Route>,
    /// Calls to the next node that were answered.
    answered: u64,
}

type Views = Arc<Mutex<BTreeMap<u64, View>>>;

async fn host(node: u64, boot: u64, world: Arc<World>, views: Views) -> turmoil::Result {
    let socket = Simulated::bind(address(node)).await?;
    let mesh = Mesh::start(
        config(node, boot, address(node)),
        world.identity(node),
        world.trust(),
        Socket::Simulated(socket),
    )?;
    mesh.serve(Arc::new(EchoHandle(Arc::new(Echo::new(world.authority.clone())))));
    for other in (1..=3).filter(|other| *other != node) {
        mesh.learn(NodeId(other), address(other));
    }
    let (caller, counted) = (mesh.clone(), views.clone());
    tokio::spawn(async move {
        loop {
            let answer = caller.call(NodeId(node % 3 + 1), &head("echo", 3000), Bytes::new()).await;
            counted.lock().expect("no panic").entry(node).or_default().answered += u64::from(answer.is_ok());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    loop {
        {
            let mut views = views.lock().expect("no panic");
            let view = views.entry(node).or_default();
            (view.members, view.routes) = (mesh.gossip().members(), mesh.routes());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn seen(views: &Views, by: u64, node: u64) -> Option<Member> {
    let views = views.lock().expect("no panic");
    views.get(&by)?.members.iter().find(|member| member.node == NodeId(node)).cloned()
}

/// Steps until `check` holds; how long that took.
fn run_until(sim: &mut turmoil::Sim<'_>, what: &str, within: Duration, check: impl Fn() -> bool) -> Duration {
    let start = sim.elapsed();
    while !check() {
        assert!(sim.elapsed() - start < within, "not within {within:?}: {what}");
        sim.step().expect("the simulation goes on");
    }
    sim.elapsed() - start
}

#[test]
fn a_crashed_node_is_seen_dead_and_then_alive_in_its_next_life() {
    let world = Arc::new(World::new(1));
    let views: Views = Arc::default();
    let mut sim = turmoil::Builder::new()
        .simulation_duration(Duration::from_secs(120))
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(20))
        .udp_capacity(10_000)
        .rng_seed(7)
        .build();
    for node in 1..=3 {
        let (world, views, boots) = (world.clone(), views.clone(), Arc::new(AtomicU64::new(0)));
        sim.host(format!("n{node}"), move || {
            let boot = boots.fetch_add(1, Ordering::Relaxed) + 1;
            host(node, boot, world.clone(), views.clone())
        });
    }
    let alive = |by, node| seen(&views, by, node).is_some_and(|member| member.alive);
    let all = || (1..=3).all(|by| (1..=3).all(|node| alive(by, node)));
    run_until(&mut sim, "all are alive", Duration::from_secs(5), all);
    for _ in 0..10_000 {
        sim.step().expect("the simulation goes on");
        assert!(all(), "nobody is taken for dead without reason");
    }

    sim.crash("n3");
    views.lock().expect("no panic").remove(&3);
    // Mostly three and a half seconds. Rarely one has taken it for dead by then, and hears of its last heartbeat only
    // then from the other, which makes it alive once more for some of the longest intervals that there were.
    let noticed = run_until(&mut sim, "n3 is dead", Duration::from_secs(12), || !alive(1, 3) && !alive(2, 3));
    assert!(noticed > Duration::from_secs(1), "a second's silence is no death: {noticed:?}");

    sim.bounce("n3");
    let back = || alive(1, 3) && seen(&views, 1, 3).is_some_and(|member| member.generation == 2);
    run_until(&mut sim, "n3 is back", Duration::from_secs(10), back);

    // The two that can't reach each other go over the third, and directly again once they can.
    sim.partition("n1", "n2");
    let relays = |by, of| {
        let views = views.lock().expect("no panic");
        let route = views[&by].routes.iter().find(|route| route.node == NodeId(of)).cloned();
        route.filter(|route| route.state == LinkState::Up).map(|route| route.relays)
    };
    let over = || relays(1, 2) == Some(vec![NodeId(3)]) && relays(2, 1) == Some(vec![NodeId(3)]);
    let moved = run_until(&mut sim, "they go over n3", Duration::from_secs(4), over);
    let answered = || views.lock().expect("no panic")[&1].answered;
    let before = answered();
    for _ in 0..5_000 {
        sim.step().expect("the simulation goes on");
        assert!(over(), "the way stays what it is");
    }
    assert!(answered() >= before + 10, "calls get through: {}, from {moved:?} on", answered() - before);
    sim.partition("n1", "n3");
    let down = || relays(1, 2).is_none() && relays(1, 3).is_none();
    run_until(&mut sim, "nobody is reached any more", Duration::from_secs(6), down);
    let before = answered();
    for _ in 0..5_000 {
        sim.step().expect("the simulation goes on");
    }
    assert_eq!(answered(), before, "no call gets through");
    sim.repair("n1", "n3");
    run_until(&mut sim, "they go over n3 again", Duration::from_secs(10), over);
    run_until(&mut sim, "calls work again", Duration::from_secs(10), || answered() > before);
    sim.repair("n1", "n2");
    let direct = || relays(1, 2) == Some(Vec::new()) && relays(2, 1) == Some(Vec::new());
    run_until(&mut sim, "the way is direct again", Duration::from_secs(10), direct);
}
