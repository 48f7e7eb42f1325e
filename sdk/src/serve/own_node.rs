//! The service's way to its node as itself: not as the user that its process runs as.

use crate::{
    client::{Address, Node, Token},
    wire::{Code, Fault, Namespace},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OnceCell, watch},
    time::timeout,
};

/// How a service reaches its node as itself. Clones share the connection.
#[derive(Clone)]
pub(crate) struct OwnNode(Arc<Inner>);

struct Inner {
    address: Option<Address>,
    namespace: Namespace,
    tokens: watch::Receiver<Option<Token>>,
    node: OnceCell<Node>,
}

impl OwnNode {
    /// By the tokens that the attachment gets.
    pub fn new(
        address: Option<Address>,
        namespace: Namespace,
        tokens: watch::Receiver<Option<Token>>,
    ) -> Self {
        OwnNode(Arc::new(Inner { address, namespace, tokens, node: OnceCell::new() }))
    }

    /// A client that acts as the service. Waits for its first token, for as long as `patience`.
    ///
    /// # Errors
    /// `Unavailable` if the node gives none in time, or why the node can't be reached.
    pub async fn connect(&self, patience: Duration) -> Result<Node, Fault> {
        let Inner { address, namespace, tokens, node } = &*self.0;
        let connected = node.get_or_try_init(async || {
            let node = match address {
                Some(address) => Node::connect_to(address.clone()).await?,
                None => Node::connect().await?,
            };
            Ok::<_, Fault>(node.with_namespace(namespace.clone()).with_renewed(tokens.clone()))
        });
        let mut given = tokens.clone();
        let ready = async {
            let node = connected.await?.clone();
            // It is dropped with the server only.
            let _ = given.wait_for(Option::is_some).await;
            Ok(node)
        };
        let late = || {
            Fault::new(Code::Unavailable, "the node has given this service no token to act by")
                .help("see that a majority of the mesh's voters is up: `micro-node status`")
        };
        timeout(patience, ready).await.unwrap_or_else(|_| Err(late()))
    }
}
