//! A policy in a file.

use super::Failure;
use crate::cli::{config::Language, input};
use clap::Args;
use micro_actors::policy::{POLICY_BYTES_MAX, Policy};
use micro_sdk::wire::{Code, Fault};

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
        let language = match (self.format, self.file.as_str()) {
            (Some(language), _) => language,
            (None, "-") => Language::Toml,
            (None, file) => Language::of(file)?,
        };
        let argument = if self.file == "-" { "-".to_owned() } else { format!("@{}", self.file) };
        let bytes = input::read(&argument, POLICY_BYTES_MAX)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Fault::new(Code::Usage, format!("{} is no text", input::name(&argument))))?;
        let json = language.json(&text)?.to_string();
        Policy::parse(&json)?;
        Ok(json)
    }
}
