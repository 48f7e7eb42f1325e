//! The assembly: one node, made of storage, mesh, consensus, actors and doors, started in that order and stopped in
//! the reverse one.

mod accounts;
mod addresses;
mod admin_secret;
mod audit;
mod authority;
mod backup;
mod blobs;
mod bootstrap;
mod card;
mod configuration;
mod founding;
mod introduction;
mod local;
mod mend;
mod name;
mod network;
mod offering;
mod place;
mod policies;
mod readiness;
mod records;
mod rejoin;
mod restore;
mod rights;
mod seams;
mod user;

pub use accounts::Subject;
pub use admin_secret::AdminSecret;
pub use card::Card;
pub use configuration::ConfigChange;
pub use introduction::Introduction;
pub use local::{Context, Local};
pub use offering::Offering;
pub use readiness::not_ready;
pub use rejoin::{GivenUp, nobody, rejoin};
pub use restore::{Restored, restore, restore_fault, unpack_blobs};
pub use seams::production_seams;

use crate::{
    audit::Trail,
    config::{AuditConfig, Config, DnsListen, LimitsConfig, LinksConfig, StorageConfig},
    doors::{Doors, Listeners, beyond},
};
use addresses::Addresses;
use bootstrap::{Bootstrap, Retired};
use micro_actors::{
    AddressBook, Machines, System, SystemConfig,
    audit::Audit,
    blob::SCRUB_ROUND,
    learn_peers,
    network::{NodeCard, Phase},
    renew_by_proof,
};
use micro_consensus::{Consensus, ConsensusConfig};
use micro_mesh::{Mesh, MeshConfig, Socket, WAY_LEEWAY};
use micro_sdk::wire::{Code, Fault, Seams};
use micro_storage::{Storage, StorageError};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// How often a node that can't read yet tries again, while it starts.
const READY_RETRY: Duration = Duration::from_millis(20);
/// How long each of these tries may take.
const READY_TRY: Duration = Duration::from_secs(1);
/// How long a node that can read waits to hear what the others offer. Gossip takes a few round trips, and a node that
/// is linked but tells nothing must not keep this one from its work.
const ACQUAINT_PATIENCE: Duration = Duration::from_secs(2);
/// How long calls in work, of this node's clients and of other nodes, may take to finish when the node stops.
const DRAIN_PATIENCE: Duration = Duration::from_secs(4);
/// How long the next leader may take to take over.
const HAND_OVER_PATIENCE: Duration = Duration::from_secs(3);
/// How often a node gossips: changes are known everywhere within two seconds.
const GOSSIP_INTERVAL: Duration = Duration::from_millis(500);

/// What differs between a real host and a simulated one.
pub struct Host {
    /// What the node keeps.
    pub storage: Storage,
    /// The socket under the mesh.
    pub socket: Socket,
    /// Time, chance, blocking work.
    pub seams: Seams,
    /// The listeners of the doors; none in a simulation, which calls the node directly.
    pub listeners: Option<Listeners>,
    /// The pace of the group.
    pub consensus: ConsensusConfig,
    /// How long it takes to read all blobs on its disk through once.
    pub scrub_round: Duration,
    /// By which share another way to a node must be cheaper to be gone instead.
    pub way_leeway: f64,
    /// Where it is kept who did what; none in a simulation, which has neither files nor threads.
    pub audit: Option<Trail>,
}

/// One running node.
pub struct Node {
    card: Card,
    mesh: Mesh,
    consensus: Consensus,
    system: Arc<System>,
    doors: Option<Doors>,
    local: Local,
    storage: Storage,
    audit: Option<Trail>,
}

