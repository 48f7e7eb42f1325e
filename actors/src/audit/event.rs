//! One thing that is worth to be kept.

use crate::{
    Action,
    audit::{Asker, Origin},
    auth::Resource,
};
use micro_sdk::wire::{Caller, Code, Fault, TraceId};
use std::time::SystemTime;

/// How much of a name is kept that a caller made up: longer ones are no names of anything here.
const TEXT_BYTES_MAX: usize = 512;

/// What was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be done.
    Allowed,
    /// It may not.
    Denied,
    /// It was not decided: whoever decides could not.
    Failed,
}

impl Verdict {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Allowed => "allowed",
            Verdict::Denied => "denied",
            Verdict::Failed => "failed",
        }
    }

    /// What became of a request to be let in.
    pub fn of<T>(result: &Result<T, Fault>) -> Self {
        match result {
            Ok(_) => Verdict::Allowed,
            Err(fault) if matches!(fault.code, Code::Denied | Code::Limited) => Verdict::Denied,
            Err(_) => Verdict::Failed,
        }
    }
}

/// What is told. It holds names, and nothing of what was sent under them: no value, no token, no secret.
#[derive(Clone, Debug)]
pub struct AuditEvent {
    /// When it was told.
    pub time: SystemTime,
    /// What kind of caller: admin, node, account, anonymous, stranger.
    pub caller: &'static str,
    /// The account, with its tenant: of the caller, or the one that somebody wants to be.
    pub account: Option<String>,
    /// What was to be done: `use`, `call`, `login` and the like.
    pub action: &'static str,
    /// To what: `type:name:endpoint`, or the path that was asked for.
    pub resource: String,
    /// What of it, where that names no more than a kind.
    pub about: Option<String>,
    /// Whose that is.
    pub namespace: Option<String>,
    /// What was said.
    pub verdict: Verdict,
    /// Why, where rules did not decide.
    pub why: Option<String>,
    /// Where it came in.
    pub origin: Origin,
    /// The trace, if it belonged to one.
    pub trace: Option<TraceId>,
}

impl AuditEvent {
    /// A decision by rules.
    pub(crate) fn decided(asker: Asker<'_>, action: Action, resource: &Resource<'_>, granted: bool) -> Self {
        let Resource { kind, name, endpoint, .. } = resource;
        let verdict = if granted { Verdict::Allowed } else { Verdict::Denied };
        let namespace = resource.namespace.map(ToString::to_string);
        AuditEvent {
            namespace,
            ..Self::new(asker, action.name(), format!("{kind}:{name}:{endpoint}"), verdict)
        }
    }

    /// What was refused before any rule was asked.
    pub fn refused(asker: Asker<'_>, action: &'static str, resource: &str, why: &str) -> Self {
        let event = Self::new(asker, action, resource.to_owned(), Verdict::Denied);
        AuditEvent { why: Some(cut(why.to_owned())), ..event }
    }

    /// Anything else.
    pub fn new(asker: Asker<'_>, action: &'static str, resource: String, verdict: Verdict) -> Self {
        let caller = match asker.caller {
            Caller::Admin => "admin",
            Caller::Node(_) => "node",
            Caller::Account(_) => "account",
            Caller::Anonymous => "anonymous",
            Caller::Stranger => "stranger",
        };
        AuditEvent {
            time: SystemTime::UNIX_EPOCH,
            caller,
            account: asker.caller.account().map(|own| format!("{}/{}", own.namespace, own.name)),
            action,
            resource: cut(resource),
            about: (!asker.about.is_empty()).then(|| cut(asker.about.to_owned())),
            namespace: None,
            verdict,
            why: None,
            origin: asker.origin,
            trace: asker.trace,
        }
    }
}

/// As much of a text as is kept.
fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::tests::account;
    use micro_sdk::wire::Namespace;

    #[test]
    fn an_event_names_who_and_what_and_is_not_long() {
        let acme: Namespace = "acme".parse().expect("a good name");
        let (jane, name) = (account("acme", &[]), "ü".repeat(2 * TEXT_BYTES_MAX));
        let resource = Resource::of_service(&acme, "shop", &name);
        let event = AuditEvent::decided(Asker::of(&jane), Action::CallService, &resource, false);
        assert_eq!((event.caller, event.account.as_deref()), ("account", Some("acme/jane")));
        assert_eq!((event.action, event.namespace.as_deref()), ("call", Some("acme")));
        assert!(event.resource.starts_with("service:shop:ü") && event.resource.len() <= TEXT_BYTES_MAX + 3);
        let busy: Result<(), Fault> = Err(Fault::new(Code::Unavailable, "no quorum"));
        assert_eq!(
            (Verdict::of(&busy), Verdict::of(&Ok::<_, Fault>(()))),
            (Verdict::Failed, Verdict::Allowed)
        );
    }
}
