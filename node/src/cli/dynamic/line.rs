//! What was typed behind the name of a service, as far as it can be read without knowing the service.

use super::super::failure::Failure;
use std::ffi::OsString;

/// The most words that name an endpoint: `Greeter call`.
const WORDS_MAX: usize = 2;

/// A service, an endpoint of it, and the rest.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The first word.
    pub service: String,
    /// The words that name the endpoint: none, one, or handler and method.
    pub endpoint: Vec<String>,
    /// Fields with their values, and bodies, in order.
    pub rest: Vec<String>,
    /// Whether help was asked for.
    pub help: bool,
}

impl Line {
    /// Reads the words as the process was given them.
    ///
    /// # Errors
    /// If they are not UTF-8, or name more than an endpoint.
    pub(super) fn read(words: Vec<OsString>) -> Result<Self, Failure> {
        let mut texts = Vec::with_capacity(words.len());
        for word in words {
            texts.push(word.into_string().map_err(|word| {
                Failure::usage(format!("the argument {word:?} is not UTF-8, and requests are"))
            })?);
        }
        let mut texts = texts.into_iter();
        let service = texts.next().unwrap_or_default();
        let (mut endpoint, mut rest, mut help) = (Vec::new(), Vec::new(), false);
        for text in texts {
            match text.as_str() {
                "-h" | "--help" => help = true,
                word if rest.is_empty() && is_word(word) => endpoint.push(text),
                _ => rest.push(text),
            }
        }
        if let Some(word) = endpoint.get(WORDS_MAX) {
            return Err(Failure::usage(format!(
                "unexpected argument {word:?}: an endpoint is METHOD or HANDLER METHOD\n\
                 a field is given by its name: --NAME={word}"
            )));
        }
        Ok(Line { service, endpoint, rest, help })
    }
}

/// Whether a text is a word, and neither a flag nor a body.
fn is_word(text: &str) -> bool {
    !text.starts_with('-') && !is_body(text)
}

/// Whether a text stands for a file or stdin.
pub(super) fn is_lines(text: &str) -> bool {
    text == "-" || text.starts_with('@')
}

/// Whether a text is a whole request: JSON, `@FILE`, or `-` for stdin.
pub(super) fn is_body(text: &str) -> bool {
    text == "-" || text.starts_with(['{', '[', '@', '"'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Line, Failure> {
        Line::read(line.split(' ').map(OsString::from).collect())
    }

    #[test]
    fn words_come_before_fields() {
        for (line, endpoint, rest, help) in [
            ("a", &[][..], &[][..], false),
            ("a call", &["call"], &[], false),
            ("a Greeter call --x=1 y", &["Greeter", "call"], &["--x=1", "y"], false),
            ("a --x call", &[], &["--x", "call"], false),
            ("a call {} -h", &["call"], &["{}"], true),
            ("a --help", &[], &[], true),
            ("a call - @f", &["call"], &["-", "@f"], false),
        ] {
            let read = read(line).unwrap_or_else(|failure| panic!("{line}: {failure:?}"));
            assert_eq!((read.service.as_str(), read.help), ("a", help), "{line}");
            assert_eq!((read.endpoint, read.rest), (texts(endpoint), texts(rest)), "{line}");
        }
        assert!(read("a b c d").is_err());
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }
}
