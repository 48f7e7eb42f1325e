//! What the tests share: an authority, nodes with its certificates, a handler that echoes.

use bytes::Bytes;
use futures::{StreamExt, stream};
use micro_mesh::{
    Authority, BoxFuture, CERTIFICATE_LIFE, FrameReceiver, FrameSender, Handler, Heard, Identity, JoinGrant,
    JoinRequest, KeyRequest, LINK_TIMEOUT, Lane, LinkState, Mesh, MeshConfig, NodeKey, Piece, Place,
    RenewalGrant, Said, Socket, Trust, WAY_LEEWAY,
};
use micro_sdk::wire::{
    Blocking, Caller, Clock, ClusterId, Code, Entropy, Fault, Head, Job, Namespace, NodeId, Seams, TraceId,
};
use ring::rand::{SecureRandom, SystemRandom};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, sleep};

/// A clock that stands still, unless it is set forward.
#[derive(Default)]
pub struct Still(AtomicU64);

impl Still {
    /// Sets it forward.
    pub fn forward(&self, by: Duration) {
        self.0.fetch_add(by.as_secs(), Ordering::Relaxed);
    }
}

impl Clock for Still {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + self.0.load(Ordering::Relaxed))
    }
}

struct Random;

impl Entropy for Random {
    fn fill(&self, bytes: &mut [u8]) {
        SystemRandom::new().fill(bytes).expect("the system has randomness");
    }
}

struct Inline;

impl Blocking for Inline {
    fn run(&self, job: Job) {
        job();
    }
}

pub fn seams() -> Seams {
    seams_with(Arc::default())
}

/// Seams whose clock the test may set forward.
pub fn seams_with(clock: Arc<Still>) -> Seams {
    Seams { clock, entropy: Arc::new(Random), blocking: Arc::new(Inline) }
}

pub fn now() -> SystemTime {
    Still::default().now()
}

/// A mesh's authority, and what its nodes saw.
pub struct World {
    pub authority: Authority,
}

impl World {
    pub fn new(cluster: u128) -> Self {
        World { authority: Authority::generate(ClusterId(cluster), now()) }
    }

    pub fn identity(&self, node: u64) -> Identity {
        self.identity_for(node, CERTIFICATE_LIFE)
    }

    /// An identity whose certificate ends so soon.
    pub fn identity_for(&self, node: u64, life: Duration) -> Identity {
        let key = NodeKey::generate();
        let certificate =
            self.authority.issue(&key.request(NodeId(node)), life, now()).expect("a good request");
        key.with_certificate(&certificate, NodeId(node), self.authority.cluster(), now())
            .expect("just issued")
    }

    /// The trust in this mesh's authority.
    pub fn trust(&self) -> Trust {
        Trust::of(self.authority.certificate())
    }

    /// A node on loopback that serves.
    pub fn node(&self, node: u64) -> (Mesh, Arc<Echo>) {
        let mesh = self.quiet_node(node);
        let echo = Arc::new(Echo::new(self.authority.clone()));
        mesh.serve(Arc::new(EchoHandle(echo.clone())));
        (mesh, echo)
    }

    /// A node on loopback that serves, in this life.
    pub fn life(&self, node: u64, boot: u64) -> Mesh {
        let socket = Socket::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let config = config(node, boot, ([127, 0, 0, 1], 0).into());
        let mesh = Mesh::start(config, self.identity(node), self.trust(), socket)
            .expect("a good identity and socket");
        mesh.serve(Arc::new(EchoHandle(Arc::new(Echo::new(self.authority.clone())))));
        mesh
    }

    /// A node on loopback that does not serve yet.
    pub fn quiet_node(&self, node: u64) -> Mesh {
        let socket = Socket::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let config = config(node, 1, ([127, 0, 0, 1], 0).into());
        Mesh::start(config, self.identity(node), self.trust(), socket).expect("a good identity and socket")
    }
}

pub fn config(node: u64, boot: u64, advertise: SocketAddr) -> MeshConfig {
    MeshConfig {
        advertise,
        also: Vec::new(),
        name: format!("n{node}"),
        place: Place { cloud: "lab".to_owned(), region: "r".to_owned(), zone: format!("z{node}") },
        boot,
        version: "0.1.0".to_owned(),
        seams: seams(),
        gossip_interval: Duration::from_millis(500),
        way_leeway: WAY_LEEWAY,
        link_timeout: LINK_TIMEOUT,
        gateway: false,
        prices: Vec::new(),
    }
}

pub fn head(endpoint: &str, deadline_ms: u32) -> Head {
    Head {
        namespace: Namespace::default(),
        service: "echo".parse().expect("a name"),
        endpoint: endpoint.to_owned(),
        caller: Caller::Admin,
        trace: TraceId(1),
        deadline_ms,
        hops: 0,
        idempotency_key: None,
        metadata: Vec::new(),
        instance: None,
        attempts: None,
    }
}

