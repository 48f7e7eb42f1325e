//! The network's services as this process calls them: who is a member, and how nodes reach each other.

use super::local::{Context, Local, garbled};
use bytes::Bytes;
use micro_actors::network::{
    ConnectReply, ConnectRequest, DrainRequest, ExplainReply, ExplainRequest, LeaveRequest, LinksReply,
    MemberReply, NETWORK, PingReply, PingRequest, RemoveRequest, TransferRequest,
};
use micro_sdk::wire::{Codec, Fault, NodeId, limits::BODY_BYTES_MAX};

impl Local {
    /// The names of the nodes that a call passes which `answered` has answered: this one, those between as the way is
    /// just now, and that one.
    pub fn passed(&self, answered: NodeId) -> Vec<String> {
        let mut passed = vec![self.node_name(self.node())];
        passed.extend(self.system.registry().relays(answered));
        passed.push(self.node_name(answered));
        passed
    }

    /// Tells all nodes why the certificate of this one's HTTP api can't be taken up from its files, as of now; none
    /// if it can.
    pub fn tell_stale_certificate(&self, why: Option<&str>) {
        self.system.publish_stale_certificate(why.map(|why| (self.seams.clock.now(), why)));
    }

    /// The links between the nodes of the mesh.
    ///
    /// # Errors
    /// If the caller may not see them.
    pub async fn links(&self, context: &Context) -> Result<LinksReply, Fault> {
        let answer = self.call_network(context, "links", Bytes::new()).await?;
        Codec::decode::<_, BODY_BYTES_MAX>(&answer).map_err(garbled)
    }

    /// The ways from one node to another.
    ///
    /// # Errors
    /// If there is no such node, it can't be asked, or the caller may not see them.
    pub async fn explain(&self, context: &Context, request: ExplainRequest) -> Result<ExplainReply, Fault> {
        let answer = self.call_network(context, "explain", Codec::encode(&request).into()).await?;
        Codec::decode::<_, BODY_BYTES_MAX>(&answer).map_err(garbled)
    }

    /// Links the node of the mesh that answers at an address, whichever it is.
    ///
    /// # Errors
    /// If none does, or the caller may not do so.
    pub async fn connect(&self, context: &Context, request: ConnectRequest) -> Result<ConnectReply, Fault> {
        let answer = self.call_network(context, "connect", Codec::encode(&request).into()).await?;
        Codec::decode::<_, BODY_BYTES_MAX>(&answer).map_err(garbled)
    }

    /// Sends a ping to another node.
    ///
    /// # Errors
    /// If there is no such node, it does not answer, or the caller may not do so.
    pub async fn ping(&self, context: &Context, request: PingRequest) -> Result<PingReply, Fault> {
        let answer = self.call_network(context, "ping", Codec::encode(&request).into()).await?;
        Codec::decode::<_, BODY_BYTES_MAX>(&answer).map_err(garbled)
    }

    /// Gives up this node's membership for good.
    ///
    /// # Errors
    /// What keeps it.
    pub async fn leave(&self, context: &Context, request: LeaveRequest) -> Result<(), Fault> {
        self.call_network(context, "leave", Codec::encode(&request).into()).await.map(drop)
    }

    /// Hands the leadership of the mesh over. Returns who leads now.
    ///
    /// # Errors
    /// What keeps it where it is.
    pub async fn transfer(&self, context: &Context, to: Option<String>) -> Result<MemberReply, Fault> {
        let answer =
            self.call_network(context, "transfer", Codec::encode(&TransferRequest { to }).into()).await?;
        Codec::decode::<_, BODY_BYTES_MAX>(&answer).map_err(garbled)
    }

    /// Takes a node out of work, or puts it to work again. Returns which one.
    ///
    /// # Errors
    /// If there is no such node, or it can't be reached.
    pub async fn drain(&self, context: &Context, request: DrainRequest) -> Result<MemberReply, Fault> {
        let answer = self.call_network(context, "drain", Codec::encode(&request).into()).await?;
        Codec::decode::<_, BODY_BYTES_MAX>(&answer).map_err(garbled)
    }

    /// Takes another node out of the mesh for good. Returns which one it was.
    ///
    /// # Errors
    /// What keeps it there.
    pub async fn remove(&self, context: &Context, request: RemoveRequest) -> Result<MemberReply, Fault> {
        let answer = self.call_network(context, "remove", Codec::encode(&request).into()).await?;
        Codec::decode::<_, BODY_BYTES_MAX>(&answer).map_err(garbled)
    }

    /// Asks the network's actor of this node.
    async fn call_network(&self, context: &Context, endpoint: &str, body: Bytes) -> Result<Bytes, Fault> {
        let head = self.head(context, NETWORK.parse().expect("a good name"), endpoint);
        Ok(self.system.dispatch().call(context.origin, head, body).await?.body)
    }
}
