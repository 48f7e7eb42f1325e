//! The configuration of the mesh as this node's own process calls it: directly, without the mailbox.

use super::{Context, Local, user};
use micro_actors::{
    auth::{READ, Resource, SECRETS, WRITE},
    config::{
        CONFIG, CanaryView, ChangeReply, ChangeRequest, ConfigPath, ConfigWatch, DiffRequest, EditView,
        GetRequest, HistoryReply, HistoryRequest, InstanceReply, LostSecrets, OriginsRequest, Reading,
        RotateReply, RotateRequest, SetSchemaRequest, WatchConfigRequest, What,
    },
};
use micro_sdk::wire::{
    Caller, Fault, Namespace, ServiceName,
    status::{Problem, Severity},
};
use tokio::sync::OwnedSemaphorePermit;

/// How many secrets that can't be opened the status names: as many as are read at a glance.
const LOST_SHOWN: usize = 5;

/// A change of the tree, but for who makes it: that is not the caller's to say.
#[derive(Clone, Debug)]
pub struct ConfigChange {
    /// The tenant.
    pub namespace: Namespace,
    /// What is to be done.
    pub what: What,
    /// Only if this is the version of the tree.
    pub if_version: Option<u64>,
    /// Why, for the history.
    pub reason: String,
    /// Say what would change, and change nothing.
    pub dry_run: bool,
}

/// Who a caller is, for the history.
pub(super) fn who(context: &Context) -> String {
    match (&context.caller, context.origin.uid()) {
        (Caller::Admin, Some(uid)) => user::name_of(uid),
        (Caller::Admin, None) => "admin".to_owned(),
        (Caller::Node(node), _) => format!("node {node}"),
        (Caller::Account(account), _) => account.to_string(),
        (Caller::Anonymous | Caller::Stranger, _) => "anonymous".to_owned(),
    }
}

impl Local {
    /// What every call of the configuration passes: `authorize` for the path and all below it, and a permit.
    fn admit_config(
        &self,
        context: &Context,
        namespace: &Namespace,
        path: &str,
        endpoint: &str,
    ) -> Result<OwnedSemaphorePermit, Fault> {
        let resource = Resource::of(namespace, CONFIG, path, endpoint).and_below(".");
        self.system.dispatch().admit(context.asker(), CONFIG, &resource)
    }

    /// Whether the caller may read at a path: for what goes on.
    ///
    /// # Errors
    /// [`Code::Denied`](micro_sdk::wire::Code::Denied).
    pub fn may_read_config(
        &self,
        context: &Context,
        namespace: &Namespace,
        path: &ConfigPath,
        show_secrets: bool,
    ) -> Result<(), Fault> {
        let path = path.key();
        let read = Resource::of(namespace, CONFIG, &path, READ).and_below(".");
        if show_secrets {
            self.may(context, &Resource { endpoint: SECRETS, ..read })?;
        }
        self.may(context, &read)
    }

    /// What is at a path.
    ///
    /// # Errors
    /// [`Code::Denied`](micro_sdk::wire::Code::Denied) if the caller may not see secrets that it asks for; as the
    /// service answers.
    pub async fn config(&self, context: &Context, request: GetRequest) -> Result<Reading, Fault> {
        let GetRequest { namespace, path, show_secrets, .. } = &request;
        self.may_read_config(context, namespace, path, *show_secrets)?;
        let _permit = self.system.dispatch().permit(CONFIG)?;
        self.config.get(request, context.until()).await
    }

