//! What is asked about accounts, rules and tokens, and what is answered.

use crate::auth::{account::AccountView, rule::Access, secret::Secret};
use bincode::{Decode, Encode};
use micro_sdk::wire::{AccountCaller, AccountKind, AccountName, Namespace, Scope};
use std::collections::BTreeMap;

/// An account that is to be made.
#[derive(Clone, Debug)]
pub struct CreateAccountRequest {
    /// The tenant.
    pub namespace: Namespace,
    /// What it is called there.
    pub name: AccountName,
    /// What it is for.
    pub kind: AccountKind,
    /// What it may act as.
    pub scopes: Vec<Scope>,
    /// Notes.
    pub metadata: BTreeMap<String, String>,
    /// Its secret; none to have one made.
    pub secret: Option<Secret>,
    /// Who makes it, as the door has made sure of it.
    pub who: String,
}

impl CreateAccountRequest {
    /// The account that it would be, as a caller.
    pub(crate) fn caller(&self) -> AccountCaller {
        AccountCaller {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            kind: self.kind,
            scopes: self.scopes.clone(),
        }
    }
}

/// An account that was made, and the secret that was made for it: said once.
#[derive(Clone, Debug)]
pub struct CreatedAccount {
    /// The account.
    pub account: AccountView,
    /// Its secret, if it was made here.
    pub secret: Option<Secret>,
}

/// A page of accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountsPage {
    /// By name.
    pub accounts: Vec<AccountView>,
    /// Whether there are more.
    pub more: bool,
}

/// Whose sessions and tokens are to end.
#[derive(Clone, Debug)]
pub struct RevokeAccountRequest {
    /// The tenant.
    pub namespace: Namespace,
    /// What it is called there.
    pub name: AccountName,
    /// Whether a service is meant, which has tokens whether or not an account was made for it, and for a while after it
    /// has detached.
    pub service: bool,
}

/// Another secret for an account.
#[derive(Clone, Debug)]
pub struct SetSecretRequest {
    /// The tenant.
    pub namespace: Namespace,
    /// Whose.
    pub name: AccountName,
    /// The one that it has: for those who may change their own only.
    pub old: Option<Secret>,
    /// The one that it is to have; none to have one made.
    pub new: Option<Secret>,
}

/// A rule that is to be made.
#[derive(Clone, Debug)]
pub struct CreateRuleRequest {
    /// Whose things it is about.
    pub namespace: Namespace,
    /// What it is called there.
    pub id: String,
    /// Whom it is about.
    pub scope: String,
    /// What it is about.
    pub resource: String,
    /// Whether it gives or takes.
    pub access: Access,
    /// Of those that apply, the highest decide.
    pub priority: i32,
    /// Who makes it, as the door has made sure of it.
    pub who: String,
}

/// What of an account is to be another.
#[derive(Clone, Debug)]
pub struct UpdateAccountRequest {
    /// The tenant.
    pub namespace: Namespace,
    /// Which account.
    pub name: AccountName,
    /// What it may act as besides.
    pub add_scopes: Vec<Scope>,
    /// What it may act as no more.
    pub remove_scopes: Vec<Scope>,
    /// Notes that are set; one without text is taken away.
    pub metadata: BTreeMap<String, String>,
}

/// What of a rule is to be another.
#[derive(Clone, Debug)]
pub struct UpdateRuleRequest {
    /// Whose things it is about.
    pub namespace: Namespace,
    /// Which rule.
    pub id: String,
    /// Whom it is about; none to leave that.
    pub scope: Option<String>,
    /// What it is about; none to leave that.
    pub resource: Option<String>,
    /// Whether it gives or takes; none to leave that.
    pub access: Option<Access>,
    /// Of those that apply, the highest decide; none to leave that.
    pub priority: Option<i32>,
    /// Who changes it, as the door has made sure of it.
    pub who: String,
}

/// Who wants tokens, and what proves it. Passed on to a node that can sign.
#[derive(Clone, Debug, Encode, Decode)]
pub struct LoginRequest {
    /// The tenant.
    pub namespace: Namespace,
    /// The account.
    pub name: AccountName,
    /// Its secret.
    pub secret: Secret,
}

/// Tokens as they are handed out.
#[derive(Clone, Debug, Encode, Decode)]
pub struct Tokens {
    /// What is shown with each request.
    pub access: Secret,
    /// Until when, in seconds since 1970.
    pub expires_s: u64,
    /// What gets the next ones, once.
    pub refresh: Secret,
    /// Until when, in seconds since 1970.
    pub refresh_expires_s: u64,
    /// Whose they are: the tenant.
    pub namespace: Namespace,
    /// Whose they are: the account.
    pub name: AccountName,
}

/// One of the keys that sign, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KeyView {
    /// What it is called in tokens.
    pub id: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// Whether it signs now.
    pub signs: bool,
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RotatedKeys {
    /// The keys whose tokens are good, latest first.
    pub keys: Vec<KeyView>,
    /// The key whose tokens are good no more, if one had to go.
    pub dropped: Option<String>,
}
