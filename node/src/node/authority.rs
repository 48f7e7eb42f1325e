//! The authority that certifies nodes, as the doors ask for it.

use super::{Context, Local};
use bytes::Bytes;
use micro_actors::auth::{AUTH, AuthorityView, FinishAuthorityRequest};
use micro_sdk::wire::{Code, Codec, Fault, limits::BODY_BYTES_MAX};
use std::time::SystemTime;

impl Local {
    /// The authority, as this node's replica has it.
    ///
    /// # Errors
    /// If the caller may not see it.
    pub async fn authority(&self, context: &Context) -> Result<AuthorityView, Fault> {
        self.ask_authority(context, "show-authority", Bytes::new()).await
    }

    /// Has a new authority certify from now on.
    ///
    /// # Errors
    /// What keeps the mesh from it.
    pub async fn rotate_authority(&self, context: &Context) -> Result<AuthorityView, Fault> {
        self.ask_authority(context, "rotate-authority", Bytes::new()).await
    }

    /// Drops the former authority.
    ///
    /// # Errors
    /// What keeps the mesh from it.
    pub async fn finish_authority(
        &self,
        context: &Context,
        request: FinishAuthorityRequest,
    ) -> Result<AuthorityView, Fault> {
        self.ask_authority(context, "finish-authority", Codec::encode(&request).into()).await
    }

    /// When this node's certificate ends.
    pub fn certificate_ends(&self) -> SystemTime {
        self.system.certificate_ends()
    }

    async fn ask_authority(
        &self,
        context: &Context,
        endpoint: &str,
        body: Bytes,
    ) -> Result<AuthorityView, Fault> {
        let head = self.head(context, AUTH.parse().expect("a good name"), endpoint);
        let answer = self.system.dispatch().call(context.origin, head, body).await?;
        Codec::decode::<_, BODY_BYTES_MAX>(&answer.body).map_err(|error| {
            Fault::new(Code::Internal, format!("an answer of this node is garbled: {error}"))
        })
    }
}
