//! Which sources a configuration has.

use super::{
    Config, Source,
    environment::Environment,
    file::{self, ConfigFile, Format},
    layer::Layer,
    mesh::{self, Followers, MeshAt},
    path::Path,
    schema,
    snapshot::Secrets,
    state::{Flag, Layers, Shared},
};
use crate::{
    client::Node,
    wire::{Code, Fault, Namespace},
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long a start waits for a mesh that it can do without: a node on this host answers within milliseconds, and
/// while it is away, this is what its absence costs each start.
const MESH_PATIENCE: Duration = Duration::from_secs(2);

/// A configuration that is being made up: which sources it has. Their order is fixed, whatever the order of these
/// calls: defaults, then files, the environment, the mesh, flags; of the same kind, a later one wins.
#[must_use = "a configuration begins when it is started"]
pub struct ConfigBuilder {
    service: String,
    defaults: Vec<Result<Value, Fault>>,
    files: Vec<ConfigFile>,
    environments: Vec<Environment>,
    mesh: Option<MeshAt>,
    required_within: Option<Duration>,
    flags: Vec<(String, String)>,
    /// What was given as flags and is none.
    odd_flags: Vec<String>,
    schema: Option<Value>,
    secrets: Vec<String>,
}

impl ConfigBuilder {
    pub(super) fn new(service: String) -> ConfigBuilder {
        ConfigBuilder {
            service,
            defaults: Vec::new(),
            files: Vec::new(),
            environments: Vec::new(),
            mesh: None,
            required_within: None,
            flags: Vec::new(),
            odd_flags: Vec::new(),
            schema: None,
            secrets: Vec::new(),
        }
    }

    /// Values that hold where no source says otherwise: `json!({…})`, or any struct.
    pub fn defaults(mut self, values: impl Serialize) -> ConfigBuilder {
        let refused = |error| Fault::new(Code::Usage, format!("the defaults can't be JSON: {error}"));
        let values = serde_json::to_value(values).map_err(refused).and_then(|values| match values {
            Value::Object(_) => Ok(values),
            _ => Err(Fault::new(Code::Usage, "defaults are an object, with names")),
        });
        self.defaults.push(values);
        self
    }

    /// A file, if it is there, now or later: TOML, JSON or YAML by its extension. A change of it counts within two
    /// seconds.
    pub fn file(mut self, path: impl Into<PathBuf>) -> ConfigBuilder {
        self.files.push(ConfigFile { path: path.into(), required: false });
        self
    }

    /// A file that has to be there.
    pub fn required_file(mut self, path: impl Into<PathBuf>) -> ConfigBuilder {
        self.files.push(ConfigFile { path: path.into(), required: true });
        self
    }

    /// The variables of the environment with this prefix. `SHOP_LIMITS_ITEMS` is `limits.items`, or whichever of its
    /// meanings is known from another source, from the schema, or because it is asked for; `SHOP_LIMITS__ITEMS` is
    /// that always. A value is JSON where it can be, and a text otherwise, and where it takes the place of one.
    pub fn env(self, prefix: &str) -> ConfigBuilder {
        // What is not Unicode is nothing that a value could be.
        let variables = std::env::vars_os();
        let variables =
            variables.filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)));
        self.variables(prefix, variables)
    }

    /// The same with these variables instead of the process's own.
    pub fn variables(
        mut self,
        prefix: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> ConfigBuilder {
        self.environments.push(Environment::new(prefix, variables));
        self
    }

    /// The mesh, through this node: what is in its tree under the service's name. While the node is away, the other
    /// sources count, and what was heard last.
    pub fn mesh(mut self, node: &Node) -> ConfigBuilder {
        self.mesh = Some(MeshAt::Node(node.clone()));
        self
    }

    /// The mesh, through the node that [`Node::connect`] finds, once there is one: the service starts also without.
    pub fn mesh_here(mut self) -> ConfigBuilder {
        self.mesh = Some(MeshAt::Here(Namespace::default()));
        self
    }

    /// The same in another namespace than `default`.
    pub fn mesh_here_in(mut self, namespace: Namespace) -> ConfigBuilder {
        self.mesh = Some(MeshAt::Here(namespace));
        self
    }

    /// Does not start until the mesh was heard, and fails if that takes longer than `deadline`.
    pub fn require_mesh(mut self, deadline: Duration) -> ConfigBuilder {
        self.required_within = Some(deadline);
        self
    }

    /// Values by path, as a command line gives them. They are read as those of variables are.
    pub fn flags<P: Into<String>, V: Into<String>>(
        mut self,
        flags: impl IntoIterator<Item = (P, V)>,
    ) -> ConfigBuilder {
        self.flags.extend(flags.into_iter().map(|(path, text)| (path.into(), text.into())));
        self
    }

    /// The values that `--set PATH=VALUE` says among these arguments; all others are left alone.
    pub fn args<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> ConfigBuilder {
        let mut arguments = arguments.into_iter().map(Into::into);
        while let Some(argument) = arguments.next() {
            let pair = match argument.strip_prefix("--set") {
                Some("") => arguments.next().unwrap_or_default(),
                Some(rest) if rest.starts_with('=') => rest[1..].to_owned(),
                _ => continue,
            };
            match pair.split_once('=') {
                Some((path, text)) => self.flags.push((path.to_owned(), text.to_owned())),
                None => self.odd_flags.push(pair),
            }
        }
        self
    }

    /// What the configuration must look like. It is registered at the mesh, which then refuses what does not fit, and
    /// tells what variables mean. A part that other sources have may be missing in the mesh.
    pub fn schema<T: JsonSchema>(mut self) -> ConfigBuilder {
        self.schema = Some(schema::partial::<T>());
        self
    }

    /// What is at `path`, from whatever source, is a secret, besides what the mesh calls one: it is not printed.
    pub fn secret(mut self, path: impl Into<String>) -> ConfigBuilder {
        self.secrets.push(path.into());
        self
    }

    /// Reads all sources, and begins to watch them. Where `--help` or `--version` is the program's sole argument, the
    /// mesh is left out: what is only asked does not wait for a node.
    ///
    /// # Errors
    /// `Usage` if a path, a flag or a file can't be understood, `NotFound` if a required file is not there, and, if
    /// the mesh is required, why it was not heard.
    pub async fn start(mut self) -> Result<Config, Fault> {
        #[cfg(feature = "serve")]
        if crate::serve::is_asked() {
            (self.mesh, self.required_within) = (None, None);
        }
        let mut layers = self.layers()?;
        let mut contents = Vec::new();
        for file in &self.files {
            let (content, layer) = file.load().await?;
            layers.files.push(layer);
            contents.push(content);
        }
        let shared = Arc::new(Shared::new(self.service, layers));
        let mut followers = Followers::default();
        for (number, (file, content)) in self.files.into_iter().zip(contents).enumerate() {
            followers.add(file::watch(Arc::downgrade(&shared), file, number, content));
        }
        let heard = shared.heard().subscribe();
        let is_followed = self.mesh.is_some();
        if let Some(at) = self.mesh {
            followers.add(mesh::follow(Arc::downgrade(&shared), at, self.schema));
        }
        let config = Config { shared, followers: followers.share() };
        if is_followed {
            config.hear(heard, self.required_within).await?;
        }
        Ok(config)
    }

    /// The layers that need no reading.
    fn layers(&self) -> Result<Layers, Fault> {
        self.files.iter().try_for_each(|file| Format::of(&file.path).map(drop))?;
        if let Some(odd) = self.odd_flags.first() {
            let fault = Fault::new(Code::Usage, format!("--set {odd:?} has no value"));
            return Err(fault.help("write it as --set PATH=VALUE"));
        }
        if self.required_within.is_some() && self.mesh.is_none() {
            return Err(Fault::new(
                Code::Usage,
                "the mesh is required, and is no source of this configuration",
            ));
        }
        let defaults = self.defaults.iter().map(|values| {
            let values = values.as_ref().map_err(Clone::clone)?;
            Ok(Layer::of(Source::Default, values, ""))
        });
        let flag = |(path, text): &(String, String)| {
            Ok(Flag { path: Path::parse(path)?, text: text.clone(), place: format!("--set {path}") })
        };
        let mut secrets = Secrets::default();
        for path in &self.secrets {
            secrets.insert(Path::parse(path)?);
        }
        Ok(Layers {
            defaults: defaults.collect::<Result<_, Fault>>()?,
            files: Vec::new(),
            environments: self.environments.clone(),
            mesh: Layer::empty(Source::Mesh),
            version: 0,
            flags: self.flags.iter().map(flag).collect::<Result<_, Fault>>()?,
            schema: self.schema.as_ref().map_or_else(BTreeSet::new, schema::paths),
            secrets,
        })
    }
}

impl Config {
    /// Waits until the mesh was heard: no longer than `required_within`, or for a moment if it may be away.
    async fn hear(
        &self,
        mut heard: tokio::sync::watch::Receiver<bool>,
        required_within: Option<Duration>,
    ) -> Result<(), Fault> {
        let patience = required_within.unwrap_or(MESH_PATIENCE);
        let is_heard = timeout(patience, heard.wait_for(|heard| *heard)).await.is_ok();
        if is_heard || required_within.is_none() {
            return Ok(());
        }
        let why = self.problems().remove("mesh").unwrap_or_else(|| "no answer".to_owned());
        let message = format!("the configuration of the mesh was not heard within {patience:?}: {why}");
        Err(Fault::new(Code::Unavailable, message).help("is the node up? `micro-node status` tells"))
    }
}
