//! Accounts are changed, ended and taken away.
//!
//! What ends all that an account had is a revocation up to the state that it was in, in the same transaction: so no
//! node takes a token of it after it has applied the change.

use crate::{
    auth::{
        Accounts, RevokeAccountRequest, Secret, SetSecretRequest, UpdateAccountRequest,
        account::{self, Account, AccountView},
        accounts::{Plan, no_account},
        book::{self, Book},
        revocation::{Revocation, account_key},
        service_token::service_caller,
        standing::must_have_all_of,
    },
    store::{RecordCompare, RecordOp},
};
use micro_sdk::wire::{AccountName, Caller, Code, Fault, Namespace, Scope, ServiceName};
use tokio::time::Instant;

impl Accounts {
    /// Gives an account other scopes and notes. If it has fewer scopes than before, all its sessions and tokens end.
    ///
    /// # Errors
    /// [`Code::Denied`] if it has more than who changes it, or would; [`Code::NotFound`] if there is none, or it has
    /// not a scope that is to be taken; [`Code::Usage`] if it would have too much; or why the group did not take it.
    pub async fn update_account(
        &self,
        by: &Caller,
        request: UpdateAccountRequest,
        deadline: Instant,
    ) -> Result<AccountView, Fault> {
        let (now_ms, by) = (self.parts.consensus.time_ms(), by.clone());
        self.change(deadline, move |book| {
            let (namespace, name) = (&request.namespace, &request.name);
            let (account, version) = found(book, &by, namespace, name)?;
            let (mut next, shrinks) = amended(&account, &request)?;
            must_have_all_of(&by, &next.caller(namespace, name))?;
            if next == account {
                return Ok(Plan::Answer(next.view(namespace, name.clone())));
            }
            let mut then = Vec::new();
            if shrinks {
                let through = book.next_generation(namespace, name, Some(&account), now_ms)?;
                next.generation = through + 1;
                then.push(revoked(namespace, name, through));
            }
            let key = book::within(namespace, name.as_str());
            let compares = vec![RecordCompare::version(book::accounts(), key.clone(), version)];
            then.push(book::write(book::accounts(), key, &next));
            Ok(Plan::make(compares, then, next.view(namespace, name.clone())))
        })
        .await
    }

    /// Takes an account away, with all its sessions and tokens.
    ///
    /// # Errors
    /// [`Code::Denied`] if it has more than who takes it away, [`Code::NotFound`] if there is none, or why the group
    /// did not take it.
    pub async fn delete_account(
        &self,
        by: &Caller,
        namespace: Namespace,
        name: AccountName,
        deadline: Instant,
    ) -> Result<(), Fault> {
        let (now_ms, by) = (self.parts.consensus.time_ms(), by.clone());
        self.change(deadline, move |book| {
            let (account, version) = found(book, &by, &namespace, &name)?;
            let through = book.next_generation(&namespace, &name, Some(&account), now_ms)?;
            let key = book::within(&namespace, name.as_str());
            let then = vec![
                RecordOp::Delete { table: book::accounts(), key: key.clone() },
                revoked(&namespace, &name, through),
            ];
            Ok(Plan::make(vec![RecordCompare::version(book::accounts(), key, version)], then, ()))
        })
        .await
    }

    /// Ends all sessions and tokens of an account, which may log in again; of a service, which its node gives another
    /// token for as long as it is attached.
    ///
    /// # Errors
    /// As [`delete_account`](Self::delete_account).
    pub async fn revoke_account(
        &self,
        by: &Caller,
        request: RevokeAccountRequest,
        deadline: Instant,
    ) -> Result<(), Fault> {
        let RevokeAccountRequest { namespace, name, service } = request;
        let called = name.as_str().parse::<ServiceName>().ok();
        let attached = |called: &ServiceName| {
            let table = self.parts.dispatch.registry().table();
            service || !table.instances(&namespace, called).is_empty()
        };
        let Some(called) = called.filter(attached) else {
            return self.renew(by, namespace, name, |_| {}, deadline).await;
        };
        let (now_ms, by) = (self.parts.consensus.time_ms(), by.clone());
        self.change(deadline, move |book| {
            if book.account(&namespace, &name)?.is_some() {
                return renewed(book, &by, (&namespace, &name), now_ms, &|_| {});
            }
            must_have_all_of(&by, &service_caller(namespace.clone(), &called))?;
            let (_, version) = book.open_generation(&namespace, &name)?;
            let through = book.next_generation(&namespace, &name, None, now_ms)?;
            let compares = vec![
                RecordCompare::exists(book::accounts(), book::within(&namespace, name.as_str()), false),
                RecordCompare::version(book::revoked(), account_key(&namespace, &name), version),
            ];
            Ok(Plan::make(compares, vec![revoked(&namespace, &name, through)], ()))
        })
        .await
    }

    /// Gives an account another secret, and ends all its sessions and tokens. Returns the secret if it was made here.
    ///
    /// # Errors
    /// [`Code::Denied`] if the old secret is given and is another, or the account has more than who changes it;
    /// [`Code::NotFound`] if there is no such account, [`Code::Usage`] if the new one is not fit, or why the group did
    /// not take it.
    pub async fn set_secret(
        &self,
        by: &Caller,
        request: SetSecretRequest,
        deadline: Instant,
    ) -> Result<Option<Secret>, Fault> {
        let SetSecretRequest { namespace, name, old, new } = request;
        if let Some(old) = &old {
            self.check_secret(&namespace, &name, old, deadline).await?;
        }
        let made = new.is_none().then(|| Secret::generate(&self.parts.seams));
        let secret = new.as_ref().or(made.as_ref()).expect("one of the two is there");
        secret.check()?;
        let hash = self.hasher.hash(secret, deadline).await?;
        self.renew(by, namespace, name, move |account| account.secret = hash.clone(), deadline).await?;
        Ok(made)
    }

