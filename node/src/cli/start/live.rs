//! Settings that a node which runs takes up anew, when it gets SIGHUP: the file that they are in, and what came of it.

use super::log::LogSwitch;
use crate::{
    config::{Limit, LimitsConfig},
    node::Node,
};
use micro_sdk::wire::{Code, Fault};
use std::{convert::Infallible, fs, io, path::PathBuf};
use tokio::signal::unix::{Signal, SignalKind, signal};
use toml::{Table, Value};

/// The most bytes of the file: a hundred times what a person writes.
const BYTES_MAX: usize = 1 << 20;

/// What can be changed while the node runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Live {
    /// The filter of the log, if it is not that of the environment.
    pub log: Option<String>,
    /// How much callers may ask for.
    pub limits: LimitsConfig,
}

/// What a file says.
#[derive(Debug, PartialEq, Eq)]
struct Reading {
    live: Live,
    /// What is in it and is settled at the start.
    fixed: Vec<String>,
}

/// The file, and where the node's settings are from without it.
pub(super) struct LiveSettings {
    file: Option<PathBuf>,
    /// What flags and variables say.
    said: LimitsConfig,
    log: LogSwitch,
    hangup: Signal,
}

impl LiveSettings {
    /// Takes SIGHUP over from the system, which would end the process.
    ///
    /// # Errors
    /// If the system does not let go of it.
    pub(super) fn take(file: Option<PathBuf>, said: LimitsConfig, log: LogSwitch) -> Result<Self, Fault> {
        let hangup = signal(SignalKind::hangup())
            .map_err(|error| Fault::new(Code::Failed, format!("the system gives no signals: {error}")))?;
        Ok(LiveSettings { file, said, log, hangup })
    }

    /// What holds at the start.
    ///
    /// # Errors
    /// If the file can't be read or understood.
    pub(super) fn begin(&self) -> Result<Live, Fault> {
        let Reading { live, fixed } = self.read()?;
        warn_of(&fixed);
        if live.log.is_some() {
            self.log.set(live.log.as_deref())?;
        }
        Ok(live)
    }

    /// Takes settings up anew whenever the process is told to.
    pub(super) async fn follow(mut self, node: &Node, mut live: Live) -> Infallible {
        loop {
            // It ends with the runtime only.
            if self.hangup.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
            tracing::info!("asked to take settings up anew");
            match self.read() {
                Ok(reading) => live = self.apply(node, &live, reading),
                Err(fault) => tracing::warn!(%fault, "the settings stay as they were"),
            }
            match node.reload_certificate() {
                None => {}
                Some(Ok(true)) => tracing::info!("the certificate of the HTTP api was taken up anew"),
                Some(Ok(false)) => tracing::info!("the certificate of the HTTP api is the same"),
                Some(Err(fault)) => tracing::warn!(%fault, "the certificate of the HTTP api stays as it was"),
            }
        }
    }

    /// Returns what holds from now on.
    fn apply(&self, node: &Node, before: &Live, Reading { live, fixed }: Reading) -> Live {
        warn_of(&fixed);
        let mut now = live;
        if now.log != before.log
            && let Err(fault) = self.log.set(now.log.as_deref())
        {
            tracing::warn!(%fault, "the log stays as it was");
            now.log.clone_from(&before.log);
        }
        node.set_limits(now.limits);
        let changes = changes(before, &now);
        if changes.is_empty() {
            tracing::info!("no setting has changed; what flags and variables say takes a restart");
        }
        for change in changes {
            tracing::info!("{change}");
        }
        now
    }

