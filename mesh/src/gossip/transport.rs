//! chitchat's messages over links: a stream for each, never waiting, lost when there is no link.

use super::{
    Surroundings,
    compact::pack,
    digest::ENTRY_BYTES,
    halves::{ids_in, without_news},
    node_at,
    owed::Owed,
};
use crate::prelude::GOSSIP_KIND;
use async_trait::async_trait;
use bytes::Bytes;
use chitchat::{ChitchatMessage, Serializable, transport};
use micro_sdk::wire::NodeId;
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

/// Ids that gossip can name: of 2000 nodes that live, and as many that have died or started anew within minutes. A node
/// would send half a megabyte a second with more, most of it the names of the dead.
pub(super) const IDS_MAX: usize = 4096;
/// chitchat's own limit for what it tells, besides a digest that travels apart: a UDP datagram.
const NEWS_BYTES_MAX: usize = 65_507;
/// The longest message as chitchat writes it.
pub(super) const LONG_BYTES_MAX: usize = ENTRY_BYTES * IDS_MAX + NEWS_BYTES_MAX;
/// The longest message as it travels: ids take 17 bytes, and few more after years.
pub(crate) const MESSAGE_BYTES_MAX: usize = 20 * IDS_MAX + NEWS_BYTES_MAX;
/// Messages received and not yet looked at. chitchat looks at once, so more are of no use.
const INBOX_MAX: usize = 256;
/// Messages being sent at a time.
const SENDS_MAX: usize = 256;
/// How long a message may take to be sent. Older news is no news.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);

/// Where messages from peers go in. Each comes with the address at which chitchat answers.
pub(super) type Inbox = mpsc::Sender<(SocketAddr, ChitchatMessage)>;

/// A new inbox, and chitchat's end of it.
pub(super) fn channel(mesh: &Arc<dyn Surroundings>, owed: &Arc<Owed>) -> (Inbox, Socket) {
    let (sender, receiver) = mpsc::channel(INBOX_MAX);
    owed.forget();
    let sends = Arc::new(Semaphore::new(SENDS_MAX));
    (sender, Socket { mesh: mesh.clone(), receiver, sends, owed: owed.clone() })
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
    mesh: Arc<dyn Surroundings>,
    receiver: mpsc::Receiver<(SocketAddr, ChitchatMessage)>,
    sends: Arc<Semaphore>,
    owed: Arc<Owed>,
}

impl Socket {
    /// A node that is linked, by chance.
    fn another(&self) -> Option<NodeId> {
        let mut linked = self.mesh.linked();
        // A remainder favours the first of few links by less than one in a billion billions.
        (!linked.is_empty()).then(|| linked.swap_remove((self.mesh.chance() % linked.len() as u64) as usize))
    }

    /// What is sent for a message of chitchat's.
    fn packed(&self, to: NodeId, message: &ChitchatMessage) -> Option<Vec<u8>> {
        let (mut long, mut bytes) = (Vec::new(), vec![GOSSIP_KIND]);
        message.serialize(&mut long);
        if ids_in(&long) > IDS_MAX {
            return None; // The node complains of that elsewhere.
        }
        if matches!(message, ChitchatMessage::Syn { .. }) && self.owed.settle(to) {
            long = without_news(&long)?;
        }
        pack(&long, &mut bytes);
        Some(bytes)
    }
}

#[async_trait]
impl transport::Socket for Socket {
    async fn send(&mut self, to: SocketAddr, message: ChitchatMessage) -> Result<(), anyhow::Error> {
        // This runs within chitchat's loop, so it must not wait: not for a link, nor for a stream.
        let to = node_at(to).filter(|node| self.mesh.life(*node).is_some()).or_else(|| {
            // Whom chitchat asks it has chosen by chance. Of those that are not linked, since nobody needs that or
            // they are dead, one is as good as another: what one tells of all nodes is the same.
            matches!(message, ChitchatMessage::Syn { .. }).then(|| self.another()).flatten()
        });
        let (Some(to), Ok(permit)) = (to, self.sends.clone().try_acquire_owned()) else { return Ok(()) };
        let Some(bytes) = self.packed(to, &message) else { return Ok(()) };
        let Some(delivery) = self.mesh.delivery(to, Bytes::from(bytes)) else { return Ok(()) };
        tokio::spawn(async move {
            let _ = timeout(SEND_TIMEOUT, delivery).await;
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
