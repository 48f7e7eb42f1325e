//! Accepts connections and has them served, within bounds, until the node drains.

use crate::doors::{
    credentials::{Credentials, Known, is_nobody},
    dns::Dns,
    grpc::{Connection, Exchange, Services, unproven},
    http::connection::{self, Arrival},
    limits::Limits,
    listeners::SocketFile,
    tally::{CONNECTIONS_MAX, DoorName, Reason, Tally},
    threads::Threads,
    tls::Tls,
};
use http::{Request, uri::Scheme};
use micro_actors::audit::{Asker, AuditEvent, Origin};
use micro_sdk::wire::{Caller, Code, Fault};
use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{sleep, timeout},
};
use tonic::Status;

/// The pause after a failed accept: the process is out of file descriptors, and some may be free again soon.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a client may take for the handshake of TLS: two round trips.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a silent HTTP/2 connection is asked whether it lives, and how long it may take to answer.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Streams in flight on one HTTP/2 connection.
pub(super) const STREAMS_MAX: u32 = 4096;
/// How many processes of other users are told at once that the socket is not for them, and how long each may listen:
/// what they take is not taken from those who may come in.
const STRANGERS_MAX: usize = 16;
const STRANGER_PATIENCE: Duration = Duration::from_secs(2);

/// How a door finds out who calls.
#[derive(Clone)]
pub(super) enum Guard {
    /// By the credentials of the peer's process, which may act as an account by showing its token.
    Peer(Arc<Credentials>),
    /// It is a process of this user, which the socket is not for.
    Stranger {
        uid: u32,
        /// The gRPC proxy, which is for them too.
        proxy: SocketAddr,
    },
    /// By the bearer token: the admin secret, or the token of an account.
    Bearer(Arc<Credentials>),
    /// Not at all.
    Nobody,
}

impl Guard {
    /// The caller of a request, or why it is turned away.
    fn caller<B>(&self, request: &Request<B>) -> Result<Known, Fault> {
        match self {
            Guard::Peer(credentials) => match credentials.known_or_nobody(request.headers())? {
                known if is_nobody(&known.caller) => Ok(Known::without_token(Caller::Admin)),
                known => Ok(known),
            },
            Guard::Nobody => Ok(Known::without_token(Caller::Anonymous)),
            Guard::Stranger { uid, proxy } => {
                let message = format!("this socket is for root and the node's own user, not for user {uid}");
                Err(Fault::new(Code::Denied, message).help(format!(
                    "run it as root or as the node's own user, or use --address {proxy} (the gRPC proxy) as an account \
                     (micro-node login) or with the admin secret"
                )))
            }
            Guard::Bearer(credentials) => credentials.known(request.headers(), request.uri().path()),
        }
    }

    /// What those are that are turned away.
    fn nobody(&self) -> &Caller {
        match self {
            Guard::Bearer(credentials) => &credentials.nobody,
            _ => &Caller::Anonymous,
        }
    }
}

/// Serves one door.
pub(super) struct Acceptor {
    pub guard: Guard,
    pub draining: watch::Receiver<bool>,
    pub threads: Arc<Threads>,
    pub tally: Arc<Tally>,
    pub limits: Arc<Limits>,
    pub door: DoorName,
    /// Where the gRPC proxy listens.
    pub proxy: SocketAddr,
}

impl Acceptor {
    fn entrance(&self) -> Entrance {
        let (guard, limits) = (self.guard.clone(), self.limits.clone());
        Entrance { guard, limits, tally: self.tally.clone(), door: self.door }
    }

