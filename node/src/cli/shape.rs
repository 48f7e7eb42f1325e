//! What documents look like. Each that a command prints has a name and is of one type; its JSON Schema is made of that
//! type, so that what `micro-node schema` tells is what is printed.
//!
//! A shape stands beside the command that prints it, and in the list of its file, `SHAPES`. Keys may be added to a
//! type; to rename or to remove one makes a new version, which `tests/golden/schemas.json` keeps anybody from by
//! mistake.

use super::{
    audit, auth, blob, call, cluster, config, dns, election, env, failure, help, leave, lock, login, man,
    network, policy, registry, reset, schema, services, start, status, store, token, user, version,
};
use schemars::{JsonSchema, Schema, generate::SchemaSettings, transform::RecursiveTransform};
use serde::Serialize;
use serde_json::{Value, json};
use std::marker::PhantomData;

/// The shapes of a file.
pub(super) type Shapes = &'static [&'static dyn Described];
/// The shape of a document of one thing.
pub(super) type ItemShape<T> = Shape<Item<T>>;
/// The shape of a document of a list, with a summary of it.
pub(super) type ListShape<T, S> = Shape<List<Vec<T>, S>>;

/// What a document is called and which type it is of: the whole document, or what is printed of those that come one
/// after another.
pub(super) struct Shape<T> {
    title: Title,
    // As what makes a document: so the shape of one that borrows for ever is that of one that borrows for a while.
    document: PhantomData<fn() -> T>,
}

/// What a shape is called.
pub(super) struct Title {
    /// Its name among shapes.
    pub(super) name: &'static str,
    /// What prints it, or reads it if it is a file, without `micro-node`; nothing if it is what every command says.
    pub(super) by: &'static [&'static str],
}

/// A document of one thing.
#[derive(Serialize, JsonSchema)]
pub(super) struct Item<T> {
    /// The shape of this document.
    schema: String,
    /// The thing.
    item: T,
}

/// A document of a list.
#[derive(Serialize, JsonSchema)]
pub(super) struct List<L, S> {
    /// The shape of this document.
    schema: String,
    /// The list.
    items: L,
    /// What there is to say of the list.
    summary: S,
}

/// A shape, of whichever type its documents are.
pub(super) trait Described {
    /// What it is called.
    fn title(&self) -> &Title;

    /// The JSON Schema (draft 2020-12) of its documents.
    fn schema(&self) -> Value;
}

impl Title {
    /// What documents call it: their member `schema`.
    pub(super) fn id(&self) -> String {
        format!("micro-node/{}/v1", self.name)
    }
}

impl<T> Shape<T> {
    /// The shape that is called `name`; `by` are the commands that print it.
    pub(super) const fn new(name: &'static str, by: &'static [&'static str]) -> Self {
        Shape { title: Title { name, by }, document: PhantomData }
    }
}

impl<T> ItemShape<T> {
    /// The document of `item`.
    pub(super) fn document<'a>(&self, item: &'a T) -> Item<&'a T> {
        Item { schema: self.title.id(), item }
    }
}

impl<T, S> ListShape<T, S> {
    /// The document of `items`.
    pub(super) fn document<'a>(&self, items: &'a [T], summary: &'a S) -> List<&'a [T], &'a S> {
        List { schema: self.title.id(), items, summary }
    }
}

impl<T: JsonSchema> Described for Shape<T> {
    fn title(&self) -> &Title {
        &self.title
    }

    fn schema(&self) -> Value {
        let Title { name, by } = self.title;
        // As it is written: what is always there is required, be it null.
        let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
        let mut schema = generator.into_root_schema_for::<T>();
        schema.insert("$id".to_owned(), self.title.id().into());
        schema.insert("title".to_owned(), name.into());
        if let Some(named) = schema.pointer_mut("/properties/schema") {
            *named = json!({ "const": self.title.id(), "description": "The shape of this document." });
            let by: Vec<String> = by.iter().map(|words| format!("`micro-node {words}`")).collect();
            // What every command says is described where its type is.
            if !by.is_empty() {
                let description = format!("What {} prints as JSON.", by.join(" or "));
                schema.insert("description".to_owned(), description.into());
            }
        }
        schema.to_value()
    }
}

/// What a file looks like that is read: it does not name its shape.
pub(super) struct FileShape<T>(Shape<T>);

impl<T> FileShape<T> {
    /// The shape that is called `name`; `by` are the commands that read it.
    pub(super) const fn new(name: &'static str, by: &'static [&'static str]) -> Self {
        FileShape(Shape::new(name, by))
    }
}

impl<T: JsonSchema> Described for FileShape<T> {
    fn title(&self) -> &Title {
        &self.0.title
    }

