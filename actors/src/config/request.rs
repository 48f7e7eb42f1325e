//! What is asked about the tree, and what is answered.

use crate::config::{ConfigPath, Plaintext, leaf::MASK};
use bincode::{Decode, Encode};
use micro_sdk::wire::{InstanceId, Namespace, ServiceName};

/// What is at a path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct GetRequest {
    /// The tenant.
    pub namespace: Namespace,
    /// Where.
    pub path: ConfigPath,
    /// With secrets as they are. Whoever asks for it was allowed to.
    pub show_secrets: bool,
    /// Answer from this node's replica as it is.
    pub stale: bool,
    /// As of this version of the tree.
    pub at: Option<u64>,
    /// With the staged changes that this instance has.
    pub instance: Option<InstanceId>,
    /// Tell who changed it last, if that was after this version.
    pub since: Option<u64>,
}

/// What is there.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Reading {
    /// JSON text; none if nothing is there.
    pub value: Option<Plaintext>,
    /// The version of the tree: the number of its last change.
    pub version: u64,
    /// The leaves, in the order of their keys.
    pub leaves: Vec<LeafView>,
    /// Who changed it last, if that was asked for.
    pub who: String,
    /// Of a reading of the replica as it is: how long ago that was known to be current; none if that can't be said.
    pub age_ms: Option<u64>,
}

/// A leaf as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LeafView {
    /// Where it is.
    pub path: String,
    /// JSON text.
    pub value: Plaintext,
    /// Whether it is a secret.
    pub secret: bool,
    /// The change that set it.
    pub version: u64,
    /// The staged change that set it; 0 for none.
    pub canary: u64,
}

impl LeafView {
    /// The value as anybody may see it.
    pub fn masked(&self) -> &str {
        if self.secret { MASK } else { self.value.expose() }
    }
}

/// What became of one leaf, as it is shown: a secret as `"[secret]"`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EditView {
    /// Where it is.
    pub path: String,
    /// What was there.
    pub before: Option<String>,
    /// What is there now.
    pub after: Option<String>,
    /// Whether it is a secret.
    pub secret: bool,
}

/// A change of the tree.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ChangeRequest {
    /// The tenant.
    pub namespace: Namespace,
    /// What is to be done.
    pub what: What,
    /// Only if this is the version of the tree.
    pub if_version: Option<u64>,
    /// Who does it, as the door has made sure of it.
    pub who: String,
    /// Why, for the history.
    pub reason: String,
    /// Say what would change, and change nothing.
    pub dry_run: bool,
    /// Makes a repeated change the same change.
    pub idempotency_key: Option<u128>,
}

/// What a change does.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum What {
    /// Sets what is at a path: an object is merged, all else replaces.
    Set {
        /// Where.
        path: ConfigPath,
        /// JSON text. `"[secret]"` stands for the secret that is there.
        value: Plaintext,
        /// Every leaf in it is a secret.
        secret: bool,
        /// An object replaces too.
        replace: bool,
        /// Stage it for this share of the instances; 0 for everybody at once.
        canary_percent: u32,
    },
    /// Removes what is at a path.
    Delete {
        /// Where.
        path: ConfigPath,
    },
    /// Makes what is at a path what it was.
    RollBack {
        /// Where.
        path: ConfigPath,
        /// At this version of the tree.
        to: u64,
    },
    /// Makes a staged change everybody's, or takes it back.
    EndCanary {
        /// Which one.
        canary: u64,
        /// Make it everybody's.
        promote: bool,
    },
}

/// What a change did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct ChangeReply {
    /// The version of the tree after it; the one before, if nothing changed.
    pub version: u64,
    /// What changed.
    pub edits: Vec<EditView>,
    /// The staged change that was made; 0 for none.
    pub canary: u64,
    /// The staged changes that touch what was changed: what they would replace is another now.
    pub staged: Vec<u64>,
}

/// The changes at or under a path, latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryRequest {
    /// The tenant.
    pub namespace: Namespace,
    /// Where.
    pub path: ConfigPath,
    /// Only changes before this version; 0 for all.
    pub before: u64,
    /// At most this many; 0 for 100.
    pub limit: u32,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeView {
    /// The version of the tree after it.
    pub version: u64,
    /// When it was, in milliseconds since 1970.
    pub time_ms: u64,
    /// Who made it.
    pub who: String,
    /// Why.
    pub reason: String,
    /// What kind of change.
    pub action: &'static str,
    /// The staged change that it made or ended; 0 for none.
    pub canary: u64,
    /// What changed.
    pub edits: Vec<EditView>,
}

/// Changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryReply {
    /// The changes.
    pub changes: Vec<ChangeView>,
    /// Whether there are older ones.
    pub more: bool,
}

/// What is different between two versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiffRequest {
    /// The tenant.
    pub namespace: Namespace,
    /// Where.
    pub path: ConfigPath,
    /// The one version.
    pub from: u64,
    /// The other; none is the tree as it is.
    pub to: Option<u64>,
}

/// A staged change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryView {
    /// Its number.
    pub canary: u64,
    /// When it was staged, in milliseconds since 1970.
    pub time_ms: u64,
    /// Who staged it.
    pub who: String,
    /// Why.
    pub reason: String,
    /// The share of the instances that has it.
    pub percent: u32,
    /// What it changes.
    pub edits: Vec<EditView>,
    /// What others have changed there since it was staged, then and now: with any, it can't be promoted.
    pub overtaken: Vec<EditView>,
    /// The instances that have it.
    pub instances: Vec<InstanceId>,
}

/// Registers the JSON Schema of a service's part.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetSchemaRequest {
    /// The tenant.
    pub namespace: Namespace,
    /// The service, which is the first name of the paths.
    pub service: ServiceName,
    /// JSON text; none takes it away.
    pub schema: Option<String>,
}

/// Makes a new key of secrets.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RotateRequest {
    /// Who does it, as the door has made sure of it.
    pub who: String,
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RotateReply {
    /// The number of the key that seals from now on.
    pub key: u32,
    /// How many secrets were sealed anew.
    pub secrets: u64,
    /// How many could not be opened, and stay as they are.
    pub lost: u64,
    /// The first of these: namespaces and paths.
    pub lost_paths: Vec<(Namespace, String)>,
}
