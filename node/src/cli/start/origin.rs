//! Where the settings of a node come from: what clap found, and what the file says where nobody said anything.

use super::{
    Start,
    file::{self, Said},
    log,
};
use crate::{
    cli::failure::Failure,
    config::{Config, Setting, SettingSource},
};
use clap::{Arg, ArgMatches, Command, FromArgMatches, parser::ValueSource};
use std::{ffi::OsString, path::Path};

/// Arguments that take a secret, each with its variable: clap knows neither the value of the one nor of the other.
const SECRETS: [(&str, &str); 1] = [("join_token", "MICRO_NODE_JOIN_TOKEN")];
/// What stands for a secret.
const SECRET: &str = "[secret]";
/// The variable that says what to log for whoever does not say it to micro-node in particular.
const RUST_LOG: &str = "RUST_LOG";

/// The arguments of `start` with what the file says where neither an argument nor a variable does.
///
/// `command` is the whole command line, not built yet: what is built can't be changed any more. `line` is what was
/// typed, and `matches` what was found in it for `start`.
///
/// # Errors
/// If there is a file that can't be taken, read or understood.
pub(in crate::cli) fn complete(
    command: Command,
    line: impl IntoIterator<Item = OsString>,
    matches: &ArgMatches,
    verbosity: i16,
) -> Result<Start, Failure> {
    let start = command.find_subcommand("start").expect("it is a command");
    let given = given(start, matches, verbosity);
    let path = file::choose(find(&given, "config").map(Path::new))?;
    let said = path.as_deref().map_or(Ok(Vec::new()), file::read)?;
    let mut settings = layered(&given, &said);
    if let Some(path) = &path {
        let named = settings.iter_mut().find(|setting| setting.name == "config");
        named.expect("it is a setting").value = Some(path.display().to_string());
    }
    let open = |said: &&Said| given.iter().any(|setting| setting.name == said.flag && is_open(setting));
    let taken: Vec<Said> = said.iter().filter(open).cloned().collect();
    let command = command.mut_subcommand("start", |start| taken.into_iter().fold(start, begin_with));
    let matches = command.try_get_matches_from(line).map_err(Failure::usage)?;
    let (_, matches) = matches.subcommand().expect("it was there before");
    let mut start = Start::from_arg_matches(matches).map_err(Failure::usage)?;
    if let Some(filter) = find(&settings, "log") {
        filter.clone_into(&mut start.log);
    }
    (start.file, start.given, start.settings) = (path, given, settings);
    Ok(start)
}

/// Has a flag begin with what the file says.
fn begin_with(start: Command, said: Said) -> Command {
    let arg = start.get_arguments().find(|arg| arg.get_long() == Some(said.flag));
    let id = arg.expect("each key is a flag").get_id().clone();
    start.mut_arg(id, |arg| arg.default_values(said.values))
}

/// The settings as arguments, variables and defaults have them. Those of every command are not a node's.
fn given(start: &Command, matches: &ArgMatches, verbosity: i16) -> Vec<Setting> {
    // What is only asked for once is no setting.
    let own =
        |arg: &&Arg| !arg.is_global_set() && !["help", "version", "check"].contains(&arg.get_id().as_str());
    let mut settings: Vec<Setting> =
        start.get_arguments().filter(own).map(|arg| setting(arg, matches)).collect();
    if let Some(setting) = settings.iter_mut().find(|setting| setting.name == "log" && is_open(setting)) {
        let rust_log = std::env::var(RUST_LOG).ok().filter(|value| !value.is_empty());
        let said = match (rust_log, log::fitting(verbosity)) {
            (Some(value), _) => Some((value, SettingSource::Environment, RUST_LOG)),
            (None, Some(value)) => {
                Some((value.to_owned(), SettingSource::Flag, if verbosity < 0 { "-q" } else { "-v" }))
            }
            (None, None) => None,
        };
        if let Some((value, source, place)) = said {
            (setting.value, setting.source, setting.place) = (Some(value), source, place.to_owned());
        }
    }
    settings
}

fn setting(arg: &Arg, matches: &ArgMatches) -> Setting {
    let id = arg.get_id().as_str();
    let name = arg.get_long().unwrap_or(id).to_owned();
    let given = matches.try_get_raw(id).ok().flatten();
    let value = given.map(|values| {
        let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
        values.join(",")
    });
    // An empty one says nothing.
    let mut value = value.filter(|value| !value.is_empty());
    let variable = arg.get_env().map(|variable| variable.to_string_lossy().into_owned());
    let (mut source, mut place) = match matches.value_source(id) {
        Some(ValueSource::CommandLine) => (SettingSource::Flag, format!("--{name}")),
        Some(ValueSource::EnvVariable) => (SettingSource::Environment, variable.unwrap_or_default()),
        _ => (SettingSource::Default, String::new()),
    };
    if let Some((_, variable)) = SECRETS.iter().find(|(secret, _)| *secret == id) {
        if value.is_none() && std::env::var_os(variable).is_some_and(|value| !value.is_empty()) {
            (source, place) = (SettingSource::Environment, (*variable).to_owned());
            value = Some(String::new());
        }
        value = value.map(|_| SECRET.to_owned());
    }
    Setting { name, value, source, place }
}

