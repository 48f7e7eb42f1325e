//! Where answers and remarks go: data to stdout, everything else to stderr.

use super::{failure::Failure, globals::Globals, table::Table};
use anstream::ColorChoice;
use clap::ValueEnum;
use rustix::termios::tcgetwinsize;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

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
}

/// One thing, as JSON.
#[derive(Serialize)]
struct Item<'a, T> {
    schema: &'a str,
    item: &'a T,
}

/// A list of things, as JSON.
#[derive(Serialize)]
struct Items<'a, T, S> {
    schema: &'a str,
    items: &'a T,
    summary: &'a S,
}

/// The two streams of a command, and how it was asked to use them.
#[derive(Debug)]
pub(super) struct Output {
    format: Format,
    headers: bool,
    color: ColorChoice,
    /// 0 is what people see who ask for nothing; -1 is quiet.
    verbosity: i16,
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
        }
    }

    /// An output for arguments that could not be read.
    pub(super) fn plain(format: Format) -> Self {
        Output { format, headers: true, color: ColorChoice::Auto, verbosity: 0 }
    }

    /// The format asked for.
    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Whether JSON was asked for.
    pub(super) fn json(&self) -> bool {
        matches!(self.format, Format::Json | Format::Jsonl)
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

    /// Writes one JSON document to stdout: indented for people, on one line for pipes.
    pub(super) fn document(&self, document: &impl Serialize) -> Result<(), Failure> {
        let json = if self.for_terminal() {
            serde_json::to_string_pretty(document)
        } else {
            serde_json::to_string(document)
        };
        self.text(&json.expect("our documents have text as keys and nothing that can't be JSON"))
    }

    /// Writes one item of those that come one after another, on one line.
    pub(super) fn line(&self, item: &impl Serialize) -> Result<(), Failure> {
        self.text(
            &serde_json::to_string(item).expect("our items have text as keys and nothing that can't be JSON"),
        )
    }

    /// Writes `{"schema":…,"item":…}`; as a line, the item alone.
    pub(super) fn item(&self, schema: &str, item: &impl Serialize) -> Result<(), Failure> {
        if self.format == Format::Jsonl {
            return self.line(item);
        }
        self.document(&Item { schema, item })
    }

    /// Writes `{"schema":…,"items":[…],"summary":{…}}`; as lines, the items alone.
    pub(super) fn items<T: Serialize>(
        &self,
        schema: &str,
        items: &[T],
        summary: &impl Serialize,
    ) -> Result<(), Failure> {
        if self.format == Format::Jsonl {
            return items.iter().try_for_each(|item| self.line(item));
        }
        self.document(&Items { schema, items: &items, summary })
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
