//! `micro-node env`: meshes under names.

use super::{
    failure::Failure,
    globals::Globals,
    output::Output,
    profile::{self, Environment, LOCAL, Notebook, Profile},
    shape::{ItemShape, ListShape, Shapes},
    table::{NOTHING, Table},
};
use clap::{Args, Subcommand};
use micro_sdk::{
    client::Address,
    wire::{Code, Fault},
};
use schemars::JsonSchema;
use serde::Serialize;

/// Choose among meshes by name, and keep the names
///
/// They are kept in ~/.config/micro-node/config.toml; /etc/micro-node/config.toml has those of the host. A project's
/// micro.toml may name the one that it means: [client] target = "NAME". `local` is the node on this host.
#[derive(Debug, Args)]
#[command(
    visible_alias = "ctx",
    after_help = "\
Examples:
  micro-node env add prod 10.0.0.1:8081
  micro-node env add prod 10.0.0.1:8081 --namespace acme
  micro-node env set prod                            what all commands mean from now on
  micro-node env -                                   back to the one before
  micro-node -t local status                         another one, this once
  micro-node env -o json | jq -r '.items[].address'"
)]
pub(super) struct EnvCommand {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the environments; a star marks the one that is meant here
    #[command(visible_alias = "ls")]
    #[command(after_help = "\
Example:
  micro-node env list")]
    List,
    /// Print which environment is meant here, or the address of one
    #[command(after_help = "\
Examples:
  micro-node env get
  micro-node env get prod")]
    Get {
        /// Which one
        name: Option<String>,
    },
    /// Mean an environment from now on
    #[command(after_help = "\
Example:
  micro-node env set prod")]
    Set {
        /// Which one
        name: String,
    },
    /// Add an environment; --namespace says what is meant in it
    #[command(after_help = "\
Examples:
  micro-node env add prod prod-1.example.com:8081
  micro-node env add prod-acme prod-1.example.com:8081 --namespace acme")]
    Add {
        /// What to call it
        name: String,
        /// A node of it: HOST:PORT of its proxy, or unix:PATH
        node: Address,
    },
    /// Forget an environment
    #[command(visible_aliases = ["rm", "delete"])]
    #[command(after_help = "\
Example:
  micro-node env del prod")]
    Del {
        /// Which one
        name: String,
    },
    /// Mean the environment that was meant before
    #[command(name = "-")]
    #[command(after_help = "\
Example:
  micro-node env set prod && micro-node status && micro-node env -")]
    Back,
}

/// A mesh under a name.
#[derive(Serialize, JsonSchema)]
struct EnvItem<'a> {
    /// The name.
    name: &'a str,
    /// Whether commands mean it.
    current: bool,
    /// A node of it; none for the one on this host.
    address: Option<String>,
    /// The namespace that is meant in it, if one is.
    namespace: Option<&'a str>,
    /// The file that says so; none for the one that is always there.
    file: Option<String>,
}

/// What there is to say of the list.
#[derive(Serialize, JsonSchema)]
struct EnvSummary<'a> {
    /// How many are listed.
    count: usize,
    /// The one that commands mean; none if an address was given.
    current: Option<&'a str>,
}

const ENVIRONMENTS: ListShape<EnvItem<'static>, EnvSummary<'static>> =
    ListShape::new("environments", &["env", "env list"]);
/// An environment that is forgotten.
#[derive(Serialize, JsonSchema)]
struct ForgottenItem<'a> {
    /// The name that it had.
    name: &'a str,
    /// Whether it is gone.
    deleted: bool,
}

const ENVIRONMENT: ItemShape<EnvItem<'static>> =
    ItemShape::new("environment", &["env get", "env set", "env add"]);
const FORGOTTEN: ItemShape<ForgottenItem<'static>> = ItemShape::new("env-del", &["env del"]);

pub(super) const SHAPES: Shapes = &[&ENVIRONMENTS, &ENVIRONMENT, &FORGOTTEN];

impl EnvCommand {
    pub(super) fn run(self, profile: &Profile, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let current = globals.environment.as_deref();
        match self.verb {
            None | Some(Verb::List) => list(profile, current, output),
            Some(Verb::Get { name: Some(name) }) => get(profile.environment(&name)?, &name, current, output),
            Some(Verb::Get { name: None }) => {
                if current.is_none() && globals.address.is_none() {
                    profile.environment(globals.target.as_deref().unwrap_or_else(|| profile.target()))?;
                }
                let name = globals.environment()?;
                if output.json() {
                    return get(profile.environment(name)?, name, current, output);
                }
                output.text(name)
            }
            Some(Verb::Set { name }) => set(profile, &name, output),
            Some(Verb::Back) => {
                let before = Notebook::open()?.previous().map(str::to_owned);
                let before = before.ok_or_else(|| {
                    Fault::new(Code::NotFound, "no other environment was meant before")
                        .help("micro-node env lists them, and micro-node env set NAME means one")
                })?;
                set(profile, &before, output)
            }
            Some(Verb::Add { name, node }) => add(profile, &name, &node, globals, output),
            Some(Verb::Del { name }) => delete(profile, &name, output),
        }
    }
}

