//! Who speaks for an instance: whoever attached or registered it.

use micro_sdk::wire::{AccountKind, AccountName, Caller, Namespace};

/// Who that is, without what may change of them meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// Who holds the node itself.
    #[default]
    Host,
    /// An account.
    Account(Namespace, AccountName, AccountKind),
    /// Somebody who said nothing of who they are.
    Anyone,
}

impl Owner {
    /// The caller as an owner.
    pub fn of(caller: &Caller) -> Self {
        match caller {
            Caller::Admin | Caller::Node(_) => Owner::Host,
            Caller::Account(account) => {
                Owner::Account(account.namespace.clone(), account.name.clone(), account.kind)
            }
            Caller::Anonymous | Caller::Stranger => Owner::Anyone,
        }
    }

    /// Whether `other` may speak for what is this one's.
    pub(in super::super) fn is_served_by(&self, other: &Owner) -> bool {
        self == other || *other == Owner::Host
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::tests::account;

    #[test]
    fn only_the_same_account_and_the_host_speak_for_an_instance() {
        let jane = Owner::of(&account("acme", &["billing"]));
        assert!(jane.is_served_by(&Owner::of(&account("acme", &[]))), "scopes come and go");
        assert!(jane.is_served_by(&Owner::of(&Caller::Admin)));
        for other in [account("other", &["billing"]), Caller::Anonymous] {
            assert!(!jane.is_served_by(&Owner::of(&other)), "{other}");
        }
        assert!(!Owner::Host.is_served_by(&jane));
    }
}
