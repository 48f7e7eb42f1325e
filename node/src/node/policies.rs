//! The policies of calls, as this process sets and shows them.

use super::{
    configuration::who,
    local::{Context, Local, garbled},
};
use futures::future::join_all;
use micro_actors::{
    auth::{READ, Resource, WRITE},
    calls::{Counted, Rehearsal},
    policy::{KeptPolicy, Policy, Sticky},
    registry::{REGISTRY, RehearseRequest},
};
use micro_sdk::wire::{Caller, Codec, Fault, Head, Namespace, ServiceName, limits::BODY_BYTES_MAX};
use std::time::Duration;

/// Whose calls: those of a tenant's service.
pub type Called = (Namespace, ServiceName);

impl Local {
    /// Sets the policy of a service, in place of that of `revision` where one is named. Returns the revision of the
    /// new one.
    ///
    /// # Errors
    /// As [`Policies::set`](micro_actors::policy::Policies::set), and if the caller may not.
    pub async fn set_policy(
        &self,
        context: &Context,
        called: Called,
        document: String,
        revision: Option<u64>,
    ) -> Result<u64, Fault> {
        let _permit = self.admit_policy(context, &called.0, called.1.as_str(), WRITE)?;
        self.policies.set(called, document, who(context), revision, context.until()).await
    }

    /// Takes the policy of a service away.
    ///
    /// # Errors
    /// As [`Policies::delete`](micro_actors::policy::Policies::delete), and if the caller may not.
    pub async fn delete_policy(
        &self,
        context: &Context,
        called: Called,
        revision: Option<u64>,
    ) -> Result<u64, Fault> {
        let _permit = self.admit_policy(context, &called.0, called.1.as_str(), WRITE)?;
        self.policies.delete(called, revision, context.until()).await
    }

    /// The policy that was set for a service, if one was.
    ///
    /// # Errors
    /// If the caller may not see it, or the reading can't be made linearizable.
    pub async fn policy(&self, context: &Context, called: &Called) -> Result<Option<KeptPolicy>, Fault> {
        let _permit = self.admit_policy(context, &called.0, called.1.as_str(), READ)?;
        self.policies.get(called, context.until()).await
    }

    /// All policies of a namespace.
    ///
    /// # Errors
    /// If the caller may not see them, or the reading can't be made linearizable.
    pub async fn list_policies(
        &self,
        context: &Context,
        namespace: &Namespace,
    ) -> Result<Vec<(ServiceName, KeptPolicy)>, Fault> {
        let all = Resource::of(namespace, REGISTRY, "", READ).and_below("");
        let _permit = self.system.dispatch().admit(context.asker(), REGISTRY, &all)?;
        self.policies.list(namespace, context.until()).await
    }

    /// What counts for the services of a namespace that have no policy.
    ///
    /// # Errors
    /// If the caller may not see its services.
    pub fn usual_policy(&self, context: &Context, namespace: &Namespace) -> Result<Policy, Fault> {
        drop(self.admit_policy(context, namespace, "", READ)?);
        Ok(Policy::default())
    }

    /// What a policy would have made of the calls of the last minutes that all nodes took in; and the nodes that did
    /// not answer.
    ///
    /// # Errors
    /// [`Code::Usage`](micro_sdk::wire::Code::Usage) if it is none, or if the caller may not see the service.
    pub async fn rehearse_policy(
        &self,
        context: &Context,
        called: Called,
        document: String,
    ) -> Result<(Rehearsal, Vec<String>), Fault> {
        let _permit = self.admit_policy(context, &called.0, called.1.as_str(), READ)?;
        let policy = Policy::parse(&document)?;
        let here = self.system.dispatch().rehearse(&called.0, &called.1, &policy);
        let others = self.system.dispatch().peers();
        let (namespace, service) = called;
        let request = Codec::encode(&RehearseRequest { namespace, service, document });
        let asked = others.into_iter().map(|node| {
            let body = request.clone();
            async move {
                let mut head: Head = self.head(context, REGISTRY.parse().expect("a good name"), "rehearse");
                // The caller was asked here whether it may: there, one node asks another.
                head.caller = Caller::Node(self.system.node());
                let answer = self.system.dispatch().call_at(node, head, body.into()).await;
                let told = answer
                    .and_then(|body| Codec::decode::<Rehearsal, BODY_BYTES_MAX>(&body).map_err(garbled));
                told.map_err(|_| self.node_name(node))
            }
        });
        let mut silent = Vec::new();
        let rehearsal = join_all(asked).await.into_iter().fold(here, |sum, told| match told {
            Ok(told) => sum.and(told),
            Err(name) => {
                silent.push(name);
                sum
            }
        });
        Ok((rehearsal, silent))
    }

    /// What the contract of calls has done on this node so far.
    pub fn count_calls(&self, counted: Counted) -> u64 {
        self.system.dispatch().count(counted)
    }

    /// The header by which calls of a service go to the same instance, if its policy names one.
    pub fn sticky_header(&self, namespace: &Namespace, service: &ServiceName) -> Option<String> {
        match self.system.dispatch().policy(namespace, service).sticky.as_ref()? {
            Sticky::Header(name) => Some(name.clone()),
            Sticky::Caller => None,
        }
    }

    /// How long a call of a service may take, if its policy says so.
    pub fn call_timeout(&self, namespace: &Namespace, service: &ServiceName) -> Option<Duration> {
        self.system.dispatch().policy(namespace, service).timeout
    }

    /// Whether calls of an endpoint may go on for long: its request or its answer is a stream, or nobody knows.
    pub fn goes_on(&self, namespace: &Namespace, service: &ServiceName, endpoint: &str) -> bool {
        let table = self.table();
        let known = table.known(namespace, service).iter();
        known.map(|instance| &instance.endpoints).all(|names| names.iter().all(|name| name != endpoint))
            || table.streams_of(namespace, service, endpoint).any()
    }

    fn admit_policy(
        &self,
        context: &Context,
        namespace: &Namespace,
        service: &str,
        endpoint: &str,
    ) -> Result<tokio::sync::OwnedSemaphorePermit, Fault> {
        let resource = Resource::of(namespace, REGISTRY, service, endpoint);
        self.system.dispatch().admit(context.asker(), REGISTRY, &resource)
    }
}
