//! What clients do meanwhile, and what they were told.

pub mod append;
pub mod backup;
pub mod bank;
pub mod blob;
mod client;
pub mod config;
mod echo;
pub mod expiry;
mod history;
mod journal;
mod kind;
pub mod load;
pub mod lock;
mod probe;
pub mod queue;
mod register;
pub mod set;
pub mod watch;
pub mod work;

pub use client::{Client, DEADLINE};
pub use history::{Asked, History, Op, OpId, Tally, Told};
pub use journal::{Entry, Journal, Outcome};
pub use kind::{Kind, Table};

use crate::{
    clouds,
    machine::{Seat, Shared},
    options::Traffic,
};
use std::rc::Rc;
use tokio::task::spawn_local;

/// The keys that all clients fight for: few, so that they meet.
pub const KEYS: [&str; 6] = ["k0", "k1", "k2", "k3", "k4", "k5"];

/// Clients that read and write registers on every node.
const REGISTERS: usize = 2;

/// What came of the work of each kind.
#[derive(Clone, Debug, Default)]
pub struct Journals {
    /// The bank.
    pub bank: bank::BankJournal,
    /// The set.
    pub set: set::SetJournal,
    /// The queue.
    pub queue: queue::QueueJournal,
    /// Lists.
    pub append: append::AppendJournal,
    /// Watches, as far as they were asked for.
    pub watch: watch::WatchJournal,
    /// What watchers were told.
    pub streams: watch::Streams,
    /// The lock.
    pub lock: lock::LockJournal,
    /// The configuration.
    pub config: config::ConfigJournal,
    /// Blobs.
    pub blob: blob::BlobJournal,
    /// Records that end by themselves.
    pub expiry: expiry::ExpiryJournal,
    /// Backups.
    pub backup: backup::BackupJournal,
    /// Work of a service.
    pub work: work::WorkJournal,
    /// What hosts were loaded with.
    pub load: load::LoadJournal,
}

impl Journals {
    /// How many requests of a kind ended how.
    pub fn tally(&self, kind: Kind) -> Tally {
        match kind {
            Kind::Bank => self.bank.tally(),
            Kind::Set => self.set.tally(),
            Kind::Queue => self.queue.tally(),
            Kind::Append => self.append.tally(),
            Kind::Watch => self.watch.tally(),
            Kind::Lock => self.lock.tally(),
            Kind::Config => self.config.tally(),
            Kind::Blob => self.blob.tally(),
            Kind::Expiry => self.expiry.tally(),
            Kind::Backup => self.backup.tally(),
            Kind::Work => self.work.tally(),
        }
    }
}

/// Starts all clients of one start of a node, as tasks of its host.
pub fn start(shared: &Rc<Shared>, seat: Seat, clients: impl Fn(&str) -> Client) {
    let rested = match shared.options.traffic {
        Traffic::From(host) => clouds::cloud(Seat(host)) != clouds::cloud(seat),
        Traffic::Even | Traffic::Reads => false,
    };
    for number in 0..REGISTERS {
        let client = clients(&format!("register{number}"));
        spawn_local(register::run(client, shared.clone(), rested));
    }
    for kind in Kind::of(&shared.options) {
        let client = clients(&kind.to_string());
        match kind {
            Kind::Bank => spawn_local(bank::run(client, shared.clone())),
            Kind::Set => spawn_local(set::run(client, shared.clone())),
            Kind::Queue => spawn_local(queue::run(client, shared.clone())),
            Kind::Append => spawn_local(append::run(client, shared.clone())),
            Kind::Watch => spawn_local(watch::run(client, shared.clone(), Table::REGISTERS)),
            Kind::Config => spawn_local(config::run(client, shared.clone())),
            Kind::Blob => spawn_local(blob::run(client, shared.clone())),
            Kind::Backup => spawn_local(backup::run(client, shared.clone())),
            Kind::Work => spawn_local(work::run(client, shared.clone())),
            Kind::Expiry => {
                spawn_local(watch::run(clients("mourner"), shared.clone(), expiry::MORTALS));
                spawn_local(expiry::run(client, shared.clone()))
            }
            Kind::Lock => {
                spawn_local(watch::run(clients("guard"), shared.clone(), lock::LOCKS));
                spawn_local(lock::run(client, shared.clone()))
            }
        };
    }
    load::start(shared, &clients);
    spawn_local(echo::run(clients("echo"), shared.clone()));
    spawn_local(probe::run(clients("probe"), shared.clone()));
}

/// What each kind of work wants to see once more in the end. Tells whether it was shown.
async fn last(client: &Client, shared: &Shared) -> bool {
    for kind in Kind::of(&shared.options) {
        let shown = match kind {
            Kind::Bank => bank::last(client, shared).await,
            Kind::Set => set::last(client, shared).await,
            Kind::Queue => queue::last(client, shared).await,
            Kind::Append => append::last(client, shared).await,
            Kind::Watch => watch::last(client, shared).await,
            Kind::Lock => lock::last(client, shared).await,
            Kind::Config => config::last(client, shared).await,
            Kind::Blob => blob::last(client, shared).await,
            Kind::Expiry => expiry::last(client, shared).await,
            Kind::Backup => backup::last(client, shared).await,
            Kind::Work => work::last(client, shared).await,
        };
        if !shown {
            return false;
        }
    }
    true
}
