//! The configuration of the mesh as a source: joined when a node is there, and followed from then on.
//!
//! ```text
//!   apart ── a node answers ──► schema registered ──► following ── the node is lost ──► apart     after a pause
//!                                                        └── attached as another instance ──► following, as that one
//! ```
//!
//! What was heard last stays while no node answers.

use super::{
    Source,
    layer::{Layer, Leaf},
    path::Path,
    state::Shared,
};
use crate::{
    chance,
    client::{ConfigReading, ConfigUpdate, ConfigWatch, Node},
    wire::{Fault, Namespace},
};
use serde_json::Value;
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{sync::watch, time::sleep};

/// The first pause before a node is asked again: a node that restarts in place takes about this long.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause: how long changes may stay unheard after the node came back.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// What problems with the mesh are noted under.
const MESH: &str = "mesh";
/// What problems with the schema are noted under.
const SCHEMA: &str = "schema";

/// Where the mesh is found.
#[derive(Clone, Debug)]
pub(super) enum MeshAt {
    /// This node.
    Node(Node),
    /// The node that [`Node::connect`] finds, once there is one.
    Here(Namespace),
}

impl MeshAt {
    async fn connect(&self) -> Result<Node, Fault> {
        match self {
            MeshAt::Node(node) => Ok(node.clone()),
            MeshAt::Here(namespace) => Ok(Node::connect().await?.with_namespace(namespace.clone())),
        }
    }
}

/// Follows the service's part of the mesh's tree for as long as the configuration lives.
pub(super) async fn follow(shared: Weak<Shared>, at: MeshAt, schema: Option<Value>) {
    let mut pause = PAUSE_MIN;
    loop {
        let fault = match join(&shared, &at, schema.as_ref(), &mut pause).await {
            // Another instance, or the end.
            None if shared.strong_count() == 0 => return,
            None => continue,
            Some(fault) => fault,
        };
        let Some(known) = shared.upgrade() else { return };
        known.problem(MESH, Some(format!("not heard, trying again: {}", fault.message)));
        drop(known);
        // From half the pause to all of it, so that services do not come back all at once.
        sleep(pause.mul_f64(0.5 + chance::fraction() / 2.0)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Follows the tree until it is lost: then gives the reason. None if the service is another instance now, or the
/// configuration has ended.
async fn join(
    shared: &Weak<Shared>,
    at: &MeshAt,
    schema: Option<&Value>,
    pause: &mut Duration,
) -> Option<Fault> {
    let (service, mut instance) = {
        let shared = shared.upgrade()?;
        (shared.service.clone(), shared.instance().subscribe())
    };
    let begun = begin(shared, at, &service, schema, &mut instance).await;
    let mut watch = match begun {
        Ok(watch) => watch,
        Err(fault) => return Some(fault),
    };
    loop {
        tokio::select! {
            biased;
            // Also when the configuration has ended.
            _ = instance.changed() => return None,
            update = watch.next() => match update? {
                Ok(update) => {
                    *pause = PAUSE_MIN;
                    take(&*shared.upgrade()?, &service, update);
                }
                Err(fault) => return Some(fault),
            }
        }
    }
}

/// Registers the schema, and begins to watch.
async fn begin(
    shared: &Weak<Shared>,
    at: &MeshAt,
    service: &str,
    schema: Option<&Value>,
    instance: &mut watch::Receiver<String>,
) -> Result<ConfigWatch, Fault> {
    let node = at.connect().await?;
    let tree = node.config();
    if let Some(schema) = schema {
        let registered = match tree.schema(service).await {
            // Most instances find it as another one has left it.
            Ok(found) if found.as_ref() == Some(schema) => Ok(()),
            Ok(_) => tree.set_schema(service, Some(schema)).await,
            Err(fault) => Err(fault),
        };
        if let Some(shared) = shared.upgrade() {
            // What is in the mesh may not fit yet: its other values count nevertheless, and whoever sets them sees it.
            let problem = registered.err().map(|fault| format!("not registered: {}", fault.message));
            shared.problem(SCHEMA, problem);
        }
    }
    let asked = instance.borrow_and_update().clone();
    // Without patience of its own: here it is asked again for ever, and what is wrong meanwhile is told.
    tree.watch(service).show_secrets().instance(asked).patience(Duration::ZERO).await
}

/// Takes what the mesh says.
fn take(shared: &Shared, service: &str, update: ConfigUpdate) {
    let ConfigReading { version, leaves, .. } = update.reading;
    let root = Path::from(vec![service.to_owned()]);
    let mut layer = Layer::empty(Source::Mesh);
    let mut problem = None;
    for leaf in leaves {
        let place = match leaf.canary {
            Some(canary) => format!("version {}, staged as {canary}", leaf.version),
            None => format!("version {}", leaf.version),
        };
        let path = Path::parse(&leaf.path).ok().and_then(|path| path.behind(&root));
        match (path, leaf.value()) {
            (Some(path), Ok(value)) => {
                drop(layer.leaves.insert(path, Leaf { secret: leaf.secret, ..Leaf::new(value, place) }));
            }
            (None, _) => problem = Some(format!("it tells of {}, which is not under {service}", leaf.path)),
            (_, Err(fault)) => problem = Some(fault.message),
        }
    }
    shared.problem(MESH, problem);
    shared.change(|layers| (layers.mesh, layers.version) = (layer, version));
    shared.heard().send_replace(true);
}

/// What keeps a configuration up to date; dropped, it ends.
#[derive(Debug, Default)]
pub(super) struct Followers(tokio::task::JoinSet<()>);

impl Followers {
    /// Runs `follower` until this is dropped.
    pub fn add(&mut self, follower: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(follower);
    }

    pub fn share(self) -> Arc<Followers> {
        Arc::new(self)
    }
}
