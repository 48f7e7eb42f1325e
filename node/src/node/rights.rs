//! What a caller may do at all, asked before it is done: each is a question to `authorize`.

use super::{Context, Local};
use micro_actors::{
    Action,
    audit::Asker,
    auth::{READ, Resource},
    authorize,
    network::NETWORK,
};
use micro_sdk::wire::{Fault, Namespace};

impl Local {
    /// Whether the caller may use something of the platform.
    ///
    /// # Errors
    /// [`Code::Denied`](micro_sdk::wire::Code::Denied).
    pub fn may(&self, context: &Context, resource: &Resource<'_>) -> Result<(), Fault> {
        self.system.dispatch().may(context.asker(), resource)
    }

    /// Whether the caller may call an endpoint of a service, whether it is there or not. Who calls it is asked again.
    ///
    /// # Errors
    /// [`Code::Denied`](micro_sdk::wire::Code::Denied).
    pub fn may_call(
        &self,
        context: &Context,
        namespace: &Namespace,
        service: &str,
        endpoint: &str,
    ) -> Result<(), Fault> {
        let resource = Resource::of_service(namespace, service, endpoint);
        let asker = Asker { again: true, ..context.asker() };
        authorize(self.guard(), asker, Action::CallService, &resource)
    }

    /// Whether the caller may call an endpoint of a service, for a list of what can be called.
    pub fn would_call(
        &self,
        context: &Context,
        namespace: &Namespace,
        service: &str,
        endpoint: &str,
    ) -> bool {
        let resource = Resource::of_service(namespace, service, endpoint);
        self.system.dispatch().would_call(&context.caller, &resource)
    }

    /// Whether any rule lets the caller use something of these types: before more of a request is read than its
    /// beginning, and so before it is known what it is about.
    ///
    /// # Errors
    /// [`Code::Denied`](micro_sdk::wire::Code::Denied).
    pub fn may_send_more(&self, context: &Context, kinds: &[&str]) -> Result<(), Fault> {
        micro_actors::may_reach(self.guard(), context.asker(), kinds)
    }

    /// The same, for lists of what there is, where a refusal is no news: of this endpoint only, if one is named.
    pub fn would_reach(&self, context: &Context, kinds: &[&str], endpoint: Option<&str>) -> bool {
        micro_actors::would_reach(self.guard(), &context.caller, kinds, endpoint)
    }

    /// Whether the caller may use something of the platform, for a list of what can be used.
    pub fn would_grant(&self, context: &Context, resource: &Resource<'_>) -> bool {
        self.system.dispatch().would_grant(&context.caller, resource)
    }

    /// Whether the caller may see what this node tells everybody of itself.
    ///
    /// # Errors
    /// [`Code::Denied`](micro_sdk::wire::Code::Denied).
    pub fn may_read_public(&self, context: &Context, what: &str) -> Result<(), Fault> {
        let resource = Resource::of_mesh(NETWORK, what, READ);
        self.system.dispatch().admit_public(context.asker(), NETWORK, &resource).map(drop)
    }
}
