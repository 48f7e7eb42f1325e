//! What this node decides by, kept in memory: the policy as its replica has it, and the tokens that it has verified.
//!
//! Nothing here waits for anybody. A node that is cut off from the others decides by what it has: rules and revocations
//! may then be as old as its replica is, and no token is taken longer than it is good.

use crate::{
    audit::Audit,
    auth::{
        access_token::{self, Claims, TokenError},
        policy::Policy,
    },
};
use micro_sdk::wire::{Caller, Clock, ClusterId, Code, Fault};
use ring::digest;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};
use tokio::sync::watch;

/// How many tokens are remembered as verified: those of some thousand callers at once, in a few MiB. To verify one anew
/// costs a signature's check, a tenth of a millisecond.
const VERIFIED_MAX: usize = 8192;

/// A token that was verified.
#[derive(Debug)]
pub struct Verified {
    /// What it says.
    pub claims: Claims,
    /// Whose it is.
    pub caller: Caller,
    /// The key that signed it.
    key: String,
}

/// What this node decides by. Clones share everything.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

struct Inner {
    issuer: String,
    clock: Arc<dyn Clock>,
    audit: Audit,
    policy: RwLock<Arc<Policy>>,
    /// By the SHA-256 of the token, so that none lies about in memory.
    verified: Mutex<HashMap<[u8; 32], Arc<Verified>>>,
    changes: watch::Sender<u64>,
    /// Whether what is known here may be of before this node's start.
    starting: AtomicBool,
}

impl Guard {
    /// A guard that knows what every new mesh has, and tells `audit` what is decided by it.
    pub fn new(cluster: ClusterId, clock: Arc<dyn Clock>, audit: Audit) -> Self {
        Guard(Arc::new(Inner {
            issuer: cluster.to_string(),
            clock,
            audit,
            policy: RwLock::default(),
            verified: Mutex::default(),
            changes: watch::channel(0).0,
            starting: AtomicBool::new(false),
        }))
    }

    /// Says whether the node is starting: keys may have come in since it was there last.
    pub(crate) fn set_starting(&self, starting: bool) {
        self.0.starting.store(starting, Ordering::Relaxed);
    }

    /// That a key is not known.
    fn unknown_key(&self) -> TokenError {
        if self.0.starting.load(Ordering::Relaxed) { TokenError::Starting } else { TokenError::UnknownKey }
    }

    /// Where decisions are told.
    pub fn audit(&self) -> &Audit {
        &self.0.audit
    }

    /// What tokens of this mesh say that they are issued by.
    pub(crate) fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// The time of day, in seconds since 1970.
    pub(crate) fn now_s(&self) -> u64 {
        let now = self.0.clock.now().duration_since(SystemTime::UNIX_EPOCH);
        now.map_or(0, |since| since.as_secs())
    }

    /// What decides now.
    pub fn policy(&self) -> Arc<Policy> {
        // It is replaced as a whole, so that it is whole whatever became of who replaced it.
        self.0.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Decides by `policy` from now on.
    pub(crate) fn replace(&self, policy: Policy) {
        *self.0.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
        self.0.changes.send_modify(|changes| *changes += 1);
    }

    /// Tells when something else decides than before: for what was allowed at its beginning and goes on.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Whose token it is.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn verify(&self, token: &str) -> Result<Arc<Verified>, TokenError> {
        let hash = digest::digest(&digest::SHA256, token.as_bytes());
        let hash: [u8; 32] = hash.as_ref().try_into().expect("SHA-256 has 32 bytes");
        let known = self.verified().get(&hash).cloned();
        if let Some(verified) = known {
            let good = self.still_good(&verified);
            if good.is_err() {
                self.verified().remove(&hash);
            }
            return good.map(|()| verified);
        }
        let policy = self.policy();
        let verified = access_token::verify(token, &self.0.issuer, &policy.keys, self.now_s());
        let (claims, key) = verified.map_err(|error| match error {
            TokenError::UnknownKey => self.unknown_key(),
            other => other,
        })?;
        let verified = Arc::new(Verified { caller: Caller::Account(Arc::new(claims.caller())), claims, key });
        self.still_good(&verified)?;
        let mut known = self.verified();
        if known.len() >= VERIFIED_MAX {
            known.clear();
        }
        known.insert(hash, verified.clone());
        Ok(verified)
    }

    /// Whether a token that was verified once is good now.
    ///
    /// # Errors
    /// Why it is not.
    pub fn still_good(&self, verified: &Verified) -> Result<(), TokenError> {
        verified.claims.check_time(self.now_s())?;
        self.not_revoked(verified)
    }

