//! Giving a copy of the state to a member whose own is damaged, at its request.

use crate::{
    entry::AppliedRecord,
    entry::decode,
    lanes::{Lanes, next_frame},
    message::{FetchAnswer, FetchAsk, put, take},
    snapshot::ManifestRecord,
    snapshot_chunks::SnapshotChunks,
};
use micro_mesh::{FrameReceiver, FrameSender};
use micro_sdk::wire::NodeId;
use micro_storage::Manifest;
use std::{io, time::Duration};
use tokio::time::timeout;

/// How long the other side may take none of it: the disk keeps a copy of the state for it meanwhile.
const STALL: Duration = Duration::from_secs(10);

impl Lanes {
    /// Answers one that wants a copy of the state: a new one, so that it is as good as the state is.
    pub(crate) async fn give(
        &self,
        from: NodeId,
        mut sender: FrameSender,
        mut receiver: FrameReceiver,
    ) -> io::Result<()> {
        let frame = next_frame(&mut receiver).await?;
        let ask = take::<FetchAsk>(frame.ok_or_else(|| io::Error::other("nothing was asked"))?)?;
        let copy = match self.replica.has_member(from) {
            false => Err("you are no member of the group".to_owned()),
            true => self.copy(ask.at_least).await,
        };
        let mut frame = Vec::new();
        match copy {
            Ok((manifest, mut chunks)) => {
                tracing::info!(to = %from, id = %manifest.id, "giving a copy of the state");
                put(&FetchAnswer::Given(ManifestRecord::from(&manifest)), &mut frame);
                send(&mut sender, &frame).await?;
                while let Some(chunk) = chunks.next().await? {
                    send(&mut sender, &chunk).await?;
                }
            }
            Err(why) => {
                tracing::warn!(to = %from, why, "a copy of the state was not given");
                put(&FetchAnswer::Refused(why), &mut frame);
                send(&mut sender, &frame).await?;
            }
        }
        sender.finish();
        Ok(())
    }

    async fn copy(&self, at_least: u64) -> Result<(Manifest, SnapshotChunks), String> {
        let turn = self.replica.try_snapshot_turn();
        let _turn = turn.ok_or("another snapshot is being made or taken in just now")?;
        // Read before it is given: the other one would refuse what is damaged, and this node would not hear of it.
        let manifest = self.replica.make_whole_snapshot().await.map_err(|error| error.to_string())?;
        let applied = decode::<AppliedRecord>(&manifest.applied).map_err(|error| error.to_string())?;
        match applied.last {
            Some(last) if last.index >= at_least => {
                let chunks = SnapshotChunks::open(&self.replica, &manifest).await;
                Ok((manifest, chunks.map_err(|error| error.to_string())?))
            }
            last => {
                let end = last.map_or(0, |last| last.index);
                Err(format!("the state here goes up to {end}, and {at_least} is wanted"))
            }
        }
    }
}

async fn send(sender: &mut FrameSender, frame: &[u8]) -> io::Result<()> {
    timeout(STALL, sender.send(frame)).await?.map_err(io::Error::other)
}
