//! A watch of the tree: what is at a path, each time that it changes, whatever becomes of connections.
//!
//! A node tells the whole value each time, so that a watch that was cut off has missed nothing once it is asked again:
//! what was told before is not told again, and several changes may be told as one.

use super::{
    super::{
        contact::{Contact, Reconnection},
        node::Stake,
    },
    ConfigEdit, ConfigLeaf, ConfigReading, ConfigTree, SECRET,
};
use crate::{
    proto::{self, WatchConfigResponse},
    wire::{Code, Fault},
};
use futures::{Stream, future::BoxFuture, stream};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tonic::Streaming;

/// A watch that is being made up. Await it to begin it.
#[derive(Debug)]
#[must_use = "a watch begins when it is awaited"]
pub struct WatchConfig {
    tree: ConfigTree,
    path: String,
    show_secrets: bool,
    instance: String,
    reconnection: Reconnection,
}

/// A watch. Dropping it ends it.
#[derive(Debug)]
pub struct ConfigWatch {
    asked: WatchConfig,
    answers: Option<Streaming<WatchConfigResponse>>,
    /// What was told last.
    told: Option<ConfigReading>,
    ended: bool,
}

/// What a watch tells.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigUpdate {
    /// What is there now.
    pub reading: ConfigReading,
    /// What changed since the last one; empty in the first.
    pub edits: Vec<ConfigEdit>,
    /// Who made the change, or the last of several. None in the first, and where it is not known: a staged change goes
    /// over to an instance when another one goes, and the history is kept for a while.
    pub who: Option<String>,
}

impl WatchConfig {
    pub(super) fn new(tree: ConfigTree, path: String) -> WatchConfig {
        let reconnection = Reconnection::default();
        WatchConfig { tree, path, show_secrets: false, instance: String::new(), reconnection }
    }

    /// With secrets as they are; else each is [`SECRET`].
    pub fn show_secrets(mut self) -> WatchConfig {
        self.show_secrets = true;
        self
    }

    /// With the staged changes that this instance of a service has.
    pub fn instance(mut self, instance: impl Into<String>) -> WatchConfig {
        self.instance = instance.into();
        self
    }

    /// Ends once no node has answered for this long.
    pub fn patience(mut self, patience: Duration) -> WatchConfig {
        self.reconnection.patience = patience;
        self
    }

    /// Tells `listener` when the node does not answer any more, and when it does again: changes come late meanwhile. It
    /// is called from within the watch, and must not block.
    pub fn on_contact(mut self, listener: impl Fn(Contact) + Send + Sync + 'static) -> WatchConfig {
        self.reconnection.listener = Some(Arc::new(listener));
        self
    }

    /// Asks the node for what is there, and for what comes, given the version that was told last.
    async fn ask(&self, since: Option<u64>) -> Result<Streaming<WatchConfigResponse>, Fault> {
        let node = &self.tree.node;
        let message = proto::WatchConfigRequest {
            namespace: self.tree.namespace(),
            path: self.path.clone(),
            show_secrets: self.show_secrets,
            instance: self.instance.clone(),
            since,
        };
        let mut client = node.configuration();
        let sent = |request| async move { client.watch_config(request).await };
        // The deadline is that of the beginning: a watch itself has none.
        node.ask(Stake::Read, node.timeout(), message, sent).await
    }
}

impl IntoFuture for WatchConfig {
    type Output = Result<ConfigWatch, Fault>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Begins the watch. Errors are those of a [reading](super::GetConfig).
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let answers = Some(self.ask(None).await?);
            Ok(ConfigWatch { asked: self, answers, told: None, ended: false })
        })
    }
}

impl ConfigWatch {
    /// What is there first, then each change of it; none after the fault that ended the watch: a refusal, or no node
    /// for too long. Nothing is lost if it is dropped while it waits.
    pub async fn next(&mut self) -> Option<Result<ConfigUpdate, Fault>> {
        if self.ended {
            return None;
        }
        let next = self.advance().await;
        self.ended = next.is_err();
        Some(next)
    }