/// Whether nobody said anything.
fn is_open(setting: &Setting) -> bool {
    setting.source == SettingSource::Default
}

/// The settings with what the file says where nobody else said anything.
pub(super) fn layered(given: &[Setting], said: &[Said]) -> Vec<Setting> {
    let layer = |setting: &Setting| {
        let said = said.iter().find(|said| said.flag == setting.name).filter(|_| is_open(setting));
        let Some(Said { values, place, .. }) = said else { return setting.clone() };
        let secret = SECRETS.iter().any(|(id, _)| id.replace('_', "-") == setting.name);
        let value = if secret { SECRET.to_owned() } else { values.join(",") };
        Setting {
            name: setting.name.clone(),
            value: Some(value).filter(|value| !value.is_empty()),
            source: SettingSource::File,
            place: place.clone(),
        }
    };
    given.iter().map(layer).collect()
}

/// The value of a setting, if it has one.
pub(super) fn find<'s>(settings: &'s [Setting], name: &str) -> Option<&'s str> {
    settings.iter().find(|setting| setting.name == name)?.value.as_deref()
}

/// Fills in what was chosen where nobody said anything.
pub(super) fn fill(config: &mut Config) {
    let chosen = [
        ("data-dir", config.data_dir.display().to_string()),
        ("socket", config.socket.display().to_string()),
    ];
    for (name, value) in chosen {
        let setting = config.settings.iter_mut().find(|setting| setting.name == name);
        if let Some(setting) = setting.filter(|setting| setting.value.is_none()) {
            setting.value = Some(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;
    use std::fs;

    fn begin(words: &[&str]) -> Result<Start, Failure> {
        let mut command = Cli::command();
        let line: Vec<OsString> = ["micro-node", "start"].iter().chain(words).map(Into::into).collect();
        let matches = command.try_get_matches_from_mut(&line).expect("the line is right");
        let (_, matches) = matches.subcommand().expect("it is a command");
        complete(Cli::command(), line, matches, 0)
    }

    fn told<'s>(start: &'s Start, name: &str) -> (Option<&'s str>, SettingSource, &'s str) {
        let setting = start.settings.iter().find(|setting| setting.name == name).expect("it is a setting");
        (setting.value.as_deref(), setting.source, setting.place.as_str())
    }

    #[test]
    fn each_setting_is_told_once_with_where_it_comes_from() {
        let words = ["--config", "/dev/null", "--zone", "a", "--join", "b:1,c:2", "--join-token", "hunter2"];
        let start = begin(&words).expect("there is nothing in the file");
        assert_eq!(told(&start, "zone"), (Some("a"), SettingSource::Flag, "--zone"));
        assert_eq!(told(&start, "join"), (Some("b:1,c:2"), SettingSource::Flag, "--join"));
        assert_eq!(told(&start, "join-token"), (Some(SECRET), SettingSource::Flag, "--join-token"));
        assert_eq!(told(&start, "voters"), (Some("3"), SettingSource::Default, ""));
        assert_eq!(told(&start, "region"), (None, SettingSource::Default, ""));
        for strange in ["address", "output", "help", "check"] {
            assert!(!start.settings.iter().any(|setting| setting.name == strange), "{strange}");
        }
    }

    #[test]
    fn the_file_says_what_nobody_else_does() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("node.toml");
        let text = "[place]\nzone = \"f\"\nregion = \"f\"\n[mesh]\njoin = [\"b:1\", \"c:2\"]\nvoters = 5\n\
                    join_token_file = \"t\"\n[api]\nlisten = \"127.0.0.1:7\"\n[limits]\naccount = 5\n";
        fs::write(&path, text).expect("room");
        let shown = path.display().to_string();
        let start = begin(&["--config", &shown, "--zone", "a"]).expect("the file is good");
        let at = |line: usize| format!("{shown}:{line}");
        assert_eq!(told(&start, "zone"), (Some("a"), SettingSource::Flag, "--zone"));
        assert_eq!(told(&start, "region"), (Some("f"), SettingSource::File, at(3).as_str()));
        assert_eq!(told(&start, "join"), (Some("b:1,c:2"), SettingSource::File, at(5).as_str()));
        assert_eq!(told(&start, "join-token"), (Some(SECRET), SettingSource::File, at(7).as_str()));
        assert_eq!((start.zone.as_str(), start.region.as_str(), start.join.len()), ("a", "f", 2));
        assert_eq!(start.join_token, Some(format!("@{}", folder.path().join("t").display())));
        assert!(matches!(start.voters, super::super::Voters::Five) && start.api.port() == 7);
        let limits = super::super::limits::of(&start.settings).expect("they are good");
        assert_eq!(limits, start.limits.config());
        fs::write(&path, "[place]\nzome = \"f\"\n").expect("room");
        assert!(begin(&["--config", &shown]).is_err());
    }
}
