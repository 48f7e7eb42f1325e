//! The connections over HTTP/2 to one instance: one for each thread that asks.
//!
//! They stand on h2 itself. A client around that puts a pool, two channels and a task between each caller and the
//! connection, which is more than the rest of the way through a node. Callers of one thread share a connection, and
//! never wait for another thread.
//!
//! Nobody asks an instance whether it lives. The kernel of this host tells when its program has gone; and servers of
//! gRPC end a connection on which they are pinged more often than every five minutes (gRFC A8, "ping strikes"), and
//! with it each stream on which there was nothing to say.

use bytes::Bytes;
use h2::{
    Reason,
    client::{Builder, SendRequest},
};
use std::{
    collections::HashMap,
    fmt::Display,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    runtime::{Handle, Id},
    sync::Mutex as Turn,
    time::timeout,
};

/// How long it may take to be connected on this host.
const DIAL_LIMIT: Duration = Duration::from_secs(1);
/// The longest head of an answer.
const HEAD_BYTES_MAX: u32 = 16 << 10;

/// That no connection takes a request. Nothing was done.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreached(pub String);

impl Unreached {
    fn because(error: impl Display) -> Self {
        Unreached(error.to_string())
    }
}

/// What an instance may send ahead, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    /// On one stream.
    pub stream: u32,
    /// On all streams of a connection together.
    pub connection: u32,
}

/// The connections to one instance, opened by the first who asks and again after a break.
pub(super) struct Connections {
    address: SocketAddr,
    windows: Windows,
    senders: Mutex<HashMap<Id, SendRequest<Bytes>>>,
    /// Held by who dials, so that callers who come together dial once.
    dialling: Turn<()>,
}

impl Connections {
    pub(super) fn new(address: SocketAddr, windows: Windows) -> Self {
        Connections { address, windows, senders: Mutex::default(), dialling: Turn::default() }
    }

    /// A connection of this thread that takes another request: the one that there is, else a new one.
    ///
    /// # Errors
    /// If it can't be connected.
    pub(super) async fn sender(&self) -> Result<SendRequest<Bytes>, Unreached> {
        let thread = Handle::current().id();
        if let Some(ready) = self.ready(thread).await {
            return Ok(ready);
        }
        let _turn = self.dialling.lock().await;
        // Whoever had the turn before may have dialled for this thread.
        if let Some(ready) = self.ready(thread).await {
            return Ok(ready);
        }
        let sender = timeout(DIAL_LIMIT, Box::pin(self.dial())).await;
        let sender = sender.map_err(|_| Unreached("it takes no connection".to_owned()))??;
        self.senders().insert(thread, sender.clone());
        sender.ready().await.map_err(Unreached::because)
    }

    async fn ready(&self, thread: Id) -> Option<SendRequest<Bytes>> {
        let known = self.senders().get(&thread).cloned()?;
        known.ready().await.ok()
    }

    fn senders(&self) -> MutexGuard<'_, HashMap<Id, SendRequest<Bytes>>> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn dial(&self) -> Result<SendRequest<Bytes>, Unreached> {
        let stream = TcpStream::connect(self.address).await.map_err(Unreached::because)?;
        // Waiting for more to send would only delay what there is. Failing costs 40 ms at most.
        let _ = stream.set_nodelay(true);
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .max_header_list_size(HEAD_BYTES_MAX)
            .initial_window_size(self.windows.stream)
            .initial_connection_window_size(self.windows.connection);
        let (sender, connection) = builder.handshake(stream).await.map_err(Unreached::because)?;
        tokio::spawn(async move {
            // Each caller is told by its own stream.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to an instance broke");
            }
        });
        Ok(sender)
    }
}

/// Whether an instance says by the error of a stream that it will not look at it, and so has done nothing.
pub(super) fn is_refusal(error: &h2::Error) -> bool {
    let refused = error.reason() == Some(Reason::REFUSED_STREAM);
    let going = error.is_go_away() && error.reason() == Some(Reason::NO_ERROR);
    error.is_remote() && (refused || going)
}
