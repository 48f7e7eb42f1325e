//! The doors: where people and programs come in.
//!
//! | door | speaks | who is trusted |
//! |---|---|---|
//! | unix socket | gRPC | root and the node's own user, by peer credentials |
//! | proxy port | gRPC | holders of the admin secret |
//! | api port | HTTP and JSON | nobody in particular: people's services only, loopback only |
//!
//! A door says who calls and sets the deadline; what the caller may do is decided by `authorize` behind it.

mod acceptor;
mod api;
mod grpc;
mod listeners;

pub use listeners::{Listeners, bind_fault};

use crate::node::Local;
use acceptor::{Acceptor, Guard};
use std::sync::Arc;
use tokio::{sync::watch, task::JoinSet};

/// The open doors of one node.
pub struct Doors {
    draining: watch::Sender<bool>,
    acceptors: JoinSet<()>,
}

impl Doors {
    /// Opens all doors.
    pub fn open(listeners: Listeners, local: Local) -> Self {
        let draining = watch::Sender::new(false);
        let grpc = grpc::Services::new(&local, draining.subscribe());
        let secret = Arc::new(listeners.secret);
        let acceptor = |guard| Acceptor { guard, draining: draining.subscribe() };
        let mut acceptors = JoinSet::new();
        acceptors.spawn(acceptor(Guard::Peer).serve_unix(listeners.socket, grpc.clone()));
        acceptors.spawn(acceptor(Guard::Secret(secret)).serve_grpc(listeners.proxy, grpc));
        acceptors.spawn(acceptor(Guard::Nobody).serve_http(listeners.api, api::router(local)));
        Doors { draining, acceptors }
    }

    /// Takes no new connections, tells services to look elsewhere, and returns when all calls in work are done.
    pub async fn close(mut self) {
        self.draining.send_replace(true);
        while self.acceptors.join_next().await.is_some() {}
    }
}
