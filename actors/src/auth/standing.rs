//! What a caller may give to an account, change in one, or take from one: nobody gives rights that they lack, nor
//! touches an account that has more than they have.
//!
//! [`authorize`](crate::authorize) says before whether the caller may change accounts or rules at all. This is asked
//! after it, of the account as it is and as it would be, and in the transaction that changes it.

use micro_sdk::wire::{AccountCaller, AccountKind, Caller, Code, Fault, Namespace};

/// The scope whose holders have all that there is in their own namespace; those of `default` in every one.
const ADMIN: &str = "admin";

/// Whether the caller has all scopes of a namespace.
fn is_admin(caller: &Caller, namespace: &Namespace) -> bool {
    match caller {
        Caller::Admin | Caller::Node(_) => true,
        Caller::Account(own) => {
            let reaches = own.namespace == *namespace || own.namespace == Namespace::default();
            reaches && own.scopes.iter().any(|scope| scope.as_str() == ADMIN)
        }
        Caller::Anonymous | Caller::Stranger => false,
    }
}

/// Refuses a caller who lacks something that `account` has: a scope, or the name of a service or node, which rules know
/// by its kind. Everybody has what is their own, and whoever may make accounts may make plain users.
///
/// # Errors
/// [`Code::Denied`], naming what is lacking.
pub(crate) fn must_have_all_of(caller: &Caller, account: &AccountCaller) -> Result<(), Fault> {
    let own = caller.account().filter(|own| own.namespace == account.namespace);
    if is_admin(caller, &account.namespace) {
        return Ok(());
    }
    let lacking = account.scopes.iter().filter(|scope| !own.is_some_and(|own| own.scopes.contains(scope)));
    let mut lacking: Vec<String> = lacking.map(|scope| format!("scope {scope}")).collect();
    let is_own = own.is_some_and(|own| own.name == account.name && own.kind == account.kind);
    if account.kind != AccountKind::User && !is_own {
        lacking.push(format!("kind {}", account.kind));
    }
    if lacking.is_empty() {
        return Ok(());
    }
    let message =
        format!("{caller} lacks what the account {account} has or would have: {}", lacking.join(", "));
    Err(Fault::new(Code::Denied, message)
        .help("nobody gives, changes or takes away more than they have, unless they have the scope admin")
        .help("accounts of the kinds service and node are the admin's, since rules name them by their kind"))
}

/// Refuses a caller who is no admin of a namespace: whoever makes its rules may give anything in it.
///
/// # Errors
/// [`Code::Denied`].
pub(crate) fn must_be_admin(caller: &Caller, namespace: &Namespace) -> Result<(), Fault> {
    if is_admin(caller, namespace) {
        return Ok(());
    }
    let message = format!("{caller} may not change rules of {namespace}: only who has the scope admin may");
    Err(Fault::new(Code::Denied, message)
        .help("a rule can give anything, so that whoever makes one could give themselves the rest"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::tests::account;

    fn of(caller: &Caller, name: &str, kind: AccountKind) -> AccountCaller {
        let own = caller.account().expect("it is an account");
        AccountCaller { name: name.parse().expect("a good name"), kind, ..AccountCaller::clone(own) }
    }

    #[test]
    fn nobody_gives_what_they_lack() {
        let admin = account("default", &["admin"]);
        let tenant = account("acme", &["admin"]);
        let ops = account("default", &["ops", "dev"]);
        let plain = account("default", &[]);
        let callers = [&Caller::Admin, &admin, &tenant, &ops, &plain, &Caller::Anonymous];
        for (namespace, scopes, kind, expected) in [
            ("default", &[][..], AccountKind::User, [true; 6]),
            ("default", &["ops"], AccountKind::User, [true, true, false, true, false, false]),
            ("default", &["ops", "x"], AccountKind::User, [true, true, false, false, false, false]),
            ("default", &["admin"], AccountKind::User, [true, true, false, false, false, false]),
            ("default", &[], AccountKind::Service, [true, true, false, false, false, false]),
            ("default", &[], AccountKind::Node, [true, true, false, false, false, false]),
            ("acme", &["ops"], AccountKind::User, [true, true, true, false, false, false]),
            ("acme", &["admin"], AccountKind::Service, [true, true, true, false, false, false]),
        ] {
            let made = of(&account(namespace, scopes), "john", kind);
            let found = callers.map(|caller| must_have_all_of(caller, &made).is_ok());
            assert_eq!(found, expected, "{namespace} {scopes:?} {kind}");
        }
        let home = Namespace::default();
        let found = callers.map(|caller| must_be_admin(caller, &home).is_ok());
        assert_eq!(found, [true, true, false, false, false, false]);
    }

    #[test]
    fn everybody_has_what_is_their_own() {
        let service = of(&account("default", &["ops"]), "shop", AccountKind::Service);
        let caller = Caller::Account(std::sync::Arc::new(service.clone()));
        assert_eq!(must_have_all_of(&caller, &service), Ok(()));
        let other = AccountCaller { name: "till".parse().expect("a good name"), ..service };
        let fault = must_have_all_of(&caller, &other).expect_err("it is another service");
        assert!(fault.message.ends_with("has or would have: kind service"), "{fault}");
    }
}
