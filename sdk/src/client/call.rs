//! A call of a service by name.

use super::{Node, node::Stake};
use crate::{
    proto,
    wire::{Code, Fault},
};
use bytes::Bytes;
use futures::future::BoxFuture;
use serde_json::Value;
use std::{collections::HashMap, time::Duration};

/// A call that is being made up. Await it to send it.
#[derive(Debug)]
#[must_use = "a call is sent when it is awaited"]
pub struct Call {
    node: Node,
    service: String,
    endpoint: String,
    body: Value,
    timeout: Duration,
    metadata: HashMap<String, String>,
    idempotency_key: Option<u128>,
    attempts: u32,
    instance: String,
}

/// The answer to a call, and the way it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// What the service answered.
    pub body: Value,
    /// The trace that the call belongs to.
    pub trace_id: String,
    /// The node whose instance answered.
    pub node: String,
    /// The names of the nodes that were passed: the one that was asked, those between as the way was when the answer
    /// came, and the one whose instance answered.
    pub passed: Vec<String>,
    /// How long the one that was asked waited for the answer.
    pub took: Duration,
}

impl Call {
    pub(super) fn new(node: Node, service: String, endpoint: String, body: Value) -> Call {
        let timeout = node.timeout();
        let metadata = HashMap::new();
        let (idempotency_key, attempts, instance) = (None, 0, String::new());
        Call { node, service, endpoint, body, timeout, metadata, idempotency_key, attempts, instance }
    }

    /// Waits no longer than `timeout`, the service's own work included; ten minutes at most.
    pub fn timeout(mut self, timeout: Duration) -> Call {
        self.timeout = timeout;
        self
    }

    /// Sends a header along.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Call {
        self.metadata.insert(name.into().to_ascii_lowercase(), value.into());
        self
    }

    /// Lets the node try again up to so often: what certainly did nothing, and what may be done twice; as much as the
    /// budget allows that the service's policy gives to its caller. 0: never. Else the policy says it; at most 9.
    pub fn retry(mut self, times: u8) -> Call {
        self.attempts = u32::from(times.min(9)) + 1;
        self
    }

    /// Has one instance answer, by the id that [`Node::service`] tells, and no other.
    pub fn instance(mut self, id: impl Into<String>) -> Call {
        self.instance = id.into();
        self
    }

    /// Marks repeated calls as the same one, so that the node may repeat it.
    pub fn idempotency_key(mut self, key: u128) -> Call {
        self.idempotency_key = Some(key);
        self
    }

    /// Sends the call, and tells with the answer which way it took.
    ///
    /// # Errors
    /// The service's own fault; `NotFound` if nobody offers it; `Unavailable` if nobody can take it;
    /// `Timeout`;
    /// `Unreachable`.
    pub async fn reply(self) -> Result<Reply, Fault> {
        let message = proto::CallRequest {
            namespace: self.node.namespace().to_string(),
            service: self.service,
            endpoint: self.endpoint,
            body: Bytes::from(self.body.to_string()),
            // 0 would mean the node's default.
            timeout_ms: u32::try_from(self.timeout.as_millis()).unwrap_or(u32::MAX).max(1),
            metadata: self.metadata,
            idempotency_key: self.idempotency_key.map_or_else(Bytes::new, key_bytes),
            attempts: self.attempts,
            instance: self.instance,
        };
        let mut client = self.node.client();
        let sent = |request| async move { client.call(request).await };
        let response = self.node.ask(Stake::Call, self.timeout, message, sent).await?;
        let proto::CallResponse { body, trace_id, node, passed, took_us } = response;
        let body = serde_json::from_slice(&body).map_err(|error| {
            Fault::new(Code::Failed, format!("the service's answer is not JSON: {error}")).effect_unknown()
        })?;
        Ok(Reply { body, trace_id, node, passed, took: Duration::from_micros(took_us) })
    }
}

impl IntoFuture for Call {
    type Output = Result<Value, Fault>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Sends the call; gives the service's answer. Errors are those of [`Call::reply`].
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(self.reply().await?.body) })
    }
}

/// An idempotency key as it travels.
pub(super) fn key_bytes(key: u128) -> Bytes {
    Bytes::copy_from_slice(&key.to_be_bytes())
}
