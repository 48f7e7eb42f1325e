//! What documents look like, as `micro-node schema` tells it, and whether those that it prints look so.

use crate::{Outcome, command_line::isolate, program};
use anyhow::{Context, ensure};
use jsonschema::Validator;
use serde_json::Value;
use std::{collections::BTreeMap, path::Path, process::Stdio, sync::OnceLock, time::Duration};
use tokio::{process::Command, sync::OnceCell, time::timeout};

/// How long the program may take to tell its schemas, on a machine that is busy compiling.
const LIMIT: Duration = Duration::from_secs(60);

/// What the documents of failures are called, which stand on stderr and do not name their shape.
const ERROR: &str = "micro-node/error/v1";

/// The shapes of all documents that `micro-node` prints.
pub struct Shapes(BTreeMap<String, Shape>);

struct Shape {
    schema: Value,
    /// Made when it is needed first: most processes meet a few shapes of many.
    validator: OnceLock<Validator>,
}

impl Shapes {
    /// Those of the built program, which is asked once a process.
    ///
    /// # Errors
    /// If it does not tell them.
    pub async fn told() -> anyhow::Result<&'static Shapes> {
        static TOLD: OnceCell<Shapes> = OnceCell::const_new();
        TOLD.get_or_try_init(ask).await.context("micro-node schema -o json")
    }

    /// The schemas, by what documents call them.
    pub fn schemas(&self) -> BTreeMap<&str, &Value> {
        self.0.iter().map(|(id, shape)| (id.as_str(), &shape.schema)).collect()
    }

    /// Checks every document that a command has printed: those that name their shape, and those of failures.
    ///
    /// # Errors
    /// If one is not of its shape: where, and why.
    pub fn check(&self, outcome: &Outcome) -> anyhow::Result<()> {
        documents(outcome).try_for_each(|(id, document)| self.is_of(&id, &document))
    }

    /// Checks a document, or a line that names no shape, against the shape that is called `id`.
    ///
    /// # Errors
    /// If it is not of that shape: where, and why.
    pub fn is_of(&self, id: &str, document: &Value) -> anyhow::Result<()> {
        let shape =
            self.0.get(id).with_context(|| format!("micro-node schema does not know {id}: {document}"))?;
        let make =
            || jsonschema::draft202012::new(&shape.schema).expect("the node's own tests have compiled it");
        let wrong: Vec<String> = shape
            .validator
            .get_or_init(make)
            .iter_errors(document)
            .map(|error| format!("at {:?}: {error}", error.instance_path().as_str()))
            .collect();
        ensure!(wrong.is_empty(), "this is not of the shape {id}: {}\n{document}", wrong.join("; "));
        Ok(())
    }
}

/// Whether anything that a command has printed is to be checked.
pub(crate) fn has_documents(outcome: &Outcome) -> bool {
    documents(outcome).next().is_some()
}

/// The documents in what a command has printed, each with the shape that it should have. In a pipe each is a line.
fn documents(outcome: &Outcome) -> impl Iterator<Item = (String, Value)> + '_ {
    let read = |line: &str| serde_json::from_str::<Value>(line).ok();
    let objects = |text: &'_ str| {
        text.lines().filter(|line| line.starts_with('{')).filter_map(read).collect::<Vec<_>>()
    };
    let printed = objects(&outcome.stdout).into_iter().filter_map(|document| {
        let id = document["schema"].as_str().filter(|id| id.starts_with("micro-node/"))?.to_owned();
        Some((id, document))
    });
    let failures = objects(&outcome.stderr).into_iter().filter(|document| document["error"].is_object());
    printed.chain(failures.map(|document| (ERROR.to_owned(), document)))
}

async fn ask() -> anyhow::Result<Shapes> {
    let mut command = Command::new(program("micro-node")?);
    isolate(&mut command, Path::new("/nonexistent"));
    command.args(["schema", "-o", "json"]).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(LIMIT, command.output()).await.context("it does not end")??;
    let told: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let items = told["items"].as_array().context("it lists none")?;
    let shapes = items.iter().map(|item| {
        let id = item["id"].as_str().context("a shape has an id")?.to_owned();
        Ok((id, Shape { schema: item["schema"].clone(), validator: OnceLock::new() }))
    });
    Ok(Shapes(shapes.collect::<anyhow::Result<_>>()?))
}
