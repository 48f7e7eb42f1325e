//! Who this data directory is: a node that was here before, one that joins a mesh, or the first of a new mesh.
//!
//! ```text
//!   identity on disk ────────────────────────────────► that node, with a higher boot number
//!   none, told to join ── token → certificate ───────► a new node of that mesh, a learner
//!   none ── new cluster id, authority, certificate ──► the first node of a new mesh
//! ```
//!
//! A new mesh is begun only in a directory without an identity and only when nobody said to join: never because nobody
//! answered. The identity is written last, so that a crash before leaves a directory as good as new.

use super::{
    founding::{AUTHORITY_FILE, Founding},
    rejoin,
};
use crate::config::{Config, Join};
use micro_actors::{
    AddressBook, IDENTITY_FILE, Peers, System, auth::AuthState, keep_identity, kept_trust, renew_at_start,
};
use micro_mesh::{Expulsion, Identity, JoinRequest, NodeKey, Socket, Trust};
use micro_sdk::wire::{Code, Fault, Seams};
use micro_storage::{Family, FileStore, LogMark, ScanRange, Storage};
use std::{net::SocketAddr, path::Path, time::Duration};
use tokio::time::Instant;

/// Counts the starts of this directory: gossip tells a node's lives apart by it.
const BOOT_FILE: &str = "boot";
/// There when the node of this directory must not come back, with the reason.
const RETIRED_FILE: &str = "retired";
/// There while a backup is being restored.
pub(super) const RESTORING_FILE: &str = "restoring";
/// How long joining may take before it is tried again.
const JOIN_TTL: Duration = Duration::from_secs(20);
/// How often a join that found nobody is tried, with a second in between: a mesh that elects comes back in that time.
const JOIN_TRIES: u32 = 5;
const SMALL_BYTES_MAX: usize = 1 << 20;

/// What a start found out.
pub(super) struct Bootstrap {
    pub identity: Identity,
    /// The authorities that the node believes.
    pub trust: Trust,
    pub number: u64,
    /// The other nodes of the mesh as they were known last; none if nothing was ever written of them.
    pub peers: Option<Peers>,
    /// The sealed authority, while the group does not have it.
    pub authority: Option<Vec<u8>>,
    pub fresh: bool,
}

/// What is easily forgotten with a directory that is given up: its node still counts as a member of the mesh.
pub(super) const REMOVE_HELP: &str =
    "tell the mesh that the old node is lost, on another node of it: micro-node cluster remove NAME";

/// Why the node of a directory must not come back under its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retired {
    /// It has left its mesh for good.
    Left,
    /// Another process runs as this node, or has run since the directory was copied.
    Superseded,
    /// Its mesh was told to go on without it.
    Removed,
}

impl From<Expulsion> for Retired {
    fn from(why: Expulsion) -> Self {
        match why {
            Expulsion::Superseded => Retired::Superseded,
            Expulsion::Removed => Retired::Removed,
        }
    }
}

impl Retired {
    fn word(self) -> &'static str {
        match self {
            Retired::Left => "left",
            Retired::Superseded => "superseded",
            Retired::Removed => "removed",
        }
    }

    /// The reason that was written as `word`.
    fn of(word: &[u8]) -> Self {
        let known = [Retired::Left, Retired::Superseded, Retired::Removed];
        let found = known.into_iter().find(|why| why.word().as_bytes() == word);
        found.unwrap_or(Retired::Left)
    }

    /// What a start of the directory in `dir` is told.
    pub fn fault(self, dir: &Path) -> Fault {
        let dir = dir.display();
        let fault = match self {
            Retired::Left => {
                Fault::new(Code::Conflict, format!("the node in {dir} has left its mesh for good"))
            }
            Retired::Superseded => Fault::new(
                Code::Conflict,
                format!(
                    "another process has run as the node in {dir} since: one of the two directories is a copy"
                ),
            )
            .help("a node lives in one directory only, and never goes back to an older copy of it"),
            Retired::Removed => {
                Fault::new(Code::Conflict, format!("the node in {dir} was removed from its mesh"))
            }
        };
        let fault = match self {
            Retired::Left | Retired::Removed => fault,
            Retired::Superseded => fault.help(REMOVE_HELP),
        };
        fault
            .help(format!("`micro-node reset --data-dir {dir}` wipes it for a new life"))
            .help("then start it as the first of a new mesh, or join one with a new token")
    }
}

/// Takes note that the node of this directory must not come back.
pub(super) fn retire(files: &dyn FileStore, why: Retired) -> Result<(), Fault> {
    files.write(RETIRED_FILE, why.word().as_bytes()).map_err(failed)
}

/// A lower count than the last would make the others take this process for an older copy, so it is not made up.
fn lost_boot(text: &str, error: &dyn std::fmt::Display) -> Fault {
    let message = format!(
        "the file `{BOOT_FILE}` in the data directory is damaged: {text:?} is no count of starts ({error})"
    );
    Fault::new(Code::Failed, message)
        .help("if the number of the last start is known, or any higher one, write it there")
        .help("else give the directory up: `micro-node reset`, and join again with a new token")
}