    /// Changes the tree.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn change_config(&self, context: &Context, change: ConfigChange) -> Result<ChangeReply, Fault> {
        let ConfigChange { namespace, what, if_version, reason, dry_run } = change;
        let path = match &what {
            What::Set { path, .. } | What::Delete { path } | What::RollBack { path, .. } => path.key(),
            // Where a staged change is, only the change says.
            What::EndCanary { .. } => String::new(),
        };
        let _permit = self.admit_config(context, &namespace, &path, WRITE)?;
        let (who, idempotency_key) = (who(context), context.idempotency_key);
        let request = ChangeRequest { namespace, what, if_version, who, reason, dry_run, idempotency_key };
        self.config.change(request, context.until()).await
    }

    /// Watches what is at a path. The permit is for its beginning; whoever takes the watch bounds how many there are.
    ///
    /// # Errors
    /// As [`config`](Self::config).
    pub async fn watch_config(
        &self,
        context: &Context,
        request: WatchConfigRequest,
    ) -> Result<ConfigWatch, Fault> {
        let WatchConfigRequest { namespace, path, show_secrets, .. } = &request;
        self.may_read_config(context, namespace, path, *show_secrets)?;
        let _permit = self.system.dispatch().permit(CONFIG)?;
        self.config.watch(request, context.until()).await
    }

    /// The changes at or under a path, latest first.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn config_history(
        &self,
        context: &Context,
        request: HistoryRequest,
    ) -> Result<HistoryReply, Fault> {
        let _permit = self.admit_config(context, &request.namespace, &request.path.key(), READ)?;
        self.config.history(request, context.until()).await
    }

    /// What is different between two versions.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn diff_config(&self, context: &Context, request: DiffRequest) -> Result<Vec<EditView>, Fault> {
        let _permit = self.admit_config(context, &request.namespace, &request.path.key(), READ)?;
        self.config.diff(request, context.until()).await
    }

    /// The staged changes.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn config_canaries(
        &self,
        context: &Context,
        namespace: Namespace,
    ) -> Result<Vec<CanaryView>, Fault> {
        let _permit = self.admit_config(context, &namespace, "", READ)?;
        self.config.canaries(namespace, context.until()).await
    }

    /// Registers the schema of a service's part, or takes it away.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn set_config_schema(&self, context: &Context, request: SetSchemaRequest) -> Result<(), Fault> {
        let _permit = self.admit_config(context, &request.namespace, request.service.as_str(), WRITE)?;
        self.config.set_schema(request, context.until()).await
    }

    /// The schema of a service's part, if it has one.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn config_schema(
        &self,
        context: &Context,
        namespace: Namespace,
        service: ServiceName,
    ) -> Result<Option<String>, Fault> {
        let _permit = self.admit_config(context, &namespace, service.as_str(), READ)?;
        self.config.schema(namespace, service, context.until()).await
    }

    /// Where the values come from that the instances of a service use.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn config_origins(
        &self,
        context: &Context,
        request: OriginsRequest,
    ) -> Result<Vec<InstanceReply>, Fault> {
        let _permit = self.admit_config(context, &request.namespace, request.service.as_str(), READ)?;
        self.config.origins(request, context.until()).await
    }

    /// Makes a new key of secrets.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn rotate_config_key(&self, context: &Context) -> Result<RotateReply, Fault> {
        let keys = Resource::of_mesh(CONFIG, "~keys", WRITE);
        let _permit = self.system.dispatch().admit(context.asker(), CONFIG, &keys)?;
        self.config.rotate(RotateRequest { who: who(context) }, context.until()).await
    }

    /// What the status says of secrets that nobody can open; none if there are none. How many they are is for everybody
    /// who sees the status, and where for those who may read there.
    pub(super) async fn lost_secrets(&self, context: &Context) -> Option<Problem> {
        let LostSecrets { count, mut places } = self.config.lost_secrets().await;
        places.retain(|(namespace, path)| {
            let read = Resource::of(namespace, CONFIG, path, READ).and_below(".");
            self.system.dispatch().would_grant(&context.caller, &read)
        });
        (count > 0).then(|| lost_secrets(count, &places))
    }
}

/// The problem that `count` secrets can't be opened, some of which are at `places`.
fn lost_secrets(count: u64, places: &[(Namespace, String)]) -> Problem {
    let what = if count == 1 { "1 secret".to_owned() } else { format!("{count} secrets") };
    let mut message = format!("{what} of the configuration can't be opened: this mesh has not got the key");
    let shown = places.iter().take(LOST_SHOWN);
    let shown: Vec<String> = shown.map(|(namespace, path)| format!("{path} of {namespace}")).collect();
    if !shown.is_empty() {
        let more = if count > shown.len() as u64 { ", and others" } else { "" };
        message.push_str(&format!(": {}{more}", shown.join(", ")));
    }
    let help = "set each anew: micro-node config set PATH @FILE --secret; micro-node config rotate-key names them; or \
                restore the backup again with the key of the mesh that it was made of: --seal-key @FILE";
    Problem { severity: Severity::Warning, message, help: help.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_actors::audit::Origin;
    use micro_sdk::wire::NodeId;

    #[test]
    fn lost_secrets_are_counted_whoever_asks_and_named_as_far_as_they_may_be_known() {
        let place = |path: &str| (Namespace::default(), path.to_owned());
        let message = |count, places: &[_]| lost_secrets(count, places).message;
        assert!(message(1, &[]).starts_with("1 secret of") && message(1, &[]).ends_with("the key"));
        assert!(message(1, &[place("shop.a")]).ends_with(": shop.a of default"));
        assert!(message(3, &[place("shop.a")]).ends_with(": shop.a of default, and others"));
        assert!(message(9, &[0; 7].map(|_| place("a"))).matches("a of default").count() == LOST_SHOWN);
    }

    #[test]
    fn who_is_as_the_door_has_made_sure_of_it() {
        let mut context = Context::of(Caller::Admin);
        assert_eq!(who(&context), "admin");
        context.origin = Origin::Socket { uid: 0 };
        assert_eq!(who(&context), "root (uid 0)");
        assert!(who(&Context::of(Caller::Node(NodeId(7)))).starts_with("node "));
    }
}
