//! A typed look at a part of the configuration, which is kept up to date.

use super::{Snapshot, path::Path, reading::typed};
use crate::wire::{Code, Fault};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;

/// Something that is shown each state of the configuration.
pub(super) trait View: Send {
    /// The path that it looks at.
    fn path(&self) -> String;

    /// Takes what is there now, if it is good.
    ///
    /// # Errors
    /// `Failed` if it is not: then what was taken before stays.
    fn show(&mut self, snapshot: &Snapshot) -> Result<(), Fault>;

    /// Whether nobody looks any more.
    fn is_closed(&self) -> bool;
}

/// A value of type `T`, as others see it.
pub(super) struct TypedView<T> {
    pub path: Path,
    /// What was taken last, as JSON.
    pub taken: Option<Value>,
    pub sender: watch::Sender<T>,
}

impl<T: DeserializeOwned + Send + Sync> View for TypedView<T> {
    fn path(&self) -> String {
        self.path.to_string()
    }

    fn show(&mut self, snapshot: &Snapshot) -> Result<(), Fault> {
        let found = snapshot.value_at(&self.path);
        if found == self.taken {
            return Ok(());
        }
        let value = look(snapshot, &self.path)?;
        self.taken = found;
        self.sender.send_replace(value);
        Ok(())
    }

    fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

/// What is at a path as a `T`. Where nothing is, that is what a `T` is made of without any value, if it can be: a
/// `None`, or a struct whose fields all have defaults.
///
/// # Errors
/// `Failed` if it is no `T`; `NotFound` if nothing is there, and a `T` can't be made of that.
pub(super) fn look<T: DeserializeOwned>(snapshot: &Snapshot, path: &Path) -> Result<T, Fault> {
    if let Some(found) = snapshot.find(path) {
        return typed(path, found);
    }
    let nothing = serde_json::from_value(Value::Null).or_else(|_| serde_json::from_value(json!({})));
    nothing.map_err(|_| {
        let path = if path.names().is_empty() { "the root".to_owned() } else { path.to_string() };
        let fault = Fault::new(Code::NotFound, format!("there is no value at {path} of the configuration"));
        fault.help("give it a default, or set it in a file, in the environment, or in the mesh")
    })
}