/// Waits until `check` holds, for at most `within`.
pub async fn eventually(what: &str, within: Duration, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !check() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until `mesh` has a link to `node`.
pub async fn linked(mesh: &Mesh, node: NodeId) {
    let up = || mesh.routes().iter().any(|route| route.node == node && route.state == LinkState::Up);
    eventually("the link is up", Duration::from_secs(5), up).await;
}

/// The secret that the echo lets in once.
pub const SECRET: [u8; 32] = [9; 32];

/// Sends back what it gets.
pub struct Echo {
    authority: Authority,
    used: Mutex<bool>,
    /// The public keys of those whose certificates are renewed.
    pub keys: Mutex<BTreeMap<NodeId, Vec<u8>>>,
    /// What is issued is issued now.
    pub clock: Arc<Still>,
    /// Calls that were dropped before they were done.
    pub dropped: Arc<AtomicUsize>,
    /// How lanes ended.
    pub lanes: Mutex<Vec<String>>,
}

impl Echo {
    pub fn new(authority: Authority) -> Self {
        Self::with_clock(authority, Arc::default())
    }

    pub fn with_clock(authority: Authority, clock: Arc<Still>) -> Self {
        let (used, keys) = (Mutex::new(false), Mutex::default());
        Echo { authority, used, keys, clock, dropped: Arc::default(), lanes: Mutex::default() }
    }
}

/// Counts when it is dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Handler for EchoHandle {
    fn call(&self, from: NodeId, head: Head, body: Bytes) -> BoxFuture<'static, Result<Bytes, Fault>> {
        self.0.answer(from, head, body)
    }

    fn converse(&self, _from: NodeId, head: Head, heard: Heard) -> Said {
        match head.endpoint.as_str() {
            "echo" => {
                let head = stream::once(async { Piece::Head(vec![("kind".to_owned(), b"echo".to_vec())]) });
                head.chain(heard.map(|piece| piece.unwrap_or_else(Piece::Fault))).boxed()
            }
            "deaf" => {
                let dropped = Dropped(self.0.dropped.clone());
                let silent = stream::pending().map(move |piece| {
                    let _held = (&dropped, &heard);
                    piece
                });
                silent.boxed()
            }
            other => {
                let fault = Fault::new(Code::NotFound, format!("no endpoint {other}"));
                stream::once(async { Piece::Fault(fault) }).boxed()
            }
        }
    }

    fn lane(
        &self,
        _from: NodeId,
        lane: Lane,
        mut sender: FrameSender,
        mut receiver: FrameReceiver,
    ) -> BoxFuture<'static, ()> {
        let echo = self.0.clone();
        Box::pin(async move {
            let how = loop {
                match receiver.next().await {
                    Ok(Some(frame)) if frame.len() > 100_000 => {
                        let length = frame.len().to_string();
                        if sender.send(length.as_bytes()).await.is_err() {
                            break "answer refused".to_owned();
                        }
                    }
                    Ok(Some(frame)) => {
                        if sender.send(&frame).await.is_err() {
                            break "answer refused".to_owned();
                        }
                    }
                    Ok(None) => {
                        sender.finish();
                        break format!("{lane:?} finished");
                    }
                    Err(error) => break format!("{lane:?} failed: {error}"),
                }
            };
            echo.lanes.lock().expect("no panic").push(how);
        })
    }

    fn join(&self, _from: SocketAddr, request: JoinRequest) -> BoxFuture<'static, Result<JoinGrant, Fault>> {
        let answer = self.0.admit(&request);
        Box::pin(async move { answer })
    }

    fn renew(&self, _from: SocketAddr, key: KeyRequest) -> BoxFuture<'static, Result<RenewalGrant, Fault>> {
        let answer = self.0.renew(&key);
        Box::pin(async move { answer })
    }
}

/// An [`Echo`] as a mesh takes it.
pub struct EchoHandle(pub Arc<Echo>);

impl Echo {
    fn answer(&self, from: NodeId, head: Head, body: Bytes) -> BoxFuture<'static, Result<Bytes, Fault>> {
        let dropped = Dropped(self.dropped.clone());
        Box::pin(async move {
            match head.endpoint.as_str() {
                "echo" => Ok(body),
                "who" => Ok(Bytes::from(from.to_string())),
                "left" => Ok(Bytes::from(head.deadline_ms.to_string())),
                "large" => Ok(Bytes::from(vec![0; (16 << 20) + 1])),
                "nap" => {
                    sleep(Duration::from_millis(300)).await;
                    Ok(body)
                }
                "sleep" => {
                    let _dropped = dropped;
                    sleep(Duration::from_secs(60)).await;
                    Ok(Bytes::new())
                }
                other => Err(Fault::new(Code::NotFound, format!("no endpoint {other}")).help("try echo")),
            }
        })
    }

    /// Certifies the key again that was certified first.
    fn renew(&self, key: &KeyRequest) -> Result<RenewalGrant, Fault> {
        let known = self.keys.lock().expect("no panic").get(&key.node).cloned();
        if known.as_ref() != Some(&key.public_key) {
            return Err(Fault::new(Code::Denied, "it is the key of no member"));
        }
        let now = self.clock.now();
        let certificate = self.authority.issue(key, CERTIFICATE_LIFE, now).expect("a good request");
        Ok(RenewalGrant { certificate, trust: Trust::of(self.authority.certificate()) })
    }

    fn admit(&self, request: &JoinRequest) -> Result<JoinGrant, Fault> {
        if request.secret != SECRET {
            return Err(Fault::new(Code::Denied, "this join token is not known"));
        }
        if std::mem::replace(&mut *self.used.lock().expect("no panic"), true) {
            return Err(Fault::new(Code::Denied, "this join token is used up"));
        }
        let certificate = self
            .authority
            .issue(&request.key, CERTIFICATE_LIFE, now())
            .map_err(|error| Fault::new(Code::Usage, error.to_string()))?;
        let trust = Trust::of(self.authority.certificate());
        Ok(JoinGrant { certificate, trust, peers: vec![(NodeId(1), request.address)] })
    }
}
