//! A policy in a file.

use super::Failure;
use crate::cli::{config::Language, input};
use clap::Args;
use micro_actors::policy::{POLICY_BYTES_MAX, Policy};
use micro_sdk::wire::{Code, Fault};

/// What is said where there is no policy to read.
const WANTED: &str = "give the path of a .toml, .json or .yaml file with a policy, or - for stdin; \
                      `micro-node policy --help` shows one with all that can be set";

/// Where a policy is read from.
#[derive(Debug, Args)]
pub(super) struct PolicyFile {
    /// The file: .toml, .json or .yaml, or - for stdin
    #[arg(value_name = "FILE")]
    file: String,

    /// What language it is in [default: as its name says; TOML from stdin]
    #[arg(long, value_name = "LANGUAGE")]
    format: Option<Language>,
}

impl PolicyFile {
    /// The policy as JSON text, checked.
    ///
    /// # Errors
    /// If it can't be read, or is none, with the path of what is wrong.
    pub fn read(&self) -> Result<String, Failure> {
        let named = input::path(&self.file);
        let language = match (self.format, named) {
            (Some(language), _) => language,
            (None, "-") => Language::Toml,
            (None, file) => Language::of(file)?,
        };
        let bytes = input::file(named, POLICY_BYTES_MAX, WANTED)?;
        let text = String::from_utf8(bytes).map_err(|_| {
            let shown = if named == "-" { "stdin" } else { named };
            Fault::new(Code::Usage, format!("{shown} is no text")).help(WANTED)
        })?;
        let json = language.json(&text)?.to_string();
        Policy::parse(&json)?;
        Ok(json)
    }
}
