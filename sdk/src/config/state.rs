//! What all parts of a configuration share: the values of each source, and what is made of them.

use super::{
    Snapshot,
    environment::Environment,
    layer::{Layer, Leaf, above, within},
    path::Path,
    snapshot::Secrets,
    source::Source,
    view::View,
};
use crate::wire::Fault;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::Write,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// The values of each source.
#[derive(Debug)]
pub(super) struct Layers {
    pub defaults: Vec<Layer>,
    pub files: Vec<Layer>,
    pub environments: Vec<Environment>,
    pub mesh: Layer,
    /// The version of the mesh's tree; 0 if it was not heard.
    pub version: u64,
    pub flags: Vec<Flag>,
    /// The paths that the schema names.
    pub schema: BTreeSet<Path>,
    /// What the program itself calls secret.
    pub secrets: Secrets,
}

/// A value of the command line.
#[derive(Clone)]
pub(super) struct Flag {
    pub path: Path,
    pub text: String,
    pub place: String,
}

impl fmt::Debug for Flag {
    /// Without the text, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Flag").field(&self.place).finish()
    }
}

/// What all parts of a configuration share.
pub(super) struct Shared {
    /// The service.
    pub service: String,
    state: Mutex<State>,
    current: watch::Sender<Snapshot>,
    /// The instance that the service is, as its node calls it; empty before it is attached.
    instance: watch::Sender<String>,
    /// Whether the mesh was heard.
    heard: watch::Sender<bool>,
}

struct State {
    layers: Layers,
    views: Vec<Box<dyn View>>,
    /// What is wrong, by what is concerned.
    problems: BTreeMap<String, String>,
}

impl Layers {
    /// What all sources say together, and which variables can't be understood.
    fn merge(&self) -> (Snapshot, Vec<(String, String)>) {
        let below: Vec<&Layer> = self.defaults.iter().chain(&self.files).collect();
        let known = self.known();
        let like = |path: &Path| below.iter().rev().find_map(|layer| layer.value_at(path));
        let placed: Vec<_> = self.environments.iter().map(|found| found.place(&known, like)).collect();

        let mut layers = below.clone();
        layers.extend(placed.iter().map(|placed| &placed.layer));
        layers.push(&self.mesh);
        let mut flags = Layer::empty(Source::Flag);
        for flag in &self.flags {
            let like = layers.iter().rev().find_map(|layer| layer.value_at(&flag.path));
            put(&mut flags, flag, like.as_ref());
        }
        layers.push(&flags);
        let unplaced = placed.iter().map(|placed| placed.unplaced.clone()).collect();
        let snapshot = Snapshot::merge(&layers, unplaced, self.secrets.clone(), self.version);
        (snapshot, placed.into_iter().flat_map(|placed| placed.problems).collect())
    }

    /// All places that are known besides variables: values, branches, and what the schema names.
    fn known(&self) -> BTreeSet<Path> {
        let layers = self.defaults.iter().chain(&self.files).chain([&self.mesh]);
        let leaves = layers.flat_map(|layer| layer.leaves.keys());
        let leaves = leaves.chain(self.flags.iter().map(|flag| &flag.path)).chain(&self.schema);
        let ancestors = |path: &Path| {
            let names = path.names().to_vec();
            (1..=names.len()).map(move |depth| Path::from(names[..depth].to_vec())).collect::<Vec<_>>()
        };
        leaves.flat_map(ancestors).collect()
    }
}

/// Adds a flag to those before it: what it says replaces what they say there.
fn put(layer: &mut Layer, flag: &Flag, like: Option<&Value>) {
    let replaced: Vec<Path> = within(&layer.leaves, &flag.path).map(|(path, _)| path.clone()).collect();
    let covering = above(&layer.leaves, &flag.path).map(|(path, _)| path.clone());
    for path in replaced.iter().chain(&covering) {
        layer.leaves.remove(path);
    }
    let leaf = Leaf::read(&flag.text, &flag.place, like);
    match &leaf.value {
        // An object is a branch here as everywhere.
        Value::Object(_) => layer.insert(&flag.path, &leaf.value, &flag.place),
        _ => drop(layer.leaves.insert(flag.path.clone(), leaf)),
    }
}

