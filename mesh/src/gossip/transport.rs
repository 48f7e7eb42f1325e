//! chitchat's messages over links: a stream for each, never waiting, lost when there is no link.

use super::{compact::pack, node_at};
use crate::{
    lane::GOSSIP_PRIORITY,
    link::{Link, Outgoing},
    mesh::Inner,
    prelude::GOSSIP_KIND,
};
use async_trait::async_trait;
use bytes::Bytes;
use chitchat::{ChitchatMessage, Serializable, transport};
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::timeout,
};

/// The longest message. chitchat's own limit is a UDP datagram's 65,507 bytes.
pub(crate) const MESSAGE_BYTES_MAX: usize = 70_000;
/// Messages received and not yet looked at. chitchat looks at once, so more are of no use.
const INBOX_MAX: usize = 256;
/// Messages being sent at a time.
const SENDS_MAX: usize = 256;
/// How long a message may take to be sent. Older news is no news.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);

/// Where messages from peers go in. Each comes with the address at which chitchat answers.
pub(super) type Inbox = mpsc::Sender<(SocketAddr, ChitchatMessage)>;

/// A new inbox, and chitchat's end of it.
pub(super) fn channel(mesh: &Arc<Inner>) -> (Inbox, Socket) {
    let (sender, receiver) = mpsc::channel(INBOX_MAX);
    (sender, Socket { mesh: mesh.clone(), receiver, sends: Arc::new(Semaphore::new(SENDS_MAX)) })
}

/// Gives chitchat its one socket.
pub(super) struct Transport(Mutex<Option<Socket>>);

impl Transport {
    pub(super) fn new(socket: Socket) -> Self {
        Transport(Mutex::new(Some(socket)))
    }
}

#[async_trait]
impl transport::Transport for Transport {
    async fn open(&self, _address: SocketAddr) -> Result<Box<dyn transport::Socket>, anyhow::Error> {
        match crate::link::lock(&self.0).take() {
            Some(socket) => Ok(Box::new(socket)),
            None => Err(io::Error::other("gossip's socket is opened once").into()),
        }
    }
}

/// chitchat's socket.
pub(super) struct Socket {
    mesh: Arc<Inner>,
    receiver: mpsc::Receiver<(SocketAddr, ChitchatMessage)>,
    sends: Arc<Semaphore>,
}

impl Socket {
    /// A link to some node, by chance.
    fn another(&self) -> Option<Arc<Link>> {
        let mut links: Vec<Arc<Link>> = self.mesh.peers().iter().filter_map(|peer| peer.current()).collect();
        let chance = u64::from_le_bytes(self.mesh.seams.random());
        // A remainder favours the first of few links by less than one in a billion billions.
        (!links.is_empty()).then(|| links.swap_remove((chance % links.len() as u64) as usize))
    }
}

#[async_trait]
impl transport::Socket for Socket {
    async fn send(&mut self, to: SocketAddr, message: ChitchatMessage) -> Result<(), anyhow::Error> {
        // This runs within chitchat's loop, so it must not wait: not for a link, nor for a stream.
        let link = node_at(to).and_then(|node| self.mesh.peer(node)?.current()).or_else(|| {
            // Whom chitchat asks it has chosen by chance. Of those that are not linked, since nobody needs that or
            // they are dead, one is as good as another: what one tells of all nodes is the same.
            matches!(message, ChitchatMessage::Syn { .. }).then(|| self.another()).flatten()
        });
        let (Some(link), Ok(permit)) = (link, self.sends.clone().try_acquire_owned()) else { return Ok(()) };
        let (mut long, mut bytes) = (Vec::new(), vec![GOSSIP_KIND]);
        message.serialize(&mut long);
        pack(&long, &mut bytes);
        tokio::spawn(async move {
            let _ = timeout(SEND_TIMEOUT, deliver(&link, Bytes::from(bytes))).await;
            drop(permit);
        });
        Ok(())
    }

    async fn recv(&mut self) -> Result<(SocketAddr, ChitchatMessage), anyhow::Error> {
        match self.receiver.recv().await {
            Some(message) => Ok(message),
            None => Err(io::Error::other("the mesh is closed").into()),
        }
    }
}

async fn deliver(link: &Link, bytes: Bytes) {
    let Ok(send) = link.connection.open_uni().await else { return };
    let _ = send.set_priority(GOSSIP_PRIORITY);
    let mut send = Outgoing::new(send);
    if send.write(&mut [bytes]).await.is_ok() {
        send.finish();
    }
}
