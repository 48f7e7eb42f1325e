//! The files of a profile as they are written.

use super::super::{failure::Failure, kept, output::Format, unit};
use clap::ValueEnum;
use micro_sdk::{
    client::Address,
    wire::{Code, Fault, Namespace},
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::Path,
    time::Duration,
};

/// The most bytes of a file: a hundred times what a person writes.
const BYTES_MAX: u64 = 1 << 20;

/// The file of a user or of a host.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct UserFile {
    pub target: Option<String>,
    pub previous_target: Option<String>,
    #[serde(deserialize_with = "format")]
    pub output: Option<Format>,
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
    #[serde(deserialize_with = "environments")]
    pub environments: BTreeMap<String, Entry>,
}

/// An environment as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    #[serde(default, deserialize_with = "address")]
    pub address: Option<Address>,
    pub namespace: Option<Namespace>,
}

/// The file of a project: what else is in it is for others.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ProjectFile {
    pub client: Client,
}

/// What a project says to the command line.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Client {
    pub target: Option<String>,
    pub namespace: Option<Namespace>,
    #[serde(deserialize_with = "format")]
    pub output: Option<Format>,
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
}

/// What a file says; none if it is not there.
///
/// # Errors
/// If it can't be read, or says what nobody understands: then with the line.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Failure> {
    let Some(text) = text(path)? else { return Ok(None) };
    toml::from_str(&text)
        .map(Some)
        .map_err(|error| not_understood(path, &text, error.message(), error.span()))
}

/// The text of a file; none if it is not there.
///
/// # Errors
/// If it can't be read.
pub(super) fn text(path: &Path) -> Result<Option<String>, Failure> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(kept::unusable(path, &error)),
    }
}

/// The refusal of a text.
pub(super) fn not_understood(
    path: &Path,
    text: &str,
    why: &str,
    span: Option<std::ops::Range<usize>>,
) -> Failure {
    let place = span.and_then(|span| text.get(..span.start));
    let line = place.map_or(String::new(), |before| format!(" line {}", before.matches('\n').count() + 1));
    let why = why.lines().next().unwrap_or_default();
    Fault::new(Code::Usage, format!("{}{line}: {why}", path.display())).help("mend the file").into()
}

fn format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Format>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let known = || Format::value_variants().iter().filter_map(|format| format.to_possible_value());
    Format::from_str(&text, false).map(Some).map_err(|_| {
        let names: Vec<String> = known().map(|value| value.get_name().to_owned()).collect();
        D::Error::custom(format!("{text:?} is no format: there are {}", names.join(", ")))
    })
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    unit::duration(&text).map(Some).map_err(|why| D::Error::custom(format!("{text:?} is no time: {why}")))
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Address>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(D::Error::custom)
}

/// Environments are called as namespaces are.
fn environments<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Entry>, D::Error> {
    let entries = BTreeMap::<String, Entry>::deserialize(deserializer)?;
    for name in entries.keys() {
        super::name(name).map_err(D::Error::custom)?;
    }
    Ok(entries)
}
