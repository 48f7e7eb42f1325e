//! `micro-node config get`.

use super::{
    document,
    failure::Failure,
    globals::Globals,
    origins,
    output::Output,
    session,
    shape::{ItemShape, Shapes},
    unit,
};
use clap::Args;
use micro_sdk::{
    client::{ConfigReading, Node},
    wire::{Code, Fault},
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// Read what is at a path and print it: JSON, or a text as it is
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node config get shop.limits.items
  micro-node config get shop | jq .limits
  micro-node config get shop.key --show-secrets
  micro-node config get shop --at 7                     as it was at version 7 of the tree
  micro-node config get shop.limits.items --default 10  if nothing is there; else the exit code is 5 then
  micro-node config get shop --origin                   what its instances use, and where that comes from")]
pub(super) struct Get {
    /// Where [default: the whole tree]
    #[arg(default_value = "", hide_default_value = true)]
    path: String,

    /// With secrets as they are; else each is `[secret]`
    #[arg(long, visible_alias = "secret")]
    show_secrets: bool,

    /// As it was at this version of the tree
    #[arg(long, value_name = "VERSION")]
    at: Option<u64>,

    /// With the staged changes that this instance of a service has
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    instance: String,

    /// Answer from the node's own replica as it is, also without a quorum
    #[arg(long)]
    stale: bool,

    /// What to print if nothing is there, as JSON or a text
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    default: Option<String>,

    /// Ask the instances of the service that the path begins with which values they use, and where these come from
    #[arg(long, conflicts_with_all = ["show_secrets", "at", "instance", "stale", "default"])]
    origin: bool,
}

/// What is at a path.
#[derive(Serialize, JsonSchema)]
struct ReadingItem<'a> {
    /// The path; empty for the whole tree.
    path: &'a str,
    /// Whether something is there: a value of `null` is something.
    exists: bool,
    /// The value; secrets that were not asked for are `[secret]`.
    value: Value,
    /// The version of the tree.
    version: u64,
    /// The values that it is made of.
    leaves: Vec<LeafItem<'a>>,
    /// Of a `--stale` reading: how many milliseconds ago this replica was known to be current, if that can be said.
    age_ms: Option<u64>,
}

/// The JSON form of a leaf.
#[derive(Serialize, JsonSchema)]
pub(super) struct LeafItem<'a> {
    /// Where it is, with dots and backslashes inside names escaped.
    path: &'a str,
    /// The value; a secret that was not asked for is `[secret]`.
    value: Value,
    /// Whether it is a secret.
    secret: bool,
    /// The change that set it.
    version: u64,
    /// The staged change that set it, for the instance that was asked for.
    canary: Option<u64>,
}

const GET: ItemShape<ReadingItem<'static>> = ItemShape::new("config-get", &["config get"]);

pub(super) const SHAPES: Shapes = &[&GET];

/// The JSON form of the leaves of a reading.
pub(super) fn leaf_items(reading: &ConfigReading) -> Result<Vec<LeafItem<'_>>, Fault> {
    let leaves = reading.leaves.iter().map(|leaf| {
        let (secret, version, canary) = (leaf.secret, leaf.version, leaf.canary);
        Ok(LeafItem { path: &leaf.path, value: leaf.value()?, secret, version, canary })
    });
    leaves.collect()
}

/// What to say where nothing is.
pub(super) fn nothing_at(path: &str) -> Fault {
    let place = if path.is_empty() { "in the tree".to_owned() } else { format!("at {path}") };
    Fault::new(Code::NotFound, format!("nothing is {place}"))
        .help("micro-node config list shows what there is; micro-node config set PATH VALUE sets it")
}

impl Get {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        if self.origin {
            return origins::run(&self.path, globals, output);
        }
        let reading = session::run(globals, async |node| Ok(self.read(&node).await?))?;
        if self.stale {
            output.remark(&unit::age(reading.age));
        }
        output.detail(&format!("the tree is at version {}", reading.version));
        let default = self.default.as_deref().map(|default| document::value(default, false)).transpose()?;
        let Some(text) = reading.text.as_deref().or(default.as_ref().map(|json| json.as_str())) else {
            return Err(nothing_at(&self.path).into());
        };
        if output.json() {
            let item = ReadingItem {
                path: &self.path,
                exists: reading.text.is_some(),
                value: serde_json::from_str(text).map_err(|_| not_json())?,
                version: reading.version,
                leaves: leaf_items(&reading)?,
                age_ms: reading.age.map(unit::whole_milliseconds),
            };
            return output.item(&GET, &item);
        }
        output.bytes(document::bare(text).as_bytes())?;
        output.bytes(b"\n")
    }

    async fn read(&self, node: &Node) -> Result<ConfigReading, Fault> {
        let mut get = node.config().get(&self.path).instance(&self.instance);
        if self.show_secrets {
            get = get.show_secrets();
        }
        if let Some(version) = self.at {
            get = get.at(version);
        }
        if self.stale {
            get = get.stale();
        }
        get.await
    }
}

fn not_json() -> Fault {
    Fault::new(Code::Internal, "what is there is not JSON")
        .help("client and node may be of different versions")
}
