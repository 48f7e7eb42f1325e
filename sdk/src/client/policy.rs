//! Policies: what the nodes do with the calls of a service.

use super::{Node, node::Stake};
use crate::{
    proto::{self, policies_client::PoliciesClient},
    wire::Fault,
};
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};
use tonic::transport::Channel;

/// The policies of a namespace's services.
#[derive(Clone, Debug)]
pub struct Policies {
    node: Node,
}

/// The policy of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePolicy {
    /// The service; empty for what counts where none is set.
    pub service: String,
    /// What was set, as JSON text; none if nothing was.
    pub document: Option<String>,
    /// What counts, with all that was left out, as JSON text.
    pub effective: String,
    /// The revision that it was set at; 0 if it was not.
    pub revision: u64,
    /// Who set it, if somebody did.
    pub who: Option<String>,
    /// When.
    pub time: Option<SystemTime>,
}

/// What a policy would have made of the calls of the last minutes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyRehearsal {
    /// The calls that are known of.
    pub calls: u64,
    /// Over how much time.
    pub covers: Duration,
    /// Those that failed, as things were.
    pub failed: u64,
    /// Answered ones that would have taken longer than they may.
    pub timed_out: u64,
    /// Failed ones that would have been tried again.
    pub tried_again: u64,
    /// Failed ones for whose further attempts there would have been no budget.
    pub out_of_budget: u64,
    /// Answered ones that needed more attempts than they would have had.
    pub given_up: u64,
    /// Those of which a second instance would have been asked.
    pub hedged: u64,
    /// Those of which one was.
    pub hedged_before: u64,
    /// Those that came when more were in work than there may be.
    pub shed: u64,
    /// How many went to each version, and would go to it.
    pub versions: BTreeMap<String, (u64, u64)>,
    /// The nodes that told of calls.
    pub nodes: u32,
    /// The names of nodes that did not answer.
    pub silent: Vec<String>,
}

impl Node {
    /// The policies of the namespace's services.
    pub fn policies(&self) -> Policies {
        Policies { node: self.clone() }
    }

    fn policy_client(&self) -> PoliciesClient<Channel> {
        PoliciesClient::new(self.channel.clone())
    }
}

impl Policies {
    /// Sets the policy of a service: a document in JSON, in place of that of `revision` where one is named (0: if it
    /// has none). It counts on all nodes a moment later. Returns its revision.
    ///
    /// # Errors
    /// `Usage` with the path of what is wrong, `Conflict` if there is another than was thought, `Denied`; else as every
    /// request.
    pub async fn set(&self, service: &str, document: &str, revision: Option<u64>) -> Result<u64, Fault> {
        let mut client = self.node.policy_client();
        let sent = |request| async move { client.set_policy(request).await };
        let (namespace, service) = self.of(service);
        let message = proto::SetPolicyRequest { namespace, service, document: document.to_owned(), revision };
        Ok(self.node.ask(Stake::Call, self.node.timeout(), message, sent).await?.revision)
    }

    /// The policy of a service; of none, what counts where none is set.
    ///
    /// # Errors
    /// `Denied`; else as every request.
    pub async fn get(&self, service: Option<&str>) -> Result<ServicePolicy, Fault> {
        let mut client = self.node.policy_client();
        let sent = |request| async move { client.get_policy(request).await };
        let (namespace, service) = self.of(service.unwrap_or_default());
        let message = proto::GetPolicyRequest { namespace, service };
        let response = self.node.ask(Stake::Read, self.node.timeout(), message, sent).await?;
        Ok(policy(response.policy.unwrap_or_default()))
    }

    /// All that are set, and may be seen.
    ///
    /// # Errors
    /// As every request.
    pub async fn list(&self) -> Result<Vec<ServicePolicy>, Fault> {
        let mut client = self.node.policy_client();
        let sent = |request| async move { client.list_policies(request).await };
        let message = proto::ListPoliciesRequest { namespace: self.node.namespace().to_string() };
        let response = self.node.ask(Stake::Read, self.node.timeout(), message, sent).await?;
        Ok(response.policies.into_iter().map(policy).collect())
    }

    /// Takes the policy of a service away, if it is of `revision` where one is named.
    ///
    /// # Errors
    /// `NotFound` if there is none, `Conflict`, `Denied`; else as every request.
    pub async fn delete(&self, service: &str, revision: Option<u64>) -> Result<(), Fault> {
        let mut client = self.node.policy_client();
        let sent = |request| async move { client.delete_policy(request).await };
        let (namespace, service) = self.of(service);
        let message = proto::DeletePolicyRequest { namespace, service, revision };
        self.node.ask(Stake::Call, self.node.timeout(), message, sent).await?;
        Ok(())
    }

    /// What a policy would have made of the calls of the last minutes that came in at any node. Nothing is changed.
    ///
    /// # Errors
    /// `Usage` with the path of what is wrong, `Denied`; else as every request.
    pub async fn rehearse(&self, service: &str, document: &str) -> Result<PolicyRehearsal, Fault> {
        let mut client = self.node.policy_client();
        let sent = |request| async move { client.rehearse_policy(request).await };
        let (namespace, service) = self.of(service);
        let message = proto::RehearsePolicyRequest { namespace, service, document: document.to_owned() };
        let told = self.node.ask(Stake::Read, self.node.timeout(), message, sent).await?;
        let share = |share: proto::VersionShare| (share.version, (share.before, share.after));
        Ok(PolicyRehearsal {
            calls: told.calls,
            covers: Duration::from_millis(told.covers_ms),
            failed: told.failed,
            timed_out: told.timed_out,
            tried_again: told.tried_again,
            out_of_budget: told.out_of_budget,
            given_up: told.given_up,
            hedged: told.hedged,
            hedged_before: told.hedged_before,
            shed: told.shed,
            versions: told.versions.into_iter().map(share).collect(),
            nodes: told.nodes,
            silent: told.silent,
        })
    }

    fn of(&self, service: &str) -> (String, String) {
        (self.node.namespace().to_string(), service.to_owned())
    }
}

fn policy(policy: proto::Policy) -> ServicePolicy {
    let proto::Policy { service, document, effective, revision, who, time_ms } = policy;
    let set = revision > 0;
    ServicePolicy {
        service,
        document: set.then_some(document),
        effective,
        revision,
        who: set.then_some(who),
        time: set.then(|| SystemTime::UNIX_EPOCH + Duration::from_millis(time_ms)),
    }
}
