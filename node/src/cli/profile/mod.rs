//! What a person, a project and a host have settled for the command line: environments, and which one is meant.
//!
//! | file | whose | what |
//! |---|---|---|
//! | `micro.toml`, here or in a folder above | the project's | `[client]`: `target`, `namespace`, `output`, `timeout` |
//! | `~/.config/micro-node/config.toml` | the user's | `target`, `output`, `timeout`, `[environments.NAME]` |
//! | `/etc/micro-node/config.toml` | the host's | the same |
//!
//! What comes first counts; flags and variables come before all of them. A project may name an environment and not
//! define one: whoever runs a command in a folder of others must not send a token where they say.

mod file;
mod notebook;

use super::{failure::Failure, kept, output::Format};
use file::{Entry, ProjectFile, UserFile};
use micro_actors::nearest;
use micro_sdk::{
    client::Address,
    wire::{Code, Fault, Namespace},
};
pub(super) use notebook::{Notebook, name};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

/// The environment of those who name none: the node on this host.
pub(super) const LOCAL: &str = "local";
/// The user's file, and the host's.
const FILE: &str = "config.toml";
const HOST_FOLDER: &str = "/etc/micro-node";
/// The project's file.
const PROJECT_FILE: &str = "micro.toml";

/// A mesh under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Environment {
    /// The node to talk to; none for the one on this host.
    pub address: Option<Address>,
    /// The tenant that is meant there, if one was said.
    pub namespace: Option<Namespace>,
    /// The file that says so; none for what is always there.
    pub file: Option<PathBuf>,
}

/// All that was settled.
#[derive(Clone, Debug, Default)]
pub(super) struct Profile {
    /// The environment that is meant, and the file that says so.
    pub target: Option<(String, PathBuf)>,
    /// The tenant that the project means.
    pub namespace: Option<Namespace>,
    /// How to show answers.
    pub output: Option<Format>,
    /// How long to wait.
    pub timeout: Option<Duration>,
    environments: BTreeMap<String, Environment>,
}

impl Profile {
    /// What the files say that count here.
    ///
    /// # Errors
    /// If one of them can't be read, or says what nobody understands.
    pub(super) fn load() -> Result<Self, Failure> {
        let here = std::env::current_dir().ok();
        let project = here.iter().flat_map(|here| here.ancestors()).map(|folder| folder.join(PROJECT_FILE));
        let project = project.into_iter().find(|path| path.is_file());
        let user = kept::folder().map(|folder| folder.join(FILE));
        Self::of(project.as_deref(), user.as_deref(), &Path::new(HOST_FOLDER).join(FILE))
    }

    fn of(project: Option<&Path>, user: Option<&Path>, host: &Path) -> Result<Self, Failure> {
        let mut profile = Profile::default();
        if let Some(path) = project {
            let ProjectFile { client } = file::read(path)?.unwrap_or_default();
            profile.namespace = client.namespace;
            profile.settle(path, client.target, client.output, client.timeout);
        }
        for path in user.into_iter().chain([host]) {
            let Some(UserFile { target, output, timeout, environments, .. }) = file::read(path)? else {
                continue;
            };
            profile.settle(path, target, output, timeout);
            for (name, Entry { address, namespace }) in environments {
                let environment = Environment { address, namespace, file: Some(path.to_owned()) };
                check(&name, &environment, path)?;
                profile.environments.entry(name).or_insert(environment);
            }
        }
        let local = Environment { address: None, namespace: None, file: None };
        profile.environments.entry(LOCAL.to_owned()).or_insert(local);
        Ok(profile)
    }

    /// Takes what no file before has said.
    fn settle(
        &mut self,
        path: &Path,
        target: Option<String>,
        output: Option<Format>,
        timeout: Option<Duration>,
    ) {
        self.target = self.target.take().or_else(|| Some((target?, path.to_owned())));
        self.output = self.output.or(output);
        self.timeout = self.timeout.or(timeout);
    }

    /// All environments, by name.
    pub(super) fn environments(&self) -> &BTreeMap<String, Environment> {
        &self.environments
    }

    /// The environment that files mean.
    pub(super) fn target(&self) -> &str {
        self.target.as_ref().map_or(LOCAL, |(name, _)| name)
    }

