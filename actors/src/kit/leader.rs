//! What only a node with the mesh's keys can do is asked of the leader, which has them.

use crate::{
    Dispatch,
    auth::{decode, node_head},
};
use bincode::{Decode, Encode};
use bytes::Bytes;
use micro_consensus::Consensus;
use micro_mesh::Mesh;
use micro_sdk::wire::{Code, Codec, Effect, Fault, Seams};
use tokio::time::{Duration, Instant, sleep};

/// The pause before the leader is asked again: an election takes a few of them.
const PAUSE: Duration = Duration::from_millis(100);

/// Asks the leader. Clones share everything.
#[derive(Clone)]
pub(crate) struct Leader {
    pub mesh: Mesh,
    pub consensus: Consensus,
    pub dispatch: Dispatch,
    pub seams: Seams,
}

impl Leader {
    /// Has the leader do something, as long as it has certainly not done it and time is left. `keyless` is said where
    /// this node leads and has not the keys either.
    ///
    /// # Errors
    /// As the leader answers, or why it can't be asked.
    pub async fn ask<A: Encode, R: Decode<()>>(
        &self,
        service: &str,
        endpoint: &str,
        request: &A,
        keyless: impl Fn() -> Fault,
        deadline: Instant,
    ) -> Result<R, Fault> {
        let body = Bytes::from(Codec::encode(request));
        let here = self.mesh.node();
        loop {
            let leader = *self.consensus.watch_leader().borrow();
            let answer = match leader {
                Some(leader) if leader != here => {
                    let head = node_head(&self.seams, here, service, endpoint, deadline);
                    self.dispatch.call_at(leader, head, body.clone()).await
                }
                // It leads, so it votes, so it is given the key in a moment.
                Some(_) => Err(keyless()),
                None => Err(Fault::new(Code::Unavailable, "the mesh has no leader just now")
                    .help("try again in a few seconds")),
            };
            match answer {
                Ok(body) => return decode(&body),
                Err(fault) if is_passing(&fault) && Instant::now() + PAUSE < deadline => {
                    sleep(PAUSE).await;
                }
                Err(fault) => return Err(fault),
            }
        }
    }
}

/// Whether asking again may help: nothing was done, and it was not the caller's fault.
fn is_passing(fault: &Fault) -> bool {
    fault.effect == Effect::None && matches!(fault.code, Code::Unreachable | Code::Unavailable)
}