fn storage_fault(error: StorageError, data_dir: &std::path::Path) -> Fault {
    let dir = data_dir.display();
    let message = error.to_string();
    match error {
        StorageError::InUse { .. } => Fault::new(Code::Conflict, message)
            .help("a node runs there already: `micro-node status` shows it")
            .help("for a second node on this host give it its own --data-dir, --socket and ports"),
        StorageError::Unwritable { path, .. } if path.is_file() => {
            Fault::new(Code::Usage, format!("{} is a file, not a directory", path.display()))
                .help("choose another --data-dir")
        }
        StorageError::Unwritable { .. } => Fault::new(Code::Failed, message)
            .help(format!("give this user write access to {dir}, or choose another --data-dir")),
        StorageError::Full(_) => Fault::new(Code::Failed, message)
            .help("free some space and start again: nothing that was acknowledged is lost"),
        StorageError::Corrupt { .. } => Fault::new(Code::Failed, message)
            .help("nothing was changed; what this node has acknowledged may be gone with it, so it can't go on as it was")
            .help(format!(
                "with the other nodes up, `micro-node reset --rejoin --data-dir {dir}` puts its data aside, and its next \
                 start joins as a new node"
            ))
            .help(format!(
                "without any, keep a copy of {dir}, then `micro-node reset --data-dir {dir}` and `micro-node cluster \
                 restore FILE` with a backup"
            )),
        StorageError::Layout { found, known, .. } if found > known => {
            Fault::new(Code::Failed, message).help("update micro-node on this host")
        }
        StorageError::Layout { .. } => Fault::new(Code::Failed, message)
            .help("start it with the build that wrote it")
            .help(format!("or give its data up: `micro-node reset --data-dir {dir}`")),
        StorageError::Io(_) => Fault::new(Code::Failed, message).help(format!("see whether {dir} is healthy")),
    }
}

impl Node {
    /// Starts a node on this host: opens its data directory, binds its listeners, joins if it is told to.
    ///
    /// # Errors
    /// What is in the way, with what to do about it.
    pub async fn start(mut config: Config) -> Result<Node, Fault> {
        let storage = micro_storage::disk::open(&config.data_dir)
            .map_err(|error| storage_fault(error, &config.data_dir))?;
        // Before anything is written: a damaged directory is left as it is.
        Bootstrap::check(&config.data_dir, config.join.as_ref(), &storage)?;
        let files = storage.files.clone();
        let seams = production_seams();
        config.join = rejoin::join(&*files, config.join.take(), &seams)?;
        let chosen = Addresses::choose(&config, Addresses::of_last_start(&*files)?)?;
        (config.api, config.proxy, config.advertise) = (chosen.api, chosen.proxy, chosen.advertise);
        config.links.also.clone_from(&chosen.also);
        config.dns = chosen.dns.map_or(config.dns, DnsListen::At);
        let secret = admin_secret::load(&*files)?;
        let listeners = Listeners::bind(&config, secret).await?;
        let socket = Socket::bind(chosen.mesh)
            .map_err(|error| crate::doors::bind_fault("the mesh", "--mesh-listen", chosen.mesh, &error))?;
        let AuditConfig { extent, bounds } = config.audit;
        let audit = Trail::open(&config.data_dir, extent, bounds, files.clone(), &seams)?;
        let StorageConfig { snapshot_every, log_kept, .. } = config.storage;
        let host = Host {
            storage,
            socket,
            seams,
            listeners: Some(listeners),
            consensus: ConsensusConfig { snapshot_every, log_kept, ..ConsensusConfig::default() },
            scrub_round: SCRUB_ROUND,
            way_leeway: WAY_LEEWAY,
            audit: Some(audit),
        };
        let node = Self::assemble(config, host).await?;
        let Card { api, proxy, dns, mesh, advertise, .. } = node.card;
        let advertise = chosen.advertise.map(|_| advertise);
        let dns = chosen.dns.and(dns);
        Addresses { api, proxy, dns, mesh, advertise, ..chosen }.keep(&*files)?;
        Ok(node)
    }

    /// Puts a node together on the host that is given.
    ///
    /// # Errors
    /// What is in the way, with what to do about it.
    pub async fn assemble(config: Config, host: Host) -> Result<Node, Fault> {
        let fence = host.storage.fence.clone();
        let known = fence.damage().is_some();
        let node = Self::put_together(config, host).await;
        // Whoever met the damage says so in words of its own.
        node.map_err(|fault| match fence.damage() {
            Some(damage) if !known => mend::fault(&damage),
            _ => fault,
        })
    }