    /// An environment by its name.
    ///
    /// # Errors
    /// [`Code::NotFound`] with those that there are.
    pub(super) fn environment(&self, name: &str) -> Result<&Environment, Fault> {
        self.environments.get(name).ok_or_else(|| {
            let fault = Fault::new(Code::NotFound, format!("no environment is called {name:?}"));
            let names: Vec<&str> = self.environments.keys().map(String::as_str).collect();
            let fault = match self.target.as_ref().filter(|(target, _)| target == name) {
                Some((_, path)) => fault.help(format!("{} says to use it", path.display())),
                None => fault,
            };
            let fault = match nearest(name, names.iter().copied()) {
                Some(near) => fault.help(format!("did you mean `{near}`?")),
                None => fault,
            };
            fault
                .help(format!("there are {}; add one: micro-node env add {name} HOST:PORT", names.join(", ")))
        })
    }
}

/// Refuses an environment that would be no use.
fn check(name: &str, environment: &Environment, path: &Path) -> Result<(), Fault> {
    let refuse =
        |why: &str| Fault::new(Code::Usage, format!("{}: environments.{name} {why}", path.display()));
    match (name, &environment.address) {
        (LOCAL, Some(_)) => Err(refuse("has an address, and is the node on this host")
            .help("give that address another name: micro-node env add NAME HOST:PORT")),
        (LOCAL, None) | (_, Some(_)) => Ok(()),
        (_, None) => Err(refuse("has no address").help("address = \"HOST:PORT\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn fault<T: std::fmt::Debug>(result: Result<T, Failure>) -> Fault {
        match result {
            Err(Failure::Fault(fault)) => fault,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_project_comes_before_the_user_and_the_user_before_the_host() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [project, user, host] =
            ["micro.toml", "user.toml", "host.toml"].map(|name| folder.path().join(name));
        let load = || Profile::of(Some(&project), Some(&user), &host);
        let empty = load().expect("none of them has to be there");
        assert_eq!((empty.target(), empty.environments().len()), (LOCAL, 1));
        fs::write(&host, "target = \"prod\"\ntimeout = \"1s\"\n[environments.prod]\naddress = \"a:1\"\n")
            .expect("room");
        assert_eq!(load().expect("it is good").target(), "prod");
        let text = "target = \"test\"\noutput = \"wide\"\n[environments.prod]\naddress = \"b:2\"\nnamespace = \"acme\"\n\
                    [environments.test]\naddress = \"c:3\"\n[environments.local]\nnamespace = \"mine\"\n";
        fs::write(&user, text).expect("room");
        fs::write(&project, "[service]\nname = \"x\"\n[client]\nnamespace = \"shop\"\noutput = \"json\"\n")
            .expect("room");
        let profile = load().expect("they are good");
        assert_eq!((profile.target(), profile.output), ("test", Some(Format::Json)));
        assert_eq!(profile.timeout, Some(Duration::from_secs(1)));
        assert_eq!(profile.namespace.as_ref().map(Namespace::as_str), Some("shop"));
        let prod = profile.environment("prod").expect("two files have it");
        assert_eq!(prod.address.as_ref().map(ToString::to_string).as_deref(), Some("b:2"));
        assert_eq!(prod.file.as_deref(), Some(user.as_path()));
        let fault = profile.environment("prdo").expect_err("none has it");
        assert_eq!((fault.code, fault.help[0].as_str()), (Code::NotFound, "did you mean `prod`?"));
    }

    #[test]
    fn what_nobody_understands_is_refused_with_file_and_line() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("config.toml");
        for (text, expected) in [
            ("target = 7", "line 1"),
            ("\ntraget = \"x\"", "line 2: unknown field `traget`"),
            ("output = \"xml\"", "\"xml\""),
            ("timeout = \"soon\"", "write it as 10s"),
            ("[environments.a]\naddress = \"nowhere\"", "nowhere"),
            ("[environments.a]\n", "environments.a has no address"),
            ("[environments.local]\naddress = \"a:1\"", "the node on this host"),
            ("[environments.A_b]\naddress = \"a:1\"", "\"A_b\" is not a good environment name"),
            ("target", "line 1"),
        ] {
            fs::write(&path, text).expect("room");
            let fault = fault(Profile::of(None, Some(&path), Path::new("/nowhere/config.toml")));
            assert!(fault.message.contains(expected), "{text}: {}", fault.message);
            assert!(fault.message.contains("config.toml"), "{text}: {}", fault.message);
        }
        // A project may not say where tokens are sent.
        fs::write(&path, "[client]\naddress = \"evil:1\"").expect("room");
        let fault = fault(Profile::of(Some(&path), None, Path::new("/nowhere/config.toml")));
        assert!(fault.message.contains("unknown field `address`"), "{}", fault.message);
    }
}
