//! A tool that is a stream: what the caller says is there at once, and what the service says is gathered.

use super::{
    super::stream::{Call, Talk, in_json},
    schema::{self, MESSAGES, MORE},
};
use crate::{
    doors::grpc::{Services, Target},
    node::Context,
};
use bytes::Bytes;
use futures::stream;
use micro_sdk::wire::{Code, Fault, Namespace, ServiceName, Streams};
use serde_json::{Map, Value, json, value::RawValue};
use tokio::time::{Instant, timeout_at};

/// How many messages are gathered at most: a program that thinks reads all of them.
const MESSAGES_MAX: usize = 1000;
/// How long they are together at most, but for the last.
const BYTES_MAX: usize = 1 << 20;

/// The stream that a tool is.
pub(super) struct Dialogue<'t> {
    pub service: ServiceName,
    pub endpoint: &'t str,
    pub streams: Streams,
}

impl Dialogue<'_> {
    /// What the caller says, of what the tool was given.
    ///
    /// # Errors
    /// [`Code::Usage`] where the messages of a stream are no list.
    pub fn said(&self, request: &Value, mut given: Map<String, Value>) -> Result<Vec<Bytes>, Fault> {
        if !self.streams.client {
            return Ok(vec![schema::handed(request, given).to_string().into()]);
        }
        match given.remove(MESSAGES) {
            Some(Value::Array(messages)) => {
                Ok(messages.iter().map(|message| message.to_string().into()).collect())
            }
            _ => {
                let message = format!("{} takes a stream: its messages are a list", self.endpoint);
                Err(Fault::new(Code::Usage, message).help(format!("give {{\"{MESSAGES}\": […]}}")))
            }
        }
    }

    /// Holds it, until the service has said all, or enough, or the caller's time is over.
    ///
    /// # Errors
    /// Why it can't be held, or how it failed.
    pub async fn hold(
        self,
        services: Services,
        context: &Context,
        namespace: Namespace,
        messages: Vec<Bytes>,
    ) -> Result<Value, Fault> {
        let until = Instant::now() + context.time();
        let called = Target { namespace, service: self.service, endpoint: self.endpoint.to_owned() };
        // What is heard until then counts, so that the service is not told that the time is over.
        let context = Context { deadline: None, ..context.clone() };
        let call = Call { services, context, called, carried: vec![in_json()] };
        let late = |_| Fault::new(Code::Timeout, "the service did not answer in time").effect_unknown();
        let begun = call.begin(stream::iter(messages.into_iter().map(Ok)));
        let mut talk = match timeout_at(until, begun).await {
            Ok(begun) => begun.map_err(|refusal| refusal.into_fault())?,
            // Nothing is what there was to hear so far.
            Err(_over) if self.streams.server => return Ok(json!({MESSAGES: [], MORE: true})),
            Err(over) => return Err(late(over)),
        };
        if self.streams.server {
            return gathered(&mut talk, until).await;
        }
        let answer = timeout_at(until, talk.next()).await.map_err(late)??;
        let answer = answer.ok_or_else(|| Fault::new(Code::Failed, "the service gave no answer"))?;
        // What comes behind it says whether it counts.
        timeout_at(until, talk.next()).await.map_err(late)??;
        Ok(serde_json::from_slice(&answer).unwrap_or_default())
    }
}

/// What the service says, as far as it is gathered.
async fn gathered(talk: &mut Talk, until: Instant) -> Result<Value, Fault> {
    let (mut messages, mut bytes) = (Vec::new(), 0);
    let more = loop {
        if messages.len() == MESSAGES_MAX || bytes >= BYTES_MAX {
            break true;
        }
        match timeout_at(until, talk.next()).await {
            Err(_over) => break true,
            Ok(Err(fault)) => {
                let after = format!("{} (after {} messages)", fault.message, messages.len());
                return Err(Fault { message: after, ..fault });
            }
            Ok(Ok(None)) => break false,
            Ok(Ok(Some(message))) => {
                bytes += message.len();
                messages.push(serde_json::from_slice::<Box<RawValue>>(&message).unwrap_or_default());
            }
        }
    };
    Ok(json!({MESSAGES: messages, MORE: more}))
}
