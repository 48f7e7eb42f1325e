//! Where the settings of a node come from, as clap found them.

use crate::config::{Config, Setting, SettingSource};
use clap::{Arg, ArgMatches, parser::ValueSource};

/// Arguments that take a secret, each with its variable: clap knows neither the value of the one nor of the other.
const SECRETS: [(&str, &str); 1] = [("join_token", "MICRO_NODE_JOIN_TOKEN")];
/// What stands for a secret.
const SECRET: &str = "[secret]";

/// The settings in the arguments of a command. Those of every command are not a node's.
pub(in crate::cli) fn settings(command: &clap::Command, matches: &ArgMatches) -> Vec<Setting> {
    let own = |arg: &&Arg| !arg.is_global_set() && !["help", "version"].contains(&arg.get_id().as_str());
    command.get_arguments().filter(own).map(|arg| setting(arg, matches)).collect()
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

/// Fills in what was chosen where nobody said anything.
pub(super) fn complete(config: &mut Config) {
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

    #[test]
    fn each_setting_is_told_once_with_where_it_comes_from() {
        let mut command = Cli::command();
        command.build();
        let line = ["micro-node", "start", "--zone", "a", "--join", "b:1,c:2", "--join-token", "hunter2"];
        let matches = command.clone().try_get_matches_from(line).expect("the line is right");
        let (_, matches) = matches.subcommand().expect("it is a command");
        let start = command.find_subcommand("start").expect("it is a command");
        let settings = settings(start, matches);
        let find =
            |name: &str| settings.iter().find(|setting| setting.name == name).expect("it is a setting");
        let told = |name: &str| {
            let Setting { value, source, place, .. } = find(name);
            (value.as_deref(), *source, place.as_str())
        };
        assert_eq!(told("zone"), (Some("a"), SettingSource::Flag, "--zone"));
        assert_eq!(told("join"), (Some("b:1,c:2"), SettingSource::Flag, "--join"));
        assert_eq!(told("join-token"), (Some(SECRET), SettingSource::Flag, "--join-token"));
        assert_eq!(told("voters"), (Some("3"), SettingSource::Default, ""));
        assert_eq!(told("region"), (None, SettingSource::Default, ""));
        assert!(
            !settings.iter().any(|setting| ["address", "output", "help"].contains(&setting.name.as_str()))
        );
    }
}
