//! Where answers and remarks go: data to stdout, everything else to stderr.

use super::{
    failure::Failure,
    globals::Globals,
    shape::{ItemShape, ListShape, Shape},
    table::{Table, clean},
};
use anstream::ColorChoice;
use clap::ValueEnum;
use rustix::termios::tcgetwinsize;
use serde::Serialize;
use serde_json::Value;
use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// How an answer is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// For people with a wide screen: more columns.
    Wide,
    /// For programs: one document with a versioned schema.
    Json,
    /// For programs that read line by line: one item a line, each whole, without a schema around them.
    Jsonl,
    /// The document of JSON as YAML; what comes one after another, as one document each.
    Yaml,
    /// For shells: of each item what it is called, a line each.
    Name,
}

/// The members that say what an item is called, first the one to prefer.
const NAMES: [&str; 8] = ["name", "key", "path", "id", "kid", "version", "lease", "canary"];
/// The members of a document that hold what it lists.
const LISTS: [&str; 3] = ["items", "nodes", "keys"];

/// The two streams of a command, and how it was asked to use them.
#[derive(Clone, Debug)]
pub(super) struct Output {
    format: Format,
    headers: bool,
    color: ColorChoice,
    /// 0 is what people see who ask for nothing; -1 is quiet.
    verbosity: i16,
    /// Whether it was said that what is shown has no name: of what comes one after another it is said once.
    nameless: Arc<AtomicBool>,
}

impl Output {
    /// What the global flags ask for.
    pub(super) fn new(globals: &Globals) -> Self {
        let color = globals.color.choice();
        color.write_global();
        Output {
            format: globals.output,
            headers: !globals.no_headers,
            color,
            verbosity: if globals.quiet { -1 } else { i16::from(globals.verbose) },
            nameless: Arc::default(),
        }
    }

    /// An output for arguments that could not be read.
    pub(super) fn plain(format: Format) -> Self {
        Output { format, headers: true, color: ColorChoice::Auto, verbosity: 0, nameless: Arc::default() }
    }

    /// The same for JSON, whatever was asked for.
    pub(super) fn as_json(&self) -> Self {
        Output { format: Format::Json, ..self.clone() }
    }

    /// The format asked for.
    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Whether a document for programs was asked for: in JSON, or in YAML, or the names in it.
    pub(super) fn json(&self) -> bool {
        !matches!(self.format, Format::Table | Format::Wide)
    }

    /// Whether more columns were asked for.
    pub(super) fn wide(&self) -> bool {
        self.format == Format::Wide
    }

    /// Whether tables have headings.
    pub(super) fn headers(&self) -> bool {
        self.headers
    }

    /// How much to say on stderr: -1 errors only, 0 the usual, more for each `-v`.
    pub(super) fn verbosity(&self) -> i16 {
        self.verbosity
    }

    /// Whether a person reads stdout.
    pub(super) fn for_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// The columns of the terminal on stdout; none where there is no terminal, and so nothing to truncate
    /// for.
    pub(super) fn width(&self) -> Option<usize> {
        if !self.for_terminal() {
            return None;
        }
        let columns = usize::from(tcgetwinsize(io::stdout()).ok()?.ws_col);
        (columns > 0).then_some(columns)
    }

