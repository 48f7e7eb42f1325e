//! The doors: where people and programs come in.
//!
//! | door | speaks | who is trusted |
//! |---|---|---|
//! | unix socket | gRPC | root and the node's own user, by peer credentials; as accounts, if they show a token |
//! | proxy port | gRPC | holders of the admin secret; accounts, by their tokens; others as nobody in particular |
//! | api port | HTTP and JSON | the same |
//! | dns port | DNS | nobody: it has no credentials, so all who ask are nobody in particular |
//!
//! A door says who calls, bounds how much they ask for, and sets the deadline; what the caller may do is decided by
//! `authorize` behind it.

mod acceptor;
mod claims;
mod credentials;
mod dns;
mod grpc;
mod http;
mod limits;
mod listeners;
mod tally;
mod threads;
mod tls;

pub use dns::beyond;
pub use listeners::{Listeners, bind_fault};

use crate::{
    config::{HttpConfig, LimitsConfig, ThreadsConfig, TlsFiles},
    node::Local,
};
use acceptor::{Acceptor, Guard};
use credentials::Credentials;
use dns::{Dns, OwnDoors};
use limits::Limits;
use micro_sdk::wire::{Code, Fault};
use std::{net::IpAddr, sync::Arc};
use tally::{DoorName, Tally};
use threads::Threads;
use tls::Tls;
use tokio::{sync::watch, task::JoinSet};

/// Reads the files of a certificate as the HTTP api would.
///
/// # Errors
/// [`Code::Usage`] with the file that is wrong.
pub fn check_certificate(files: TlsFiles) -> Result<(), Fault> {
    tls::Certificate::load(files).map(drop)
}

/// The open doors of one node.
pub struct Doors {
    draining: watch::Sender<bool>,
    acceptors: JoinSet<()>,
    limits: Arc<Limits>,
    tls: Option<Tls>,
}

impl Doors {
    /// Opens all doors, with the `threads` that are wanted for their connections. Other hosts reach this one at
    /// `advertise`.
    ///
    /// # Errors
    /// [`Code::Failed`] if the system gives no thread, [`Code::Usage`] if the certificate can't be used.
    pub fn open(
        listeners: Listeners,
        advertise: IpAddr,
        local: &Local,
        http: HttpConfig,
        limits: LimitsConfig,
        threads: ThreadsConfig,
    ) -> Result<Self, Fault> {
        let draining = watch::Sender::new(false);
        let secret = Arc::new(listeners.secret);
        let credentials = |address| {
            let (secret, guard) = (secret.clone(), local.guard().clone());
            Arc::new(Credentials { secret, guard, nobody: credentials::nobody(address) })
        };
        let tls = http.tls.clone().map(|tls| Tls::open(tls, local.showcase())).transpose()?;
        let tally = Tally::new();
        let limits = Limits::new(limits, tally.clone());
        let own = OwnDoors {
            api: listeners.api_address,
            api_tls: http.tls.is_some(),
            proxy: listeners.proxy_address,
            advertise,
        };
        let named = listeners.dns.is_some();
        let shared =
            http::Shared::new(http, named, credentials(listeners.api_address), limits.clone(), tally.clone());
        let threads = Threads::start(threads, local, &shared, &draining.subscribe()).map_err(|error| {
            Fault::new(Code::Failed, format!("no thread for connections can be started: {error}"))
                .help("raise the limit of threads, or start with --door-threads 0")
        })?;
        let acceptor = |door, guard| Acceptor {
            guard,
            draining: draining.subscribe(),
            threads: threads.clone(),
            tally: tally.clone(),
            limits: limits.clone(),
            door,
            proxy: listeners.proxy_address,
        };
        let mut acceptors = JoinSet::new();
        let bearer = Guard::Bearer(credentials(listeners.proxy_address));
        let peer = Guard::Peer(credentials(listeners.proxy_address));
        acceptors.spawn(acceptor(DoorName::Socket, peer).serve_unix(listeners.socket));
        acceptors.spawn(acceptor(DoorName::Proxy, bearer).serve_grpc(listeners.proxy));
        acceptors.spawn(acceptor(DoorName::Api, Guard::Nobody).serve_http(listeners.api, tls.clone()));
        if let (Some((udp, tcp)), Some(address)) = (listeners.dns, listeners.dns_address) {
            let nobody = credentials::nobody(address);
            let dns = Dns::new(local.clone(), own, nobody, limits.clone(), tally.clone());
            threads.serve_datagrams(dns.clone(), udp, draining.subscribe()).map_err(|error| {
                Fault::new(Code::Failed, format!("DNS can't be served: {error}"))
                    .help("start with --dns off to go without")
            })?;
            acceptors.spawn(acceptor(DoorName::Dns, Guard::Nobody).serve_dns(tcp, dns));
        }
        if let Some(tls) = tls.clone() {
            acceptors.spawn(tls.follow(local.clone(), draining.subscribe()));
        }
        Ok(Doors { draining, acceptors, limits, tls })
    }

    /// Bounds what callers may ask for in this way from now on.
    pub fn set_limits(&self, limits: LimitsConfig) {
        self.limits.set(limits);
    }

    /// Takes the certificate of the HTTP api up anew, if it is in files and they have changed.
    ///
    /// # Errors
    /// If what they hold can't be used.
    pub fn reload_certificate(&self) -> Option<Result<bool, Fault>> {
        self.tls.as_ref()?.look()
    }

    /// Takes no new connections, tells services to look elsewhere, and returns when all calls in work are done.
    pub async fn close(mut self) {
        self.draining.send_replace(true);
        while self.acceptors.join_next().await.is_some() {}
    }
}
