//! One connection of the HTTP api, from its first byte to its end.

use super::{
    super::{
        acceptor::{KEEP_ALIVE, STREAMS_MAX},
        tally::{DoorName, Reason, Tally},
    },
    Api,
    portions::Portions,
};
use axum::body::Body;
use http::{Request, uri::Scheme};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use micro_actors::audit::Origin;
use std::{
    any::Any,
    convert::Infallible,
    error::Error,
    future::pending,
    iter::successors,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::sleep,
};

/// The largest head of an HTTP/1 request: twice what other servers take, and far less than would be a burden before it
/// is known who sends it.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The headers of an HTTP/2 request, unfolded: they may be of many streams at once.
const HEADERS_BYTES_MAX: u32 = 16 << 10;
/// How long a client may take to send the head of an HTTP/1 request, and that of the first one in any case.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How many requests of an HTTP/2 connection may have been taken back before they were looked at: a client that sends
/// and takes back without an end costs much and gets nothing (CVE-2023-44487).
const RESETS_MAX: usize = 20;
/// How many streams may be in error by the client's fault.
const FAULTS_MAX: usize = 256;

/// How a connection came in. It goes with each of its requests as an extension, and nothing else puts it there.
#[derive(Clone)]
pub(in crate::doors) struct Arrival(Arc<Parts>);

struct Parts {
    origin: Origin,
    scheme: Scheme,
    _kept: Box<dyn Any + Send + Sync>,
}

impl Arrival {
    /// From `origin`, by `scheme`. What the connection takes up is `kept` until all clones are dropped: also while it
    /// is something else than HTTP.
    pub fn new(origin: Origin, scheme: Scheme, kept: impl Any + Send + Sync) -> Self {
        Arrival(Arc::new(Parts { origin, scheme, _kept: Box::new(kept) }))
    }

    /// Who is at the other end.
    pub fn origin(&self) -> Origin {
        self.0.origin
    }

    /// Whether TLS was spoken.
    pub fn scheme(&self) -> &Scheme {
        &self.0.scheme
    }
}

/// Serves HTTP/1 and HTTP/2 on `stream` until the client goes, or the node drains and what was begun is done.
pub(in crate::doors) async fn serve<S>(
    stream: S,
    api: Api,
    arrival: Arrival,
    mut draining: watch::Receiver<bool>,
    tally: Arc<Tally>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(FAULTS_MAX);
    let requests = Arc::new(AtomicU64::new(0));
    let seen = requests.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        seen.fetch_add(1, Ordering::Relaxed);
        request.extensions_mut().insert(arrival.clone());
        let api = api.clone();
        // Boxed, since hyper moves it about: to where it is polled, and in HTTP/2 to a task of its own.
        Box::pin(async move { Ok::<_, Infallible>(api.answer(request.map(Body::new)).await) })
    });
    let late = async {
        sleep(HEAD_TIMEOUT).await;
        // From then on each version of HTTP has its own way to find out who is gone.
        if requests.load(Ordering::Relaxed) > 0 {
            pending::<()>().await;
        }
    };
    let mut connection = pin!(
        builder
            .serve_connection_with_upgrades(TokioIo::new(Portions::new(stream, requests.clone())), service)
    );
    let served = tokio::select! {
        biased;
        served = connection.as_mut() => served,
        () = async { drop(draining.wait_for(|draining| *draining).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = late => {
            tracing::debug!("a client sent no request in time");
            tally.refused(DoorName::Api, Reason::Late);
            return;
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection broke");
        if requests.load(Ordering::Relaxed) == 0 && is_late(&*error) {
            tally.refused(DoorName::Api, Reason::Late);
        } else if is_too_much(&*error) {
            tally.refused(DoorName::Api, Reason::Resets);
        }
    }
}

/// An error and what it comes of.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    successors(Some(error), |error: &&'e (dyn Error + 'static)| (*error).source())
}

fn is_late(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    causes(error).any(|error| error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_timeout))
}

/// Whether the connection was ended because of too many requests that were taken back.
fn is_too_much(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    let calm = |error: &h2::Error| error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM);
    causes(error).any(|error| error.downcast_ref::<h2::Error>().is_some_and(calm))
}