fn failed(error: impl std::fmt::Display) -> Fault {
    Fault::new(Code::Failed, error.to_string())
}

impl Bootstrap {
    pub async fn run(
        config: &Config,
        name: &str,
        storage: &Storage,
        socket: &Socket,
        advertise: SocketAddr,
        seams: &Seams,
    ) -> Result<Self, Fault> {
        let files = &*storage.files;
        let kept = Self::check(&config.data_dir, config.join.as_ref(), storage)?;
        let fresh = kept.is_none();
        let identity = match (kept, &config.join) {
            (Some(identity), _) => identity,
            (None, Some(join)) => Self::join(config, name, join, storage, socket, advertise, seams).await?,
            (None, None) => {
                let founding = Founding::new(seams, config.certificate_life)?;
                founding.keep(storage)?;
                founding.identity
            }
        };
        let trust = kept_trust(files, &identity)?;
        let auth = AuthState::new(identity.cluster, storage.state.clone(), storage.files.clone());
        let (life, now) = (config.certificate_life, seams.clock.now());
        let (identity, trust) = renew_at_start(&auth, files, (identity, trust), life, now)?;
        rejoin::settle(files)?;
        let number = next_boot(files)?;
        let peers = AddressBook::open(storage.files.clone()).peers().cloned();
        let authority = files.read(AUTHORITY_FILE).map_err(failed)?;
        Ok(Bootstrap { identity, trust, number, peers, authority, fresh })
    }

    /// Whose directory it is, as far as that is written; none if it is as good as new. Writes nothing.
    ///
    /// # Errors
    /// If its node has left, its identity is lost, or it belongs to another mesh than the one to be joined.
    pub fn check(data_dir: &Path, join: Option<&Join>, storage: &Storage) -> Result<Option<Identity>, Fault> {
        check_retired(data_dir, &*storage.files)?;
        if storage.files.read(RESTORING_FILE).map_err(failed)?.is_some() {
            let dir = data_dir.display();
            return Err(Fault::new(
                Code::Conflict,
                format!("a backup was being restored into {dir}, and not to its end"),
            )
            .help(format!(
                "wipe it with `micro-node reset --data-dir {dir}`, then restore the backup again"
            )));
        }
        let Some(identity) = identity(data_dir, &*storage.files)? else {
            return if used(storage)? { Err(lost_identity(data_dir, "is missing")) } else { Ok(None) };
        };
        Self::check_same_mesh(&identity, join)?;
        Ok(Some(identity))
    }

    /// A directory that belongs to one mesh can't join another. A token that can't be read is not missed: what it was
    /// for is done.
    fn check_same_mesh(identity: &Identity, join: Option<&Join>) -> Result<(), Fault> {
        match join.map(|join| &join.token) {
            Some(Ok(Some(token))) if token.cluster != identity.cluster => {
                let message = format!(
                    "this data directory belongs to mesh {}, but the join token is for mesh {}",
                    identity.cluster, token.cluster
                );
                Err(Fault::new(Code::Conflict, message)
                    .help("start without `--join` to go on in the old mesh")
                    .help("or give the old life up with `micro-node reset`, then join"))
            }
            _ => Ok(()),
        }
    }

