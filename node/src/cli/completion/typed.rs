//! What is typed so far, and the node that it is about.

use super::super::{Cli, globals::Globals, profile::Profile, session};
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use micro_sdk::{
    client::{Node, ServiceDescription},
    wire::{Fault, ServiceName},
};
use std::{env, ffi::OsString, time::Duration};

/// How long a node may take. Who presses a key waits for it, and a list without services is a list too.
const PATIENCE: Duration = Duration::from_millis(700);

/// What is typed, without the word at its end, which is not finished.
#[derive(Clone)]
pub(super) struct Typed {
    words: Vec<OsString>,
    matches: ArgMatches,
    profile: Profile,
    /// The first word that is no flag, if it may be a service.
    pub service: Option<String>,
}

impl Typed {
    /// Reads the words behind the `--` that a shell puts before them.
    pub fn read(profile: &Profile) -> Option<Self> {
        let words = env::args_os().skip_while(|word| word != "--").skip(2).collect::<Vec<_>>();
        let (_, finished) = words.split_last()?;
        // The most words that are flags of micro-node itself: then a command may follow.
        let leading = (0..=finished.len()).rev().find_map(|count| {
            let line = ["micro-node".into()].into_iter().chain(finished[..count].iter().cloned());
            let line = line.chain(["services".into()]);
            let matches = Cli::command().try_get_matches_from(line).ok()?;
            let (name, services) = matches.subcommand()?;
            let bare = name == "services" && services.get_one::<ServiceName>("name").is_none();
            bare.then_some((count, matches))
        });
        let (count, matches) = leading?;
        let service = finished.get(count).and_then(|word| word.to_str()).map(str::to_owned);
        let own = Cli::command();
        let service = service.filter(|word| own.find_subcommand(word).is_none());
        Some(Typed { words: finished.to_vec(), matches, profile: profile.clone(), service })
    }

    /// Asks the node that is meant.
    pub fn ask<T>(&self, work: impl AsyncFnOnce(Node) -> Result<T, Fault>) -> Option<T> {
        let mut globals = Globals::from_arg_matches(&self.matches).ok()?;
        globals.complete(&self.matches, &self.profile).ok()?;
        // What is typed next is not a token.
        if globals.token.as_deref() == Some("-") {
            return None;
        }
        globals.timeout = PATIENCE;
        session::run(&globals, async |node| Ok(work(node).await?)).ok()
    }

    pub fn describe(&self, service: &str) -> Option<ServiceDescription> {
        let service: ServiceName = service.parse().ok()?;
        self.ask(async |node| node.service(service.as_str()).await)
    }

    /// The service behind `call` or `stream`.
    pub fn called(&self) -> Option<ServiceDescription> {
        let mut behind = self.words.iter().skip_while(|word| *word != "call" && *word != "stream");
        self.describe(behind.nth(1)?.to_str()?)
    }

    /// What the flag says that is called `--NAME`.
    pub fn flag(&self, name: &str) -> Option<&str> {
        let mut words = self.words.iter().filter_map(|word| word.to_str());
        let told = words.find_map(|word| match word.strip_prefix("--")?.strip_prefix(name)? {
            "" => Some(None),
            rest => rest.strip_prefix('=').map(Some),
        })?;
        told.or_else(|| words.next())
    }
}