    fn read(&self) -> Result<Reading, Fault> {
        let Some(path) = &self.file else {
            return Ok(Reading { live: Live { log: None, limits: self.said }, fixed: Vec::new() });
        };
        let shown = path.display();
        let unread =
            |error: io::Error| Fault::new(Code::Usage, format!("the file {shown} can't be read: {error}"));
        #[expect(clippy::disallowed_methods, reason = "the operator's own file, read only")]
        let text = fs::read_to_string(path).map_err(unread)?;
        if text.len() > BYTES_MAX {
            return Err(Fault::new(Code::Usage, format!("the file {shown} has more than {BYTES_MAX} bytes")));
        }
        parse(&text, self.said).map_err(|why| {
            Fault::new(Code::Usage, format!("the file {shown} is not understood: {why}"))
                .help("it takes log = \"warn,micro=info\", and limit-unknown, limit-account, limit-login and limit-connections = N or \"off\"")
        })
    }
}

fn warn_of(fixed: &[String]) {
    for name in fixed {
        tracing::warn!(
            "{name} is settled when the node starts: give it as a flag or a variable, and restart"
        );
    }
}

/// What the file's text says, over what was `said` otherwise.
fn parse(text: &str, said: LimitsConfig) -> Result<Reading, String> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
    let mut reading = Reading { live: Live { log: None, limits: said }, fixed: Vec::new() };
    for (name, value) in table {
        let limits = &mut reading.live.limits;
        let limit = match name.as_str() {
            "log" => {
                let filter = value.as_str().ok_or("log takes a text")?;
                reading.live.log = Some(filter.to_owned());
                continue;
            }
            "limit-unknown" => &mut limits.unknown,
            "limit-account" => &mut limits.account,
            "limit-login" => &mut limits.login,
            "limit-connections" => &mut limits.connections,
            _ => {
                reading.fixed.push(name);
                continue;
            }
        };
        let text = match &value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        *limit = text.parse().map_err(|why| format!("{name} = {value}: {why}"))?;
    }
    Ok(reading)
}

/// What is another, for people.
fn changes(before: &Live, now: &Live) -> Vec<String> {
    let shown = |limit: Limit| match limit {
        Limit::Usual => "as usual".to_owned(),
        Limit::Off => "off".to_owned(),
        Limit::At(most) => most.to_string(),
    };
    let limits = |live: &Live| {
        let LimitsConfig { unknown, account, login, connections } = live.limits;
        [unknown, account, login, connections].map(shown)
    };
    let filter = |live: &Live| live.log.clone().unwrap_or_else(|| "as at the start".to_owned());
    let names = ["limit-unknown", "limit-account", "limit-login", "limit-connections"];
    let pairs = limits(before).into_iter().zip(limits(now));
    let mut pairs: Vec<(&str, (String, String))> = names.into_iter().zip(pairs).collect();
    pairs.push(("log", (filter(before), filter(now))));
    let different = pairs.into_iter().filter(|(_, (old, new))| old != new);
    different.map(|(name, (old, new))| format!("{name} was {old} and is {new}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says_goes_before_flags_and_the_rest_takes_a_restart() {
        let at = |text: &str| text.parse::<Limit>().expect("a good limit");
        let said = LimitsConfig { login: at("7"), account: at("9"), ..LimitsConfig::default() };
        let text = "log = \"debug\"\nlimit-login = 3\nlimit-unknown = \"off\"\nvoters = 5\n";
        let reading = parse(text, said).expect("it is understood");
        let limits = LimitsConfig { login: at("3"), unknown: Limit::Off, ..said };
        let live = Live { log: Some("debug".to_owned()), limits };
        assert_eq!(reading, Reading { live: live.clone(), fixed: vec!["voters".to_owned()] });
        let before = Live { log: None, limits: said };
        assert_eq!(
            changes(&before, &live),
            [
                "limit-unknown was as usual and is off",
                "limit-login was 7 and is 3",
                "log was as at the start and is debug"
            ]
        );
        assert!(changes(&live, &live).is_empty());
        for bad in ["limit-login = 0", "limit-login = \"many\"", "limit-login = 1.5", "log = 5", "log ="] {
            assert!(parse(bad, said).is_err(), "{bad}");
        }
    }
}
