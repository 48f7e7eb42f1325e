//! What decides, with rules and a token and no mesh around it: so that it can be measured what a decision costs. What
//! is asked here is what doors and dispatch ask.

use crate::{
    Action,
    audit::{Asker, Audit},
    auth::{
        Access, Claims, Guard, Policy, Resource, RuleView, SealKey, access_token,
        policy::Rules,
        rule::starting_rules,
        signing_key::{PublicKeys, StoredKey},
    },
    authorize,
};
use micro_sdk::wire::{AccountCaller, AccountKind, Caller, ClusterId, Fault, Namespace, Seams};
use std::{collections::BTreeMap, sync::Arc};

/// One rule in so many is about all names with a beginning; the others name one service each.
const PATTERN_EVERY: usize = 10;

/// A guard, and an account that asks it.
pub struct Rehearsal {
    guard: Guard,
    namespace: Namespace,
    token: String,
    service: String,
}

impl Rehearsal {
    /// A guard with so many rules, one at least, which tells `audit` what it decides, and the token of an account.
    pub fn new(seams: &Seams, audit: Audit, rules: usize) -> Self {
        let (cluster, namespace) = (seams.cluster_id(), Namespace::default());
        let (guard, key) = (Guard::new(cluster, seams.clock.clone(), audit), Key::generate(seams, cluster));
        let rule = |number: usize| {
            let star = if number.is_multiple_of(PATTERN_EVERY) { "*" } else { "" };
            let id = format!("r{number}");
            let view = RuleView {
                id: id.clone(),
                scope: "*".to_owned(),
                resource: format!("service:{}{star}:*", service(number)),
                access: Access::Granted,
                priority: 0,
                who: String::new(),
                time_ms: 0,
            };
            ((namespace.clone(), id), Some(view))
        };
        // Those of a new mesh would decide before any of these.
        let removed = starting_rules().map(|rule| ((namespace.clone(), rule.id), None));
        let kept: BTreeMap<_, _> = (0..rules.max(1)).map(rule).chain(removed).collect();
        guard.replace(Policy {
            rules: Arc::new(Rules::new(&kept)),
            keys: Arc::new(PublicKeys::new([key.stored.public])),
            ..Policy::default()
        });
        let caller = AccountCaller {
            namespace: namespace.clone(),
            name: "jane".parse().expect("a good name"),
            kind: AccountKind::User,
            scopes: Vec::new(),
        };
        let ids = ["token".to_owned(), "session".to_owned()];
        let claims = Claims::new(guard.issuer().to_owned(), &caller, 1, ids, guard.now_s());
        let signing = key.stored.open(&key.seal, cluster).expect("it is the seal");
        let token = access_token::sign(&signing, &claims);
        Rehearsal { guard, namespace, token, service: service(rules.saturating_sub(1)) }
    }

    /// Whose token it is: from the second time on, that of one that is remembered.
    ///
    /// # Errors
    /// If it is not taken.
    pub fn verify(&self) -> Result<Caller, Fault> {
        Ok(self.guard.verify(&self.token)?.caller.clone())
    }

    /// Whether the caller may call the service that the last rule is about.
    ///
    /// # Errors
    /// If they may not.
    pub fn authorize(&self, caller: &Caller) -> Result<(), Fault> {
        let resource = Resource::of_service(&self.namespace, &self.service, "call");
        authorize(&self.guard, Asker::of(caller), Action::CallService, &resource)
    }
}

/// A key that signs tokens, sealed as it is kept.
struct Key {
    stored: StoredKey,
    seal: SealKey,
}

impl Key {
    fn generate(seams: &Seams, cluster: ClusterId) -> Self {
        let seal = SealKey::generate(seams);
        Key { stored: StoredKey::generate(seams, &seal, cluster, 0), seal }
    }
}

/// The name of a service that a rule is about.
fn service(number: usize) -> String {
    format!("service-{number:05}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::tests::seams;

    #[test]
    fn the_token_is_taken_and_the_rules_decide() {
        for rules in [1, 10, 1000] {
            let rehearsal = Rehearsal::new(&seams(), Audit::off(), rules);
            let caller = rehearsal.verify().expect("the token is good");
            assert!(rehearsal.verify().is_ok_and(|again| again == caller));
            rehearsal.authorize(&caller).expect("the last rule grants it");
            let nobody = Rehearsal { service: "another".to_owned(), ..rehearsal };
            nobody.authorize(&caller).expect_err("no rule is about it");
        }
    }
}
