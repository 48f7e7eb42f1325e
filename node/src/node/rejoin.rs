//! The way back of a node whose log is damaged. What it has acknowledged may be gone with that, so it must never take
//! part again: it gives its place up, and a new node comes in its stead, in the same directory and under the same name.
//!
//! ```text
//! with the old identity, log and state closed:
//!   ask for a join token ─► write it down ─► be let go, if the others have a quorum
//!   ─► put the old node's data aside ─► the next start joins with the token
//! ```
//!
//! Cut short anywhere, it is done again from the beginning: until the node is let go nothing has changed, and behind it
//! the token is on the disk.

use super::{
    GOSSIP_INTERVAL, addresses, admin_secret, bootstrap, mend::Mending, name, place, production_seams,
    storage_fault,
};
use crate::config::Join;
use micro_actors::{
    AddressBook, IDENTITY_FILE, Peers, kept_trust, learn_peers, network::Farewell, renew_by_proof,
};
use micro_mesh::{Expulsion, Identity, JoinToken, LINK_TIMEOUT, Mesh, MeshConfig, Socket, WAY_LEEWAY};
use micro_sdk::wire::{Code, Effect, Fault, NodeId, Seams};
use micro_storage::{FileStore, disk::Remains};
use serde::{Deserialize, Serialize};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::timeout;
use zeroize::{Zeroize, Zeroizing};

/// What lets the next node of this directory in.
const REJOIN_FILE: &str = "rejoin";
/// The small files that the next node takes over: all that people said once, and need not say again.
const HEIRLOOMS: [&str; 5] =
    [REJOIN_FILE, name::NAME_FILE, place::PLACE_FILE, addresses::ADDRESSES_FILE, admin_secret::FILE];
/// How long the next start may take to come: whoever runs this is at the host just now.
const TOKEN_TTL: Duration = Duration::from_secs(3600);
/// How long the mesh may take to part with the old node: it looks twice a second, and waits two seconds for the node to
/// hear that it may go. Until then it would take the new one for a second node of the same name.
const PARTING_PATIENCE: Duration = Duration::from_secs(10);

/// What was kept for the next start.
#[derive(Serialize, Deserialize)]
struct Kept {
    token: String,
    /// Until when it can be used, in seconds since 1970.
    expires_s: u64,
    addresses: Vec<SocketAddr>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.token.zeroize();
    }
}

/// A node that has given its place up.
#[derive(Clone, Debug)]
pub struct GivenUp {
    /// Which it was.
    pub node: NodeId,
    /// Where its data is.
    pub aside: PathBuf,
}

/// Gives up the place of the node in `data_dir`, puts its data aside, and leaves what the next start needs to join the
/// same mesh as a new node.
///
/// # Errors
/// If there is no node that could, if the others would have no quorum without it, or if no other node can be reached.
/// Nothing is changed then, or it says that this is not known; then it goes on where it was when it is called again.
pub async fn rejoin(data_dir: &Path) -> Result<GivenUp, Fault> {
    let remains = Remains::open(data_dir).map_err(|error| storage_fault(error, data_dir))?;
    let (files, seams) = (remains.files(), production_seams());
    bootstrap::check_retired(data_dir, &*files)?;
    let identity = bootstrap::identity(data_dir, &*files)?;
    let Some(identity) = identity else { return Err(nobody(data_dir)) };
    let peers = AddressBook::open(files.clone()).peers().cloned().unwrap_or_default();
    if peers.is_empty() {
        return Err(alone(data_dir));
    }
    let node = identity.node;
    let expired = seams.clock.now() >= identity.expires();
    let mesh = link(&*files, identity, &peers, &seams)?;
    if expired {
        let addresses = peers.iter().map(|(_, address)| *address);
        renew_by_proof(&mesh, &*files, &seams, addresses).await?;
    }
    let outcome = part(&mesh, &*files, &seams, &peers).await;
    mesh.close("this node gives its place up").await;
    outcome?;
    let aside = remains.set_aside(&HEIRLOOMS).map_err(|error| storage_fault(error, data_dir))?;
    Ok(GivenUp { node, aside })
}

/// No node is in `data_dir` that could come back.
pub fn nobody(data_dir: &Path) -> Fault {
    let message = format!("no node has lived in {}: there is nothing to come back from", data_dir.display());
    Fault::new(Code::NotFound, message).help("say where it is: --data-dir DIR")
}

fn alone(data_dir: &Path) -> Fault {
    let dir = data_dir.display();
    let message = format!("the node in {dir} knows of no other node of its mesh: nobody has its data");
    Fault::new(Code::Conflict, message).help("nothing was changed: keep a copy of the directory").help(format!(
        "with a backup: `micro-node reset --data-dir {dir}`, then `micro-node cluster restore FILE --data-dir {dir}`"
    ))
}

