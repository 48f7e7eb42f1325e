//! This node's certificate: renewed at two thirds of its life, when the authority is another one, and when it is too
//! late for that.
//!
//! ```text
//!   due ─► can open the authority itself? ─► a voter that is linked ─► by proof of its key, any node that answers
//!       ─► kept on the disk, trust first ─► shown from now on, links replaced ─► told to the group
//! ```

use crate::{
    auth::{AuthService, AuthState, CertificateRecord},
    network::{Complaint, Complaints},
};
use micro_consensus::Consensus;
use micro_mesh::{Identity, LinkState, Mesh, RenewalGrant, Trust};
use micro_sdk::wire::{Code, Fault, Seams};
use micro_storage::FileStore;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, sleep};

/// The file that holds the node's identity.
pub const IDENTITY_FILE: &str = "identity";
/// The file that holds which authorities the node believes, if its certificate alone does not say it.
pub const TRUST_FILE: &str = "trust";
/// How often the node looks whether there is something to do.
const EVERY: Duration = Duration::from_secs(2);
/// The shortest pause between two looks.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// How long a renewal may take over a link.
const RENEWAL_DEADLINE: Duration = Duration::from_secs(10);
/// How long one address is asked for a renewal by proof.
const PROOF_PATIENCE: Duration = Duration::from_secs(3);
/// How long a node has to have no link at all, before it asks for another certificate: that may be the reason.
const CUT_OFF: Duration = Duration::from_secs(4);
/// How often such a node asks at most: mostly the others are just down.
const CUT_OFF_EVERY: Duration = Duration::from_secs(10);
/// How long links may take to be replaced, before the new certificate is told all the same.
const REPLACING: Duration = Duration::from_secs(10);
/// How long the group may take to take note of the certificate.
const KEEPING: Duration = Duration::from_secs(5);
/// Every so many looks at which a renewal fails, the log says so.
const FAILURES_PER_LINE: u32 = 30;

/// Every so many times that a node with no link at all asks in vain, the log says so.
const VAIN_PER_LINE: u32 = 30;

fn failed(error: impl std::fmt::Display) -> Fault {
    Fault::new(Code::Failed, error.to_string())
}

/// Whom the node in `files` believes, beside the authority of its own certificate.
///
/// # Errors
/// If the file is damaged.
pub fn kept_trust(files: &dyn FileStore, identity: &Identity) -> Result<Trust, Fault> {
    let own = || Trust::of(identity.authority_certificate());
    let Some(bytes) = files.read(TRUST_FILE).map_err(failed)? else { return Ok(own()) };
    let trust = Trust::decode(&bytes).map_err(|error| {
        failed(format!("the file `{TRUST_FILE}` in the data directory is damaged: {error}"))
    })?;
    // A crash between the two files has left the former certificate: that is believed by itself until it is renewed.
    Ok(if trust.believes(identity.authority_certificate()) { trust } else { own() })
}

/// Keeps identity and trust, in an order that leaves a start with one that believes its own certificate.
///
/// # Errors
/// If the disk fails.
pub fn keep(files: &dyn FileStore, identity: &Identity, trust: &Trust) -> Result<(), Fault> {
    files.write(TRUST_FILE, &trust.encode()).map_err(failed)?;
    files.write(IDENTITY_FILE, &identity.encode()).map_err(failed)
}

/// The identity at a start: renewed, if it is due and this node can open the authority itself. So the voters of a mesh
/// that was off for long find each other again without anybody's help.
///
/// # Errors
/// If the disk fails.
pub fn renew_at_start(
    state: &AuthState,
    files: &dyn FileStore,
    (identity, trust): (Identity, Trust),
    life: Duration,
    now: SystemTime,
) -> Result<(Identity, Trust), Fault> {
    if now < identity.renew_at() {
        return Ok((identity, trust));
    }
    let renewed = state.certify_oneself(&identity, life, now).and_then(|grant| match grant {
        Some(grant) => taken(&identity, &trust, grant, now).map(Some),
        None => Ok(None),
    });
    match renewed {
        Ok(Some((identity, trust))) => {
            keep(files, &identity, &trust)?;
            tracing::info!("the node's certificate was renewed before its start");
            Ok((identity, trust))
        }
        Ok(None) => Ok((identity, trust)),
        Err(fault) => {
            tracing::warn!(%fault, "the node's certificate can't be renewed before its start");
            Ok((identity, trust))
        }
    }
}