fn item<'a>(name: &'a str, environment: &'a Environment, current: Option<&str>) -> EnvItem<'a> {
    EnvItem {
        name,
        current: current == Some(name),
        address: environment.address.as_ref().map(ToString::to_string),
        namespace: environment.namespace.as_ref().map(|namespace| namespace.as_str()),
        file: environment.file.as_ref().map(|file| file.display().to_string()),
    }
}

fn list(profile: &Profile, current: Option<&str>, output: &Output) -> Result<(), Failure> {
    let all = profile.environments();
    let items: Vec<EnvItem<'_>> =
        all.iter().map(|(name, environment)| item(name, environment, current)).collect();
    if output.json() {
        return output.items(&ENVIRONMENTS, &items, &EnvSummary { count: items.len(), current });
    }
    let mut headers = vec!["", "NAME", "ADDRESS", "NAMESPACE"];
    if output.wide() {
        headers.push("FILE");
    }
    let mut table = Table::new(headers);
    for EnvItem { name, current, address, namespace, file } in items {
        let star = if current { "*" } else { "" };
        let mut cells = vec![
            star.to_owned(),
            name.to_owned(),
            address.unwrap_or_else(|| "this host".to_owned()),
            namespace.unwrap_or(NOTHING).to_owned(),
        ];
        if output.wide() {
            cells.push(file.unwrap_or_else(|| NOTHING.to_owned()));
        }
        table.row(cells);
    }
    output.table(&table, "")
}

fn get(environment: &Environment, name: &str, current: Option<&str>, output: &Output) -> Result<(), Failure> {
    let item = item(name, environment, current);
    if output.json() {
        return output.item(&ENVIRONMENT, &item);
    }
    output.text(item.address.as_deref().unwrap_or("this host"))
}

fn set(profile: &Profile, name: &str, output: &Output) -> Result<(), Failure> {
    let environment = profile.environment(name)?;
    let notebook = Notebook::open()?;
    let own = notebook.path().to_owned();
    notebook.target(name, profile.target())?;
    let elsewhere = profile.target.as_ref().filter(|(other, path)| *path != own && other != name);
    let variable = std::env::var_os("MICRO_NODE_TARGET").filter(|set| !set.is_empty() && set != name);
    if !output.json() {
        output.remark(&format!("commands mean the environment {name} from now on"));
    }
    if let Some((other, path)) = elsewhere {
        output.remark(&format!("but not in this folder: {} says {other}", path.display()));
    }
    if variable.is_some() {
        output.remark("but not in this shell: MICRO_NODE_TARGET says something else");
    }
    if !output.json() {
        return Ok(());
    }
    let current = (elsewhere.is_none() && variable.is_none()).then_some(name);
    output.item(&ENVIRONMENT, &item(name, environment, current))
}

fn add(
    profile: &Profile,
    name: &str,
    node: &Address,
    globals: &Globals,
    output: &Output,
) -> Result<(), Failure> {
    profile::name(name).map_err(Failure::usage)?;
    if name == LOCAL {
        return Err(Failure::usage("local is the node on this host\ngive the environment another name"));
    }
    let notebook = Notebook::open()?;
    // One of the host's file can be had otherwise; one's own is not changed by the way.
    let own = profile.environments().get(name).filter(|known| known.file.as_deref() == Some(notebook.path()));
    if let Some(address) = own.and_then(|known| known.address.as_ref()) {
        return Err(Fault::new(
            Code::Conflict,
            format!("the environment {name} is there already, at {address}"),
        )
        .help(format!("take it out before: micro-node env del {name}"))
        .into());
    }
    // It is meant wherever a command is run.
    let node = match node {
        Address::Unix(path) => Address::Unix(std::path::absolute(path).unwrap_or_else(|_| path.clone())),
        port => port.clone(),
    };
    let file = notebook.path().to_owned();
    notebook.add(name, &node, globals.namespace_given.as_ref())?;
    if output.json() {
        let (namespace, address) = (globals.namespace_given.clone(), Some(node));
        let added = Environment { namespace, address, file: Some(file) };
        return output.item(&ENVIRONMENT, &item(name, &added, globals.environment.as_deref()));
    }
    output.remark(&format!("added: micro-node env set {name} has commands mean it"));
    Ok(())
}

fn delete(profile: &Profile, name: &str, output: &Output) -> Result<(), Failure> {
    let environment = profile.environment(name)?;
    let notebook = Notebook::open()?;
    if environment.file.as_deref() != Some(notebook.path()) || name == LOCAL {
        let place = environment
            .file
            .as_ref()
            .map_or("always there".to_owned(), |file| format!("in {}", file.display()));
        return Err(Fault::new(
            Code::Conflict,
            format!("the environment {name} is {place}, and not yours to take out"),
        )
        .into());
    }
    if profile.target() == name {
        return Err(Fault::new(
            Code::Conflict,
            format!("the environment {name} is the one that commands mean"),
        )
        .help(format!("mean another one before: micro-node env set {LOCAL}"))
        .into());
    }
    notebook.remove(name)?;
    if output.json() {
        return output.item(&FORGOTTEN, &ForgottenItem { name, deleted: true });
    }
    output.remark(&format!("the environment {name} is forgotten"));
    Ok(())
}