    /// The same as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<ConfigUpdate, Fault>> + Send {
        stream::unfold(self, |mut watch| async move { watch.next().await.map(|next| (next, watch)) })
    }

    async fn advance(&mut self) -> Result<ConfigUpdate, Fault> {
        loop {
            let Some(answers) = &mut self.answers else {
                let since = self.told.as_ref().map(|told| told.version);
                match self.asked.ask(since).await {
                    Ok(answers) => self.answers = Some(answers),
                    Err(fault) => self.recover(fault).await?,
                }
                continue;
            };
            let fault = match answers.message().await {
                Ok(Some(response)) => {
                    self.asked.reconnection.answered();
                    match self.update(response) {
                        Some(update) => return Ok(update),
                        None => continue,
                    }
                }
                Ok(None) => Fault::new(Code::Unavailable, "the node let go of the watch"),
                Err(status) => {
                    let node = &self.asked.tree.node;
                    node.fault(Stake::Read, node.timeout(), status)
                }
            };
            self.recover(fault).await?;
        }
    }

    /// What the node said, unless it was told before. One that is asked again can't know what is new to this watcher.
    fn update(&mut self, response: WatchConfigResponse) -> Option<ConfigUpdate> {
        let WatchConfigResponse { value, version, leaves, edits, who } = response;
        let leaves = leaves.into_iter().map(ConfigLeaf::from).collect();
        let reading = ConfigReading { text: value, version, leaves, age: None };
        let edits = match &self.told {
            None => Vec::new(),
            Some(told) if told.text == reading.text && told.leaves == reading.leaves => return None,
            Some(_) if !edits.is_empty() => edits.into_iter().map(ConfigEdit::from).collect(),
            Some(told) => difference(&told.leaves, &reading.leaves),
        };
        self.told = Some(reading.clone());
        Some(ConfigUpdate { reading, edits, who: Some(who).filter(|who| !who.is_empty()) })
    }

    /// Gets ready to ask again after a pause.
    async fn recover(&mut self, fault: Fault) -> Result<(), Fault> {
        self.answers = None;
        match matches!(fault.code, Code::Usage | Code::Denied | Code::NotFound | Code::Internal) {
            true => Err(fault),
            false => self.asked.reconnection.pause(fault).await,
        }
    }
}

/// What is different between two lists of leaves, by path.
fn difference(before: &[ConfigLeaf], after: &[ConfigLeaf]) -> Vec<ConfigEdit> {
    let mut paths: BTreeMap<&str, (Option<&ConfigLeaf>, Option<&ConfigLeaf>)> = BTreeMap::new();
    before.iter().for_each(|leaf| paths.entry(&leaf.path).or_default().0 = Some(leaf));
    after.iter().for_each(|leaf| paths.entry(&leaf.path).or_default().1 = Some(leaf));
    let shown = |leaf: &ConfigLeaf| if leaf.secret { format!("\"{SECRET}\"") } else { leaf.text.clone() };
    let changed = paths.into_iter().filter(|(_, (before, after))| {
        before.map(|leaf| (&leaf.text, leaf.secret, leaf.version))
            != after.map(|leaf| (&leaf.text, leaf.secret, leaf.version))
    });
    let edit = |(path, (before, after)): (&str, (Option<&ConfigLeaf>, Option<&ConfigLeaf>))| ConfigEdit {
        path: path.to_owned(),
        before: before.map(shown),
        after: after.map(shown),
        secret: [before, after].into_iter().flatten().any(|leaf| leaf.secret),
    };
    changed.map(edit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(path: &str, text: &str, version: u64) -> ConfigLeaf {
        let (path, text) = (path.to_owned(), text.to_owned());
        ConfigLeaf { path, text, secret: false, version, canary: None }
    }

    #[test]
    fn a_difference_tells_what_came_changed_and_went_as_it_was_written() {
        let before = [leaf("a", "1", 1), leaf("b", "1.10", 1), leaf("c", "3", 1)];
        let after = [leaf("a", "1", 1), leaf("b", "123456789012345678901", 2), leaf("d", "5", 2)];
        let edits = difference(&before, &after);
        let found: Vec<_> = edits
            .iter()
            .map(|edit| (edit.path.as_str(), edit.before.as_deref(), edit.after.as_deref()))
            .collect();
        let changed = ("b", Some("1.10"), Some("123456789012345678901"));
        assert_eq!(found, [changed, ("c", Some("3"), None), ("d", None, Some("5"))]);
    }
}