    /// Writes bytes to stdout as they are.
    pub(super) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| Failure::of_stdout(&error))
    }

    /// Writes text, styled or not, and a line end to stdout.
    pub(super) fn text(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = anstream::AutoStream::new(io::stdout().lock(), self.choice_for(&io::stdout()));
        writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(|error| Failure::of_stdout(&error))
    }

    /// Writes a table to stdout; one without rows leaves stdout empty, and `hint` goes to stderr.
    pub(super) fn table(&self, table: &Table, hint: &str) -> Result<(), Failure> {
        if table.is_empty() {
            self.remark(hint);
            return Ok(());
        }
        self.text(&table.render(self.headers, self.width()))
    }

    /// Writes a document that carries its shape itself to stdout: JSON is indented for people, and on one line for
    /// pipes.
    ///
    /// # Errors
    /// If names were asked for, and nothing in it has one.
    pub(super) fn document<T: Serialize>(&self, _: &Shape<T>, document: &T) -> Result<(), Failure> {
        self.foreign(document)
    }

    /// Writes a document whose form others have laid down, such as a JSON Schema.
    ///
    /// # Errors
    /// As [`document`](Self::document).
    pub(super) fn foreign(&self, document: &impl Serialize) -> Result<(), Failure> {
        match self.format {
            Format::Yaml => return self.text(yaml(document).trim_end()),
            Format::Name => return self.names(document),
            _ => {}
        }
        let json = match self.for_terminal() && self.format != Format::Jsonl {
            true => serde_json::to_string_pretty(document),
            false => serde_json::to_string(document),
        };
        self.text(&json.expect(JSON))
    }

    /// Writes one of those that come one after another.
    ///
    /// # Errors
    /// As [`document`](Self::document).
    pub(super) fn line<T: Serialize>(&self, _: &Shape<T>, item: &T) -> Result<(), Failure> {
        self.foreign_line(item)
    }

    /// Writes one of those that come one after another as JSON, whatever was asked for: for files that are read again.
    pub(super) fn json_line<T: Serialize>(&self, _: &Shape<T>, item: &T) -> Result<(), Failure> {
        self.text(&serde_json::to_string(item).expect(JSON))
    }

    /// Writes one of those that come one after another, whose form others have laid down: what a service says.
    ///
    /// # Errors
    /// As [`document`](Self::document).
    pub(super) fn foreign_line(&self, item: &impl Serialize) -> Result<(), Failure> {
        match self.format {
            Format::Yaml => self.text(&format!("---\n{}", yaml(item).trim_end())),
            Format::Name => self.names(item),
            _ => self.text(&serde_json::to_string(item).expect(JSON)),
        }
    }

    /// Writes what the items of a document are called, or what an item is called. All of it if something is called
    /// nothing: what was asked for is done by then, and its answer is not to be lost.
    fn names(&self, document: &impl Serialize) -> Result<(), Failure> {
        let document = serde_json::to_value(document).expect(JSON);
        let Some(names) = names(&document) else {
            if !self.nameless.swap(true, Ordering::Relaxed) {
                self.remark("nothing in this answer has a name: this is all of it");
            }
            return self.text(&serde_json::to_string(&document).expect(JSON));
        };
        names.iter().try_for_each(|name| self.text(&clean(name)))
    }

    /// Writes `{"schema":…,"item":…}`; as a line, the item alone.
    pub(super) fn item<T: Serialize>(&self, shape: &ItemShape<T>, item: &T) -> Result<(), Failure> {
        match self.format {
            Format::Jsonl => self.foreign_line(item),
            _ => self.foreign(&shape.document(item)),
        }
    }

    /// Writes `{"schema":…,"items":[…],"summary":{…}}`; as lines, the items alone.
    pub(super) fn items<T: Serialize, S: Serialize>(
        &self,
        shape: &ListShape<T, S>,
        items: &[T],
        summary: &S,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Jsonl => items.iter().try_for_each(|item| self.foreign_line(item)),
            _ => self.foreign(&shape.document(items, summary)),
        }
    }

    /// Tells a person something that is not data.
    pub(super) fn remark(&self, text: &str) {
        if self.verbosity >= 0 {
            self.error(text);
        }
    }

    /// Tells a person who asked for more with `-v`.
    pub(super) fn detail(&self, text: &str) {
        if self.verbosity >= 1 {
            self.error(text);
        }
    }

    /// Tells stderr. That it may be closed is nobody's concern.
    pub(super) fn error(&self, text: &str) {
        let mut stderr = anstream::AutoStream::new(io::stderr().lock(), self.choice_for(&io::stderr()));
        let _ = writeln!(stderr, "{text}");
    }

    /// What colour means for `stream`: the flag's word, else what terminal and environment say.
    fn choice_for(&self, stream: &impl anstream::stream::RawStream) -> ColorChoice {
        match self.color {
            ColorChoice::Auto => anstream::AutoStream::choice(stream),
            given => given,
        }
    }
}

/// Why our documents can be written.
const JSON: &str = "our documents have text as keys and nothing that can't be JSON";

pub(super) fn yaml(document: &impl Serialize) -> String {
    // By way of JSON, so that the keys are in one order and numbers are what JSON has.
    yaml_serde::to_string(&serde_json::to_value(document).expect(JSON)).expect("what is JSON is YAML too")
}

/// What the items of a document are called, or what the one item is; none if something is called nothing.
fn names(document: &Value) -> Option<Vec<String>> {
    let list = LISTS.iter().find_map(|list| document.get(list)?.as_array());
    match list {
        Some(items) => items.iter().map(name).collect(),
        None => Some(vec![name(document.get("item").unwrap_or(document))?]),
    }
}

fn name(item: &Value) -> Option<String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    NAMES.iter().find_map(|name| text(item.get(name)?)).or_else(|| text(item))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_listed_has_names() {
        for (document, expected) in [
            (
                json!({"schema": "x/v1", "items": [{"name": "b", "id": 1}, {"name": "a"}], "summary": {}}),
                "b a",
            ),
            (json!({"schema": "x/v1", "items": [{"key": "k", "value": {"name": "v"}}]}), "k"),
            (json!({"schema": "x/v1", "items": ["users"]}), "users"),
            (json!({"schema": "x/v1", "items": []}), ""),
            (json!({"schema": "x/v1", "nodes": [{"name": "alpha", "id": "0"}]}), "alpha"),
            (json!({"schema": "x/v1", "item": {"version": 7}}), "7"),
            (json!({"id": "7c2f"}), "7c2f"),
        ] {
            assert_eq!(
                names(&document).map(|names| names.join(" ")).as_deref(),
                Some(expected),
                "{document}"
            );
        }
        assert_eq!(names(&json!({"items": [{"granted": true}]})), None);
        assert_eq!(names(&json!({"item": {"body": {}}})), None);
    }

    #[test]
    fn yaml_says_what_json_says() {
        let document = json!({"schema": "x/v1", "items": [{"name": "yes", "open": true, "age": 7}]});
        let read: Value = yaml_serde::from_str(&yaml(&document)).expect("it is YAML");
        assert_eq!(read, document);
    }
}
