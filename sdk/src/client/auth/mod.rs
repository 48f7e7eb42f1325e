//! Accounts, tokens and rules.

mod account;
mod login;
mod renewal;
mod rule;

pub use account::{Account, AccountChange, AccountCreated, NewAccount};
pub use login::{Identity, Inspection, Login};
pub(super) use renewal::keep_logged_in;
pub use rule::{Checked, CheckedFor, NewRule, Rule, RuleChange};

use super::{Node, Token, node::Stake};
use crate::{
    proto,
    wire::{Code, Fault},
};
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// One of the keys that sign tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// What it is called in tokens.
    pub id: String,
    /// When it was made.
    pub created: SystemTime,
    /// Whether it signs now; else it verifies only.
    pub signs: bool,
}

/// What a rotation of the keys did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRotation {
    /// The keys whose tokens are good, latest first.
    pub keys: Vec<SigningKey>,
    /// The key whose tokens are good no more, if one had to go.
    pub dropped: Option<String>,
}

/// Accounts, tokens and rules of one namespace. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Auth {
    node: Node,
    dry_run: bool,
}

impl Auth {
    pub(super) fn new(node: Node) -> Auth {
        Auth { node, dry_run: false }
    }

    /// Only tells what would come of making, changing and deleting accounts and rules: each is checked and answered as
    /// if it were done, and is not.
    #[must_use]
    pub fn dry_run(self, dry_run: bool) -> Auth {
        Auth { dry_run, ..self }
    }

    /// Makes a new key that signs; the one that signed so far still verifies.
    ///
    /// # Errors
    /// As every request.
    pub async fn rotate_keys(&self) -> Result<KeyRotation, Fault> {
        let mut client = self.node.auth_client();
        let sent = |request| async move { client.rotate_keys(request).await };
        let response =
            self.node.ask(Stake::Call, self.node.timeout(), proto::RotateKeysRequest {}, sent).await?;
        let key = |key: proto::SigningKey| {
            let proto::SigningKey { id, created_ms, signs } = key;
            SigningKey { id, created: time_of(created_ms), signs }
        };
        Ok(KeyRotation { keys: response.keys.into_iter().map(key).collect(), dropped: response.dropped })
    }

    /// The public keys that tokens are verified with, as a JSON Web Key Set (RFC 7517). Needs no token.
    ///
    /// # Errors
    /// As every request.
    pub async fn keys(&self) -> Result<Value, Fault> {
        let mut client = self.node.auth_client();
        let sent = |request| async move { client.keys(request).await };
        let response = self.node.ask(Stake::Read, self.node.timeout(), proto::KeysRequest {}, sent).await?;
        parse("the key set", &response.jwks)
    }

    fn namespace(&self) -> String {
        self.node.namespace().to_string()
    }
}

fn parse(what: &str, text: &str) -> Result<Value, Fault> {
    serde_json::from_str(text).map_err(|error| {
        Fault::new(Code::Internal, format!("{what} is not JSON: {error}"))
            .help("client and node may be of different versions")
    })
}

fn missing(what: &str) -> Fault {
    Fault::new(Code::Internal, format!("the node's answer lacks {what}"))
        .help("client and node may be of different versions")
}

/// The time of day that a node tells in milliseconds since 1970.
fn time_of(ms: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
}

fn exposed(token: Option<&Token>) -> Option<String> {
    token.map(|token| token.expose().to_owned())
}
