//! SIGHUP: the node's file is read anew, and what can change while the node runs is taken up.

use super::{
    Start,
    file::{self, Said},
    limits, log,
    log::LogSwitch,
    origin::{find, layered},
};
use crate::{
    config::{Setting, SettingSource},
    node::Node,
};
use micro_sdk::wire::{Code, Fault};
use std::{convert::Infallible, path::PathBuf};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The settings that can change while the node runs; all others are settled when it starts.
const LIVE: [&str; 5] = ["limit-unknown", "limit-account", "limit-login", "limit-connections", "log"];

/// The settings of a node that runs, and where they are from.
pub(super) struct LiveSettings {
    file: Option<PathBuf>,
    /// What arguments and variables say.
    given: Vec<Setting>,
    /// What holds.
    now: Vec<Setting>,
    log: LogSwitch,
    hangup: Signal,
}

impl LiveSettings {
    /// Takes SIGHUP over from the system, which would end the process.
    ///
    /// # Errors
    /// If the system does not let go of it.
    pub(super) fn take(start: &Start, log: LogSwitch) -> Result<Self, Fault> {
        let hangup = signal(SignalKind::hangup())
            .map_err(|error| Fault::new(Code::Failed, format!("the system gives no signals: {error}")))?;
        let (file, given, now) = (start.file.clone(), start.given.clone(), start.settings.clone());
        Ok(LiveSettings { file, given, now, log, hangup })
    }

    /// Takes settings up anew whenever the process is told to.
    pub(super) async fn follow(mut self, node: &Node) -> Infallible {
        loop {
            // It ends with the runtime only.
            if self.hangup.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
            tracing::info!("asked to take settings up anew");
            match self.file.as_deref().map(file::read) {
                None => {
                    tracing::info!("there was no file with settings at the start, so none is read: restart")
                }
                Some(Ok(said)) => self.take_up(node, &said),
                Some(Err(fault)) => tracing::warn!(%fault, "the settings stay as they were"),
            }
            match node.reload_certificate() {
                None => {}
                Some(Ok(true)) => tracing::info!("the certificate of the HTTP api was taken up anew"),
                Some(Ok(false)) => tracing::info!("the certificate of the HTTP api is the same"),
                Some(Err(fault)) => tracing::warn!(%fault, "the certificate of the HTTP api stays as it was"),
            }
        }
    }

    fn take_up(&mut self, node: &Node, said: &[Said]) {
        for line in idle(&self.given, said) {
            tracing::info!("{line}");
        }
        let next = layered(&self.given, said);
        let Changes { now, taken, fixed } = Changes::between(&self.now, &next);
        for line in fixed {
            tracing::warn!("{line}");
        }
        if taken.is_empty() {
            tracing::info!("no setting has changed that can change while the node runs");
        }
        // The file was read with the same eyes: what it says of limits and log can be used.
        match limits::of(&now) {
            Ok(limits) => node.set_limits(limits),
            Err(why) => tracing::warn!("the limits stay as they were: {why}"),
        }
        let filter = |settings: &[Setting]| find(settings, "log").unwrap_or(log::USUAL).to_owned();
        if filter(&self.now) != filter(&now)
            && let Err(fault) = self.log.set(&filter(&now))
        {
            tracing::warn!(%fault, "the log stays as it was");
        }
        node.local().retell(now.iter().filter(|setting| is_live(setting)));
        for line in taken {
            tracing::info!("{line}");
        }
        self.now = now;
    }
}

fn is_live(setting: &Setting) -> bool {
    LIVE.contains(&setting.name.as_str())
}

/// What the file says to no purpose, since an argument or a variable goes before it: only of what could be taken up,
/// for whoever has just changed it there.
fn idle(given: &[Setting], said: &[Said]) -> Vec<String> {
    let before = given.iter().filter(|setting| is_live(setting) && setting.source != SettingSource::Default);
    let idle = before.filter_map(|setting| {
        let said = said.iter().find(|said| said.flag == setting.name)?;
        Some(format!("{} of {} does not count: {} says it", setting.name, said.place, setting.place))
    });
    idle.collect()
}

/// What has become of settings.
#[derive(Debug, PartialEq, Eq)]
struct Changes {
    /// What holds from now on.
    now: Vec<Setting>,
    /// What was taken up, for people.
    taken: Vec<String>,
    /// What takes a restart, for people.
    fixed: Vec<String>,
}

impl Changes {
    /// From what holds to what is wanted.
    fn between(before: &[Setting], wanted: &[Setting]) -> Self {
        let mut changes = Changes { now: Vec::new(), taken: Vec::new(), fixed: Vec::new() };
        let shown = |setting: &Setting| setting.value.clone().unwrap_or_else(|| "as usual".to_owned());
        for (old, new) in before.iter().zip(wanted) {
            let same = old.value == new.value || old.name == "config";
            if !same && !is_live(new) {
                let place = if new.place.is_empty() { String::new() } else { format!(" by {}", new.place) };
                changes.fixed.push(format!(
                    "{} is {} and would be {}{place}: that takes a restart",
                    new.name,
                    shown(old),
                    shown(new)
                ));
            } else if !same {
                changes.taken.push(format!("{} was {} and is {}", new.name, shown(old), shown(new)));
            }
            changes.now.push(if is_live(new) { new.clone() } else { old.clone() });
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(name: &str, value: Option<&str>, source: SettingSource, place: &str) -> Setting {
        Setting { name: name.to_owned(), value: value.map(str::to_owned), source, place: place.to_owned() }
    }

    fn said(flag: &'static str, value: &str, line: u32) -> Said {
        Said { flag, values: vec![value.to_owned()], place: format!("f:{line}") }
    }

    #[test]
    fn limits_and_log_are_taken_up_and_the_rest_takes_a_restart() {
        let given = [
            setting("limit-login", None, SettingSource::Default, ""),
            setting("limit-account", Some("9"), SettingSource::Flag, "--limit-account"),
            setting("log", Some(log::USUAL), SettingSource::Default, ""),
            setting("voters", Some("3"), SettingSource::Default, ""),
        ];
        let before = layered(&given, &[said("limit-login", "7", 1), said("voters", "5", 2)]);
        let file = [said("limit-login", "8", 1), said("limit-account", "1", 2), said("log", "debug", 3)];
        let changes = Changes::between(&before, &layered(&given, &file));
        assert_eq!(
            changes.taken,
            ["limit-login was 7 and is 8", &format!("log was {} and is debug", log::USUAL)]
        );
        assert_eq!(changes.fixed, ["voters is 5 and would be 3: that takes a restart"]);
        assert_eq!(find(&changes.now, "voters"), Some("5"));
        assert_eq!(find(&changes.now, "limit-login"), Some("8"));
        assert_eq!(idle(&given, &file), ["limit-account of f:2 does not count: --limit-account says it"]);
        // What is no longer in the file is as it is without it.
        let changes = Changes::between(&changes.now, &layered(&given, &[said("voters", "5", 9)]));
        assert_eq!(changes.taken.first().map(String::as_str), Some("limit-login was 8 and is as usual"));
        assert!(changes.fixed.is_empty());
    }
}
