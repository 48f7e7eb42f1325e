//! `micro-node schema`.

use super::{
    failure::Failure,
    output::Output,
    shape::{self, Described, ListShape, Shapes, Title},
    table::Table,
};
use clap::Args;
use micro_actors::nearest;
use micro_sdk::wire::{Code, Fault};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

const EXAMPLES: &str = "\
Examples:
  micro-node schema                                  all shapes, and what prints each
  micro-node schema status
  micro-node schema micro-node/store-list/v1         as a document names it
  micro-node schema config                           the file with the settings of a node
  micro-node schema error                            what every command says with -o json when it fails
  micro-node schema -o json | jq '.items[].name'

Within a version, keys are added to documents, and none is removed or renamed.";

/// List what documents there are for programs, or show one's JSON Schema
///
/// A document of -o json names its shape in its member `schema`. `config` is the file that `start --config` reads. The
/// schema is one of draft 2020-12.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SchemaCommand {
    /// The shape, as status or micro-node/status/v1
    shape: Option<String>,
}

/// A shape of documents.
#[derive(Serialize, JsonSchema)]
struct ShapeItem {
    /// What `micro-node schema` takes.
    name: &'static str,
    /// What its documents call it.
    id: String,
    /// The commands that print it, or read it if it is a file; none if all print it.
    commands: &'static [&'static str],
    /// Its JSON Schema.
    schema: Value,
}

/// What there is to say of all shapes.
#[derive(Serialize, JsonSchema)]
struct ShapesSummary {
    /// How many are listed.
    count: usize,
}

const SCHEMAS: ListShape<ShapeItem, ShapesSummary> = ListShape::new("schemas", &["schema"]);

pub(super) const SHAPES: Shapes = &[&SCHEMAS];

impl SchemaCommand {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        match &self.shape {
            Some(name) => output.foreign(&find(name)?.schema()),
            None => list(output),
        }
    }
}

fn find(name: &str) -> Result<&'static dyn Described, Fault> {
    let all = shape::all();
    let found = all.iter().find(|shape| [shape.title().name, &shape.title().id()].contains(&name));
    found.copied().ok_or_else(|| {
        let fault = Fault::new(Code::NotFound, format!("no document has the shape {name:?}"));
        let bare = name.strip_prefix("micro-node/").unwrap_or(name);
        let bare = bare.split('/').next().unwrap_or(bare);
        match nearest(bare, all.iter().map(|shape| shape.title().name)) {
            Some(near) => fault.help(format!("did you mean `micro-node schema {near}`?")),
            None => fault.help("micro-node schema lists all of them"),
        }
    })
}

fn list(output: &Output) -> Result<(), Failure> {
    let all = shape::all();
    if output.json() {
        let item = |shape: &&dyn Described| {
            let title = shape.title();
            ShapeItem { name: title.name, id: title.id(), commands: title.by, schema: shape.schema() }
        };
        let items: Vec<ShapeItem> = all.iter().map(item).collect();
        return output.items(&SCHEMAS, &items, &ShapesSummary { count: items.len() });
    }
    let mut table = Table::new(["NAME", "PRINTED OR READ BY"]);
    for shape in all {
        let Title { name, by } = shape.title();
        let by = if by.is_empty() { "every command that fails".to_owned() } else { by.join(", ") };
        table.row([(*name).to_owned(), by]);
    }
    output.table(&table, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_found_by_both_of_its_names_and_others_are_told_what_was_meant() {
        for name in ["status", "micro-node/status/v1"] {
            assert_eq!(find(name).map(|shape| shape.title().name).ok(), Some("status"));
        }
        for (name, help) in [
            ("stauts", "did you mean `micro-node schema status`?"),
            ("micro-node/status/v2", "did you mean `micro-node schema status`?"),
            ("weather", "micro-node schema lists all of them"),
            ("", "micro-node schema lists all of them"),
        ] {
            let fault = find(name).err().expect("there is none");
            assert_eq!(
                (fault.code, fault.help.as_slice()),
                (Code::NotFound, &[help.to_owned()][..]),
                "{name}"
            );
        }
    }
}