    /// Makes the next state of an account, and ends what the ones before it had.
    async fn renew(
        &self,
        by: &Caller,
        namespace: Namespace,
        name: AccountName,
        edit: impl Fn(&mut Account) + Send + Sync + 'static,
        deadline: Instant,
    ) -> Result<(), Fault> {
        let (now_ms, by) = (self.parts.consensus.time_ms(), by.clone());
        self.change(deadline, move |book| renewed(book, &by, (&namespace, &name), now_ms, &edit)).await
    }
}

/// An account that a caller may change, and the version of its record.
fn found(
    book: &Book<'_>,
    by: &Caller,
    namespace: &Namespace,
    name: &AccountName,
) -> Result<(Account, u64), Fault> {
    let (account, version) =
        book.account(namespace, name)?.ok_or_else(|| match name.as_str().parse::<ServiceName>() {
            Ok(_) => no_account(namespace, name)
                .help("of a service that has detached: `micro-node auth revoke NAME --kind service`"),
            Err(_) => no_account(namespace, name),
        })?;
    must_have_all_of(by, &account.caller(namespace, name))?;
    Ok((account, version))
}

/// The next state of an account, with what it had before revoked.
fn renewed(
    book: &Book<'_>,
    by: &Caller,
    (namespace, name): (&Namespace, &AccountName),
    now_ms: u64,
    edit: &dyn Fn(&mut Account),
) -> Result<Plan<()>, Fault> {
    let (account, version) = found(book, by, namespace, name)?;
    let through = book.next_generation(namespace, name, Some(&account), now_ms)?;
    let mut next = Account { generation: through + 1, ..account };
    edit(&mut next);
    let key = book::within(namespace, name.as_str());
    let compares = vec![RecordCompare::version(book::accounts(), key.clone(), version)];
    let then = vec![book::write(book::accounts(), key, &next), revoked(namespace, name, through)];
    Ok(Plan::make(compares, then, ()))
}

/// An account with what is asked for, and whether it has lost a scope.
fn amended(account: &Account, request: &UpdateAccountRequest) -> Result<(Account, bool), Fault> {
    let UpdateAccountRequest { namespace, name, add_scopes, remove_scopes, metadata } = request;
    let lacks = |scope: &&Scope| !account.scopes.contains(scope);
    if let Some(scope) = remove_scopes.iter().find(lacks) {
        return Err(Fault::new(Code::NotFound, format!("the account {name} has no scope {scope}"))
            .help(format!("see `micro-node auth list accounts --namespace {namespace}`")));
    }
    if let Some(scope) = remove_scopes.iter().find(|scope| add_scopes.contains(scope)) {
        return Err(Fault::new(Code::Usage, format!("the scope {scope} is both given and taken")));
    }
    let mut next = account.clone();
    next.scopes.retain(|scope| !remove_scopes.contains(scope));
    for scope in add_scopes {
        if !next.scopes.contains(scope) {
            next.scopes.push(scope.clone());
        }
    }
    for (note, text) in metadata {
        match text.is_empty() {
            true => next.metadata.remove(note),
            false => next.metadata.insert(note.clone(), text.clone()),
        };
    }
    account::check(&next.scopes, &next.metadata)?;
    Ok((next, !remove_scopes.is_empty()))
}

/// A note that all that an account had up to a state of it is good no more.
fn revoked(namespace: &Namespace, name: &AccountName, through: u64) -> RecordOp {
    book::revoke(account_key(namespace, name), &Revocation::Account { through })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::secret::SecretHash;
    use micro_sdk::wire::AccountKind;

    #[test]
    fn an_account_is_what_it_was_but_for_what_is_asked() {
        let scopes = |names: &[&str]| -> Vec<Scope> {
            names.iter().map(|name| name.parse().expect("a good scope")).collect()
        };
        let account = Account {
            kind: AccountKind::User,
            scopes: scopes(&["ops", "dev"]),
            metadata: [("team".to_owned(), "a".to_owned()), ("desk".to_owned(), "4".to_owned())].into(),
            secret: SecretHash { salt: [1; 16], hash: [2; 32], memory_kib: 3, passes: 4 },
            generation: 5,
            created_ms: 6,
            who: "w".to_owned(),
        };
        let request = |add: &[&str], remove: &[&str]| UpdateAccountRequest {
            namespace: Namespace::default(),
            name: "jane".parse().expect("a good name"),
            add_scopes: scopes(add),
            remove_scopes: scopes(remove),
            metadata: [("team".to_owned(), "b".to_owned()), ("desk".to_owned(), String::new())].into(),
        };
        let (next, shrinks) = amended(&account, &request(&["sales", "ops"], &[])).expect("it is fit");
        assert_eq!((&next.scopes, shrinks), (&scopes(&["ops", "dev", "sales"]), false));
        assert_eq!(next.metadata, [("team".to_owned(), "b".to_owned())].into());
        let (next, shrinks) = amended(&account, &request(&["sales"], &["ops"])).expect("it is fit");
        assert_eq!((&next.scopes, shrinks), (&scopes(&["dev", "sales"]), true));
        for (add, remove, code) in
            [(&["x"][..], &["y"][..], Code::NotFound), (&["ops"], &["ops"], Code::Usage)]
        {
            let fault = amended(&account, &request(add, remove)).expect_err("it is not fit");
            assert_eq!(fault.code, code, "{fault}");
        }
    }
}
