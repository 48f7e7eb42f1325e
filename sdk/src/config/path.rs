//! Places in a tree of values.

use crate::wire::{Code, Fault};
use std::fmt;

/// A place in a tree of values: names from its root on, none for the root. As text they are parted by dots; a dot or a
/// backslash inside a name stands behind a backslash.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path(Vec<String>);

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// `Usage` if a name is empty, or a backslash stands where it means nothing.
    pub fn parse(text: &str) -> Result<Path, Fault> {
        if text.is_empty() {
            return Ok(Path::default());
        }
        let refused = |why: &str| {
            let fault = Fault::new(Code::Usage, format!("{text:?} is no path of the configuration: {why}"));
            fault.help("write it as limits.items, a dot inside a name as \\. and a backslash as \\\\")
        };
        let (mut names, mut name, mut chars) = (Vec::new(), String::new(), text.chars());
        while let Some(char) = chars.next() {
            match char {
                '.' => names.push(std::mem::take(&mut name)),
                '\\' => match chars.next() {
                    Some(escaped @ ('.' | '\\')) => name.push(escaped),
                    _ => return Err(refused("a backslash stands before a dot or another backslash only")),
                },
                char => name.push(char),
            }
        }
        names.push(name);
        match names.iter().any(String::is_empty) {
            true => Err(refused("a name in it is empty")),
            false => Ok(Path(names)),
        }
    }

    /// The path of what is called `name` under this one.
    pub fn child(&self, name: impl Into<String>) -> Path {
        let mut names = self.0.clone();
        names.push(name.into());
        Path(names)
    }

    /// This path under another one.
    pub fn under(&self, root: &Path) -> Path {
        Path(root.0.iter().chain(&self.0).cloned().collect())
    }

    /// What is left of the path behind `root`; none if it does not lie there.
    pub fn behind(&self, root: &Path) -> Option<Path> {
        self.0.strip_prefix(root.names()).map(|names| Path(names.to_vec()))
    }

    /// Whether it is `other`, or lies under it.
    pub fn is_within(&self, other: &Path) -> bool {
        self.0.starts_with(&other.0)
    }

    /// Whether one lies at or under the other.
    pub fn meets(&self, other: &Path) -> bool {
        self.is_within(other) || other.is_within(self)
    }

    /// Its names.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

impl From<Vec<String>> for Path {
    fn from(names: Vec<String>) -> Path {
        Path(names)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, name) in self.0.iter().enumerate() {
            let dot = if number > 0 { "." } else { "" };
            write!(f, "{dot}{}", name.replace('\\', "\\\\").replace('.', "\\."))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_back_as_it_was_written() {
        for (text, names) in [
            ("", &[][..]),
            ("a", &["a"]),
            ("limits.items", &["limits", "items"]),
            (r"hosts.a\.example\.org.port", &["hosts", "a.example.org", "port"]),
            (r"a\\b.c", &[r"a\b", "c"]),
        ] {
            let path = Path::parse(text).expect("it is a path");
            assert_eq!(path.names(), names, "{text}");
            assert_eq!(path.to_string(), text);
        }
        for text in [".", "a.", ".a", "a..b", r"a\b", r"a\"] {
            assert_eq!(Path::parse(text).expect_err("it is no path").code, Code::Usage, "{text}");
        }
    }
}
