//! Accepts connections and serves HTTP on them, within bounds, until the node drains.

use crate::{
    doors::{grpc::Services, listeners::SocketFile},
    node::AdminSecret,
};
use axum::Router;
use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use hyper::{body::Incoming, server::conn::http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use micro_sdk::wire::{Caller, Code, Fault};
use std::{convert::Infallible, future::Future, io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::sleep,
};
use tonic::body::Body;

/// Connections that one door serves at once: far more than services and people on a host need, and few enough that
/// their buffers stay below what a small host has.
const CONNECTIONS_MAX: usize = 4096;
/// The pause after a failed accept: the process is out of file descriptors, and some may be free again soon.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a client may take to send the head of an HTTP/1 request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a silent HTTP/2 connection is asked whether it lives, and how long it may take to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Streams in flight on one HTTP/2 connection.
const STREAMS_MAX: u32 = 4096;
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// How a door finds out who calls.
#[derive(Clone)]
pub(super) enum Guard {
    /// By the credentials of the peer's process.
    Peer,
    /// By the admin secret as bearer token.
    Secret(Arc<AdminSecret>),
    /// Not at all.
    Nobody,
}

impl Guard {
    /// The caller of a request, or why it is turned away.
    fn caller<B>(&self, request: &Request<B>) -> Result<Caller, Fault> {
        match self {
            Guard::Peer => Ok(Caller::Admin),
            Guard::Nobody => Ok(Caller::Anonymous),
            Guard::Secret(secret) => {
                let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
                let help = "send the admin secret: MICRO_NODE_TOKEN=@FILE, with the file `admin.secret` in the \
                            node's data directory";
                match header.map(|value| value.strip_prefix("Bearer ").unwrap_or("")) {
                    Some(token) if secret.matches(token) => Ok(Caller::Admin),
                    Some(_) => Err(Fault::new(Code::Denied, "the admin secret is wrong").help(help)),
                    None => Err(Fault::new(Code::Denied, "the admin secret is missing").help(help)),
                }
            }
        }
    }
}

/// Serves one door.
pub(super) struct Acceptor {
    pub guard: Guard,
    pub draining: watch::Receiver<bool>,
}

impl Acceptor {
    /// Accepts with `accept` and serves with `serve` until the node drains, then waits for what is in work.
    async fn run<S, A, F, C>(mut self, mut accept: A, mut serve: impl FnMut(S, &GracefulShutdown) -> C)
    where
        A: FnMut() -> F,
        F: Future<Output = io::Result<S>>,
        C: Future<Output = ()> + Send + 'static,
    {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let graceful = GracefulShutdown::new();
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
            match accepted {
                Ok(stream) => spawn_connection(serve(stream, &graceful), permit),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        graceful.shutdown().await;
    }

    /// Serves gRPC on a unix socket to root and the node's own user.
    pub async fn serve_unix(self, socket: SocketFile, services: Services) {
        let guard = self.guard.clone();
        let listener = &socket.listener;
        let accept = || async move {
            loop {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred()?.uid();
                if uid == 0 || uid == rustix::process::geteuid().as_raw() {
                    return Ok(stream);
                }
                tracing::warn!(uid, "a process of another user was turned away from the socket");
            }
        };
        self.run(accept, move |stream, graceful| {
            grpc_connection(stream, guard.clone(), services.clone(), graceful)
        })
        .await;
    }

    /// Serves gRPC on a TCP port.
    pub async fn serve_grpc(self, listener: TcpListener, services: Services) {
        let guard = self.guard.clone();
        let listener = &listener;
        let accept = || accept_tcp(listener);
        self.run(accept, move |stream, graceful| {
            grpc_connection(stream, guard.clone(), services.clone(), graceful)
        })
        .await;
    }

    /// Serves HTTP/1 and HTTP/2 on a TCP port.
    pub async fn serve_http(self, listener: TcpListener, router: Router) {
        let listener = &listener;
        let accept = || accept_tcp(listener);
        self.run(accept, move |stream, graceful| {
            let mut builder = auto::Builder::new(TokioExecutor::new());
            builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
            builder
                .http2()
                .timer(TokioTimer::new())
                .keep_alive_interval(KEEP_ALIVE)
                .max_concurrent_streams(STREAMS_MAX);
            let service = TowerToHyperService::new(router.clone());
            let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
            let connection = graceful.watch(connection);
            async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "an HTTP connection broke");
                }
            }
        })
        .await;
    }
}

async fn accept_tcp(listener: &TcpListener) -> io::Result<tokio::net::TcpStream> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn spawn_connection(connection: impl Future<Output = ()> + Send + 'static, permit: OwnedSemaphorePermit) {
    tokio::spawn(async move {
        connection.await;
        drop(permit);
    });
}

/// Serves gRPC on one connection. What the guard finds out goes with each request as an extension.
fn grpc_connection<S>(
    stream: S,
    guard: Guard,
    services: Services,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + 'static + use<S>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let mut services = services.clone();
        let caller = guard.caller(&request);
        async move {
            match caller {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                    services.call(request).await
                }
                Err(fault) => Ok::<_, Infallible>(refuse(fault)),
            }
        }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .auto_date_header(false);
    let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service));
    async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a gRPC connection broke");
        }
    }
}

fn refuse(fault: Fault) -> Response<Body> {
    let mut response = tonic::Status::from(fault).into_http::<Body>();
    *response.status_mut() = StatusCode::OK;
    response
}
