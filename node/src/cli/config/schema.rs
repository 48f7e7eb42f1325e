//! `micro-node config schema`.

use super::{
    failure::Failure,
    globals::Globals,
    input,
    output::Output,
    session,
    shape::{ItemShape, Shapes},
};
use clap::Args;
use micro_sdk::wire::{Code, Fault, ServiceName};
use serde_json::Value;

/// The largest schema that a node takes.
const SCHEMA_BYTES_MAX: usize = 256 << 10;

/// Show what a service's part of the tree must look like, or say so
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node config schema shop
  micro-node config schema shop @shop.schema.json       from now on, what does not fit is refused
  micro-node config schema shop --remove")]
pub(super) struct Schema {
    /// The service: the first name of its paths
    service: ServiceName,

    /// The JSON Schema (draft 2020-12) to register: itself, @FILE, or - for stdin
    #[arg(conflicts_with = "remove")]
    schema: Option<String>,

    /// Take the schema away
    #[arg(long)]
    remove: bool,
}

const SCHEMA: ItemShape<Value> = ItemShape::new("config-schema", &["config schema"]);

pub(super) const SHAPES: Shapes = &[&SCHEMA];

impl Schema {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let service = self.service.as_str();
        if let Some(schema) = &self.schema {
            let schema: Value = input::json(schema, SCHEMA_BYTES_MAX)?;
            session::run(globals, async |node| Ok(node.config().set_schema(service, Some(&schema)).await?))?;
            output.detail(&format!("the schema of {service} is registered"));
            return Ok(());
        }
        if self.remove {
            session::run(globals, async |node| Ok(node.config().set_schema(service, None).await?))?;
            output.detail(&format!("{service} has no schema any more"));
            return Ok(());
        }
        let schema = session::run(globals, async |node| Ok(node.config().schema(service).await?))?;
        let schema = schema.ok_or_else(|| {
            Fault::new(Code::NotFound, format!("there is no schema of {service}"))
                .help(format!("register one: micro-node config schema {service} @FILE"))
        })?;
        if output.json() {
            return output.item(&SCHEMA, &schema);
        }
        output.foreign(&schema)
    }
}
