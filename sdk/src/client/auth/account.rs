//! Accounts: made, listed, changed, taken away.

use super::{Auth, exposed, missing, time_of};
use crate::{
    client::{Token, node::Stake},
    proto,
    wire::{AccountKind, Fault},
};
use std::{collections::BTreeMap, time::SystemTime};

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its tenant.
    pub namespace: String,
    /// What it is called there.
    pub name: String,
    /// `user`, `service` or `node`.
    pub kind: String,
    /// What it may act as.
    pub scopes: Vec<String>,
    /// Notes.
    pub metadata: BTreeMap<String, String>,
    /// When it was made.
    pub created: SystemTime,
    /// Who made it.
    pub who: String,
}

impl From<proto::Account> for Account {
    fn from(account: proto::Account) -> Account {
        let proto::Account { namespace, name, kind, scopes, metadata, created_ms, who } = account;
        let metadata = metadata.into_iter().collect();
        Account { namespace, name, kind, scopes, metadata, created: time_of(created_ms), who }
    }
}

/// An account that is to be made.
#[derive(Clone, Debug, Default)]
pub struct NewAccount {
    /// What it is for.
    pub kind: AccountKind,
    /// What it may act as.
    pub scopes: Vec<String>,
    /// Notes.
    pub metadata: BTreeMap<String, String>,
    /// Its secret; none to have the node make one.
    pub secret: Option<Token>,
}

/// What of an account is to be another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountChange {
    /// What it may act as besides.
    pub add_scopes: Vec<String>,
    /// What it may act as no more; each has to be there.
    pub remove_scopes: Vec<String>,
    /// Notes that are set; one with an empty text is taken away.
    pub metadata: BTreeMap<String, String>,
}

/// An account that was made.
#[derive(Clone, Debug)]
pub struct AccountCreated {
    /// The account.
    pub account: Account,
    /// The secret that the node made for it: it is said once.
    pub secret: Option<Token>,
}

impl Auth {
    /// Makes an account in this namespace.
    ///
    /// # Errors
    /// `Conflict` if there is one of this name, `Usage` if something of it is not fit; else as every request.
    pub async fn create_account(
        &self,
        name: impl Into<String>,
        account: NewAccount,
    ) -> Result<AccountCreated, Fault> {
        let NewAccount { kind, scopes, metadata, secret } = account;
        let message = proto::CreateAccountRequest {
            namespace: self.namespace(),
            name: name.into(),
            kind: kind.name().to_owned(),
            scopes,
            metadata: metadata.into_iter().collect(),
            secret: exposed(secret.as_ref()),
            dry_run: self.dry_run,
        };
        let mut client = self.node.auth_client();
        let sent = |request| async move { client.create_account(request).await };
        let response = self.node.ask(Stake::Call, self.node.timeout(), message, sent).await?;
        let account = response.account.ok_or_else(|| missing("the account"))?;
        Ok(AccountCreated { account: account.into(), secret: response.secret.map(Token::new) })
    }

    /// All accounts of this namespace, by name.
    ///
    /// # Errors
    /// As every request.
    pub async fn accounts(&self) -> Result<Vec<Account>, Fault> {
        let mut accounts: Vec<Account> = Vec::new();
        loop {
            let after = accounts.last().map(|last| last.name.clone()).unwrap_or_default();
            let message = proto::ListAccountsRequest { namespace: self.namespace(), after };
            let mut client = self.node.auth_client();
            let sent = |request| async move { client.list_accounts(request).await };
            let page = self.node.ask(Stake::Read, self.node.timeout(), message, sent).await?;
            let empty = page.accounts.is_empty();
            accounts.extend(page.accounts.into_iter().map(Account::from));
            if !page.more || empty {
                return Ok(accounts);
            }
        }
    }

    /// Gives an account other scopes and notes. If it loses a scope, all its sessions and tokens end; one that it gains
    /// counts from the next renewal of a token on.
    ///
    /// # Errors
    /// `NotFound` if there is none, or it has not what is to be taken; `Denied` if it has more than the caller, or
    /// would; else as every request.
    pub async fn update_account(
        &self,
        name: impl Into<String>,
        change: AccountChange,
    ) -> Result<Account, Fault> {
        let AccountChange { add_scopes, remove_scopes, metadata } = change;
        let message = proto::UpdateAccountRequest {
            namespace: self.namespace(),
            name: name.into(),
            add_scopes,
            remove_scopes,
            metadata: metadata.into_iter().collect(),
            dry_run: self.dry_run,
        };
        let mut client = self.node.auth_client();
        let sent = |request| async move { client.update_account(request).await };
        let response = self.node.ask(Stake::Call, self.node.timeout(), message, sent).await?;
        response.account.map(Account::from).ok_or_else(|| missing("the account"))
    }

    /// Takes an account away, with all its sessions and tokens.
    ///
    /// # Errors
    /// `NotFound` if there is none; else as every request.
    pub async fn delete_account(&self, name: impl Into<String>) -> Result<(), Fault> {
        let (namespace, name, dry_run) = (self.namespace(), name.into(), self.dry_run);
        let message = proto::DeleteAccountRequest { namespace, name, dry_run };
        let mut client = self.node.auth_client();
        let sent = |request| async move { client.delete_account(request).await };
        self.node.ask(Stake::Call, self.node.timeout(), message, sent).await.map(drop)
    }

    /// Ends all sessions and tokens of an account, or of a service that is attached. It may log in again, and a service
    /// is given another token for as long as it is attached.
    ///
    /// # Errors
    /// `NotFound` if there is no such account; else as every request.
    pub async fn revoke_account(&self, name: impl Into<String>) -> Result<(), Fault> {
        self.revoke(name.into(), String::new()).await
    }

    /// The same of a service, whether or not it is attached still: its tokens outlive that by a quarter of an hour.
    ///
    /// # Errors
    /// As every request.
    pub async fn revoke_service(&self, name: impl Into<String>) -> Result<(), Fault> {
        self.revoke(name.into(), AccountKind::Service.name().to_owned()).await
    }

    async fn revoke(&self, name: String, kind: String) -> Result<(), Fault> {
        let message = proto::RevokeAccountRequest { namespace: self.namespace(), name, kind };
        let mut client = self.node.auth_client();
        let sent = |request| async move { client.revoke_account(request).await };
        self.node.ask(Stake::Call, self.node.timeout(), message, sent).await.map(drop)
    }

    /// Gives an account another secret, which ends all its sessions and tokens: the caller's own, if none is named,
    /// for which `old` has to be the one before. Without a `new` one, the node makes one and gives it.
    ///
    /// # Errors
    /// `Denied` if the old secret is another, `NotFound` if there is no such account; else as every request.
    pub async fn set_secret(
        &self,
        name: Option<&str>,
        old: Option<&Token>,
        new: Option<&Token>,
    ) -> Result<Option<Token>, Fault> {
        let message = proto::SetSecretRequest {
            namespace: self.namespace(),
            name: name.unwrap_or_default().to_owned(),
            old_secret: exposed(old),
            secret: exposed(new),
        };
        let mut client = self.node.auth_client();
        let sent = |request| async move { client.set_secret(request).await };
        let response = self.node.ask(Stake::Call, self.node.timeout(), message, sent).await?;
        Ok(response.secret.map(Token::new))
    }
}
