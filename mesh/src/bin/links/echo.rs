//! The node at the other end.

use bytes::Bytes;
use futures::{StreamExt, stream};
use micro_mesh::{
    BoxFuture, FrameReceiver, FrameSender, Handler, Heard, JoinGrant, JoinRequest, KeyRequest, Lane, Piece,
    RenewalGrant, Said,
};
use micro_sdk::wire::{Code, Fault, Head, NodeId};
use std::net::SocketAddr;

/// Answers calls with what they carry, and what comes in bulk with how much it was.
pub(super) struct Echo;

impl Handler for Echo {
    fn call(&self, _from: NodeId, _head: Head, body: Bytes) -> BoxFuture<'static, Result<Bytes, Fault>> {
        Box::pin(async move { Ok(body) })
    }

    fn converse(&self, _from: NodeId, _head: Head, mut heard: Heard) -> Said {
        let count = async move {
            let mut bytes = 0;
            while let Some(Ok(piece)) = heard.next().await {
                if let Piece::Data(data) = piece {
                    bytes += data.len();
                }
            }
            Piece::Data(Bytes::from(bytes.to_string()))
        };
        let head = stream::once(async { Piece::Head(Vec::new()) });
        head.chain(stream::once(count)).chain(stream::once(async { Piece::End(Vec::new()) })).boxed()
    }

    fn lane(
        &self,
        _from: NodeId,
        _lane: Lane,
        mut sender: FrameSender,
        mut receiver: FrameReceiver,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut bytes = 0;
            while let Ok(Some(frame)) = receiver.next().await {
                bytes += frame.len();
            }
            // Whoever asked finds the end of the stream if this is not sent.
            let _ = sender.send(bytes.to_string().as_bytes()).await;
            sender.finish();
        })
    }

    fn join(&self, _from: SocketAddr, _: JoinRequest) -> BoxFuture<'static, Result<JoinGrant, Fault>> {
        Box::pin(async { Err(Fault::new(Code::Denied, "nobody joins two nodes that are measured")) })
    }

    fn renew(&self, _from: SocketAddr, _: KeyRequest) -> BoxFuture<'static, Result<RenewalGrant, Fault>> {
        Box::pin(async { Err(Fault::new(Code::Denied, "nothing is renewed while it is measured")) })
    }
}
