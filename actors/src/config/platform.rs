//! The configuration's actor: what it is built on, and what nodes ask each other.

use crate::{
    Dispatch, Invocation, Platform,
    auth::{AuthState, decode},
    config::{origins::instance_request, reading::no_keys},
    kit::Leader,
    registry::Registry,
    store::StoreService,
};
use bincode::{Decode, Encode};
use bytes::Bytes;
use futures::future::BoxFuture;
use micro_consensus::Consensus;
use micro_mesh::Mesh;
use micro_sdk::wire::{Code, Codec, Fault, Seams};
use std::sync::Arc;
use tokio::time::{Duration, Instant};

/// The name of the configuration service.
pub const CONFIG: &str = "config";

/// The configuration's actor. What it answers is in `reading`, `writing`, `rotation`, `lost`, `origins`
/// and `watch`. Clones
/// share everything.
#[derive(Clone)]
pub struct ConfigService {
    pub(super) store: Arc<StoreService>,
    pub(super) parts: Arc<ConfigParts>,
}

/// What the configuration's actor needs besides the store.
pub(crate) struct ConfigParts {
    pub mesh: Mesh,
    pub consensus: Consensus,
    pub auth: AuthState,
    pub registry: Registry,
    pub dispatch: Dispatch,
    pub seams: Seams,
}

impl ConfigService {
    pub(crate) fn new(store: Arc<StoreService>, parts: ConfigParts) -> Self {
        ConfigService { store, parts: Arc::new(parts) }
    }

    /// The same over a [fork](StoreService::fork) of the store, for callers on another thread.
    #[must_use]
    pub fn over(&self, store: Arc<StoreService>) -> Self {
        ConfigService { store, parts: self.parts.clone() }
    }

    /// Has the leader do what takes the keys of secrets, as long as it has certainly not done it and time is left.
    pub(super) async fn ask_leader<A: Encode, R: Decode<()>>(
        &self,
        endpoint: &str,
        request: &A,
        deadline: Instant,
    ) -> Result<R, Fault> {
        let ConfigParts { mesh, consensus, dispatch, seams, .. } = &*self.parts;
        let leader = Leader {
            mesh: mesh.clone(),
            consensus: consensus.clone(),
            dispatch: dispatch.clone(),
            seams: seams.clone(),
        };
        leader.ask(CONFIG, endpoint, request, no_keys, deadline).await
    }
}

impl Platform for ConfigService {
    fn name(&self) -> &'static str {
        CONFIG
    }

    fn permits(&self) -> usize {
        // Each may hold a whole tree in memory while it is decided.
        256
    }

    /// What other nodes ask. Callers of this node's doors are admitted, and call what they want directly.
    fn handle(self: Arc<Self>, call: Invocation) -> BoxFuture<'static, Result<Bytes, Fault>> {
        Box::pin(async move {
            let deadline = Instant::now() + Duration::from_millis(call.head.deadline_ms.into());
            let body = &call.body;
            Ok(match call.head.endpoint.as_str() {
                "read" => Codec::encode(&self.get_here(decode(body)?, deadline).await?).into(),
                "change" => {
                    let opener = self.need_opener()?;
                    Codec::encode(&self.change_here(decode(body)?, opener, deadline).await?).into()
                }
                "set-schema" => {
                    let opener = self.need_opener()?;
                    self.set_schema_here(decode(body)?, opener, deadline).await?;
                    Codec::encode(&()).into()
                }
                "rotate" => {
                    let opener = self.need_opener()?;
                    Codec::encode(&self.rotate_here(decode(body)?, opener, deadline).await?).into()
                }
                "lost" => Codec::encode(&self.lost_here(self.need_opener()?, deadline).await?).into(),
                "instance" => self.ask_own(instance_request(body)?, deadline).await?,
                other => {
                    let message = format!("the configuration has no endpoint {other:?}");
                    return Err(Fault::new(Code::NotFound, message));
                }
            })
        })
    }
}