    async fn put_together(mut config: Config, host: Host) -> Result<Node, Fault> {
        let Host { storage, socket, seams, listeners, consensus: pace, scrub_round, way_leeway, audit } =
            host;
        let bound = socket.local_addr().map_err(|error| Fault::new(Code::Failed, error.to_string()))?;
        let advertise = config.advertise.unwrap_or(bound);
        let name = name::choose(config.name.as_deref(), &*storage.files)?;
        config.place = place::choose(&config.place, &*storage.files)?;
        let boot = Bootstrap::run(&config, &name, &storage, &socket, advertise, &seams).await?;
        let LinksConfig { also, gateway, timeout: link_timeout, prices } = config.links.clone();
        let mesh_config = MeshConfig {
            advertise,
            also,
            name: name.clone(),
            place: config.place.clone(),
            boot: boot.number,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seams: seams.clone(),
            gossip_interval: GOSSIP_INTERVAL,
            way_leeway,
            link_timeout,
            gateway,
            prices,
        };
        let started = seams.clock.now();
        let mesh = Mesh::start(mesh_config, boot.identity.clone(), boot.trust.clone(), socket)
            .map_err(|error| Fault::new(Code::Failed, format!("the mesh does not start: {error}")))?;
        boot.peers.iter().for_each(|peers| learn_peers(&mesh, peers));
        let alone = boot.peers.as_ref().is_some_and(Vec::is_empty);
        if storage.fence.damage().is_some() && started >= boot.identity.expires() {
            // What could be read of the authority is damaged, and who gives the state is linked by a certificate.
            let addresses = boot.peers.iter().flatten().map(|(_, address)| *address);
            if let Err(fault) = renew_by_proof(&mesh, &*storage.files, &seams, addresses).await {
                tracing::warn!(%fault, "the node's certificate has ended, and nobody renews it");
            }
        }
        mend::mend(&mesh, &storage, &seams, alone, &config.data_dir).await?;
        let machines: Arc<Machines> = System::machines();
        let consensus =
            Consensus::open(pace, mesh.clone(), storage.clone(), machines.clone(), seams.clone()).await?;
        if boot.authority.is_some() && !consensus.is_initialized().await? {
            consensus.initialize(mesh.advertise()).await?;
        }
        let api = listeners.as_ref().map_or(config.api, |listeners| listeners.api_address);
        let node_card = NodeCard {
            started,
            voters_wanted: config.voters.count(),
            api: beyond(api, mesh.advertise().ip()),
        };
        let system = System::start(SystemConfig {
            mesh: mesh.clone(),
            consensus: consensus.clone(),
            machines,
            storage: storage.clone(),
            seams: seams.clone(),
            card: node_card,
            certificate_life: config.certificate_life,
            transaction_ops: config.storage.transaction_ops,
            blob_copies: config.storage.blob_copies,
            scrub_round,
            audit: audit.as_ref().map_or_else(Audit::off, Trail::audit),
            audit_log: audit.as_ref().map(|trail| audit::shared(trail.clone(), seams.clone())),
            acme: config.http.acme().cloned(),
        })
        .await?;
        let card = Card {
            name,
            id: mesh.node(),
            cluster: mesh.cluster(),
            api,
            api_tls: config.http.tls.is_some(),
            proxy: listeners.as_ref().map_or(config.proxy, |listeners| listeners.proxy_address),
            dns: listeners.as_ref().and_then(|listeners| listeners.dns_address),
            mesh: mesh.local_addr(),
            advertise: mesh.advertise(),
            also: mesh.also().to_vec(),
            socket: config.socket.clone(),
            data_dir: config.data_dir.clone(),
            admin_secret_file: admin_secret::path(&config.data_dir),
            place: config.place.clone(),
            fresh: boot.fresh,
            joined: config.join.is_some(),
        };
        let settings = card.settle(config.settings);
        let local = Local::new(system.clone(), seams.clone(), settings, audit.clone());
        let doors = listeners
            .map(|listeners| {
                let advertise = card.advertise.ip();
                Doors::open(listeners, advertise, &local, config.http, config.limits, config.threads)
            })
            .transpose()?;
        boot.settle(&system, &storage, READY_TRY).await?;
        Ok(Node { card, mesh, consensus, system, doors, local, storage, audit })
    }

    /// Who the node is and where it is reached.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// The node's part in the group.
    pub fn consensus(&self) -> &Consensus {
        &self.consensus
    }

    /// The node's place in the mesh.
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// Bounds what callers may ask for at the doors in this way from now on.
    pub fn set_limits(&self, limits: LimitsConfig) {
        if let Some(doors) = &self.doors {
            doors.set_limits(limits);
        }
    }

    /// Takes the certificate of the HTTP api up anew, if it has one. Returns whether its files have changed.
    ///
    /// # Errors
    /// If what they hold can't be used; the one that there is goes on.
    pub fn reload_certificate(&self) -> Option<Result<bool, Fault>> {
        self.doors.as_ref()?.reload_certificate()
    }

