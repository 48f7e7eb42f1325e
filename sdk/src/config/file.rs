//! Files: read at the start, and again when they have changed.
//!
//! Each file is read each second and compared with what was read before. That is right for editors that write in place,
//! for those that rename another file over it, for links that are turned elsewhere (as Kubernetes does), and for files
//! that are not there yet; and a small file that nobody has touched costs next to nothing to read.

use super::{Source, layer::Layer, state::Shared};
use crate::wire::{Code, Fault};
use serde_json::Value;
use std::{
    io,
    path::{Path, PathBuf},
    sync::Weak,
    time::Duration,
};
use tokio::time::sleep;

/// How often a file is looked at: sooner than a person who has saved it looks whether it took effect.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a changed file has to stay as it is until it is taken: longer than it takes to write one, so that nothing
/// half written is.
const SETTLE: Duration = Duration::from_millis(100);
/// The largest file: configuration beyond it is data.
const BYTES_MAX: u64 = 1 << 20;

/// A file of values.
#[derive(Clone, Debug)]
pub(crate) struct ConfigFile {
    pub path: PathBuf,
    /// Whether the program can't do without it.
    pub required: bool,
}

/// What is in a file; none if there is none.
type Content = Result<Option<Vec<u8>>, String>;

impl ConfigFile {
    /// What it is called in origins and problems.
    pub fn place(&self) -> String {
        self.path.display().to_string()
    }

    /// Reads the file.
    ///
    /// # Errors
    /// `NotFound` if it is required and not there, `Failed` if it can't be read, `Usage` if it is not of its format.
    pub async fn load(&self) -> Result<(Content, Layer), Fault> {
        let content = self.read().await;
        let layer = self.layer(&content)?;
        Ok((content, layer))
    }

    #[expect(clippy::disallowed_methods, reason = "a file of a person's program, which no simulation runs")]
    async fn read(&self) -> Content {
        let size = match tokio::fs::metadata(&self.path).await {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        if size > BYTES_MAX {
            return Err(format!("it has {size} bytes, over the limit of {BYTES_MAX}"));
        }
        match tokio::fs::read(&self.path).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    fn layer(&self, content: &Content) -> Result<Layer, Fault> {
        let place = self.place();
        match content {
            Ok(Some(bytes)) => Ok(Layer::of(Source::File, &self.parse(bytes)?, &place)),
            Ok(None) if !self.required => Ok(Layer::empty(Source::File)),
            Ok(None) => {
                let fault = Fault::new(Code::NotFound, format!("the file {place} is not there"));
                Err(fault.help("make it, or say where it is"))
            }
            Err(why) => Err(Fault::new(Code::Failed, format!("the file {place} can't be read: {why}"))),
        }
    }

    fn parse(&self, bytes: &[u8]) -> Result<Value, Fault> {
        let refused = |why: String| {
            let place = self.place();
            Fault::new(Code::Usage, format!("the file {place} is not as its name says: {why}"))
        };
        let text = std::str::from_utf8(bytes).map_err(|error| refused(error.to_string()))?;
        let parsed = match Format::of(&self.path)? {
            // None of these may repeat a value, which may be a secret: only where it is that can't be read.
            Format::Toml => toml::from_str::<toml::Table>(text).map(json_of).map_err(|error| {
                let line = error.span().map_or(0, |span| text[..span.start].lines().count().max(1));
                format!("line {line}: {}", error.message())
            }),
            Format::Json => serde_json::from_str(text).map_err(|error| error.to_string()),
            Format::Yaml if text.trim().is_empty() => Ok(Value::Null),
            Format::Yaml => yaml_serde::from_str(text).map_err(|error| error.to_string()),
        };
        match parsed.map_err(refused)? {
            // A file of comments.
            Value::Null => Ok(Value::Object(serde_json::Map::new())),
            value @ Value::Object(_) => Ok(value),
            _ => Err(refused("at its top there are no names with values".to_owned())),
        }
    }
}

/// The formats of files, by extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Toml,
    Json,
    Yaml,
}

impl Format {
    /// The format of a file.
    ///
    /// # Errors
    /// `Usage` if its extension is none that is known.
    pub fn of(path: &Path) -> Result<Format, Fault> {
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        match extension.as_str() {
            "toml" => Ok(Format::Toml),
            "json" => Ok(Format::Json),
            "yaml" | "yml" => Ok(Format::Yaml),
            _ => {
                let message = format!("{} is in no format that is known", path.display());
                Err(Fault::new(Code::Usage, message).help("a file ends in .toml, .json, .yaml or .yml"))
            }
        }
    }
}

/// TOML as JSON. Its dates become texts.
fn json_of(table: toml::Table) -> Value {
    fn value(found: toml::Value) -> Value {
        match found {
            toml::Value::String(text) => Value::String(text),
            toml::Value::Integer(number) => number.into(),
            toml::Value::Float(number) => number.into(),
            toml::Value::Boolean(truth) => truth.into(),
            toml::Value::Datetime(time) => Value::String(time.to_string()),
            toml::Value::Array(values) => values.into_iter().map(value).collect(),
            toml::Value::Table(table) => json_of(table),
        }
    }
    table.into_iter().map(|(name, found)| (name, value(found))).collect::<serde_json::Map<_, _>>().into()
}

/// Watches a file for as long as the configuration lives. One that can't be read any more counts as it was, and the
/// problem is told.
pub(super) async fn watch(shared: Weak<Shared>, file: ConfigFile, number: usize, mut taken: Content) {
    let key = format!("file {}", file.place());
    loop {
        sleep(LOOK_EVERY).await;
        let seen = file.read().await;
        if seen == taken {
            continue;
        }
        // One that is being written is looked at again later.
        sleep(SETTLE).await;
        if file.read().await != seen {
            continue;
        }
        taken = seen;
        let Some(shared) = shared.upgrade() else { return };
        match file.layer(&taken) {
            Ok(layer) => {
                shared.problem(&key, None);
                shared.change(|layers| layers.files[number] = layer);
            }
            Err(fault) => {
                shared.problem(&key, Some(format!("{}; its values before are kept", fault.message)))
            }
        }
    }
}
