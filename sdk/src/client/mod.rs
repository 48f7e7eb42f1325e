//! A client of a node: its store, its configuration, its blobs, its accounts, calls by name, status and membership.
//!
//! ```no_run
//! # async fn example() -> Result<(), micro_sdk::wire::Fault> {
//! use micro_sdk::client::Node;
//!
//! let node = Node::connect().await?;
//! let users = node.store().table("users");
//! let version = users.put("id1", "Jane").await?;
//! let record = users.get("id1").await?.expect("it was just written");
//! assert_eq!((record.value.as_ref(), record.version), (b"Jane".as_slice(), version));
//!
//! let guard = node.lock("nightly").acquire().await?;
//! users.put("id1", "Joan").fence(guard.fence()).await?;
//! guard.release().await?;
//!
//! node.config().set("shop.limits.items", 20).reason("a sale").await?;
//! let limits = node.config().get("shop.limits").await?.value()?;
//! assert_eq!(limits, Some(serde_json::json!({ "items": 20 })));
//!
//! let logo = node.blobs().put("images/logo.png", vec![0; 4096]).content_type("image/png").await?;
//! let read = node.blobs().get("images/logo.png").await?.collect(1 << 20).await?;
//! assert_eq!((logo.size, read.len()), (4096, 4096));
//!
//! let jane = node.auth().login("jane", &"correct horse".to_owned().into()).await?;
//! let as_jane = node.clone().with_token(jane.access);
//! assert_eq!(as_jane.auth().who_am_i().await?.name, "jane");
//!
//! let hello = node.call("helloworld", "Greeter.call", serde_json::json!({ "name": "Jane" })).await?;
//! assert_eq!(hello["msg"], "Hello Jane");
//!
//! let mut counted = node.stream("helloworld", "Greeter.stream").ask(&serde_json::json!({ "count": 3 }))?;
//! while let Some(message) = futures::StreamExt::next(&mut counted).await {
//!     println!("{}", message?["count"]);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Retries are the node's, which knows what is safe to repeat; this client asks once and says what came of
//! it. What goes on for long (watches, leases, and what stands on them) asks again by itself, within a budget.

mod address;
mod audit;
mod auth;
mod authority;
mod background;
mod backup;
mod blob;
mod call;
mod config;
mod contact;
mod conversation;
mod dial;
mod directory;
mod election;
mod line;
mod lock;
mod membership;
mod node;
mod policy;
mod registry;
mod settings;
mod shown;
mod store;
mod token;
mod ways;

pub use address::{Address, AddressError, default_socket, named_socket};
pub use audit::{AuditBreak, AuditEntries, AuditEntry, AuditQuery, AuditVerification, NodeAudit};
pub use auth::{
    Account, AccountChange, AccountCreated, Auth, Checked, CheckedFor, Identity, Inspection, KeyRotation,
    Login, NewAccount, NewRule, Rule, RuleChange, SigningKey,
};
pub use authority::{Authority, FormerAuthority};
pub use backup::Backup;
pub use blob::{
    Blob, BlobPage, BlobPut, BlobReader, BlobUpload, Blobs, BlobsHandedOver, GetBlob, ListBlobs, PutBlob,
};
pub use call::{Call, Reply};
pub use config::{
    ConfigCanary, ConfigChange, ConfigChanged, ConfigEdit, ConfigHistory, ConfigLeaf, ConfigOrigin,
    ConfigReading, ConfigRotation, ConfigTree, ConfigUpdate, ConfigWatch, DeleteConfig, EndCanary, GetConfig,
    InstanceConfig, ListConfigHistory, RollBackConfig, SECRET, SetConfig, WatchConfig,
};
pub use contact::Contact;
pub use conversation::{Answers, Conversation, Requests, StreamCall};
pub use directory::{HealthState, InstanceHealth, ServiceDescription, ServiceInstance, ServiceListing};
pub use election::{Election, Leader, Leadership, Observer};
pub use lock::{HeldLock, Lock, LockGuard};
pub use membership::{Member, RemoveEvenIf};
pub use node::{JoinToken, Node};
pub use policy::{Policies, PolicyRehearsal, ServicePolicy};
pub use registry::{
    Registered, Registration, Registry, RegistryAction, RegistryChange, RegistryEvent, RegistryWatch,
    WatchRegistry,
};
pub use settings::Setting;
pub use store::{
    Batch, BatchError, Batched, Change, ChangeKind, Comparand, Compare, Counted, Delete, DeleteRange, Fence,
    Found, Get, History, Lease, LeaseListing, List, Op, OpResult, Order, Page, Put, Record, Relation,
    Revision, Store, TRANSACTION_OPS_MAX, Table, Transacted, Transaction, Watch, WatchError, WatchRange,
};
pub use token::Token;
pub use ways::{Connection, Explanation, Link, Links, Ping, Way};
#[cfg(feature = "serve")]
pub(crate) use {address::ADDRESS_VARIABLE, token::TOKEN_VARIABLE};
