//! The file with a node's settings: where it is, what it says, and what is wrong with it.
//!
//! It is taken from where `--config` says, else from the places that only the user or root can write to. A file in the
//! current folder is never taken by itself: whoever starts a node there would run what others have put there.

mod key;
mod sections;
mod value;

use crate::cli::{
    failure::Failure,
    kept,
    shape::{FileShape, Shapes},
};
use key::{KEYS, Key, Kind};
use micro_actors::nearest;
use micro_sdk::wire::{Code, Fault};
use rustix::process::geteuid;
use sections::NodeFile;
use serde_json::Value;
use std::{
    fs::File,
    io::{self, Read},
    ops::Range,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use toml::de::{DeTable, DeValue};

/// What the file is called where nobody says what it is called.
const FILE: &str = "node.toml";
/// Where the host's is.
const HOST_FOLDER: &str = "/etc/micro-node";
/// The most bytes of the file: a hundred times what a person writes.
const BYTES_MAX: u64 = 1 << 20;
/// The bit of a file's mode that lets everybody write.
const WRITABLE_BY_ALL: u32 = 0o002;

const FILE_SHAPE: FileShape<NodeFile> = FileShape::new("config", &["start --config"]);

pub(in crate::cli) const SHAPES: Shapes = &[&FILE_SHAPE];

/// What the file says of one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// The flag that would say the same, without the dashes.
    pub flag: &'static str,
    /// What it would be given, each of those that are given one after another.
    pub values: Vec<String>,
    /// The file and the line.
    pub place: String,
}

/// The file to take: the one that was `given`, else the first that is there of the user's own and the host's; root
/// takes the host's only, since `sudo` may leave it another's home. None if there is none.
///
/// # Errors
/// If everybody can write it, or one that nobody named is there, and somebody else's.
pub(super) fn choose(given: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
    if let Some(path) = given {
        let path = std::path::absolute(path).map_err(|error| kept::unusable(path, &error))?;
        // One that is not there is told of by who reads it.
        if path.metadata().is_ok_and(|found| found.is_file() && found.mode() & WRITABLE_BY_ALL != 0) {
            let message = format!("{} is not taken: everybody can write it", path.display());
            let help = format!("take that from them: chmod o-w {}", path.display());
            return Err(Fault::new(Code::Usage, message).help(help).into());
        }
        return Ok(Some(path));
    }
    let user = kept::folder().filter(|_| !geteuid().is_root());
    let places = user.into_iter().chain([PathBuf::from(HOST_FOLDER)]).map(|folder| folder.join(FILE));
    first(places)
}

/// The first of the places where a file is.
fn first(places: impl Iterator<Item = PathBuf>) -> Result<Option<PathBuf>, Failure> {
    for path in places {
        let found = match path.metadata() {
            Ok(found) => found,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                continue;
            }
            Err(error) => return Err(kept::unusable(&path, &error)),
        };
        let trusted = [0, geteuid().as_raw()].contains(&found.uid());
        if !trusted || found.mode() & WRITABLE_BY_ALL != 0 {
            let message = format!("{} is not taken: others than root and you can write it", path.display());
            return Err(Fault::new(Code::Usage, message)
                .help(format!("take that from them, or name it: --config {}", path.display()))
                .into());
        }
        return Ok(Some(path));
    }
    Ok(None)
}

/// What a file says.
///
/// # Errors
/// If it can't be read, or is not understood: then with the line and the column.
pub(super) fn read(path: &Path) -> Result<Vec<Said>, Fault> {
    let shown = path.display();
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut text));
    read.map_err(|error| Fault::new(Code::Usage, format!("the file {shown} can't be read: {error}")))?;
    if text.len() as u64 > BYTES_MAX {
        return Err(Fault::new(Code::Usage, format!("the file {shown} has more than {BYTES_MAX} bytes")));
    }
    let text = String::from_utf8(text).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let good = str::from_utf8(good).expect("it was found to be valid so far");
        Text { path, text: good }.refuse(Some(good.len()..good.len()), "it is no text in UTF-8 from here on")
    })?;
    Text { path, text: &text }.parse()
}

/// The text of a file.
struct Text<'t> {
    path: &'t Path,
    text: &'t str,
}

