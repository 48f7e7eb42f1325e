//! All platform services of one node, started together.

mod backup;
mod incoming;

use crate::{
    AddressBook, Directory, Dispatch, Machines, Platform, Supervisor,
    acme::{Acme, AcmeSettings, Showcase},
    audit::{Audit, AuditLog, AuditWatch},
    auth::{Accounts, AccountsParts, AuthService, AuthState, Follower, Guard},
    blob::{BlobParts, BlobService, Keeper, Scrub},
    calls::Calls,
    config::{ConfigParts, ConfigService},
    housekeeping::Housekeeping,
    network::{
        Appointment, Complaints, NetworkParts, NetworkService, NodeCard, Phase, Residence, Steward,
        Watermark, stays,
    },
    policy::{self, Policies, PolicyBook, PolicyFollower},
    registry::{Registry, RegistryService},
    renewal::Renewal,
    store::{Expirer, StoreService},
};
pub use backup::MeshBackup;
use incoming::Incoming;
use micro_consensus::{Consensus, Observation};
use micro_mesh::{LinkState, Mesh};
use micro_sdk::wire::{Code, Fault, NodeId, Seams};
use micro_storage::Storage;
use ractor::ActorRef;
use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};
use tokio::{sync::Notify, task::JoinHandle, time::Instant};

/// How long it may take to find out which blobs there are: a look at the records of all.
const ARCHIVE_DEADLINE: Duration = Duration::from_secs(60);

/// What the services of a node are built on.
pub struct SystemConfig {
    /// The node's place in the mesh.
    pub mesh: Mesh,
    /// Its part in the group.
    pub consensus: Consensus,
    /// What applies the group's commands.
    pub machines: Arc<Machines>,
    /// What it keeps.
    pub storage: Storage,
    /// Time, chance, blocking work.
    pub seams: Seams,
    /// What it is.
    pub card: NodeCard,
    /// How long the certificates count that it issues.
    pub certificate_life: Duration,
    /// The comparisons and operations of a caller's transaction at most.
    pub transaction_ops: usize,
    /// The copies that there are to be of a blob whose put does not say it.
    pub blob_copies: u32,
    /// How long it takes to read all blobs on its disk through once.
    pub scrub_round: Duration,
    /// Where decisions are told.
    pub audit: Audit,
    /// Where they are kept, if they are.
    pub audit_log: Option<Arc<dyn AuditLog>>,
    /// What certificates are ordered for the HTTP api, if some are.
    pub acme: Option<AcmeSettings>,
}

