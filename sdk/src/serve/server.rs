//! A service as a process: its port, its attachment, its end.

use super::{
    HealthCheck, Result, Service, about::Question, attachment::Attachment, door::Door, health::milliseconds,
    own_node::OwnNode, program::Program, say,
};
#[cfg(feature = "config")]
use crate::config::Config;
use crate::{
    client::{Address, Node, Token},
    proto::AttachRequest,
    wire::{Code, Fault, Mount, Namespace, ServiceName},
};
use futures::FutureExt;
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

/// How long calls in flight may take after the process was told to end: as long as a call may take by
/// default.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// The most calls in flight at once, unless told otherwise.
const PERMITS_DEFAULT: u32 = 1024;
/// The most connections: the node holds a few; people with curl the others.
const CONNECTIONS_MAX: usize = 256;
/// How long to wait when a connection can't be taken, for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What a caller may send ahead on one call: a large body is not held up by round trips.
const WINDOW_BYTES: u32 = 1 << 20;
/// The same on all calls of a connection: many that no handler reads yet don't hold up the others. Half of it is what
/// short messages may cost beside their bytes before h2 ends the connection.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 30;

/// Who may connect: told the port's own address, and that of the other end.
type Admission = Arc<dyn Fn(SocketAddr, SocketAddr) -> bool + Send + Sync>;

/// Serves one service. [`serve`](super::serve) is this with nothing set.
#[must_use = "a server does nothing until it runs"]
pub struct Server {
    service: Arc<dyn Service>,
    /// Where the program is that is offered in place of the service.
    program: Option<SocketAddr>,
    name: Option<String>,
    version: Option<String>,
    node: Option<Address>,
    token: Option<Token>,
    client: Option<Node>,
    namespace: Namespace,
    permits: u32,
    admission: Option<Admission>,
    descriptors: Vec<u8>,
    metadata: BTreeMap<String, String>,
    check: Option<HealthCheck>,
    ttl: Option<Duration>,
    #[cfg(feature = "config")]
    config: Option<Config>,
}

impl Server {
    /// A server of `service` under its own name and version, for the node that
    /// [`Node::connect`](crate::client::Node::connect) finds.
    pub fn new(service: impl Service) -> Server {
        Server {
            service: Arc::new(service),
            program: None,
            name: None,
            version: None,
            node: None,
            token: None,
            client: None,
            namespace: Namespace::default(),
            permits: PERMITS_DEFAULT,
            admission: None,
            descriptors: Vec::new(),
            metadata: BTreeMap::new(),
            check: None,
            ttl: None,
            #[cfg(feature = "config")]
            config: None,
        }
    }

    /// A server of a program on this host, in whatever language, that takes HTTP/1.1 at `address` as it is. Requests to
    /// the HTTP api for `/NAME` and all below it are passed on with method, path, query, headers and body, and so are
    /// its answers. It is told who calls, in the headers `micro-caller` and those beside it, which callers can't send.
    ///
    /// Rules know its paths as endpoints: `service:NAME:/NAME/admin*`.
    pub fn http(name: impl Into<String>, address: SocketAddr) -> Server {
        Server { name: Some(name.into()), program: Some(address), ..Server::new(Program::Http(Vec::new())) }
    }

    /// The same, which is also sent all requests of these places of the HTTP api, as they are: their paths begin with
    /// the prefix of the place. A place that another service has is refused when it attaches.
    ///
    /// Rules know these paths as endpoints too: `service:NAME:/PREFIX/admin*`.
    pub fn http_at(name: impl Into<String>, address: SocketAddr, mounts: Vec<Mount>) -> Server {
        Server { name: Some(name.into()), program: Some(address), ..Server::new(Program::Http(mounts)) }
    }

    /// A server of a program on this host, in whatever language, that speaks gRPC at `address`. The node asks it by
    /// reflection what it offers, unless [`descriptors`](Server::descriptors) say it.
    pub fn grpc(name: impl Into<String>, address: SocketAddr) -> Server {
        Server { name: Some(name.into()), program: Some(address), ..Server::new(Program::Grpc) }
    }

    /// Another name.
    pub fn name(mut self, name: impl Into<String>) -> Server {
        self.name = Some(name.into());
        self
    }

    /// Another version.
    pub fn version(mut self, version: impl Into<String>) -> Server {
        self.version = Some(version.into());
        self
    }