    /// Calls the node from inside its process, as its operator.
    pub fn local(&self) -> &Local {
        &self.local
    }

    /// Returns once a linearizable read answers here, for a node that joins once it has caught up, and the nodes that
    /// are linked have told what they offer.
    ///
    /// # Errors
    /// If consensus stops first.
    pub async fn ready(&self) -> Result<(), Fault> {
        let began = Instant::now();
        let mut told = false;
        loop {
            if let Some(why) = self.consensus.observe().stopped {
                return Err(Fault::new(Code::Failed, format!("consensus has stopped: {why}")));
            }
            if self.consensus.barrier(Instant::now() + READY_TRY).await.is_ok() {
                // Nobody is let in by rules of before the start, or refused a token whose key came in since.
                self.system.accounts().in_step().await;
                // A call made right after the ready line finds the services of the other nodes.
                if !self.mesh.acquaint(ACQUAINT_PATIENCE).await {
                    tracing::info!("some nodes have not told yet what they offer");
                }
                // Looked after from now on; a life may be too short for that.
                let mut book = AddressBook::open(self.storage.files.clone());
                if let Err(fault) = book.keep_members(&self.consensus.observe(), &self.mesh) {
                    tracing::warn!(%fault, "the addresses of the members could not be kept");
                }
                self.system.publish_phase(Phase::Ready);
                return Ok(());
            }
            if !told && began.elapsed() > Duration::from_secs(5) {
                tracing::info!("waiting for {}", self.waits_for());
                told = true;
            }
            sleep(READY_RETRY).await;
        }
    }

    /// What a node that is not [ready](Self::ready) waits for.
    pub fn waits_for(&self) -> &'static str {
        let seen = self.consensus.observe();
        if self.consensus.is_read_only() {
            "room on the disk: the node catches up once there is"
        } else if seen.leader.is_some() && !seen.quorum_lost {
            "what the other nodes have written: the node catches up"
        } else {
            "a leader with a quorum: the other voters have to be started too"
        }
    }

    /// Returns when the node ended by itself: it left, another process took its place, or its storage failed.
    ///
    /// # Errors
    /// Why, unless it left.
    pub async fn ended(&self) -> Result<(), Fault> {
        tokio::select! {
            biased;
            () = self.system.left() => bootstrap::retire(&*self.storage.files, Retired::Left),
            (by_word_of, why) = self.mesh.expelled() => {
                let why = Retired::from(why);
                let fault = why.fault(&self.card.data_dir);
                tracing::error!(%by_word_of, "{}", fault.message);
                bootstrap::retire(&*self.storage.files, why)?;
                Err(fault)
            }
            damage = self.storage.fence.shut() => {
                tracing::error!("the state is damaged: this node ends");
                NodeCard::publish_damage(&self.mesh, &mend::describe(&damage));
                // So that the others still know why when it is gone.
                sleep(GOSSIP_INTERVAL * 3).await;
                Err(mend::fault(&damage))
            }
            why = self.storage.fence.failed() => Err(Fault::new(Code::Failed, format!("the state can't be kept: {why}"))
                .help("nothing that was acknowledged is lost: the log has it")
                .help("see to the disk of the data directory, then start the node again")),
            why = self.consensus.failed() => Err(Fault::new(Code::Failed, format!("consensus has stopped: {why}"))
                .help("nothing that was acknowledged is lost")
                .help("see to the disk of the data directory, then start the node again")),
        }
    }

    /// Drains and stops: takes no new work, finishes what is in work, hands leadership over, closes. Membership stays.
    pub async fn stop(mut self) {
        self.system.withdraw();
        let doors = self.doors.take();
        let close = async {
            match doors {
                Some(doors) => timeout(DRAIN_PATIENCE, doors.close()).await.is_ok(),
                None => true,
            }
        };
        let (closed, drained) = tokio::join!(close, self.mesh.drain(DRAIN_PATIENCE));
        if !closed || !drained {
            tracing::warn!("calls still in work were cut off");
        }
        if !self.system.hand_over(HAND_OVER_PATIENCE).await {
            tracing::info!("no other voter took the leadership over");
        }
        self.system.close();
        self.consensus.close().await;
        self.mesh.close("the node stops").await;
        if let Some(audit) = &self.audit {
            audit.close();
        }
    }
}
