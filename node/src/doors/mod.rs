//! The doors: where people and programs come in.
//!
//! | door | speaks | who is trusted |
//! |---|---|---|
//! | unix socket | gRPC | root and the node's own user, by peer credentials |
//! | proxy port | gRPC | holders of the admin secret; accounts, by their tokens |
//! | api port | HTTP and JSON | accounts, by their tokens; who shows none is nobody in particular |
//!
//! A door says who calls and sets the deadline; what the caller may do is decided by `authorize` behind it.

mod acceptor;
mod api;
mod credentials;
mod grpc;
mod listeners;
mod public_blobs;
mod threads;

pub use listeners::{Listeners, bind_fault};

use crate::node::Local;
use acceptor::{Acceptor, Guard};
use credentials::Credentials;
use micro_sdk::wire::{Code, Fault};
use std::sync::Arc;
use threads::Threads;
use tokio::{sync::watch, task::JoinSet};

/// The open doors of one node.
pub struct Doors {
    draining: watch::Sender<bool>,
    acceptors: JoinSet<()>,
}

impl Doors {
    /// Opens all doors, with `threads` threads for their connections beside this one.
    ///
    /// # Errors
    /// [`Code::Failed`] if the system gives no thread.
    pub fn open(listeners: Listeners, local: &Local, threads: Option<usize>) -> Result<Self, Fault> {
        let draining = watch::Sender::new(false);
        let nobody = credentials::nobody(listeners.api_address);
        let threads = Threads::start(threads, local, &nobody, &draining.subscribe()).map_err(|error| {
            Fault::new(Code::Failed, format!("no thread for connections can be started: {error}"))
                .help("raise the limit of threads, or start with --door-threads 0")
        })?;
        let credentials = Arc::new(Credentials {
            secret: listeners.secret,
            guard: local.guard().clone(),
            nobody: credentials::nobody(listeners.proxy_address),
        });
        let acceptor = |guard| Acceptor { guard, draining: draining.subscribe(), threads: threads.clone() };
        let mut acceptors = JoinSet::new();
        acceptors.spawn(acceptor(Guard::Peer).serve_unix(listeners.socket));
        acceptors.spawn(acceptor(Guard::Bearer(credentials)).serve_grpc(listeners.proxy));
        acceptors.spawn(acceptor(Guard::Nobody).serve_http(listeners.api));
        Ok(Doors { draining, acceptors })
    }

    /// Takes no new connections, tells services to look elsewhere, and returns when all calls in work are done.
    pub async fn close(mut self) {
        self.draining.send_replace(true);
        while self.acceptors.join_next().await.is_some() {}
    }
}
