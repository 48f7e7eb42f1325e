//! What is done with the calls of services.

use super::{Door, context, namespace, usage};
use micro_actors::policy::{KeptPolicy, Policy};
use micro_sdk::{
    proto::{
        self, DeletePolicyRequest, DeletePolicyResponse, GetPolicyRequest, GetPolicyResponse,
        ListPoliciesRequest, ListPoliciesResponse, RehearsePolicyRequest, RehearsePolicyResponse,
        SetPolicyRequest, SetPolicyResponse, VersionShare, policies_server,
    },
    wire::ServiceName,
};
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl policies_server::Policies for Door {
    async fn set_policy(
        &self,
        request: Request<SetPolicyRequest>,
    ) -> Result<Response<SetPolicyResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let SetPolicyRequest { namespace: of, service, document, revision } = request;
        let called = (namespace(&of)?, service.parse().map_err(usage)?);
        let revision = self.local.set_policy(&context, called, document, revision).await?;
        Ok(Response::new(SetPolicyResponse { revision }))
    }

    async fn get_policy(
        &self,
        request: Request<GetPolicyRequest>,
    ) -> Result<Response<GetPolicyResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let of = namespace(&request.namespace)?;
        if request.service.is_empty() {
            let effective = text(&self.local.usual_policy(&context, &of)?);
            let usual = proto::Policy { effective, ..proto::Policy::default() };
            return Ok(Response::new(GetPolicyResponse { policy: Some(usual) }));
        }
        let service: ServiceName = request.service.parse().map_err(usage)?;
        let called = (of, service);
        let kept = self.local.policy(&context, &called).await?;
        Ok(Response::new(GetPolicyResponse { policy: Some(policy(called.1.into(), kept)) }))
    }

    async fn list_policies(
        &self,
        request: Request<ListPoliciesRequest>,
    ) -> Result<Response<ListPoliciesResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let kept = self.local.list_policies(&context, &namespace(&request.namespace)?).await?;
        let policies = kept.into_iter().map(|(service, kept)| policy(service.into(), Some(kept))).collect();
        Ok(Response::new(ListPoliciesResponse { policies }))
    }

    async fn delete_policy(
        &self,
        request: Request<DeletePolicyRequest>,
    ) -> Result<Response<DeletePolicyResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let called = (namespace(&request.namespace)?, request.service.parse().map_err(usage)?);
        let revision = self.local.delete_policy(&context, called, request.revision).await?;
        Ok(Response::new(DeletePolicyResponse { revision }))
    }

    async fn rehearse_policy(
        &self,
        request: Request<RehearsePolicyRequest>,
    ) -> Result<Response<RehearsePolicyResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let RehearsePolicyRequest { namespace: of, service, document } = request;
        let called = (namespace(&of)?, service.parse().map_err(usage)?);
        let (told, silent) = self.local.rehearse_policy(&context, called, document).await?;
        let versions = told.versions.into_iter();
        Ok(Response::new(RehearsePolicyResponse {
            calls: told.calls,
            covers_ms: told.covers_ms,
            failed: told.failed,
            timed_out: told.timed_out,
            tried_again: told.tried_again,
            out_of_budget: told.out_of_budget,
            given_up: told.given_up,
            hedged: told.hedged,
            hedged_before: told.hedged_before,
            shed: told.shed,
            versions: versions
                .map(|(version, (before, after))| VersionShare { version, before, after })
                .collect(),
            nodes: told.nodes,
            silent,
        }))
    }
}

/// A policy, and what counts: one that this build can't read counts for nothing.
fn policy(service: String, kept: Option<KeptPolicy>) -> proto::Policy {
    let effective = text(&kept.as_ref().and_then(|kept| kept.policy().ok()).unwrap_or_default());
    match kept {
        Some(KeptPolicy { document, who, time_ms, revision }) => {
            proto::Policy { service, document, effective, revision, who, time_ms }
        }
        None => proto::Policy { service, effective, ..proto::Policy::default() },
    }
}

fn text(policy: &Policy) -> String {
    serde_json::to_string(policy).expect("a policy always has a JSON form")
}
