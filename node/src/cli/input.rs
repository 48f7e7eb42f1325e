//! Values as arguments give them: the argument itself, `@FILE`, or `-` for stdin.

use super::failure::Failure;
use micro_sdk::wire::{Code, Fault};
use std::{
    fs::File,
    io::{self, Read},
};

/// The bytes that `argument` stands for, at most `limit` of them.
///
/// # Errors
/// If a file can't be read, or there are more bytes than the limit.
pub(super) fn read(argument: &str, limit: usize) -> Result<Vec<u8>, Failure> {
    let read = match (argument, argument.strip_prefix('@')) {
        ("-", _) => bounded(io::stdin().lock(), limit),
        (_, Some(path)) => File::open(path).and_then(|file| bounded(file, limit)),
        _ => bounded(argument.as_bytes(), limit),
    };
    let bytes = read.map_err(|error| {
        let fault = Fault::new(Code::Usage, format!("cannot read {}: {error}", name(argument)));
        match argument {
            "-" => fault,
            _ => fault
                .help("an argument that starts with @ names a file; use - to pass such a text through stdin"),
        }
    })?;
    if bytes.len() > limit {
        let message = format!("{} is larger than the limit of {limit} bytes", name(argument));
        return Err(Fault::new(Code::Usage, message)
            .help("larger things are kept as blobs: micro-node blob put")
            .into());
    }
    Ok(bytes)
}

/// The JSON that `argument` stands for.
///
/// # Errors
/// As [`read`], and if it is not JSON.
pub(super) fn json(argument: &str, limit: usize) -> Result<serde_json::Value, Failure> {
    let bytes = read(argument, limit)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Fault::new(Code::Usage, format!("{} is not JSON: {error}", name(argument)))
            .help("quote it for the shell: '{\"name\":\"Jane\"}', or pass @FILE or - for stdin")
            .into()
    })
}

/// What to call the source in a message.
pub(super) fn name(argument: &str) -> &str {
    match argument {
        "-" => "stdin",
        _ => argument.strip_prefix('@').unwrap_or("the argument"),
    }
}

/// Reads one byte more than the limit at most, so that too much is noticed and never held.
fn bounded(source: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_itself_or_a_file() {
        assert_eq!(read("abc", 3).expect("a literal"), b"abc");
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), b"from a file").expect("room for it");
        assert_eq!(read(&format!("@{}", file.path().display()), 100).expect("it is there"), b"from a file");
    }

    #[test]
    fn a_refusal_names_the_limit_the_file_or_the_place() {
        let message = |failure| match failure {
            Failure::Fault(fault) => fault.message,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            message(read("abcd", 3).expect_err("it is too long")),
            "the argument is larger than the limit of 3 bytes"
        );
        assert!(
            message(read("@/nowhere/x", 3).expect_err("no such file"))
                .starts_with("cannot read /nowhere/x: ")
        );
        let garbled = message(json("{\"a\":", 100).expect_err("cut short"));
        assert!(garbled.contains("line 1 column 5"), "{garbled}");
    }
}
