//! Accepts connections and serves HTTP on them, within bounds, until the node drains.

use crate::doors::{
    credentials::{Credentials, Known},
    grpc::{Connection, Exchange, Services},
    listeners::SocketFile,
    tally::{CONNECTIONS_MAX, DoorName, Tally},
    threads::Threads,
    tls::Certificate,
};
use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use micro_actors::audit::{Asker, AuditEvent, Origin};
use micro_sdk::wire::{Caller, Code, Fault};
use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::pin,
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
use tower::ServiceExt;

/// The pause after a failed accept: the process is out of file descriptors, and some may be free again soon.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The largest head of an HTTP/1 request: twice what other servers take, and far less than would be a burden before it
/// is known who sends it.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// How long a client may take to send the head of an HTTP/1 request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
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
    /// By the credentials of the peer's process.
    Peer,
    /// It is a process of this user, which the socket is not for.
    Stranger(u32),
    /// By the bearer token: the admin secret, or the token of an account.
    Bearer(Arc<Credentials>),
    /// Not at all.
    Nobody,
}

impl Guard {
    /// The caller of a request, or why it is turned away.
    fn caller<B>(&self, request: &Request<B>) -> Result<Known, Fault> {
        match self {
            Guard::Peer => Ok(Known::without_token(Caller::Admin)),
            Guard::Nobody => Ok(Known::without_token(Caller::Anonymous)),
            Guard::Stranger(uid) => {
                let message = format!("this socket is for root and the node's own user, not for user {uid}");
                Err(Fault::new(Code::Denied, message).help(
                    "run it as root or as the node's own user, or use --address 127.0.0.1:8081 (the gRPC proxy) \
                     with the admin secret",
                ))
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
    pub door: DoorName,
}

impl Acceptor {
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
            let accepted = tokio::select! {
                biased;
                _ = self.draining.wait_for(|draining| *draining) => break,
                accepted = accept() => accepted,
            };
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
        let guard = self.guard.clone();
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
                thread.spawn(grpc_connection(stream, &guard, origin, &thread.services, draining, permit));
                return Ok(());
            }
            tracing::warn!(uid, "a process of another user was turned away from the socket");
            if let Ok(permit) = strangers.clone().try_acquire_owned() {
                let guard = Guard::Stranger(uid);
                let refusing = grpc_connection(stream, &guard, origin, &thread.services, draining, permit);
                thread.spawn(async move { drop(timeout(STRANGER_PATIENCE, refusing).await) });
            }
            Ok(())
        })
        .await;
    }

    /// Serves gRPC on a TCP port.
    pub async fn serve_grpc(self, listener: TcpListener) {
        let guard = self.guard.clone();
        let listener = &listener;
        let accept = || accept_tcp(listener);
        self.run(accept, |threads, (stream, peer), draining, permit| {
            let thread = threads.idlest();
            let stream = stream.into_std()?;
            let stream = thread.enter(|| TcpStream::from_std(stream))?;
            let origin = Origin::Proxy(peer);
            thread.spawn(grpc_connection(stream, &guard, origin, &thread.services, draining, permit));
            Ok(())
        })
        .await;
    }

    /// Serves HTTP/1 and HTTP/2 on a TCP port, inside TLS if there is a certificate.
    pub async fn serve_http(self, listener: TcpListener, certificate: Option<Arc<Certificate>>) {
        let listener = &listener;
        let accept = || accept_tcp(listener);
        self.run(accept, |threads, (stream, peer), draining, permit| {
            let thread = threads.idlest();
            let stream = stream.into_std()?;
            let stream = thread.enter(|| TcpStream::from_std(stream))?;
            let (router, origin) = (thread.router.clone(), Origin::Api(peer));
            match &certificate {
                None => thread.spawn(http_connection(stream, router, origin, draining, permit)),
                Some(certificate) => {
                    let shaking = certificate.acceptor().accept(stream);
                    thread.spawn(async move {
                        match timeout(HANDSHAKE_TIMEOUT, shaking).await {
                            Ok(Ok(stream)) => http_connection(stream, router, origin, draining, permit).await,
                            Ok(Err(error)) => tracing::debug!(%error, "no TLS came of a connection"),
                            Err(_late) => tracing::debug!("a handshake of TLS took too long"),
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

fn http_connection<S>(
    stream: S,
    router: Router,
    origin: Origin,
    mut draining: watch::Receiver<bool>,
    permit: OwnedSemaphorePermit,
) -> impl Future<Output = ()> + Send + 'static + use<S>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .max_concurrent_streams(STREAMS_MAX);
    // Where a request came in goes with it as an extension, and nothing else puts it there.
    let service = TowerToHyperService::new(router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(origin);
        request
    }));
    async move {
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = async { drop(draining.wait_for(|draining| *draining).await) } => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, "an HTTP connection broke");
        }
        drop(permit);
    }
}

/// Serves gRPC on one connection. What the guard finds out goes with each request as an extension.
fn grpc_connection<S>(
    stream: S,
    guard: &Guard,
    origin: Origin,
    services: &Services,
    draining: watch::Receiver<bool>,
    permit: OwnedSemaphorePermit,
) -> impl Future<Output = ()> + Send + 'static + use<S>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (guard, services) = (guard.clone(), services.clone());
    let take = move |mut exchange: Exchange| {
        let request = exchange.request_mut();
        match guard.caller(request) {
            Ok(Known { caller, token }) => {
                request.extensions_mut().insert(caller);
                token.map(|token| request.extensions_mut().insert(token));
                request.extensions_mut().insert(origin);
                services.take(exchange);
            }
            Err(fault) => {
                let asker = Asker { origin, ..Asker::of(guard.nobody()) };
                let refused = AuditEvent::refused(asker, "enter", request.uri().path(), &fault.message);
                services.audit().tell(refused);
                exchange.refuse(&Status::from(fault));
            }
        }
    };
    async move {
        let served = async { Connection::open(stream, draining).await?.serve(take).await };
        if let Err(error) = served.await {
            tracing::debug!(%error, "a gRPC connection broke");
        }
        drop(permit);
    }
}