/// Asks for a certificate by proof of this node's key, at these addresses in turn.
///
/// # Errors
/// What the last one said.
pub async fn renew_by_proof(
    mesh: &Mesh,
    files: &dyn FileStore,
    seams: &Seams,
    addresses: impl IntoIterator<Item = SocketAddr>,
) -> Result<(), Fault> {
    let mut last = Fault::new(Code::Unreachable, "no other node of the mesh is known");
    for address in addresses {
        match mesh.ask_renewal(address, PROOF_PATIENCE).await {
            Ok(grant) => return install(mesh, files, grant, seams.clock.now()),
            // A node that refuses says more than one that is not there.
            Err(fault) if fault.code == Code::Unreachable && last.code != Code::Unreachable => {}
            Err(fault) => last = fault,
        }
    }
    Err(last)
}

/// What a grant comes to. One of a node that is behind takes nobody back to a former authority.
fn taken(
    identity: &Identity,
    trust: &Trust,
    grant: RenewalGrant,
    now: SystemTime,
) -> Result<(Identity, Trust), Fault> {
    let RenewalGrant { certificate, trust: told } = grant;
    let renewed = identity.renewed(&certificate, now).map_err(failed)?;
    if trust.is_later_than(&told) || !told.believes(renewed.authority_certificate()) {
        return Err(Fault::new(Code::Unavailable, "the certificate is of a former authority of the mesh")
            .help("the node that gave it is behind: another try is made in a moment"));
    }
    Ok((renewed, told))
}

fn install(mesh: &Mesh, files: &dyn FileStore, grant: RenewalGrant, now: SystemTime) -> Result<(), Fault> {
    let (identity, trust) = taken(&mesh.identity(), &mesh.trust(), grant, now)?;
    keep(files, &identity, &trust)?;
    mesh.renew(identity, trust).map_err(failed)?;
    tracing::info!("the node's certificate was renewed");
    Ok(())
}

/// Looks after the certificate of one node.
pub(crate) struct Renewal {
    pub mesh: Mesh,
    pub auth: Arc<AuthService>,
    pub consensus: Consensus,
    pub files: Arc<dyn FileStore>,
    pub seams: Seams,
    pub complaints: Complaints,
}

/// What the task remembers from one look to the next.
struct Memory {
    /// Since when no other node is linked.
    cut_off: Option<Instant>,
    /// When it asked last because of that.
    asked: Option<Instant>,
    /// How often it asked in vain because of that.
    asked_in_vain: u32,
    /// Looks in a row at which a renewal failed.
    failures: u32,
    /// When the certificate was made that links are being replaced for, and since when.
    replacing: Option<(SystemTime, Instant)>,
}

impl Renewal {
    /// Does it until it is dropped.
    pub async fn run(self) {
        let mut memory =
            Memory { cut_off: None, asked: None, asked_in_vain: 0, failures: 0, replacing: None };
        loop {
            if let Err(fault) = self.follow_trust() {
                tracing::warn!(%fault, "whom the mesh believes could not be taken over");
            }
            let outcome = if self.is_due() { self.renew().await } else { Ok(()) };
            self.tell(&mut memory, &outcome);
            if self.is_cut_off(&mut memory) {
                self.come_back(&mut memory).await;
            }
            self.report(&mut memory).await;
            let left = self.mesh.identity().renew_at().duration_since(self.seams.clock.now());
            sleep(left.unwrap_or(EVERY).clamp(PAUSE_MIN, EVERY)).await;
        }
    }

    /// Whether it is time, or the certificate is of an authority that is not the latest, as the node or its replica has
    /// it.
    fn is_due(&self) -> bool {
        let (identity, believed) = (self.mesh.identity(), self.mesh.trust());
        let later = self.auth.state().trust().ok().flatten().filter(|trust| trust.is_later_than(&believed));
        let pin = later.unwrap_or(believed).pin();
        self.seams.clock.now() >= identity.renew_at() || identity.pin() != pin
    }

    /// Believes whom the group believes, as this replica has it, unless the node knows of later. Where this node's own
    /// certificate is not believed any more, another one comes with whom to believe.
    fn follow_trust(&self) -> Result<(), Fault> {
        let Some(trust) = self.auth.state().trust()? else { return Ok(()) };
        let identity = self.mesh.identity();
        let believed = trust.believes(identity.authority_certificate());
        if !trust.is_later_than(&self.mesh.trust()) || !believed {
            return Ok(());
        }
        keep(&*self.files, &identity, &trust)?;
        match trust.is_handing_over() {
            true => {
                tracing::info!("the node believes two authorities, while the mesh goes over to the second")
            }
            false => tracing::info!("the node believes one authority"),
        }
        self.mesh.renew(identity, trust).map_err(failed)
    }

