//! A conversation with a service, as its door sees it: messages of JSON.

use super::super::{
    frames::{Frames, framed},
    problem::Refusal,
};
use crate::{
    doors::grpc::{Services, Target as Called},
    node::Context,
};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use micro_sdk::wire::{Code, Fault};
use serde_json::{Value, value::RawValue};
use std::sync::{Arc, OnceLock};

/// What it takes to begin.
pub(in super::super) struct Call {
    pub services: Services,
    pub context: Context,
    pub called: Called,
    /// What goes along beside the messages.
    pub carried: Vec<(String, String)>,
}

/// The service's side of it. Dropped, it ends the conversation, also for the service.
pub(in super::super) struct Talk {
    frames: Frames,
    /// What the caller did wrong, if it did: to the service it only broke off.
    spoiled: Arc<OnceLock<Fault>>,
}

impl Call {
    /// Begins the conversation with what the caller says: JSON, the last of which may be why it says no more.
    ///
    /// # Errors
    /// What is refused at once, or what the caller did wrong.
    pub async fn begin(
        self,
        messages: impl Stream<Item = Result<Bytes, Fault>> + Send + 'static,
    ) -> Result<Talk, Refusal> {
        let spoiled = Arc::new(OnceLock::new());
        let spoil = spoiled.clone();
        let frames = messages.map(move |message| match message {
            Ok(message) => Ok(Frame::data(framed(&message))),
            Err(fault) => {
                // It is the last there is, so that it is set once.
                let _ = spoil.set(fault.clone());
                Err(fault)
            }
        });
        let body = StreamBody::new(frames).boxed_unsync();
        let Call { services, context, called, carried } = self;
        let spoilt = |refusal: Refusal| spoiled.get().cloned().map_or(refusal, Refusal::from);
        let response = services.converse(&context, called, carried, body).await;
        let response = response.map_err(|fault| spoilt(fault.into()))?;
        let frames = Frames::of(response).map_err(|status| spoilt(status.into()))?;
        Ok(Talk { frames, spoiled })
    }
}

impl Talk {
    /// The next message, JSON on one line; none behind the last. May be dropped and asked again.
    ///
    /// # Errors
    /// Why there are no more.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        match self.frames.next().await {
            Ok(message) => message.map(on_one_line).transpose(),
            Err(fault) => Err(self.spoiled.get().cloned().unwrap_or(fault)),
        }
    }
}

/// A message of a caller, if it is JSON.
///
/// # Errors
/// [`Code::Usage`] if it is none.
pub(super) fn checked(message: Bytes) -> Result<Bytes, Fault> {
    match serde_json::from_slice::<&RawValue>(&message) {
        Ok(_) => Ok(message),
        Err(error) => Err(Fault::new(Code::Usage, format!("a message is not JSON: {error}"))),
    }
}

/// A message of a service, without the line ends that JSON may have between its tokens.
fn on_one_line(message: Bytes) -> Result<Bytes, Fault> {
    let garbled = |error| {
        Fault::new(Code::Failed, format!("a message of the service is not JSON: {error}"))
            .effect_unknown()
            .help("what is not JSON goes over gRPC only")
    };
    match message.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        false => serde_json::from_slice::<&RawValue>(&message).map(|_| message.clone()).map_err(garbled),
        true => {
            serde_json::from_slice::<Value>(&message).map(|json| json.to_string().into()).map_err(garbled)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_json_on_one_line() {
        let line = |text: &'static str| on_one_line(Bytes::from_static(text.as_bytes()));
        assert_eq!(line("{\"b\": 1,  \"a\":2}"), Ok(Bytes::from_static(b"{\"b\": 1,  \"a\":2}")));
        assert_eq!(line("{\n \"a\": \"\\n\"\r\n}\n"), Ok(Bytes::from_static(b"{\"a\":\"\\n\"}")));
        for text in ["", "{", "\u{8}\u{1}", "1 2"] {
            assert_eq!(line(text).expect_err("it is no JSON").code, Code::Failed, "{text:?}");
        }
        assert_eq!(checked(Bytes::from_static(b"\xff")).expect_err("it is no text").code, Code::Usage);
    }
}