    /// Another node. It must be on this host: it calls back on loopback.
    pub fn node(mut self, address: Address) -> Server {
        self.node = Some(address);
        self
    }

    /// The admin secret, for a node on TCP; else it is that in `MICRO_NODE_TOKEN`.
    pub fn token(mut self, token: Token) -> Server {
        self.token = Some(token);
        self
    }

    /// The node and the namespace of this client, and whoever it acts as, in place of what is set one by one.
    pub fn client(mut self, node: &Node) -> Server {
        self.node = Some(node.address().clone());
        self.namespace = node.namespace().clone();
        self.client = Some(node.clone());
        self
    }

    /// Another namespace than `default`.
    pub fn namespace(mut self, namespace: Namespace) -> Server {
        self.namespace = namespace;
        self
    }

    /// The most calls in flight at once; 1024 unless set. The node refuses more.
    pub fn permits(mut self, permits: u32) -> Server {
        self.permits = permits.max(1);
        self
    }

    /// Who may connect to its port: this is asked about each connection, with the port's own address and that of the
    /// other end, and must not wait. Unless it is set, all programs of this host may, and are believed what they say of
    /// who calls.
    pub fn admit(
        mut self,
        admits: impl Fn(SocketAddr, SocketAddr) -> bool + Send + Sync + 'static,
    ) -> Server {
        self.admission = Some(Arc::new(admits));
        self
    }

    /// The protobuf messages of its endpoints, as a `google.protobuf.FileDescriptorSet` with all imports. Callers of
    /// gRPC may then send protobuf: a method `acme.shop.v1.Cart.AddItem` is the endpoint `Cart.add_item`, whose JSON is
    /// that of the messages (ProtoJSON).
    pub fn descriptors(mut self, set: impl Into<Vec<u8>>) -> Server {
        self.descriptors = set.into();
        self
    }

    /// Says something of this instance, which callers may choose by and people see: `zone` is `b`, `tier` is `gold`. At
    /// most 16 of these, of 1024 bytes together. The node refuses a name other than of letters, digits, `-`, `_`, `.`.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Server {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// How the node finds out whether this instance works. Without a check it counts as working for as long as it is
    /// attached.
    pub fn health(mut self, check: HealthCheck) -> Server {
        self.check = Some(check);
        self
    }

    /// How long this process may be silent before the instance counts as failing; after ten times as long it is gone.
    /// It reports three times within. Without one it is the node's word that the connection is there.
    pub fn ttl(mut self, ttl: Duration) -> Server {
        self.ttl = Some(ttl);
        self
    }

    /// The service's configuration: nodes may ask where its values come from, and changes that are staged for this
    /// instance reach it.
    #[cfg(feature = "config")]
    pub fn config(mut self, config: &Config) -> Server {
        self.config = Some(config.clone());
        self
    }

    /// Serves until SIGTERM or SIGINT. Where `-h`, `--help` or `--version` is the program's sole argument, it answers
    /// that on stdout instead.
    ///
    /// # Errors
    /// If the name is no name, no port can be had, or the node refuses the service for good.
    pub async fn run(self) -> Result<()> {
        if let Some(question) = Question::among(std::env::args_os().skip(1)) {
            let name = self.name.as_deref().unwrap_or(self.service.name());
            let version = self.version.as_deref().unwrap_or(self.service.version());
            let answer = question.answer(name, version, &*self.service);
            // A closed pipe is no reason to complain.
            let _ = io::stdout().write_all(answer.as_bytes());
            return Ok(());
        }
        let stopped = stop_signal().map_err(|error| failed("no signal can be waited for", &error))?;
        self.run_until(stopped).await
    }