    async fn renew(&self) -> Result<(), Fault> {
        let (identity, now) = (self.mesh.identity(), self.seams.clock.now());
        let state = self.auth.state();
        if let Ok(Some(grant)) = state.certify_oneself(&identity, self.auth.certificate_life(), now)
            && self.install(grant).is_ok()
        {
            return Ok(());
        }
        let key = identity.renewal().map_err(failed)?;
        let asked = self.auth.ask_voters(&key, Instant::now() + RENEWAL_DEADLINE).await;
        match asked.and_then(|grant| self.install(grant)) {
            // Without a certificate that counts no voter can be linked.
            Err(_) if now >= identity.expires() => self.ask_by_proof().await,
            outcome => outcome,
        }
    }

    fn install(&self, grant: RenewalGrant) -> Result<(), Fault> {
        install(&self.mesh, &*self.files, grant, self.seams.clock.now())
    }

    async fn ask_by_proof(&self) -> Result<(), Fault> {
        let addresses = self.mesh.routes().into_iter().map(|route| route.address);
        renew_by_proof(&self.mesh, &*self.files, &self.seams, addresses).await
    }

    /// Whether it is time to ask for a certificate because no other node is linked.
    fn is_cut_off(&self, memory: &mut Memory) -> bool {
        let routes = self.mesh.routes();
        if routes.is_empty() || routes.iter().any(|route| route.state == LinkState::Up) {
            (memory.cut_off, memory.asked_in_vain) = (None, 0);
            return false;
        }
        let since = *memory.cut_off.get_or_insert_with(Instant::now);
        let rested = memory.asked.is_none_or(|asked| asked.elapsed() >= CUT_OFF_EVERY);
        if since.elapsed() < CUT_OFF || !rested {
            return false;
        }
        memory.asked = Some(Instant::now());
        true
    }

    /// Asks whoever answers: the mesh may have another authority since, which this node has not heard of.
    async fn come_back(&self, memory: &mut Memory) {
        let Err(fault) = self.ask_by_proof().await else { return };
        if memory.asked_in_vain.is_multiple_of(VAIN_PER_LINE) {
            let help = "start the others; if the mesh's authority was replaced while this node was off, remove it with \
                        `micro-node cluster remove` on another one, and join anew";
            tracing::warn!(%fault, help, "no other node is linked, and none certifies this one anew");
        }
        memory.asked_in_vain += 1;
    }

    /// Says in the log what came of a renewal, and complains while it fails.
    fn tell(&self, memory: &mut Memory, outcome: &Result<(), Fault>) {
        let Err(fault) = outcome else {
            memory.failures = 0;
            return self.complaints.set(Complaint::Certificate, false);
        };
        if memory.failures.is_multiple_of(FAILURES_PER_LINE) {
            let ends = jiff::Timestamp::try_from(self.mesh.identity().expires());
            let ends = ends.map_or_else(|_| String::new(), |ends| ends.to_string());
            let help = "a voter must be reachable that can open the mesh's authority: `micro-node status` on it tells";
            tracing::warn!(%fault, ends, help, "the node's certificate could not be renewed yet");
        }
        memory.failures += 1;
        // One that failed just while a leader was elected is made up for in a moment.
        self.complaints.set(Complaint::Certificate, memory.failures > 2);
    }

    /// Tells the group which certificate this node uses, once its links do.
    async fn report(&self, memory: &mut Memory) {
        let identity = self.mesh.identity();
        let Ok(record) = CertificateRecord::of(&identity) else { return };
        let member = self.consensus.observe().addresses.iter().any(|(node, _)| *node == identity.node);
        if !member || self.auth.certificate(identity.node).as_ref() == Some(&record) {
            return;
        }
        let began = match memory.replacing {
            Some((issued, began)) if issued == identity.issued() => began,
            _ => Instant::now(),
        };
        memory.replacing = Some((identity.issued(), began));
        if !self.mesh.is_renewed() && began.elapsed() < REPLACING {
            return;
        }
        if let Err(fault) = self.auth.keep_certificate(record, Instant::now() + KEEPING).await {
            tracing::debug!(%fault, "the group has not taken note of this node's certificate");
        }
    }
}
