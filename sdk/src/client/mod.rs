//! A client of a node: its store, calls by name, status and membership.
//!
//! ```no_run
//! # async fn example() -> Result<(), micro_sdk::wire::Fault> {
//! use micro_sdk::client::Node;
//!
//! let node = Node::connect().await?;
//! let users = node.store().table("users");
//! let version = users.write("id1", "Jane").await?;
//! let record = users.read("id1").await?.expect("it was just written");
//! assert_eq!((record.value.as_ref(), record.version), (b"Jane".as_slice(), version));
//!
//! let hello = node.call("helloworld", "Greeter.call", serde_json::json!({ "name": "Jane" })).await?;
//! assert_eq!(hello["msg"], "Hello Jane");
//! # Ok(())
//! # }
//! ```
//!
//! Retries are the node's, which knows what is safe to repeat; this client asks once and says what came of
//! it.

mod address;
mod call;
mod dial;
mod directory;
mod node;
mod store;
mod token;

pub use address::{Address, AddressError, default_socket};
pub use call::{Call, Reply};
pub use directory::{ServiceDescription, ServiceInstance, ServiceListing};
pub use node::{JoinToken, Member, Node};
pub use store::{Delete, List, Page, Read, Record, Store, Write};
pub use token::Token;
pub(crate) use {address::ADDRESS_VARIABLE, token::TOKEN_VARIABLE};