impl Text<'_> {
    /// What it says, in the order of [`KEYS`].
    fn parse(&self) -> Result<Vec<Said>, Fault> {
        let broken = |error: toml::de::Error| self.refuse(error.span(), error.message());
        let table = DeTable::parse(self.text).map_err(broken)?;
        let table = table.get_ref();
        self.check_names(table)?;
        let file: NodeFile = toml::from_str(self.text).map_err(|error| self.unfit(table, &error))?;
        if let Some((there, missing)) = file.lacks() {
            let place = find(table, "api", there).map(|(key, _)| key);
            return Err(self.refuse(place, &format!("api.{there} needs {missing}")));
        }
        let values = serde_json::to_value(&file).expect("a file is sections of texts");
        Ok(KEYS.iter().filter_map(|key| self.said(key, &values, table)).collect())
    }

    fn said(&self, key: &Key, values: &Value, table: &DeTable<'_>) -> Option<Said> {
        let texts = match &values[key.section][key.name] {
            Value::Null => return None,
            Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect(),
            text => vec![text.as_str()?],
        };
        let meant = |text: &str| match key.kind {
            Kind::Plain => text.to_owned(),
            Kind::Path => self.beside(text),
            Kind::Secret => format!("@{}", self.beside(text.strip_prefix('@').unwrap_or(text))),
        };
        let (name, _) = find(table, key.section, key.name)?;
        let place = format!("{}:{}", self.path.display(), self.line(name.start).0);
        Some(Said { flag: key.flag, values: texts.into_iter().map(meant).collect(), place })
    }

    /// A path that is meant from where the file is.
    fn beside(&self, path: &str) -> String {
        self.path.parent().unwrap_or(Path::new("/")).join(path).display().to_string()
    }

    /// Refuses a section or a key that there is not.
    fn check_names(&self, table: &DeTable<'_>) -> Result<(), Fault> {
        for (section, content) in table {
            let (span, section) = (section.span(), section.get_ref().as_ref());
            let names = key::names(section);
            if names.is_empty() {
                return Err(self.unknown(span, section, None));
            }
            let DeValue::Table(keys) = content.get_ref() else {
                let why = format!("{section} is a section: [{section}], and below it {}", names.join(", "));
                return Err(self.refuse(Some(span), &why));
            };
            let strange = keys.keys().find(|name| !names.contains(&name.get_ref().as_ref()));
            if let Some(name) = strange {
                return Err(self.unknown(name.span(), name.get_ref(), Some(section)));
            }
        }
        Ok(())
    }

    /// The refusal of a name that there is not, with the one that may be meant.
    fn unknown(&self, span: Range<usize>, name: &str, section: Option<&str>) -> Fault {
        let (what, near) = match section {
            Some(section) => {
                let near = nearest(name, key::names(section)).map(str::to_owned);
                (format!("[{section}] has no key {name:?}"), near.or_else(|| elsewhere(name)))
            }
            None => {
                let near = nearest(name, key::sections()).map(|section| format!("[{section}]"));
                (format!("there is no section {name:?}"), elsewhere(name).or(near))
            }
        };
        let help = near.map_or_else(
            || {
                let all = section.map_or_else(key::sections, key::names);
                let whose = section.map_or("the file".to_owned(), |section| format!("[{section}]"));
                format!("{whose} takes {}", all.join(", "))
            },
            |near| format!("did you mean {near}?"),
        );
        let mut fault = self.refuse(Some(span), &what);
        fault.help.insert(0, help);
        fault
    }

    /// The refusal of a value that is not what its key takes.
    fn unfit(&self, table: &DeTable<'_>, error: &toml::de::Error) -> Fault {
        let at = error.span();
        let named = KEYS.iter().find(|key| {
            let value = find(table, key.section, key.name).map(|(_, value)| value);
            value.zip(at.clone()).is_some_and(|(value, at)| value.start <= at.start && at.end <= value.end)
        });
        let name = named.map_or(String::new(), |key| format!("{}.{}: ", key.section, key.name));
        self.refuse(at, &format!("{name}{}", error.message()))
    }

    /// The refusal of what stands at `span`.
    fn refuse(&self, span: Option<Range<usize>>, why: &str) -> Fault {
        let place = span.map_or(String::new(), |span| {
            let (line, column) = self.line(span.start);
            format!(":{line}:{column}")
        });
        // What the parser says may have a second line, of what it expected.
        let why = why.lines().collect::<Vec<_>>().join(", ");
        Fault::new(Code::Usage, format!("{}{place}: {why}", self.path.display()))
            .help("micro-node schema config tells what the file takes")
    }

    /// The line and the column of a byte, both from 1 on.
    fn line(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let column = before.chars().rev().take_while(|char| *char != '\n').count() + 1;
        (before.matches('\n').count() + 1, column)
    }
}

/// Where a key and its value stand, if they are there.
fn find(table: &DeTable<'_>, section: &str, name: &str) -> Option<(Range<usize>, Range<usize>)> {
    let DeValue::Table(keys) = table.get(section)?.get_ref() else { return None };
    let (key, value) = keys.get_key_value(name)?;
    Some((key.span(), value.span()))
}

/// The key that is meant by the name of its flag, or by its own name in another section.
fn elsewhere(name: &str) -> Option<String> {
    let flag = name.replace('_', "-");
    let found = KEYS.iter().find(|key| key.flag == flag).or_else(|| {
        let mut same = KEYS.iter().filter(|key| key.name == name);
        // A name that several sections have tells nothing.
        same.next().filter(|_| same.next().is_none())
    });
    found.map(|key| format!("{} in [{}]", key.name, key.section))
}

#[cfg(test)]
mod tests;
