//! Applies admission's commands.
//!
//! State keys of the family `Auth`: `authority`, `trust`, `token/` hash, `node/` id, `certificate/` id, `gone/` id,
//! `removals` (how many there were, so that it is cheap to see whether there is another).

use crate::auth::{
    AuthCommand, AuthOutcome, NodeRecord,
    platform::sha256,
    state::{
        AUTHORITY_KEY, GONE_MAX, GONE_PREFIX, REMOVALS_KEY, TOKEN_PREFIX, TRUST_KEY, TokenRecord,
        certificate_key, gone_key, node_key, removals, token_key,
    },
};
use bytes::Bytes;
use micro_consensus::Transaction;
use micro_mesh::Trust;
use micro_sdk::wire::{Codec, limits::PROPOSAL_BYTES_MAX};
use micro_storage::Family;

/// How long a token is remembered after its time: so that its late user is told what is wrong with it.
const REMEMBER_S: u64 = 24 * 3600;
/// For how long a node that is gone is remembered: longer than its last certificate is good, which is 90 days at most,
/// by as much as clocks may differ and more.
const GONE_KEPT_S: u64 = 120 * 24 * 3600;
/// How many tokens are looked at when one is added.
const SWEEP_MAX: usize = 64;

/// Applies [`AuthCommand`]s.
#[derive(Default)]
pub struct AuthMachine;

impl AuthMachine {
    /// Applies one encoded command and returns its encoded outcome.
    pub fn apply(&self, state: &mut Transaction<'_>, command: &[u8]) -> Bytes {
        let outcome = match Codec::decode::<AuthCommand, PROPOSAL_BYTES_MAX>(command) {
            Ok(command) => Self::apply_command(state, command),
            Err(error) => AuthOutcome::Invalid { why: error.to_string() },
        };
        Codec::encode(&outcome).into()
    }

    fn apply_command(state: &mut Transaction<'_>, command: AuthCommand) -> AuthOutcome {
        match command {
            AuthCommand::SetAuthority { sealed } => {
                let key = Bytes::from_static(AUTHORITY_KEY);
                if state.get(Family::Auth, &key).is_none() {
                    state.put(Family::Auth, key, sealed.into());
                }
                AuthOutcome::Done
            }
            AuthCommand::AddToken { hash, expires, now } => {
                Self::sweep(state, now);
                let token = TokenRecord { expires, used: None };
                state.put(Family::Auth, token_key(&hash), Codec::encode(&token).into());
                AuthOutcome::Done
            }
            AuthCommand::UseToken { hash, now, node } => Self::use_token(state, &hash, now, node),
            AuthCommand::RemoveNode { node, now } => {
                Self::sweep_gone(state, now);
                state.delete(Family::Auth, node_key(node));
                state.delete(Family::Auth, certificate_key(node));
                state.put(Family::Auth, gone_key(node), Codec::encode(&now).into());
                let before = state.get(Family::Auth, &Bytes::from_static(REMOVALS_KEY));
                let removals = before.and_then(|count| removals(&count)).unwrap_or(0) + 1;
                state.put(Family::Auth, Bytes::from_static(REMOVALS_KEY), Codec::encode(&removals).into());
                AuthOutcome::Done
            }
            AuthCommand::ReplaceAuthority { former, sealed, trust } => {
                Self::replace_authority(state, &former, sealed, &trust)
            }
            AuthCommand::DropFormer { pin } => match Self::trust(state) {
                Some(trust) if trust.pin() == pin => {
                    let trust = trust.without_former().encode();
                    state.put(Family::Auth, Bytes::from_static(TRUST_KEY), trust.into());
                    AuthOutcome::Done
                }
                _ => AuthOutcome::OtherAuthority,
            },
            AuthCommand::KeepCertificate { certificate } => {
                if state.get(Family::Auth, &gone_key(certificate.node)).is_none() {
                    let key = certificate_key(certificate.node);
                    state.put(Family::Auth, key, Codec::encode(&certificate).into());
                }
                AuthOutcome::Done
            }
        }
    }

    fn trust(state: &mut Transaction<'_>) -> Option<Trust> {
        let row = state.get(Family::Auth, &Bytes::from_static(TRUST_KEY))?;
        Trust::decode(&row).ok()
    }

    /// One at a time: whoever has slept through two would find nobody who vouches for the last.
    fn replace_authority(
        state: &mut Transaction<'_>,
        former: &[u8; 32],
        sealed: Vec<u8>,
        trust: &Trust,
    ) -> AuthOutcome {
        let key = Bytes::from_static(AUTHORITY_KEY);
        let now = state.get(Family::Auth, &key);
        if now.is_none_or(|now| sha256(&now) != *former) {
            return AuthOutcome::OtherAuthority;
        }
        if Self::trust(state).is_some_and(|trust| trust.is_handing_over()) {
            return AuthOutcome::HandingOver;
        }
        state.put(Family::Auth, key, sealed.into());
        state.put(Family::Auth, Bytes::from_static(TRUST_KEY), trust.encode().into());
        AuthOutcome::Done
    }

    fn use_token(state: &mut Transaction<'_>, hash: &[u8; 32], now: u64, node: NodeRecord) -> AuthOutcome {
        let key = token_key(hash);
        let stored = state.get(Family::Auth, &key);
        let token = stored.and_then(|bytes| Codec::decode::<TokenRecord, PROPOSAL_BYTES_MAX>(&bytes).ok());
        let Some(mut token) = token else { return AuthOutcome::UnknownToken };
        if let Some(used) = &token.used {
            // The same node with the same key may ask again: its answer was lost on the way.
            let same = used.node == node.node && used.public_key == node.public_key;
            return if same { AuthOutcome::Done } else { AuthOutcome::UsedToken { by: used.name.clone() } };
        }
        if token.expires <= now {
            return AuthOutcome::ExpiredToken { at: token.expires };
        }
        state.put(Family::Auth, node_key(node.node), Codec::encode(&node).into());
        token.used = Some(node);
        state.put(Family::Auth, key, Codec::encode(&token).into());
        AuthOutcome::Done
    }

    /// Forgets nodes whose certificates have ended: nobody lets them in any more.
    fn sweep_gone(state: &mut Transaction<'_>, now: u64) {
        for (key, bytes) in state.scan_prefix(Family::Auth, GONE_PREFIX, GONE_MAX) {
            let at = Codec::decode::<u64, 16>(&bytes);
            if at.is_ok_and(|at| at + GONE_KEPT_S < now) {
                state.delete(Family::Auth, key);
            }
        }
    }

    fn sweep(state: &mut Transaction<'_>, now: u64) {
        for (key, bytes) in state.scan_prefix(Family::Auth, TOKEN_PREFIX, SWEEP_MAX) {
            let token = Codec::decode::<TokenRecord, PROPOSAL_BYTES_MAX>(&bytes);
            if token.is_ok_and(|token| token.expires + REMEMBER_S < now) {
                state.delete(Family::Auth, key);
            }
        }
    }
}
