//! What was revoked before its time: sessions, and all that an account had up to a state of it.
//!
//! Each is remembered for as long as a token of it might still be good, and then ends by itself.

use crate::auth::access_token::{Claims, LEEWAY_S, LIFE_S};
use bincode::{Decode, Encode};
use micro_sdk::wire::{AccountName, Namespace};
use std::collections::HashMap;

/// How long it is remembered: a token's life, clocks that are apart on both sides, and some more.
pub(crate) const REMEMBERED_MS: u64 = (LIFE_S + 2 * LEEWAY_S + 60) * 1000;

/// What was revoked, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Revocation {
    /// Everything of this session.
    Session,
    /// Everything of this account up to this state of it.
    Account { through: u64 },
}

/// The key of a session's revocation.
pub(crate) fn session_key(session: &str) -> String {
    format!("session/{session}")
}

/// The key of an account's revocation.
pub(crate) fn account_key(namespace: &Namespace, name: &AccountName) -> String {
    format!("account/{namespace}/{name}")
}

/// All that was revoked, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Revocations(pub HashMap<String, Revocation>);

impl Revocations {
    /// Whether a token with these claims was revoked.
    pub fn cover(&self, claims: &Claims) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let of_account = self.0.get(&account_key(&claims.ns, &claims.sub));
        matches!(of_account, Some(Revocation::Account { through }) if claims.generation <= *through)
            || self.0.contains_key(&session_key(&claims.sid))
    }
}