    fn schema(&self) -> Value {
        // As it is read: nothing has to be there, and nothing can be null, for which TOML has no word.
        let settings = SchemaSettings::draft2020_12()
            .for_deserialize()
            .with(|settings| settings.inline_subschemas = true);
        let generator = settings.with_transform(RecursiveTransform(without_null)).into_generator();
        let mut schema = generator.into_root_schema_for::<T>();
        schema.insert("$id".to_owned(), self.0.title.id().into());
        schema.insert("title".to_owned(), self.0.title.name.into());
        schema.to_value()
    }
}

/// Takes null out of what a schema allows, and with it what holds where nothing is said: that is in its description.
fn without_null(schema: &mut Schema) {
    schema.remove("default");
    let null = json!({ "type": "null" });
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = &types[..] {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(choices)) = schema.get("anyOf").cloned() {
        let rest: Vec<Value> = choices.into_iter().filter(|choice| *choice != null).collect();
        match &rest[..] {
            [Value::Object(only)] => {
                schema.remove("anyOf");
                for (name, value) in only {
                    schema.insert(name.clone(), value.clone());
                }
            }
            _ => drop(schema.insert("anyOf".to_owned(), rest.into())),
        }
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
}

/// All shapes, by name.
pub(super) fn all() -> Vec<&'static dyn Described> {
    let groups = [
        audit::SHAPES,
        auth::SHAPES,
        blob::SHAPES,
        cluster::SHAPES,
        config::SHAPES,
        network::SHAPES,
        policy::SHAPES,
        registry::SHAPES,
        services::SHAPES,
        store::SHAPES,
    ];
    let commands = [
        call::SHAPES,
        dns::SHAPES,
        election::SHAPES,
        env::SHAPES,
        failure::SHAPES,
        help::SHAPES,
        leave::SHAPES,
        lock::SHAPES,
        login::SHAPES,
        man::SHAPES,
        reset::SHAPES,
        schema::SHAPES,
        start::SHAPES,
        status::SHAPES,
        token::SHAPES,
        user::SHAPES,
        version::SHAPES,
    ];
    let files = groups.into_iter().flatten().copied().chain(commands);
    let mut all: Vec<_> = files.flatten().copied().collect();
    all.sort_by_key(|shape| shape.title().name);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;
    use std::{collections::BTreeSet, fs, path::Path};

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<&str> = all().iter().map(|shape| shape.title().name).collect();
        assert_eq!(names.len(), all().len());
    }

    #[test]
    fn every_shape_has_a_schema_that_compiles_and_says_what_each_member_is() {
        for shape in all() {
            let (id, schema) = (shape.title().id(), shape.schema());
            jsonschema::draft202012::meta::validate(&schema).unwrap_or_else(|error| panic!("{id}: {error}"));
            jsonschema::draft202012::new(&schema).unwrap_or_else(|error| panic!("{id}: {error}"));
            assert_eq!(schema["$id"], id);
            assert!(schema["description"].is_string(), "{id} does not say what it is");
            each_is_described(&schema, &id);
        }
    }

    /// That each member below `schema` says what it is.
    fn each_is_described(schema: &Value, place: &str) {
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            let place = format!("{place} {name}");
            // What an external tag holds is told by the tag.
            let tag = schema["required"] == json!([name]) && schema["additionalProperties"] == false;
            assert!(member["description"].is_string() || tag, "{place} does not say what it is");
        }
        for below in schema.as_array().into_iter().flatten() {
            each_is_described(below, place);
        }
        for (name, below) in schema.as_object().into_iter().flatten() {
            each_is_described(below, &format!("{place}/{name}"));
        }
    }

    #[test]
    fn what_prints_a_shape_is_a_command() {
        let mut root = Cli::command();
        root.build();
        for shape in all() {
            let Title { name, by } = shape.title();
            assert!(!by.is_empty() || *name == "error", "nothing prints {name}");
            for words in *by {
                let mut found = &root;
                for word in words.split(' ') {
                    match found.find_subcommand(word) {
                        Some(below) => found = below,
                        None => break,
                    }
                }
                let runs = found.get_name() != "micro-node" && !found.is_subcommand_required_set();
                assert!(runs || *words == "SERVICE ENDPOINT", "{name}: there is no command {words}");
            }
        }
    }

    #[test]
    fn every_shape_is_in_the_list() {
        fn made(folder: &Path) -> usize {
            let entries =
                fs::read_dir(folder).expect("the sources are there").flatten().map(|entry| entry.path());
            let count = |path: &Path| {
                let text = fs::read_to_string(path).expect("a source is text");
                let text: String = text.split_whitespace().collect();
                text.matches("Shape::new(\"").count()
            };
            let entries = entries.filter(|path| !path.ends_with("cli/shape.rs"));
            entries.map(|path| if path.is_dir() { made(&path) } else { count(&path) }).sum()
        }
        assert_eq!(made(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli")), all().len());
    }

    #[test]
    fn a_document_is_of_its_shape() {
        const SHAPE: ItemShape<&str> = ItemShape::new("x", &["version"]);
        let document = serde_json::to_value(SHAPE.document(&"a")).expect("it is JSON");
        assert_eq!(document, json!({ "schema": "micro-node/x/v1", "item": "a" }));
        let validator = jsonschema::draft202012::new(&SHAPE.schema()).expect("it is a schema");
        assert!(validator.is_valid(&document));
        for other in [json!({ "schema": "micro-node/y/v1", "item": "a" }), json!({ "item": "a" })] {
            assert!(!validator.is_valid(&other), "{other}");
        }
    }
}
