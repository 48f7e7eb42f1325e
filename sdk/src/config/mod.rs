//! A program's configuration, from several sources:
//!
//! ```text
//!   defaults  <  files  <  environment  <  the mesh  <  flags
//! ```
//!
//! A later one wins, value by value: objects are merged, all else replaces. Files and the mesh are followed, so that
//! a change of them counts without a restart; and each value tells where it comes from.
//!
//! ```no_run
//! # async fn example() -> Result<(), micro_sdk::wire::Fault> {
//! use micro_sdk::config::Config;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Serialize, Deserialize)]
//! struct Limits {
//!     items: u32,
//! }
//!
//! let config = Config::for_service("shop")
//!     .defaults(serde_json::json!({ "limits": { "items": 20 }, "patience": "2s" }))
//!     .file("shop.toml")
//!     .env("SHOP_") // SHOP_LIMITS_ITEMS=30
//!     .mesh_here() // micro-node config set shop.limits.items 40
//!     .args(std::env::args().skip(1)) // --set limits.items=50
//!     .start()
//!     .await?;
//! let patience = config.duration("patience")?.expect("it has a default");
//! let mut limits = config.watch::<Limits>("limits")?;
//! while limits.changed().await.is_ok() {
//!     println!("{:?} now, of {}", *limits.borrow_and_update(), config.origin("limits.items")?.expect("it is there"));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A path names a place: `limits.items`; a dot or a backslash inside a name is written `\.` and `\\`. In the tree of
//! the mesh, the values of a service are under its name: `shop.limits.items`.
//!
//! What can't be used is told and not used: a file that is half written, a value that is no `Limits`, a variable that
//! may mean two things. What held before holds on, [`Config::problems`] and stderr say what is wrong. While no node
//! answers, the other sources count, and what was heard last.

mod builder;
mod environment;
mod file;
mod layer;
mod mesh;
mod path;
mod reading;
mod schema;
mod snapshot;
mod source;
mod state;
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "files of tests")]
mod tests;
mod view;

pub use builder::ConfigBuilder;
pub use snapshot::Snapshot;
pub use source::{Origin, Source};

use crate::wire::Fault;
use mesh::Followers;
use path::Path;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use state::Shared;
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};
use tokio::sync::watch;
use view::{TypedView, View, look};

/// A program's configuration, for as long as a clone of it lives. Cloning is cheap.
///
/// What reads a value reads it as it is at that moment; [`Config::snapshot`] is for several values that belong
/// together.
#[derive(Clone)]
pub struct Config {
    shared: Arc<Shared>,
    /// They end with the last clone.
    followers: Arc<Followers>,
}

impl Config {
    /// The configuration of the service with this name.
    pub fn for_service(name: impl Into<String>) -> ConfigBuilder {
        ConfigBuilder::new(name.into())
    }

    /// The configuration of this service.
    #[cfg(feature = "serve")]
    pub fn of(service: &impl crate::serve::Service) -> ConfigBuilder {
        Config::for_service(service.name())
    }

    /// All values as they are now.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.now()
    }

    /// All values as they are, and each time that they change.
    pub fn changes(&self) -> watch::Receiver<Snapshot> {
        self.shared.subscribe()
    }

    /// The value at `path` as a `T`, kept up to date for as long as the configuration lives. What is no `T` is not
    /// taken: the last good value stays, and [`Config::problems`] tells. Where nothing is, a `T` is what it is
    /// without any value: `None`, or its fields' defaults.
    ///
    /// # Errors
    /// `Failed` if what is there now is no `T`; `NotFound` if nothing is, and a `T` can't be without; `Usage` if it
    /// is no path.
    pub fn watch<T>(&self, path: &str) -> Result<watch::Receiver<T>, Fault>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        let path = Path::parse(path)?;
        self.shared.add_view(|snapshot| {
            let (sender, receiver) = watch::channel(look::<T>(snapshot, &path)?);
            let taken = snapshot.value_at(&path);
            Ok((Box::new(TypedView { path, taken, sender }) as Box<dyn View>, receiver))
        })
    }

    /// The value at `path` as a `T`, if there is one; of the whole with an empty path.
    ///
    /// # Errors
    /// `Failed` if it is no `T`; `Usage` if it is no path.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Fault> {
        self.snapshot().get(path)
    }

    /// The value at `path` as a `T`, or this one if there is none.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_or<T: DeserializeOwned>(&self, path: &str, default: T) -> Result<T, Fault> {
        self.snapshot().get_or(path, default)
    }

    /// The truth value at `path`.
    ///
    /// # Errors
    /// `Failed` if it is another value; `Usage` if it is no path.
    pub fn bool(&self, path: &str) -> Result<Option<bool>, Fault> {
        self.snapshot().bool(path)
    }

    /// The whole number at `path`.
    ///
    /// # Errors
    /// As [`bool`](Self::bool).
    pub fn int(&self, path: &str) -> Result<Option<i64>, Fault> {
        self.snapshot().int(path)
    }

    /// The number at `path`.
    ///
    /// # Errors
    /// As [`bool`](Self::bool).
    pub fn float(&self, path: &str) -> Result<Option<f64>, Fault> {
        self.snapshot().float(path)
    }

    /// The text at `path`. What a variable or a flag says is always one.
    ///
    /// # Errors
    /// As [`bool`](Self::bool).
    pub fn string(&self, path: &str) -> Result<Option<String>, Fault> {
        self.snapshot().string(path)
    }

    /// The length of time at `path`: a text such as `250ms` or `1h30m`.
    ///
    /// # Errors
    /// As [`bool`](Self::bool).
    pub fn duration(&self, path: &str) -> Result<Option<Duration>, Fault> {
        self.snapshot().duration(path)
    }

    /// The texts at `path`: an array of them. A variable or a flag may also have them parted by commas.
    ///
    /// # Errors
    /// As [`bool`](Self::bool).
    pub fn strings(&self, path: &str) -> Result<Option<Vec<String>>, Fault> {
        self.snapshot().strings(path)
    }

    /// Whether there is a value at `path`, be it null, false, empty, or an object with values in it.
    ///
    /// # Errors
    /// `Usage` if it is no path.
    pub fn exists(&self, path: &str) -> Result<bool, Fault> {
        self.snapshot().exists(path)
    }

    /// Where the value at `path` comes from; none if nothing or an object is there, which may come from several
    /// sources.
    ///
    /// # Errors
    /// `Usage` if it is no path.
    pub fn origin(&self, path: &str) -> Result<Option<Origin>, Fault> {
        self.snapshot().origin(path)
    }

    /// What is wrong just now, by what it concerns: a file, a variable, the mesh, something that is watched.
    pub fn problems(&self) -> BTreeMap<String, String> {
        self.shared.problems()
    }

    /// What the reserved endpoint `-.config` answers: all values with their origins, secrets masked.
    pub fn report(&self) -> Value {
        let snapshot = self.snapshot();
        json!({
            "version": snapshot.version(),
            "values": snapshot.report(&Path::from(vec![self.shared.service.clone()])),
            "problems": self.problems(),
        })
    }

    /// The service is attached as this instance: staged changes for it count from now on.
    #[cfg(feature = "serve")]
    pub(crate) fn attached(&self, instance: &str) {
        self.shared.instance().send_if_modified(|known| {
            let is_new = known != instance;
            instance.clone_into(known);
            is_new
        });
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config { shared, followers } = self;
        f.debug_struct("Config")
            .field("service", &shared.service)
            .field("values", &shared.now())
            .field("followers", followers)
            .finish()
    }
}