    /// Accepts with `accept` and serves with `serve` until the node drains, then waits for what is in work. `serve`
    /// puts the connection on the thread that is to serve it.
    async fn run<S, A, F>(
        mut self,
        mut accept: A,
        serve: impl Fn(&Threads, S, watch::Receiver<bool>, OwnedSemaphorePermit) -> io::Result<()>,
    ) where
        A: FnMut() -> F,
        F: Future<Output = io::Result<S>>,
    {
        let connections = self.tally.connections(self.door);
        let permits = &connections.permits;
        loop {
            let permit = tokio::select! {
                biased;
                _ = self.draining.wait_for(|draining| *draining) => break,
                permit = permits.clone().acquire_owned() => permit.expect("the semaphore is never closed"),
            };
            connections.awaited.fetch_add(1, Ordering::Relaxed);
            let accepted = tokio::select! {
                biased;
                _ = self.draining.wait_for(|draining| *draining) => None,
                accepted = accept() => Some(accepted),
            };
            connections.awaited.fetch_sub(1, Ordering::Relaxed);
            let Some(accepted) = accepted else { break };
            let served = accepted.and_then(|stream| {
                connections.taken.fetch_add(1, Ordering::Relaxed);
                serve(&self.threads, stream, self.draining.clone(), permit)
            });
            if let Err(error) = served {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
        // Each connection gives its permit back when it ends.
        let _all = permits.acquire_many(CONNECTIONS_MAX as u32).await;
    }

    /// Serves gRPC on a unix socket to root and the node's own user, and tells others that it is not for them.
    pub async fn serve_unix(self, socket: SocketFile) {
        let (entrance, proxy) = (self.entrance(), self.proxy);
        let strangers = Arc::new(Semaphore::new(STRANGERS_MAX));
        let listener = &socket.listener;
        let accept = || async move {
            let (stream, _) = listener.accept().await?;
            let uid = stream.peer_cred()?.uid();
            Ok((stream, uid))
        };
        // Tools and services of this host, seldom in a hurry: not worth another thread.
        self.run(accept, |threads, (stream, uid), draining, permit| {
            let thread = threads.own();
            let origin = Origin::Socket { uid };
            if uid == 0 || uid == rustix::process::geteuid().as_raw() {
                let serving = entrance.serve(stream, origin, &thread.services, draining);
                thread.spawn(held(permit, serving));
                return Ok(());
            }
            tracing::warn!(uid, "a process of another user was turned away from the socket");
            if let Ok(permit) = strangers.clone().try_acquire_owned() {
                let entrance = Entrance { guard: Guard::Stranger { uid, proxy }, ..entrance.clone() };
                let refusing = entrance.serve(stream, origin, &thread.services, draining);
                thread.spawn(async move { drop(timeout(STRANGER_PATIENCE, held(permit, refusing)).await) });
            }
            Ok(())
        })
        .await;
    }

    /// Serves gRPC on a TCP port.
    pub async fn serve_grpc(self, listener: TcpListener) {
        let (entrance, limits) = (self.entrance(), self.limits.clone());
        let listener = &listener;
        let accept = || accept_tcp(listener);
        self.run(accept, |threads, (stream, peer), draining, permit| {
            let Some(place) = limits.connect(DoorName::Proxy, peer.ip()) else { return Ok(()) };
            let thread = threads.idlest();
            let stream = stream.into_std()?;
            let stream = thread.enter(|| TcpStream::from_std(stream))?;
            let origin = Origin::Proxy(peer);
            let serving = entrance.serve(stream, origin, &thread.services, draining);
            thread.spawn(held((permit, place), serving));
            Ok(())
        })
        .await;
    }

    /// Serves DNS on a TCP port.
    pub async fn serve_dns(self, listener: TcpListener, dns: Dns) {
        let limits = self.limits.clone();
        let listener = &listener;
        let accept = || accept_tcp(listener);
        self.run(accept, |threads, (stream, peer), draining, permit| {
            let Some(place) = limits.connect(DoorName::Dns, peer.ip()) else { return Ok(()) };
            let thread = threads.idlest();
            let stream = stream.into_std()?;
            let stream = thread.enter(|| TcpStream::from_std(stream))?;
            thread.spawn(held((permit, place), dns.clone().serve_tcp(stream, peer, draining)));
            Ok(())
        })
        .await;
    }

    /// Serves HTTP/1 and HTTP/2 on a TCP port, inside TLS if that is wanted.
    pub async fn serve_http(self, listener: TcpListener, tls: Option<Tls>) {
        let (limits, tally) = (self.limits.clone(), self.tally.clone());
        let listener = &listener;
        let accept = || accept_tcp(listener);
        self.run(accept, |threads, (stream, peer), draining, permit| {
            let Some(place) = limits.connect(DoorName::Api, peer.ip()) else { return Ok(()) };
            let thread = threads.idlest();
            let stream = stream.into_std()?;
            let stream = thread.enter(|| TcpStream::from_std(stream))?;
            let (api, tally) = (thread.api.clone(), tally.clone());
            // A WebSocket keeps it when there is no HTTP any more.
            let scheme = if tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
            let arrival = Arrival::new(Origin::Api(peer), scheme, (permit, place));
            match &tls {
                None => thread.spawn(connection::serve(stream, api, arrival, draining, tally)),
                Some(tls) => {
                    let shaking = tls.clone().shake(stream);
                    thread.spawn(async move {
                        match timeout(HANDSHAKE_TIMEOUT, shaking).await {
                            Ok(Ok(Some(stream))) => {
                                connection::serve(stream, api, arrival, draining, tally).await
                            }
                            Ok(Ok(None)) => tracing::debug!("a challenge was answered"),
                            Ok(Err(error)) => tracing::debug!(%error, "no TLS came of a connection"),
                            Err(_late) => {
                                tracing::debug!("a handshake of TLS took too long");
                                tally.refused(DoorName::Api, Reason::Late);
                            }
                        }
                    });
                }
            }
            Ok(())
        })
        .await;
    }
}

async fn accept_tcp(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer))
}