/// The links of the old node, which serves nothing.
fn link(files: &dyn FileStore, identity: Identity, peers: &Peers, seams: &Seams) -> Result<Mesh, Fault> {
    let last = addresses::Addresses::of_last_start(files)?;
    // Where it was: the others know it by that, and it may stay.
    let listen = last.as_ref().map_or(addresses::MESH_LISTEN, |last| last.mesh);
    let socket = Socket::bind(listen)
        .map_err(|error| Fault::new(Code::Failed, format!("the mesh can't use {listen}: {error}")))?;
    let config = MeshConfig {
        advertise: last.as_ref().and_then(|last| last.advertise).unwrap_or(listen),
        also: last.map(|last| last.also).unwrap_or_default(),
        name: name::choose(None, files)?,
        place: place::choose(&micro_mesh::Place::default(), files)?,
        boot: bootstrap::next_boot(files)?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        seams: seams.clone(),
        gossip_interval: GOSSIP_INTERVAL,
        way_leeway: WAY_LEEWAY,
        link_timeout: LINK_TIMEOUT,
        gateway: false,
        prices: Vec::new(),
    };
    let trust = kept_trust(files, &identity)?;
    let mesh = Mesh::start(config, identity, trust, socket)
        .map_err(|error| Fault::new(Code::Failed, format!("the mesh does not start: {error}")))?;
    learn_peers(&mesh, peers);
    mesh.serve(Arc::new(Mending));
    Ok(mesh)
}

/// Gives the place up. Returns once the mesh has parted with the node and what lets the next one in is written down.
async fn part(mesh: &Mesh, files: &dyn FileStore, seams: &Seams, peers: &Peers) -> Result<(), Fault> {
    let leaving = async {
        let farewell = Farewell::begin(mesh, seams).await?;
        let token = farewell.ask_token(TOKEN_TTL).await?;
        let mut addresses = token.addresses;
        let others = peers.iter().map(|(_, address)| *address).filter(|address| !addresses.contains(address));
        addresses.extend(others.collect::<Vec<_>>());
        let kept = Kept { token: token.token, expires_s: token.expires, addresses };
        let bytes = Zeroizing::new(serde_json::to_vec(&kept).expect("it has a JSON form"));
        files.write(REJOIN_FILE, &bytes).map_err(failed)?;
        let left = farewell.leave().await;
        if left.as_ref().is_err_and(|fault| fault.effect == Effect::None) {
            files.remove(REJOIN_FILE).map_err(failed)?;
        }
        left
    };
    let expelled = mesh.expelled();
    tokio::pin!(expelled);
    let left = tokio::select! {
        biased;
        (_, why) = &mut expelled => return parted(why, files, seams),
        left = leaving => left,
    };
    if let Err(fault) = left {
        // Also what an earlier try has kept, of which nobody knows whether it was let go.
        let open = files.read(REJOIN_FILE).map_err(failed)?.is_some();
        return Err(fault.help(match open {
            true => "it may have been let go all the same: run it again, and it goes on from there",
            false => "nothing was changed",
        }));
    }
    if timeout(PARTING_PATIENCE, expelled).await.is_err() {
        tracing::warn!("the mesh has let the node go, and has not closed its links yet");
    }
    Ok(())
}

/// What it means that the mesh lets this node in no more: an earlier try was cut short behind its departure, or
/// somebody has removed it, or it lives elsewhere.
fn parted(why: Expulsion, files: &dyn FileStore, seams: &Seams) -> Result<(), Fault> {
    match why {
        Expulsion::Removed if kept(files, seams)?.is_some() => Ok(()),
        Expulsion::Removed => Err(Fault::new(Code::Conflict, "the node was removed from its mesh already")
            .help("wipe the directory with `micro-node reset`, then start with a new token: `micro-node token create`")),
        Expulsion::Superseded => {
            Err(Fault::new(Code::Conflict, "another process has run as this node since: this directory is an older copy")
                .help("nothing was changed: give the copy up with `micro-node reset`"))
        }
    }
}

fn failed(error: impl std::fmt::Display) -> Fault {
    Fault::new(Code::Failed, error.to_string())
}

/// What was kept for the next start, while it can be used.
fn kept(files: &dyn FileStore, seams: &Seams) -> Result<Option<Join>, Fault> {
    let Some(bytes) = files.read(REJOIN_FILE).map_err(failed)?.map(Zeroizing::new) else { return Ok(None) };
    let now_s = seams.clock.now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let kept = serde_json::from_slice::<Kept>(&bytes).ok().filter(|kept| kept.expires_s > now_s);
    let join = kept.and_then(|kept| {
        let token: JoinToken = kept.token.parse().ok()?;
        Some(Join { addresses: kept.addresses.clone(), token: Ok(Some(token)) })
    });
    Ok(join)
}

/// How a directory without a node is to join: as it was kept there, else as was `said`.
///
/// # Errors
/// If a node has given its place up there, and neither is of use: a mesh of its own must not be begun instead.
pub(super) fn join(files: &dyn FileStore, said: Option<Join>, seams: &Seams) -> Result<Option<Join>, Fault> {
    let waiting = files.read(REJOIN_FILE).map_err(failed)?.is_some();
    if !waiting || files.read(IDENTITY_FILE).map_err(failed)?.is_some() {
        return Ok(said);
    }
    match kept(files, seams)?.or(said) {
        Some(join) => Ok(Some(join)),
        None => Err(Fault::new(Code::Conflict, "what was to let this node in again can't be used any more")
            .help("make a token with `micro-node token create` on a node of the mesh, and start it with --join and --join-token")
            .help("or wipe the directory for a mesh of its own: `micro-node reset`")),
    }
}

/// Forgets what has let this node in.
pub(super) fn settle(files: &dyn FileStore) -> Result<(), Fault> {
    if files.read(REJOIN_FILE).map_err(failed)?.is_some() {
        files.remove(REJOIN_FILE).map_err(failed)?;
    }
    Ok(())
}
