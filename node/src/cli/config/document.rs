//! Values as people give them and read them: JSON, TOML, YAML, or plain text.

use super::{failure::Failure, input, unique};
use micro_sdk::wire::{Code, Fault};
use std::{fmt, path::Path};
use zeroize::Zeroizing;

/// The largest document that is read: as large as a tree may be.
pub(super) const DOCUMENT_BYTES_MAX: usize = 4 << 20;

/// The language of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum Language {
    /// JSON.
    Json,
    /// TOML.
    Toml,
    /// YAML.
    Yaml,
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Language::Json => "JSON",
            Language::Toml => "TOML",
            Language::Yaml => "YAML",
        })
    }
}

impl Language {
    /// The language of a file with this name.
    ///
    /// # Errors
    /// If its extension says none.
    pub(in crate::cli) fn of(file: &str) -> Result<Self, Fault> {
        let extension = Path::new(file).extension().and_then(|extension| extension.to_str());
        match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("json") => Ok(Language::Json),
            Some("toml") => Ok(Language::Toml),
            Some("yaml" | "yml") => Ok(Language::Yaml),
            _ => Err(Fault::new(Code::Usage, format!("{file:?} does not say in which language it is"))
                .help("name it .json, .toml or .yaml, or say --format")),
        }
    }

    /// A document as JSON text. JSON stays as it was written.
    ///
    /// # Errors
    /// If it is none of this language, or names a key twice. The document is not repeated: there may be secrets in it.
    pub(in crate::cli) fn json(self, text: &str) -> Result<Zeroizing<String>, Fault> {
        let refused = |place: String| {
            Fault::new(Code::Usage, format!("the document is not {self}: there is an error {place}"))
        };
        let value: serde_json::Value = match self {
            Language::Json => {
                let mut deserializer = serde_json::Deserializer::from_str(text);
                let read = unique::read(&mut deserializer)?.and_then(|_| deserializer.end());
                return match read {
                    Ok(()) => Ok(Zeroizing::new(text.to_owned())),
                    Err(error) => Err(refused(format!("at line {} column {}", error.line(), error.column()))),
                };
            }
            Language::Toml => toml::from_str(text).map_err(|error| {
                let at = error.span().map_or(0, |span| span.start.min(text.len()));
                let line = text[..text.floor_char_boundary(at)].matches('\n').count() + 1;
                // It says what is wrong with the form, and nothing of what stands there.
                refused(format!("at line {line}: {}", error.message()))
            })?,
            Language::Yaml => unique::read(yaml_serde::Deserializer::from_str(text))?.map_err(|error| {
                refused(error.location().map_or_else(String::new, |at| format!("at line {}", at.line())))
            })?,
        };
        Ok(Zeroizing::new(value.to_string()))
    }
}

/// The JSON text that an argument stands for: a value of the command line, `@FILE` or `-` for stdin. What is not JSON
/// is a text; so is all, if `plain`.
///
/// # Errors
/// If a file can't be read, is too large, or holds no text; or a JSON object in it names a key twice.
pub(super) fn value(argument: &str, plain: bool) -> Result<Zeroizing<String>, Failure> {
    let bytes = Zeroizing::new(input::read(argument, DOCUMENT_BYTES_MAX)?);
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        Fault::new(Code::Usage, format!("{} does not hold text", input::name(argument)))
            .help("bytes belong into the store: micro-node store write")
    })?;
    // Files end with a newline, which is not meant.
    let text = if is_source(argument) { text.trim_end_matches(['\n', '\r']) } else { text };
    if !plain {
        match unique::read(&mut serde_json::Deserializer::from_str(text))?
            .and_then(|_| serde_json::from_str::<serde::de::IgnoredAny>(text))
        {
            Ok(_) => return Ok(Zeroizing::new(text.to_owned())),
            Err(error) if text.trim_start().starts_with(['{', '[']) => return Err(mistyped(&error).into()),
            Err(_) => {}
        }
    }
    Ok(Zeroizing::new(serde_json::to_string(text).expect("text always has a JSON form")))
}

/// What is said of a value that was meant to be JSON. As a text it would take the place of a whole part of the tree. It
/// is not repeated: there may be secrets in it.
fn mistyped(error: &serde_json::Error) -> Fault {
    let message = format!(
        "the value begins as JSON does, and is none: there is an error at line {} column {}",
        error.line(),
        error.column()
    );
    Fault::new(Code::Usage, message).help("a text that begins so is given as JSON too: in double quotes")
}

/// Whether an argument says where its value is, and is not the value itself.
pub(super) fn is_source(argument: &str) -> bool {
    super::secret::is_source(argument)
}

/// JSON text as a person or a shell reads it: a text without its quotes, all else as it is.
pub(super) fn bare(json: &str) -> Zeroizing<String> {
    Zeroizing::new(serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned()))
}

