//! What a method of the platform answers, as the messages of its kind.

use super::super::frames::Frames;
use micro_sdk::wire::{Code, Fault};
use prost_reflect::{DynamicMessage, MessageDescriptor};
use tonic::Status;

/// The messages of one answer.
pub(super) struct Answers {
    frames: Frames,
    message: MessageDescriptor,
}

impl Answers {
    /// Those of an answer, each of this kind.
    ///
    /// # Errors
    /// What the method refuses at once.
    pub fn of(
        response: http::Response<tonic::body::Body>,
        message: MessageDescriptor,
    ) -> Result<Self, Status> {
        Ok(Answers { frames: Frames::of(response)?, message })
    }

    /// The next message; none behind the last.
    ///
    /// # Errors
    /// Why there are no more.
    pub async fn next(&mut self) -> Result<Option<DynamicMessage>, Fault> {
        let Some(message) = self.frames.next().await? else { return Ok(None) };
        let garbled = |error| Fault::new(Code::Internal, format!("an answer is garbled: {error}"));
        DynamicMessage::decode(self.message.clone(), message).map(Some).map_err(garbled)
    }
}