    /// The same, whatever the time is: what was begun while it was good may outlast it.
    ///
    /// # Errors
    /// That it was revoked, or that its key was given up.
    pub fn not_revoked(&self, verified: &Verified) -> Result<(), TokenError> {
        let policy = self.policy();
        if !policy.keys.knows(&verified.key) {
            return Err(self.unknown_key());
        }
        if policy.revocations.cover(&verified.claims) { Err(TokenError::Revoked) } else { Ok(()) }
    }

    fn verified(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Arc<Verified>>> {
        self.0.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<TokenError> for Fault {
    fn from(error: TokenError) -> Self {
        if error == TokenError::Starting {
            return Fault::new(Code::Unavailable, error.to_string())
                .help("try again in a moment, or ask another node");
        }
        Fault::new(Code::Denied, format!("the token is not taken: {error}"))
            .help("log in again: micro-node login ACCOUNT")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{
        SealKey,
        revocation::{Revocation, Revocations, account_key, session_key},
        signing_key::{PublicKeys, SigningKey, StoredKey},
        tests::seams,
    };
    use micro_sdk::wire::{AccountCaller, AccountKind, Namespace};

    fn key() -> (SigningKey, [u8; 32]) {
        let (seams, seal, cluster) = (seams(), SealKey::generate(&seams()), ClusterId(7));
        let stored = StoredKey::generate(&seams, &seal, cluster, 5);
        (stored.open(&seal, cluster).expect("it is the seal"), stored.public)
    }

    fn caller() -> AccountCaller {
        AccountCaller {
            namespace: Namespace::default(),
            name: "jane".parse().expect("a good name"),
            kind: AccountKind::User,
            scopes: Vec::new(),
        }
    }

    fn policy(keys: &[[u8; 32]], revoked: &[(String, Revocation)]) -> Policy {
        Policy {
            keys: Arc::new(PublicKeys::new(keys.iter().copied())),
            revocations: Arc::new(Revocations(revoked.iter().cloned().collect())),
            ..Policy::default()
        }
    }

    #[test]
    fn a_token_that_was_verified_is_refused_as_soon_as_the_policy_says_so() {
        let guard = Guard::new(ClusterId(7), seams().clock, Audit::off());
        let ((first, first_public), (_, second_public)) = (key(), key());
        let ids = ["j".to_owned(), "s".to_owned()];
        let claims = Claims::new(guard.issuer().to_owned(), &caller(), 3, ids, guard.now_s());
        let token = access_token::sign(&first, &claims);
        let taken = || guard.verify(&token).map(|verified| verified.claims.sub.to_string());
        guard.set_starting(true);
        assert_eq!(taken(), Err(TokenError::Starting));
        guard.set_starting(false);
        assert_eq!(taken(), Err(TokenError::UnknownKey));
        let good = || Ok("jane".to_owned());
        for (keys, revoked, expected) in [
            (vec![first_public], vec![], good()),
            (vec![first_public, second_public], vec![], good()),
            (vec![first_public], vec![(session_key("other"), Revocation::Session)], good()),
            (vec![first_public], vec![(session_key("s"), Revocation::Session)], Err(TokenError::Revoked)),
            (
                vec![first_public],
                vec![(account_key(&caller().namespace, &caller().name), Revocation::Account { through: 2 })],
                good(),
            ),
            (
                vec![first_public],
                vec![(account_key(&caller().namespace, &caller().name), Revocation::Account { through: 3 })],
                Err(TokenError::Revoked),
            ),
            (vec![second_public], vec![], Err(TokenError::UnknownKey)),
            (vec![first_public], vec![], good()),
        ] {
            guard.replace(policy(&keys, &revoked));
            assert_eq!(taken(), expected, "{revoked:?}");
            assert_eq!(taken(), expected, "asked twice, {revoked:?}");
        }
    }

    #[test]
    fn no_more_tokens_are_remembered_than_there_is_room_for() {
        let guard = Guard::new(ClusterId(7), seams().clock, Audit::off());
        let (key, public) = key();
        guard.replace(policy(&[public], &[]));
        for number in 0..20 {
            let ids = [number.to_string(), "s".to_owned()];
            let claims = Claims::new(guard.issuer().to_owned(), &caller(), 3, ids, guard.now_s());
            guard.verify(&access_token::sign(&key, &claims)).expect("it is good");
            assert!(guard.verify("a.b.c").is_err());
        }
        assert_eq!(guard.verified().len(), 20, "what is not taken is not remembered");
    }
}