/// JSON without white space, set in lines for people. Numbers and texts stay as they are written.
pub(super) fn pretty(json: &str) -> String {
    let (mut pretty, mut depth, mut inside, mut escaped) = (String::new(), 0, false, false);
    let mut chars = json.chars().peekable();
    let line = |depth: usize| format!("\n{}", "  ".repeat(depth));
    while let Some(char) = chars.next() {
        if inside {
            inside = char != '"' || escaped;
            escaped = char == '\\' && !escaped;
            pretty.push(char);
            continue;
        }
        match char {
            '{' | '[' if chars.next_if(|next| matches!(next, '}' | ']')).is_some() => {
                pretty.push_str(if char == '{' { "{}" } else { "[]" });
            }
            '{' | '[' => {
                depth += 1;
                pretty.push(char);
                pretty.push_str(&line(depth));
            }
            '}' | ']' => {
                depth -= 1;
                pretty.push_str(&line(depth));
                pretty.push(char);
            }
            ',' => {
                pretty.push(char);
                pretty.push_str(&line(depth));
            }
            ':' => pretty.push_str(": "),
            char => {
                inside = char == '"';
                pretty.push(char);
            }
        }
    }
    pretty
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_is_a_text() {
        for (argument, plain, json) in [
            ("20", false, "20"),
            ("1.10", false, "1.10"),
            ("true", false, "true"),
            ("hello", false, "\"hello\""),
            ("\"hello\"", false, "\"hello\""),
            ("{\"a\": 1}", false, "{\"a\": 1}"),
            ("", false, "\"\""),
            ("20", true, "\"20\""),
        ] {
            assert_eq!(value(argument, plain).expect("it is text").as_str(), json, "{argument}");
        }
        for argument in ["{\"a\": 1,}", "[1", " {"] {
            assert!(value(argument, false).is_err(), "{argument} was taken for a text");
            assert!(value(argument, true).is_ok(), "{argument} was said to be a text");
        }
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), "hunter2\n").expect("room for it");
        let argument = format!("@{}", file.path().display());
        assert_eq!(value(&argument, false).expect("it is there").as_str(), "\"hunter2\"");
    }

    #[test]
    fn a_text_is_shown_without_its_quotes() {
        assert_eq!(bare("\"a \\\"b\\\"\"").as_str(), "a \"b\"");
        assert_eq!(bare("1.10").as_str(), "1.10");
        assert_eq!(bare("{\"a\":\"b\"}").as_str(), "{\"a\":\"b\"}");
    }

    #[test]
    fn lines_are_for_people_and_values_stay_as_they_are() {
        let json = r#"{"a":{"b":1.10,"c":[]},"d":["x,\"{y}",{}],"e":null}"#;
        let text = "\
{
  \"a\": {
    \"b\": 1.10,
    \"c\": []
  },
  \"d\": [
    \"x,\\\"{y}\",
    {}
  ],
  \"e\": null
}";
        assert_eq!(pretty(json), text);
        assert_eq!(pretty("1.10"), "1.10");
    }

    #[test]
    fn documents_of_all_languages_become_the_same() {
        let json = r#"{"shop":{"limits":{"items":10},"open":true}}"#;
        for (language, text) in [
            (Language::Json, json),
            (Language::Toml, "[shop]\nopen = true\nlimits.items = 10\n"),
            (Language::Yaml, "shop:\n  open: true\n  limits: { items: 10 }\n"),
        ] {
            assert_eq!(language.json(text).expect("it is one").as_str(), json, "{language}");
        }
        assert_eq!(Language::of("a/b.YML"), Ok(Language::Yaml));
        assert!(Language::of("b").is_err());
    }

    #[test]
    fn a_key_that_is_named_twice_is_refused_by_its_path() {
        for (language, text) in [
            (Language::Json, r#"{"shop": {"open": true, "open": "hunter2"}}"#),
            (Language::Json, r#"{"shop": [1, {"open": 1, "open": 2}]}"#),
            (Language::Yaml, "shop:\n  open: true\n  name: a\n  open: hunter2\n"),
            (Language::Yaml, "shop: {open: 1, open: 2}"),
        ] {
            let fault = language.json(text).expect_err("it says two things");
            assert_eq!(fault.message, "the document names shop.open twice", "{text}");
        }
        assert!(value(r#"{"open": 1, "open": 2}"#, false).is_err());
        assert!(value(r#"{"open": 1, "open": 2}"#, true).is_ok(), "a text is nobody's object");
        for (language, text) in [
            (Language::Json, r#"{"a": {"open": 1}, "b": {"open": 2}}"#),
            (Language::Yaml, "a: {open: 1}\nb: {open: 2}\nc: ~\n"),
        ] {
            language.json(text).expect("each is named once");
        }
    }

    #[test]
    fn a_refusal_names_the_line_and_not_the_value() {
        for (language, text) in [
            (Language::Json, "{\n\"a\": hunter2}"),
            (Language::Toml, "b = 1\na = hunter2"),
            (Language::Yaml, "b: 1\na: [hunter2"),
        ] {
            let fault = language.json(text).expect_err("it is none");
            assert!(fault.message.contains("line 2") || language == Language::Yaml, "{fault}");
            assert!(!fault.message.contains("hunter2"), "{fault}");
        }
    }
}
