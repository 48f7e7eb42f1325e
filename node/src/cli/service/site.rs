//! The files of a folder as a service that takes HTTP: `GET` and `HEAD`, ranges and conditions (RFC 9110).
//!
//! The path of a request begins with a place that it is mounted at, or else with the service's name; what follows is
//! the path of a file below the folder. It is never both: a rule for one of them would say nothing of the other.

use super::{folder::Folder, neighbours::Neighbours};
use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, StatusCode, Uri,
    header::{ALLOW, IF_RANGE, LOCATION, RANGE, X_CONTENT_TYPE_OPTIONS},
    uri::PathAndQuery,
};
use http_body_util::{BodyExt, Empty, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use micro_sdk::wire::{Mount, ServiceName};
use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::sleep,
};
use tower::Service;
use tower_http::services::ServeDir;

/// The most answers at once. Each takes a connection and a file, of which a process has 1024 unless it is told
/// otherwise.
pub(super) const ANSWERS_MAX: u32 = 400;
/// Connections beside those: what checks the port, and what has asked nothing yet.
const CONNECTIONS_MAX: usize = ANSWERS_MAX as usize + 16;
/// How long to wait when a connection can't be taken, for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A folder, and where its files are found.
pub(super) struct Site {
    folder: Folder,
    /// What paths may begin with, the longest first.
    prefixes: Vec<String>,
}

impl Site {
    /// The files of a folder at these places; as those of a service, if there are none.
    pub fn of(folder: Folder, service: &ServiceName, mounts: &[Mount]) -> Self {
        let mut prefixes: Vec<String> = mounts.iter().map(|mount| mount.prefix().to_owned()).collect();
        if prefixes.is_empty() {
            prefixes.push(format!("/{service}"));
        }
        prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
        Site { folder, prefixes }
    }

    /// Answers whoever connects and may, until told to stop; then finishes what is asked already. Dropped, it cuts that
    /// off.
    pub async fn serve(self, listener: TcpListener, neighbours: Neighbours, stopping: watch::Receiver<bool>) {
        let Ok(own) = listener.local_addr() else { return };
        let site = Arc::new(self);
        let (mut connections, mut stopped) = (JoinSet::new(), stopping.clone());
        loop {
            let room = connections.len() < CONNECTIONS_MAX;
            tokio::select! {
                biased;
                () = told(&mut stopped) => break,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept(), if room => match accepted {
                    Ok((stream, peer)) if neighbours.admit(own, peer) => {
                        connections.spawn(site.clone().converse(stream, stopping.clone()));
                    }
                    Ok(_stranger) => {}
                    Err(_) => sleep(ACCEPT_PAUSE).await,
                },
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    /// Serves one connection. An error is the other side's: it sees it itself.
    async fn converse(self: Arc<Self>, stream: TcpStream, mut stopping: watch::Receiver<bool>) {
        // Answers are written whole; waiting for more to send would only delay them. Failing costs 40 ms at most.
        let _ = stream.set_nodelay(true);
        let answer = service_fn(move |request: Request<Incoming>| {
            let site = self.clone();
            async move { Ok::<_, Infallible>(site.answer(request.map(drop)).await) }
        });
        let mut protocol = http1::Builder::new();
        // Who has not sent a head after 30 s, hyper's own limit, is left: the timer makes it count.
        protocol.timer(TokioTimer::new());
        let mut connection = pin!(protocol.serve_connection(TokioIo::new(stream), answer));
        tokio::select! {
            biased;
            () = told(&mut stopping) => connection.as_mut().graceful_shutdown(),
            _ = connection.as_mut() => return,
        }
        let _ = connection.await;
    }

    async fn answer(&self, mut request: Request<()>) -> Response<Body> {
        let path = request.uri().path();
        let Some((prefix, rest)) = self.below(path) else { return empty(StatusCode::NOT_FOUND) };
        if rest.is_empty() && !prefix.is_empty() {
            // Without the slash, links from the page would lead past the prefix.
            return self.moved(request.uri());
        }
        let target = PathAndQuery::try_from(match request.uri().query() {
            Some(query) => format!("{rest}?{query}"),
            None => rest.to_owned(),
        });
        let Ok(target) = target else { return empty(StatusCode::NOT_FOUND) };
        let prefix = prefix.to_owned();
        *request.uri_mut() = Uri::from(target);
        // What has changed since would be pieced together with what has not. All of it is always right (RFC 9110,
        // 14.2).
        if request.headers().contains_key(IF_RANGE) {
            request.headers_mut().remove(RANGE);
        }
        let files = ServeDir::with_backend("", self.folder.clone()).redirect_path_prefix(prefix);
        let mut files = files.ignore_multi_range_requests(true);
        let answer = match files.call(request.map(|()| Empty::<Bytes>::new())).await {
            Ok(answer) => answer.map(|body| body.map_err(io::Error::other).boxed_unsync()),
            Err(never) => match never {},
        };
        dressed(answer)
    }

    /// The prefix that a path begins with, and what follows, which is empty or begins with a slash.
    fn below<'p>(&'p self, path: &'p str) -> Option<(&'p str, &'p str)> {
        self.prefixes.iter().find_map(|prefix| {
            let rest = path.strip_prefix(prefix.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then_some((prefix.as_str(), rest))
        })
    }

    /// Leads from a folder's name to the folder.
    fn moved(&self, uri: &Uri) -> Response<Body> {
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut answer = empty(StatusCode::TEMPORARY_REDIRECT);
        if let Ok(place) = HeaderValue::try_from(format!("{}/{query}", uri.path())) {
            answer.headers_mut().insert(LOCATION, place);
        }
        answer
    }
}

/// Ready once the site was told to stop, or nobody can tell it any more.
async fn told(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *answer.status_mut() = status;
    answer
}

/// Says what the library does not: a file is what its name says, and no browser is to guess anything else.
fn dressed(mut answer: Response<Body>) -> Response<Body> {
    let refused = answer.status() == StatusCode::METHOD_NOT_ALLOWED;
    let headers = answer.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if refused {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    answer
}

/// A listener at a port that nobody else has.
pub(super) async fn listener() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
