//! Paths in the tree.

use bincode::{
    Decode, Encode,
    de::Decoder,
    enc::Encoder,
    error::{DecodeError, EncodeError},
};
use micro_sdk::wire::{Code, Fault, limits::KEY_BYTES_MAX};
use std::{
    fmt,
    ops::{Bound, RangeBounds},
};

/// How many names a path has at most: what is nested deeper is a document, which belongs into one leaf or into the
/// store.
const DEPTH_MAX: usize = 32;

/// A place in the tree: names from its root on, none for the root. As text they are parted by dots; a dot or a
/// backslash inside a name stands behind a backslash.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigPath(Vec<String>);

impl ConfigPath {
    /// Reads a path.
    ///
    /// # Errors
    /// [`Code::Usage`] if a name is empty or holds control characters, or the path is too deep or too long.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let mut path = ConfigPath::default();
        if text.is_empty() {
            return Ok(path);
        }
        let mut name = String::new();
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            match char {
                '.' if name.is_empty() => return Err(empty_name(text)),
                '.' => path = path.child(std::mem::take(&mut name))?,
                '\\' => match chars.next() {
                    Some(escaped @ ('.' | '\\')) => name.push(escaped),
                    _ => {
                        return Err(refused(
                            text,
                            "a backslash stands before a dot or another backslash only",
                        )
                        .help("write a dot inside a name as \\. and a backslash as \\\\"));
                    }
                },
                char => name.push(char),
            }
        }
        if name.is_empty() {
            return Err(empty_name(text));
        }
        path.child(name)
    }

    /// The path of what is called `name` under this one.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn child(&self, name: impl Into<String>) -> Result<Self, Fault> {
        let (mut names, name) = (self.0.clone(), name.into());
        if name.is_empty() {
            let place = if self.is_root() { String::new() } else { format!(" under {self}") };
            return Err(Fault::new(Code::Usage, format!("a name{place} is empty")).help("give it a name"));
        }
        if name.chars().any(char::is_control) {
            return Err(refused(&name.escape_debug().to_string(), "a name in it holds control characters"));
        }
        names.push(name);
        let path = ConfigPath(names);
        if path.0.len() > DEPTH_MAX {
            let why = format!("it is deeper than the limit of {DEPTH_MAX} names");
            return Err(
                refused(&path.key(), &why).help("put what is deeper into the store, or into an array")
            );
        }
        let bytes = path.key().len();
        if bytes > KEY_BYTES_MAX {
            let why = format!("{bytes} bytes are more than the limit of {KEY_BYTES_MAX}");
            return Err(refused(&path.key()[..path.key().floor_char_boundary(64)], &why));
        }
        Ok(path)
    }

    /// Its one canonical text, which is also its key in the store.
    pub fn key(&self) -> String {
        let names = self.0.iter().map(|name| name.replace('\\', "\\\\").replace('.', "\\."));
        names.collect::<Vec<_>>().join(".")
    }

    /// Its names.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Whether it is the whole tree.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The service that it belongs to, if any does: its first name.
    pub fn service(&self) -> Option<&str> {
        self.0.first().map(String::as_str)
    }

    /// The keys of all that it lies under, but for the root.
    pub fn ancestors(&self) -> impl Iterator<Item = String> + '_ {
        (1..self.0.len()).map(|depth| ConfigPath(self.0[..depth].to_vec()).key())
    }

    /// The keys of all that lies under it. In the order of keys nothing else lies between them: a dot that parts names
    /// is never escaped.
    pub fn descendants(&self) -> (Bound<String>, Bound<String>) {
        if self.is_root() {
            return (Bound::Unbounded, Bound::Unbounded);
        }
        let key = self.key();
        // A slash is what follows the dot.
        (Bound::Included(format!("{key}.")), Bound::Excluded(format!("{key}/")))
    }

    /// Whether one lies at or under the other.
    pub fn meets(&self, other: &ConfigPath) -> bool {
        self.0.iter().zip(&other.0).all(|(name, other)| name == other)
    }

    /// Whether the leaf with this key is at this path or under it.
    pub fn holds(&self, key: &str) -> bool {
        key == self.key() || self.descendants().contains(&key.to_owned())
    }
}

/// The fault of a path in which a name is empty.
fn empty_name(path: &str) -> Fault {
    let why = match path {
        "." => "it is a dot alone",
        path if path.starts_with('.') => "it begins with a dot: the name before it is empty",
        path if path.contains("..") => "a name between two dots is empty",
        _ => "it ends with a dot: the name after it is empty",
    };
    refused(path, why).help("write it as shop.limits.items")
}

fn refused(path: &str, why: &str) -> Fault {
    Fault::new(Code::Usage, format!("{path:?} is no path: {why}"))
}

impl fmt::Display for ConfigPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key())
    }
}

impl Encode for ConfigPath {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.key().encode(encoder)
    }
}

impl<C> Decode<C> for ConfigPath {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let text = String::decode(decoder)?;
        ConfigPath::parse(&text).map_err(|fault| DecodeError::OtherString(fault.message))
    }
}

bincode::impl_borrow_decode!(ConfigPath);

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ConfigPath {
        ConfigPath::parse(text).expect("it is a path")
    }

    #[test]
    fn a_path_is_names_with_dots_between_them() {
        for (text, names) in [
            ("", &[][..]),
            ("a", &["a"]),
            ("shop.limits.items", &["shop", "limits", "items"]),
            ("hosts.example\\.org.port", &["hosts", "example.org", "port"]),
            ("a\\\\.b", &["a\\", "b"]),
            ("größe. x ", &["größe", " x "]),
        ] {
            assert_eq!(
                (path(text).names(), path(text).key().as_str()),
                (&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()[..], text)
            );
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        let (deep, long) = (vec!["a"; 33].join("."), "x".repeat(1025));
        for text in [".", "a.", ".a", "a..b", "a\\", "a\\b", "a\nb", "a\0", &deep, &long] {
            let fault = ConfigPath::parse(text).expect_err("it is no path");
            assert_eq!(fault.code, Code::Usage, "{text:?}");
        }
    }

    #[test]
    fn a_path_with_an_empty_name_is_repeated_whole_and_told_where() {
        for (text, why) in [
            ("shop..x", "between two dots"),
            (".shop", "begins with a dot"),
            ("shop.", "ends with a dot"),
            (".", "a dot alone"),
        ] {
            let fault = ConfigPath::parse(text).expect_err("it is no path");
            assert!(fault.message.starts_with(&format!("{text:?} is no path: ")), "{fault}");
            assert!(fault.message.contains(why), "{fault}");
        }
    }

    #[test]
    fn only_what_is_under_a_path_is_in_its_range() {
        let shop = path("shop");
        for (key, held) in [
            ("shop", true),
            ("shop.a", true),
            ("shop.a.b", true),
            ("shop-2.a", false),
            ("shop\\.a", false),
            ("shop/a", false),
            ("sho", false),
        ] {
            assert_eq!(shop.holds(key), held, "{key}");
        }
        assert!(!path("a\\\\").holds("a\\\\\\.b") && path("a\\\\").holds("a\\\\.b"));
        assert!(path("").holds("größe"));
        assert_eq!(path("a.b.c").ancestors().collect::<Vec<_>>(), ["a", "a.b"]);
    }
}