/// What a connection takes up is given back when it ends.
async fn held(kept: impl Send, serving: impl Future<Output = ()> + Send) {
    serving.await;
    drop(kept);
}

/// What each connection of a gRPC door has to pass.
#[derive(Clone)]
struct Entrance {
    guard: Guard,
    limits: Arc<Limits>,
    tally: Arc<Tally>,
    door: DoorName,
}

impl Entrance {
    /// Serves gRPC on one connection. What is found out of a caller goes with each request as an extension.
    fn serve<S>(
        &self,
        stream: S,
        origin: Origin,
        services: &Services,
        draining: watch::Receiver<bool>,
    ) -> impl Future<Output = ()> + Send + 'static + use<S>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (entrance, services) = (self.clone(), services.clone());
        let (tally, door) = (self.tally.clone(), self.door);
        let take =
            move |mut exchange: Exchange| match entrance.known(exchange.request_mut(), origin, &services) {
                Ok(Known { caller, token }) => {
                    let extensions = exchange.request_mut().extensions_mut();
                    extensions.insert(caller);
                    token.map(|token| extensions.insert(token));
                    extensions.insert(origin);
                    services.take(exchange);
                }
                Err(status) => exchange.refuse(&status),
            };
        async move {
            let served = match Connection::open(stream, draining).await {
                Ok(connection) => connection.serve(take).await,
                Err(error) => {
                    if error.kind() == io::ErrorKind::TimedOut {
                        tally.refused(door, Reason::Late);
                    }
                    Err(error)
                }
            };
            if let Err(error) = served {
                tracing::debug!(%error, "a gRPC connection broke");
                if error.kind() == io::ErrorKind::QuotaExceeded {
                    tally.refused(door, Reason::Resets);
                }
            }
        }
    }

    /// Who sends a request, if they may ask for something now. Whoever shows what is not good counts as not known.
    fn known<B>(&self, request: &Request<B>, origin: Origin, services: &Services) -> Result<Known, Status> {
        match self.guard.caller(request) {
            Ok(known) => {
                self.limits.admit(&known.caller, origin)?;
                Ok(known)
            }
            Err(fault) => {
                self.limits.admit(self.guard.nobody(), origin)?;
                let asker = Asker { origin, ..Asker::of(self.guard.nobody()) };
                let refused = AuditEvent::refused(asker, "enter", request.uri().path(), &fault.message);
                services.audit().tell(refused);
                // Another user of this host has shown who they are by their process.
                Err(match &self.guard {
                    Guard::Stranger { .. } => fault.into(),
                    _ => unproven(fault),
                })
            }
        }
    }
}