    async fn join(
        config: &Config,
        name: &str,
        join: &Join,
        storage: &Storage,
        socket: &Socket,
        advertise: SocketAddr,
        seams: &Seams,
    ) -> Result<Identity, Fault> {
        let make = "make a join token with `micro-node token create` on a node of the mesh";
        let token = match &join.token {
            Ok(Some(token)) => token,
            Ok(None) => {
                let message = "this data directory has not joined a mesh yet, so a join token is needed";
                return Err(Fault::new(Code::Usage, message).help(make));
            }
            Err(fault) => return Err(fault.clone().help(make)),
        };
        let listen = socket.local_addr().map_err(failed)?;
        within_reach(listen, join.places())?;
        let (node, key) = (seams.node_id(), NodeKey::generate());
        let mut tries = 0;
        let grant = loop {
            let request = JoinRequest {
                secret: token.secret,
                key: key.request(node),
                name: name.to_owned(),
                address: advertise,
                place: config.place.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            };
            tries += 1;
            match micro_mesh::join(token, &join.addresses, request, socket, seams, JOIN_TTL).await {
                Ok(grant) => break grant,
                // The same node with the same key may ask again, even if its first answer was lost.
                Err(fault) if tries < JOIN_TRIES && passing(&fault) => {
                    tracing::info!(%fault, tries, "joining again in a moment");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err(fault) => return Err(fault),
            }
        };
        let identity = key.with_certificate(&grant.certificate, node, token.cluster, seams.clock.now());
        let identity = identity.map_err(failed)?;
        AddressBook::open(storage.files.clone()).keep(grant.peers)?;
        keep_identity(&*storage.files, &identity, &grant.trust)?;
        Ok(identity)
    }

    /// Hands the sealed authority of a new mesh to the group, which keeps it from then on.
    pub async fn settle(&self, system: &System, storage: &Storage, patience: Duration) -> Result<(), Fault> {
        let Some(sealed) = &self.authority else { return Ok(()) };
        system.auth().set_authority(sealed.clone(), Instant::now() + patience * 10).await?;
        storage.files.remove(AUTHORITY_FILE).map_err(failed)
    }
}

/// Counts this start.
///
/// # Errors
/// If the count of the last one is damaged.
pub(super) fn next_boot(files: &dyn FileStore) -> Result<u64, Fault> {
    let kept = files.read(BOOT_FILE).map_err(failed)?;
    let last = match kept {
        None => 0,
        Some(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            text.trim().parse::<u64>().map_err(|error| lost_boot(&text, &error))?
        }
    };
    let number = last + 1;
    files.write(BOOT_FILE, number.to_string().as_bytes()).map_err(failed)?;
    Ok(number)
}

/// Sees that the node of a directory may come back.
///
/// # Errors
/// If it must not, with the reason.
pub(super) fn check_retired(data_dir: &Path, files: &dyn FileStore) -> Result<(), Fault> {
    match files.read(RETIRED_FILE).map_err(failed)? {
        Some(why) => Err(Retired::of(&why).fault(data_dir)),
        None => Ok(()),
    }
}

/// The identity of the node of a directory, if it has one.
///
/// # Errors
/// If it is damaged.
pub(super) fn identity(data_dir: &Path, files: &dyn FileStore) -> Result<Option<Identity>, Fault> {
    let Some(bytes) = files.read(IDENTITY_FILE).map_err(failed)? else { return Ok(None) };
    let identity = Identity::decode(&bytes);
    identity.map(Some).map_err(|error| lost_identity(data_dir, &format!("is damaged: {error}")))
}

/// Whether a node has lived in this directory. Its identity is written before its log is begun and its starts are
/// counted, so a first start that was cut short has neither.
fn used(storage: &Storage) -> Result<bool, Fault> {
    let mut used = storage.files.read(BOOT_FILE).map_err(failed)?.is_some();
    if used || storage.fence.damage().is_some() {
        return Ok(true);
    }
    used |= storage.log.range().map_err(failed)?.end > 0;
    for mark in [LogMark::Vote, LogMark::Committed, LogMark::Purged] {
        used |= storage.log.mark(mark).map_err(failed)?.is_some();
    }
    for family in Family::ALL {
        let first = storage.state.scan(family, ScanRange::prefix(b""), 1, SMALL_BYTES_MAX);
        used |= !first.map_err(failed)?.is_empty();
    }
    Ok(used)
}

/// Why a directory with data and without a usable identity is not started in: as a new node it would mix its data with
/// that of the old one, which the mesh still counts on.
fn lost_identity(data_dir: &Path, how: &str) -> Fault {
    let (file, dir) = (micro_storage::disk::file_path(data_dir, IDENTITY_FILE), data_dir.display());
    Fault::new(Code::Failed, format!("{dir} was used before, but the identity of its node, {}, {how}", file.display()))
        .help("nothing was changed: put the file back from a copy of the directory, then start again")
        .help(format!(
            "without a copy, give the node up: `micro-node reset --data-dir {dir}`, then join again with a new token \
             (what no other node has is lost)"
        ))
}

/// Refuses to join from a listener on loopback a mesh that is elsewhere: nothing that is sent from there leaves this
/// host, and "nothing answers" would be all that anybody hears.
fn within_reach(listen: SocketAddr, places: &[SocketAddr]) -> Result<(), Fault> {
    let Some(elsewhere) = places.first() else { return Ok(()) };
    if !listen.ip().is_loopback() || places.iter().any(|place| place.ip().is_loopback()) {
        return Ok(());
    }
    let message = format!(
        "this node's mesh listens on loopback only ({listen}): it can't reach {elsewhere}, nor be reached from there"
    );
    Err(Fault::new(Code::Usage, message).help(format!(
        "let it listen where other hosts reach it: add `--mesh-listen 0.0.0.0:{}`",
        listen.port()
    )))
}

/// Whether a join that failed so may succeed a moment later.
fn passing(fault: &Fault) -> bool {
    matches!(fault.code, Code::Unavailable | Code::Timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mesh_elsewhere_is_not_joined_from_loopback() {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let check = |listen: &str, places: &[&str]| {
            within_reach(address(listen), &places.iter().map(|place| address(place)).collect::<Vec<_>>())
        };
        for places in [&["10.0.0.1:8443"][..], &["10.0.0.1:8443", "[fd00::1]:8443"]] {
            let fault = check("127.0.0.1:8443", places).expect_err("it leads nowhere");
            assert_eq!(fault.code, Code::Usage);
            assert!(fault.message.contains("loopback only") && fault.message.contains(places[0]), "{fault}");
            assert!(fault.help[0].contains("--mesh-listen 0.0.0.0:8443"), "{fault:?}");
        }
        assert_eq!(check("127.0.0.1:8443", &["127.0.0.1:7443"]), Ok(()));
        assert_eq!(check("[::1]:8443", &["10.0.0.1:8443", "[::1]:7443"]), Ok(()));
        assert_eq!(check("0.0.0.0:8443", &["10.0.0.1:8443"]), Ok(()));
        assert_eq!(check("127.0.0.1:8443", &[]), Ok(()));
    }
}
