//! Values as arguments give them: the argument itself, `@FILE`, or `-` for stdin. And files, where an argument is one.

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

/// The bytes of the file at `path`, at most `limit` of them; of stdin, if it is `-`.
///
/// # Errors
/// If it can't be read, or there are more bytes than the limit; `help` says what is wanted.
pub(super) fn file(path: &str, limit: usize, help: &str) -> Result<Vec<u8>, Failure> {
    let refused = |what: String| Fault::new(Code::Usage, what).help(help);
    let read = match path {
        "-" => bounded(io::stdin().lock(), limit),
        path => File::open(path).and_then(|file| bounded(file, limit)),
    };
    let shown = if path == "-" { "stdin" } else { path };
    let bytes = read.map_err(|error| refused(format!("cannot read {shown}: {error}")))?;
    match bytes.len() > limit {
        true => Err(refused(format!("{shown} is larger than the limit of {limit} bytes")).into()),
        false => Ok(bytes),
    }
}

/// The path that an argument is where a file is wanted. Elsewhere a file is written with an @ before it, so that this
/// is no mistake here.
pub(super) fn path(argument: &str) -> &str {
    argument.strip_prefix('@').unwrap_or(argument)
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
    fn a_file_is_read_with_and_without_the_sign_and_what_is_wanted_is_said() {
        let there = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(there.path(), b"abc").expect("room for it");
        let there = there.path().display().to_string();
        for argument in [there.clone(), format!("@{there}")] {
            assert_eq!(file(path(&argument), 3, "").expect("it is there"), b"abc");
        }
        let refusal = |argument: &str, limit| match file(argument, limit, "give a file") {
            Err(Failure::Fault(fault)) => (fault.message, fault.help),
            other => panic!("{other:?}"),
        };
        let (message, help) = refusal("nofile.toml", 3);
        assert!(message.starts_with("cannot read nofile.toml: "), "{message}");
        assert_eq!(help, ["give a file"]);
        assert!(refusal(&there, 2).0.ends_with("is larger than the limit of 2 bytes"));
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