    /// Serves until `stop` is ready; then detaches and finishes what is in flight, for 10 s at most.
    ///
    /// # Errors
    /// As [`Server::run`].
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<()> {
        let name = self.name.as_deref().unwrap_or(self.service.name());
        let name: ServiceName = name
            .parse()
            .map_err(|error: crate::wire::NameError| Fault::new(Code::Usage, error.to_string()))?;
        if let Some(program) = self.program {
            say(format_args!("{name} is the program at {program}"));
            // It acts by nothing: it is no caller of this library.
            let attachment = self.attachment(&name, program, watch::channel(None).0);
            return tokio::select! {
                biased;
                () = stop => Ok(()),
                fault = attachment.hold() => Err(fault),
            };
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(|error| failed("no loopback port can be had", &error))?;
        let local = listener.local_addr().map_err(|error| failed("the port has no address", &error))?;
        say(format_args!("{name} listens on http://{local}"));
        let (tokens, given) = watch::channel(None);
        let own = OwnNode::new(self.node.clone(), self.namespace.clone(), given);
        let attachment = self.attachment(&name, local, tokens);
        let door = Door::new(self.service, Some(own));
        #[cfg(feature = "config")]
        let door = door.with_config(self.config);
        let (stopping, watched) = watch::channel(false);
        let reception =
            Reception { door: Arc::new(door), permits: self.permits, admission: self.admission, local };
        let mut connections = tokio::spawn(reception.accept(listener, watched));
        let result = tokio::select! {
            biased;
            () = stop => Ok(()),
            fault = attachment.hold() => Err(fault),
        };
        // The attachment is dropped by now: the node sends no more.
        stopping.send_replace(true);
        if timeout(DRAIN_TIMEOUT, &mut connections).await.is_err() {
            say(format_args!("{name} did not finish within {DRAIN_TIMEOUT:?}: what is left is cut off"));
            connections.abort();
        }
        result
    }
}

impl Server {
    /// What attaches the service, which is at `address`, and tells `tokens` what it acts by.
    fn attachment(
        &self,
        name: &ServiceName,
        address: SocketAddr,
        tokens: watch::Sender<Option<Token>>,
    ) -> Attachment {
        Attachment {
            address: self.node.clone(),
            tokens,
            token: self.token.clone(),
            client: self.client.clone(),
            request: AttachRequest {
                name: name.to_string(),
                version: self.version.clone().unwrap_or_else(|| self.service.version().to_owned()),
                address: address.to_string(),
                endpoints: self.service.endpoints().into_iter().map(Into::into).collect(),
                namespace: self.namespace.to_string(),
                permits: self.permits,
                descriptors: self.descriptors.clone().into(),
                metadata: self.metadata.clone(),
                check: self.check.as_ref().map(HealthCheck::message),
                ttl_ms: self.ttl.map_or(0, milliseconds),
            },
            check: self.check.clone(),
            namespace: self.namespace.clone(),
            #[cfg(feature = "config")]
            config: self.config.clone(),
        }
    }
}

fn failed(what: &str, error: &io::Error) -> Fault {
    Fault::new(Code::Failed, format!("{what}: {error}"))
}

/// Ready when the process is told to end.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            biased;
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// What connections are taken for.
struct Reception {
    door: Arc<Door>,
    permits: u32,
    admission: Option<Admission>,
    local: SocketAddr,
}

impl Reception {
    /// Takes connections until told to stop, then waits for those that are open. Dropped, it cuts them off.
    async fn accept(self, listener: TcpListener, stopping: watch::Receiver<bool>) {
        let mut connections = JoinSet::new();
        let mut stopped = stopping.clone();
        loop {
            let room = connections.len() < CONNECTIONS_MAX;
            tokio::select! {
                biased;
                () = told(&mut stopped) => break,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept(), if room => match accepted {
                    Ok((stream, peer)) if self.admits(peer) => {
                        connections.spawn(converse(stream, self.door.clone(), self.permits, stopping.clone()));
                    }
                    Ok(_stranger) => {}
                    Err(_) => sleep(ACCEPT_PAUSE).await,
                },
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    fn admits(&self, peer: SocketAddr) -> bool {
        self.admission.as_ref().is_none_or(|admits| admits(self.local, peer))
    }
}

/// Ready once the server was told to stop, or is gone.
async fn told(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Serves one connection, HTTP/1.1 or HTTP/2 as the caller speaks. An error is the caller's: it sees it
/// itself.
async fn converse(stream: TcpStream, door: Arc<Door>, permits: u32, mut stopping: watch::Receiver<bool>) {
    // Answers are written whole; waiting for more to send would only delay them. Failing costs 40 ms at most.
    let _ = stream.set_nodelay(true);
    let mut protocol = auto::Builder::new(TokioExecutor::new());
    protocol.http1().timer(TokioTimer::new());
    protocol
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(permits)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    // Boxed, since hyper moves it about: to where it is polled, and in HTTP/2 to a task of its own.
    let service = service_fn(move |request| Box::pin(door.clone().reply(request).map(Ok::<_, Infallible>)));
    let connection = protocol.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        () = told(&mut stopping) => connection.as_mut().graceful_shutdown(),
        _ = connection.as_mut() => return,
    }
    let _ = connection.await;
}