/// The platform services of one node.
pub struct System {
    mesh: Mesh,
    consensus: Consensus,
    directory: Directory,
    registry: Registry,
    dispatch: Dispatch,
    store: Arc<StoreService>,
    config: Arc<ConfigService>,
    blobs: Arc<BlobService>,
    auth: Arc<AuthService>,
    accounts: Accounts,
    policies: Policies,
    showcase: Option<Arc<Showcase>>,
    left: Arc<Notify>,
    supervisor: ActorRef<crate::kit::SupervisorMessage>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl System {
    /// The machine that the group's commands are applied by.
    pub fn machines() -> Arc<Machines> {
        Arc::new(Machines::default())
    }

    /// Starts all services and takes what peers send.
    ///
    /// # Errors
    /// If an actor does not start.
    pub async fn start(parts: SystemConfig) -> Result<Arc<Self>, Fault> {
        let SystemConfig {
            mesh,
            consensus,
            machines,
            storage,
            seams,
            card,
            certificate_life,
            transaction_ops,
            blob_copies,
            scrub_round,
            audit,
            audit_log,
            acme,
        } = parts;
        let directory = Directory::default();
        let book = PolicyBook::default();
        let registry = Registry::new(mesh.clone(), seams.clone(), book.clone());
        let guard = Guard::new(mesh.cluster(), seams.clock.clone(), audit);
        guard.set_starting(true);
        registry.set_starting(true);
        let calls = Calls::new(mesh.clone(), registry.clone(), seams.clone(), book.clone());
        let dispatch = Dispatch::new(mesh.clone(), directory.clone(), registry.clone(), guard.clone(), calls);
        let auth_state = AuthState::new(mesh.cluster(), storage.state.clone(), storage.files.clone());
        let left = Arc::new(Notify::new());
        let store = Arc::new(StoreService::new(
            consensus.clone(),
            storage.state.clone(),
            seams.clone(),
            machines.watchers().clone(),
            transaction_ops,
        ));
        let tables = Follower::tables().into_iter().chain([policy::table()]);
        let bells: [_; 4] = store.hang_bells(tables).try_into().expect("each table has a bell");
        let [revoked, rules, keys, policies] = bells;
        let follower = Follower::new(store.clone(), guard.clone(), [revoked, rules, keys]);
        let policy_follower = PolicyFollower::new(store.clone(), registry.clone(), book, policies);
        let policies = Policies::new(store.clone(), seams.clone());
        // Before anybody is let in: what was revoked before this start is revoked.
        follower.load().await?;
        let accounts = Accounts::new(
            store.clone(),
            AccountsParts {
                mesh: mesh.clone(),
                consensus: consensus.clone(),
                state: auth_state.clone(),
                dispatch: dispatch.clone(),
                seams: seams.clone(),
                guard,
                in_step: follower.in_step(),
            },
        );
        let auth = Arc::new(AuthService::new(
            mesh.clone(),
            consensus.clone(),
            auth_state.clone(),
            accounts.clone(),
            certificate_life,
            seams.clone(),
            dispatch.clone(),
        ));
        let parts = ConfigParts {
            mesh: mesh.clone(),
            consensus: consensus.clone(),
            auth: auth_state,
            registry: registry.clone(),
            dispatch: dispatch.clone(),
            seams: seams.clone(),
        };
        let config = Arc::new(ConfigService::new(store.clone(), parts));
        let parts = BlobParts {
            mesh: mesh.clone(),
            consensus: consensus.clone(),
            registry: registry.clone(),
            dispatch: dispatch.clone(),
            storage: storage.clone(),
            seams: seams.clone(),
            copies_usual: blob_copies,
        };
        let blobs = Arc::new(BlobService::new(store.clone(), parts));
        let appointment = Appointment::default();
        let network = Arc::new(NetworkService::new(NetworkParts {
            mesh: mesh.clone(),
            consensus: consensus.clone(),
            registry: registry.clone(),
            directory: directory.clone(),
            dispatch: dispatch.clone(),
            auth: auth.clone(),
            blobs: blobs.clone(),
            audit_log: audit_log.clone(),
            card: card.clone(),
            seams: seams.clone(),
            left: left.clone(),
            appointment: appointment.clone(),
        }));
        let keeper = Keeper::new((*blobs).clone());
        let scrub = Scrub::new(blobs.shelf(), storage.files.clone(), seams.clone(), scrub_round);
        let expirer = Expirer::new(store.clone(), mesh.node());
        let platforms: Vec<Arc<dyn Platform>> = vec![
            store.clone(),
            config.clone(),
            blobs.clone(),
            Arc::new(RegistryService::new(registry.clone(), dispatch.clone())),
            network,
            auth.clone(),
        ];
        let supervisor = Supervisor::start(directory.clone(), platforms).await.map_err(|error| {
            Fault::new(Code::Internal, format!("the platform services do not start: {error}"))
        })?;
        let acme = acme.map(|settings| Acme::new(settings, &mesh, &store, &auth, &seams));
        let system = Arc::new(System {
            mesh: mesh.clone(),
            consensus: consensus.clone(),
            directory,
            registry: registry.clone(),
            dispatch,
            store,
            config,
            blobs,
            auth: auth.clone(),
            accounts,
            policies,
            showcase: acme.as_ref().map(|acme| acme.showcase.clone()),
            left,
            supervisor,
            tasks: Mutex::default(),
        });
        card.publish(&mesh);
        mesh.serve(Arc::new(Incoming { system: Arc::downgrade(&system) }));
        let complaints = Complaints::new(mesh.clone());
        let watermark = Watermark::new(storage.room.clone(), consensus.clone(), complaints.clone());
        let residence = Residence::new(mesh.clone(), consensus.clone(), appointment);
        let steward = Steward::new(
            mesh.clone(),
            consensus,
            auth,
            registry,
            complaints.clone(),
            residence,
            card.voters_wanted,
        );
        let renewal = Renewal {
            mesh: mesh.clone(),
            auth: system.auth.clone(),
            consensus: system.consensus.clone(),
            files: storage.files.clone(),
            seams,
            complaints: complaints.clone(),
        };
        let watch = audit_log.map(|log| AuditWatch { log, complaints: complaints.clone() });
        let housekeeping = Housekeeping {
            mesh,
            auth: system.auth.clone(),
            consensus: system.consensus.clone(),
            directory: system.directory.clone(),
            address_book: AddressBook::open(storage.files.clone()),
            storage,
            complaints,
        };
        let mut tasks = system.tasks.lock().expect("no code panics while it holds the tasks");
        tasks.push(tokio::spawn(follower.run()));
        tasks.push(tokio::spawn(policy_follower.run()));
        tasks.push(tokio::spawn(steward.run()));
        tasks.push(tokio::spawn(watermark.run()));
        tasks.push(tokio::spawn(expirer.run()));
        tasks.push(tokio::spawn(keeper.run()));
        tasks.push(tokio::spawn(scrub.run()));
        tasks.push(tokio::spawn(renewal.run()));
        tasks.push(tokio::spawn(housekeeping.run()));
        tasks.extend(watch.map(|watch| tokio::spawn(watch.run())));
        if let Some(acme) = acme {
            tasks.push(tokio::spawn(acme.follower.run()));
            tasks.push(tokio::spawn(acme.answers.run()));
            tasks.push(tokio::spawn(acme.clerk.run()));
        }
        drop(tasks);
        Ok(system)
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.mesh.node()
    }

    /// The group as this node sees it.
    pub fn observe(&self) -> Observation {
        self.consensus.observe()
    }

    /// How many other nodes are linked.
    pub fn links(&self) -> usize {
        self.mesh.routes().iter().filter(|route| route.state == LinkState::Up).count()
    }

    /// When this node's certificate ends.
    pub fn certificate_ends(&self) -> SystemTime {
        self.mesh.identity().expires()
    }

    /// The certificates that callers of the HTTP api are shown, if the mesh orders them.
    pub fn showcase(&self) -> Option<&Arc<Showcase>> {
        self.showcase.as_ref()
    }

    /// Calls by name.
    pub fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    /// Who offers what.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The records. Whoever calls it directly goes through [`Dispatch::admit`] first.
    pub fn store(&self) -> &Arc<StoreService> {
        &self.store
    }

    /// The configuration. Whoever calls it directly goes through [`Dispatch::admit`] first.
    pub fn config(&self) -> &Arc<ConfigService> {
        &self.config
    }

    /// The blobs. Whoever calls it directly goes through [`Dispatch::admit`] first.
    pub fn blobs(&self) -> &Arc<BlobService> {
        &self.blobs
    }

    /// Admission.
    pub fn auth(&self) -> &AuthService {
        &self.auth
    }

    /// Accounts, rules and tokens. Whoever calls it directly goes through [`Dispatch::admit`] first.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// The policies of calls. Whoever uses them directly goes through [`Dispatch::admit`] first.
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// Takes a backup of this node's replica that shows everything acknowledged before the call; with the blobs, if
    /// `blobs` are wanted.
    ///
    /// # Errors
    /// [`Code::Unavailable`] without quorum, [`Code::Failed`] if the state can't be copied.
    pub async fn backup(&self, blobs: bool, deadline: Instant) -> Result<MeshBackup, Fault> {
        // Before the state: what it names is kept until the backup is over.
        let retention = blobs.then(|| self.blobs.retain());
        self.consensus.barrier(deadline).await?;
        let (name, version) = (self.registry.node_name(self.mesh.node()), env!("CARGO_PKG_VERSION"));
        let state = self.consensus.backup(name, version.to_owned(), blobs).await?;
        // Behind the state: a blob that was put meanwhile is in it for nothing, and one that is in the state is there.
        let archive = match retention {
            Some(retention) => Some(self.blobs.archive(retention, Instant::now() + ARCHIVE_DEADLINE).await?),
            None => None,
        };
        Ok(MeshBackup::new(state, archive))
    }

    /// Tells the others how far this node is.
    pub fn publish_phase(&self, phase: Phase) {
        if phase == Phase::Ready {
            self.dispatch.guard().set_starting(false);
            self.registry.set_starting(false);
        }
        NodeCard::publish_phase(&self.mesh, phase);
    }

    /// Tells the others since when and why the certificate of this node's HTTP api can't be taken up from its files;
    /// none if it can.
    pub fn publish_stale_certificate(&self, stale: Option<(SystemTime, &str)>) {
        NodeCard::publish_stale_certificate(&self.mesh, stale);
    }

    /// Takes no more calls of services from other nodes, and ends watches. What else is in work goes on.
    pub fn withdraw(&self) {
        self.registry.withdraw();
        self.store.end_watches();
        self.publish_phase(Phase::Leaving);
    }

    /// Hands leadership over, if this node leads, to a voter that does not shut down itself. Returns whether this node
    /// is rid of it, or nobody could have it.
    pub async fn hand_over(&self, patience: Duration) -> bool {
        let voters = self.consensus.observe().voters;
        if !voters.iter().any(|voter| stays(&self.mesh, *voter) && *voter != self.mesh.node()) {
            return true;
        }
        self.consensus.hand_over(|other| stays(&self.mesh, other), patience).await
    }

    /// Returns once this node has left the mesh for good.
    pub async fn left(&self) {
        self.left.notified().await;
    }

    /// Stops the actors and the tasks beside them.
    pub fn close(&self) {
        self.store.end_watches();
        let tasks = std::mem::take(&mut *self.tasks.lock().expect("no code panics while it holds the tasks"));
        for task in tasks {
            task.abort();
        }
        self.supervisor.stop(Some("the node stops".to_owned()));
    }
}
