//! The registry: who offers what, as it changes; and programs that can hold no stream.

mod change;
mod registration;
mod watch;

pub use change::{RegistryAction, RegistryChange, RegistryEvent};
pub use registration::{Registered, Registration};
pub use watch::{RegistryWatch, WatchRegistry};

use super::{Node, node::Stake};
use crate::{proto, wire::Fault};

/// The services of the mesh. Lists of them are [`Node::services`] and [`Node::service`].
#[derive(Clone, Debug)]
pub struct Registry {
    node: Node,
}

impl Registry {
    pub(super) fn new(node: Node) -> Registry {
        Registry { node }
    }

    /// Tells the instances that there are, and then what changes. Await it to begin.
    pub fn watch(&self) -> WatchRegistry {
        WatchRegistry::new(self.node.clone(), String::new())
    }

    /// The same for one service, whether it is there or not.
    pub fn watch_service(&self, name: impl Into<String>) -> WatchRegistry {
        WatchRegistry::new(self.node.clone(), name.into())
    }

    /// Offers an instance until its time to live has passed: call it again, with the same, before that. Programs that
    /// run on attach instead (`serve`).
    ///
    /// # Errors
    /// `Conflict` if the name, a route or the place is another's, `Denied`, `Usage`; else as every request.
    pub async fn register(&self, registration: Registration) -> Result<Registered, Fault> {
        let message = registration.message(self.node.namespace());
        let mut client = self.node.registry_client();
        let sent = |request| async move { client.register(request).await };
        let response = self.node.ask(Stake::Call, self.node.timeout(), message, sent).await?;
        Ok(Registered::from(response))
    }

    /// Says how an instance is that was registered or attached at the node that is asked: that it works, or why it does
    /// not. Each report is a sign of life of its owner.
    ///
    /// # Errors
    /// `NotFound` if it is not there, `Denied` if another has registered it, `Usage` for a failure of one whose owner
    /// is not to report; else as every request.
    pub async fn report_health(
        &self,
        service: impl Into<String>,
        instance: impl Into<String>,
        result: Result<(), String>,
    ) -> Result<(), Fault> {
        let (namespace, name) = (self.node.namespace().to_string(), service.into());
        let (failing, reason) = (result.is_err(), result.err().unwrap_or_default());
        let message =
            proto::ReportHealthRequest { namespace, name, instance: instance.into(), failing, reason };
        let mut client = self.node.registry_client();
        let sent = |request| async move { client.report_health(request).await };
        self.node.ask(Stake::Call, self.node.timeout(), message, sent).await.map(drop)
    }

    /// Ends what was registered at the node that is asked.
    ///
    /// # Errors
    /// `NotFound` if it is not there, `Denied` if another has registered it, `Usage` if it is held by a stream; else as
    /// every request.
    pub async fn deregister(
        &self,
        service: impl Into<String>,
        instance: impl Into<String>,
    ) -> Result<(), Fault> {
        let (namespace, name) = (self.node.namespace().to_string(), service.into());
        let message = proto::DeregisterRequest { namespace, name, instance: instance.into() };
        let mut client = self.node.registry_client();
        let sent = |request| async move { client.deregister(request).await };
        self.node.ask(Stake::Call, self.node.timeout(), message, sent).await.map(drop)
    }
}