impl Shared {
    pub fn new(service: String, layers: Layers) -> Shared {
        let (snapshot, unclear) = layers.merge();
        let state = State { layers, views: Vec::new(), problems: BTreeMap::new() };
        let shared = Shared {
            service,
            state: Mutex::new(state),
            current: watch::Sender::new(snapshot),
            instance: watch::Sender::default(),
            heard: watch::Sender::default(),
        };
        unclear.into_iter().for_each(|(name, why)| shared.problem(&variable(&name), Some(why)));
        shared
    }

    /// The values as they are now.
    pub fn now(&self) -> Snapshot {
        self.current.borrow().clone()
    }

    /// The values as they are, and each time that they change.
    pub fn subscribe(&self) -> watch::Receiver<Snapshot> {
        self.current.subscribe()
    }

    /// The instance that the service is.
    pub fn instance(&self) -> &watch::Sender<String> {
        &self.instance
    }

    /// Whether the mesh was heard.
    pub fn heard(&self) -> &watch::Sender<bool> {
        &self.heard
    }

    /// Changes what a source says, and tells all who watch what comes of it.
    pub fn change(&self, change: impl FnOnce(&mut Layers)) {
        let mut state = self.lock();
        change(&mut state.layers);
        let (snapshot, unclear) = state.layers.merge();
        if !snapshot.differs(&self.now()) {
            return;
        }
        let State { views, problems, .. } = &mut *state;
        views.retain(|view| !view.is_closed());
        for view in views {
            let problem = view.show(&snapshot).err().map(|fault| fault.message);
            self.note(problems, &format!("watched {:?}", view.path()), problem);
        }
        let mut variables: Vec<String> =
            problems.keys().filter(|key| key.starts_with(VARIABLE)).cloned().collect();
        for (name, why) in unclear {
            variables.retain(|key| *key != variable(&name));
            self.note(problems, &variable(&name), Some(why));
        }
        variables.iter().for_each(|key| self.note(problems, key, None));
        // Last, so that whoever is told by it finds views and problems up to date.
        self.current.send_replace(snapshot);
    }

    /// Makes a view of what is there now, and shows it each later state. Gives what `make` gives beside the view.
    pub fn add_view<R>(
        &self,
        make: impl FnOnce(&Snapshot) -> Result<(Box<dyn View>, R), Fault>,
    ) -> Result<R, Fault> {
        // Under the lock, so that no change comes between its first state and its place in the list.
        let mut state = self.lock();
        let (view, beside) = make(&self.now())?;
        state.views.push(view);
        Ok(beside)
    }

    /// What is wrong, each with what it concerns.
    pub fn problems(&self) -> BTreeMap<String, String> {
        self.lock().problems.clone()
    }

    /// Notes what is wrong with `what`, or that nothing is any more.
    pub fn problem(&self, what: &str, problem: Option<String>) {
        self.note(&mut self.lock().problems, what, problem);
    }

    fn note(&self, problems: &mut BTreeMap<String, String>, what: &str, problem: Option<String>) {
        match problem {
            None => drop(problems.remove(what)),
            Some(problem) => {
                if problems.get(what) != Some(&problem) {
                    // For the person who runs it. `eprintln!` would panic once nobody reads any more.
                    let _ =
                        writeln!(std::io::stderr(), "configuration of {}: {what}: {problem}", self.service);
                    problems.insert(what.to_owned(), problem);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A reader of people's types may panic with it; the state is whole before and after each of them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the problems of variables begin with.
const VARIABLE: &str = "environment ";

fn variable(name: &str) -> String {
    format!("{VARIABLE}{name}")
}
