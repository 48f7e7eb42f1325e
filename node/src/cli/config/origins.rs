//! `micro-node config get --origin`: what the instances of a service use, and where that comes from.

use super::{
    failure::Failure,
    globals::Globals,
    item::{excerpt, or_nothing},
    output::Output,
    session,
    shape::{ListShape, Shapes},
    table::{NOTHING, Table, Tone, clean},
};
use micro_sdk::{
    client::{ConfigOrigin, InstanceConfig},
    wire::{Code, Fault},
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// An instance of a service with the values that it uses.
#[derive(Serialize, JsonSchema)]
struct InstanceItem<'a> {
    /// Its id.
    instance: &'a str,
    /// The name of the node that it is attached to.
    node: &'a str,
    /// The version of the tree that it has; none if that is not known.
    version: Option<u64>,
    /// Why nothing is known of it.
    problem: Option<&'a str>,
    /// What it says is wrong with its sources, whatever the path; the values of a source from before are kept.
    problems: Vec<ProblemItem<'a>>,
    /// Its values at or under the path; secrets are `[secret]`.
    values: Vec<OriginItem<'a>>,
}

/// What is wrong with a source of an instance, or with something that it watches.
#[derive(Serialize, JsonSchema)]
struct ProblemItem<'a> {
    /// What it concerns: `file shop.toml`, `environment SHOP_A`, `mesh`, `schema`, `watched "limits"`.
    what: &'a str,
    /// What is wrong.
    problem: &'a str,
}

/// A value, and where it comes from.
#[derive(Serialize, JsonSchema)]
struct OriginItem<'a> {
    /// The path, in the tree of the mesh.
    path: &'a str,
    /// The value.
    value: &'a Value,
    /// `default`, `file`, `environment`, `mesh` or `flag`.
    source: &'a str,
    /// Where in it: the file and line, the variable, the flag, the version of the tree.
    place: &'a str,
    /// The sources that have another value for it, that this one wins over.
    shadowed: &'a [String],
}

/// What there is to say of the list.
#[derive(Serialize, JsonSchema)]
struct OriginsSummary {
    /// How many are listed.
    instances: usize,
    /// Of how many nothing is known.
    silent: usize,
}

const ORIGINS: ListShape<InstanceItem<'static>, OriginsSummary> =
    ListShape::new("config-origins", &["config get --origin"]);

pub(super) const SHAPES: Shapes = &[&ORIGINS];

/// Whether a value is at a path or under it. Names are compared as the service gives them.
fn within(origin: &ConfigOrigin, path: &str) -> bool {
    let rest = origin.path.strip_prefix(path);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Asks and shows.
pub(super) fn run(path: &str, globals: &Globals, output: &Output) -> Result<(), Failure> {
    let Some(service) = path.split('.').next().filter(|service| !service.is_empty()) else {
        let fault = Fault::new(Code::Usage, "it takes a path that begins with the name of a service");
        return Err(fault.help("such as: micro-node config get shop --origin").into());
    };
    let instances = session::run(globals, async |node| Ok(node.config().origins(service).await?))?;
    if output.json() {
        let silent = instances.iter().filter(|instance| instance.problem.is_some()).count();
        let items: Vec<InstanceItem> = instances.iter().map(|instance| item(instance, path)).collect();
        let summary = OriginsSummary { instances: items.len(), silent };
        return output.items(&ORIGINS, &items, &summary);
    }
    let mut table = Table::new(["INSTANCE", "NODE", "PATH", "VALUE", "SOURCE", "PLACE", "INSTEAD OF"]);
    for instance in &instances {
        for (what, problem) in &instance.problems {
            let InstanceConfig { instance, node_name, .. } = instance;
            output.remark(&clean(&format!("instance {instance} on {node_name}: {what}: {problem}")));
        }
        let head = [instance.instance.clone(), instance.node_name.clone()];
        if let Some(problem) = &instance.problem {
            let rest = [NOTHING, NOTHING, NOTHING].map(str::to_owned);
            table.row_in(Tone::Warning, head.into_iter().chain(rest).chain([problem.clone()]));
            continue;
        }
        for origin in instance.values.iter().filter(|origin| within(origin, path)) {
            let row = [
                origin.path.clone(),
                excerpt(Some(&origin.value.to_string())),
                origin.source.clone(),
                or_nothing(&origin.place),
                or_nothing(&origin.shadowed.join(", ")),
            ];
            table.row(head.clone().into_iter().chain(row));
        }
    }
    output.table(&table, &format!("no instance of {service} uses a value at {path}"))
}

fn item<'a>(instance: &'a InstanceConfig, path: &str) -> InstanceItem<'a> {
    let values = instance.values.iter().filter(|origin| within(origin, path));
    let values = values.map(|origin| OriginItem {
        path: &origin.path,
        value: &origin.value,
        source: &origin.source,
        place: &origin.place,
        shadowed: &origin.shadowed,
    });
    let problems = instance.problems.iter();
    InstanceItem {
        instance: &instance.instance,
        node: &instance.node_name,
        version: instance.problem.is_none().then_some(instance.version),
        problem: instance.problem.as_deref(),
        problems: problems.map(|(what, problem)| ProblemItem { what, problem }).collect(),
        values: values.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_within_its_path_and_those_above() {
        let origin = |path: &str| ConfigOrigin {
            path: path.to_owned(),
            value: Value::Null,
            source: String::new(),
            place: String::new(),
            shadowed: Vec::new(),
        };
        assert!(within(&origin("shop.a.b"), "shop") && within(&origin("shop.a"), "shop.a"));
        assert!(!within(&origin("shop-2.a"), "shop") && !within(&origin("shop"), "shop.a"));
    }
}
