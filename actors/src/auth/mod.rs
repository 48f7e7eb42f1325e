//! Who may come in, and who may do what.
//!
//! **Admission** lets nodes in: the mesh's authority, join tokens, certificates and their renewal.
//!
//! ```text
//!   new node ── token's secret, public key ──► any node ── admit ──► leader ── use token ──► Raft
//!            ◄── certificate, peers ──────────────────────────────── unseal the authority, sign, add learner
//! ```
//!
//! Certificates are short-lived, and each node renews its own (`certification`, and `renewal` beside this). The
//! authority itself is replaced while the mesh runs (`succession`).
//!
//! The authority's private key lies in Raft, sealed. The key of the seal is a file on every voter, given to a learner
//! over its own link before it becomes a voter: so any voter can admit and renew, and no disk alone holds both on a
//! node that does not vote.
//!
//! **Accounts** let people and programs in: accounts, sessions, tokens, rules.
//!
//! ```text
//!   login ──► any voter: secret, session, signed token
//!   door ──► bearer token ──► guard: key, time, revoked? ──► caller
//!   authorize(caller, action, resource) ──► guard: the rules of the resource's namespace ──► granted or denied
//!            records ──► applied here ──► follower ──► guard
//! ```
//!
//! All of it is records, and what is decided by them is in the memory of each node: a decision waits for nobody, and is
//! as old as the node's replica at most.

mod access_token;
mod account;
mod accounts;
mod amendment;
mod book;
mod certification;
mod command;
mod decision;
mod follower;
mod glob;
mod guard;
mod keyring;
mod locker;
mod machine;
mod platform;
mod policy;
mod refresh_token;
mod rehearsal;
mod request;
mod resource;
mod revocation;
mod rule;
mod rule_set;
mod rules;
mod seal;
mod secret;
mod service_token;
mod sessions;
mod signing_key;
mod standing;
mod state;
mod succession;

pub use access_token::{Claims, TokenError};
pub use account::AccountView;
pub use accounts::Accounts;
pub(crate) use accounts::AccountsParts;
pub use command::{AuthCommand, AuthOutcome, CertificateRecord, NodeRecord};
pub use decision::Decision;
pub(crate) use follower::Follower;
pub use guard::{Guard, Verified};
pub(crate) use locker::{Label, Locker};
pub use machine::AuthMachine;
pub use platform::{AUTH, AdmitRequest, AuthService, CreateTokenReply, CreateTokenRequest, UnsealRequest};
pub(crate) use platform::{decode, node_head};
pub use policy::Policy;
pub use rehearsal::Rehearsal;
pub use request::{
    AccountsPage, CreateAccountRequest, CreateRuleRequest, CreatedAccount, KeyView, LoginRequest,
    RevokeAccountRequest, RotatedKeys, SetSecretRequest, Tokens, UpdateAccountRequest, UpdateRuleRequest,
};
pub use resource::{Name, READ, Resource, SECRETS, WRITE};
pub use rule::{Access, RuleView, STARTING_RULES, StartingRule};
pub use rule_set::Nearest;
pub use seal::{SealError, SealKey};
pub use secret::{SECRET_BYTES_MAX, SECRET_BYTES_MIN, Secret};
pub use service_token::{ServiceToken, ServiceTokenRequest, service_caller};
pub use state::AuthState;
#[cfg(test)]
pub(crate) use state::tests;
pub use succession::{AuthorityView, FinishAuthorityRequest, FormerAuthority};
