//! Secrets as they reach a command: from a file, from stdin, or from the environment; never as an argument,
//! which every process on the host can read.

use super::{failure::Failure, input};
use micro_sdk::wire::{Code, Fault};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::{
    env,
    io::{self, IsTerminal},
};
use zeroize::Zeroizing;

/// The longest secret, in bytes: a join token with a handful of addresses takes less than a tenth of it.
const SECRET_BYTES_MAX: usize = 16 << 10;

/// Reads the secret that `flag` was given, else that of the variable; none when neither is there.
///
/// # Errors
/// If the flag was given the secret itself, or what holds it can't be read or is empty.
pub(super) fn read(
    flag: &str,
    given: Option<&str>,
    variable: &str,
) -> Result<Option<Zeroizing<String>>, Failure> {
    let from_env = env::var(variable).ok().filter(|value| !value.is_empty()).map(Zeroizing::new);
    let secret = match (given, from_env) {
        (Some(source), _) if is_source(source) => from_source(source)?,
        // The value is not repeated: it may be the secret, and stderr may be a log.
        (Some(_), _) => return Err(literal(flag, variable).into()),
        (None, Some(source)) if source.starts_with('@') => from_source(&source)?,
        (None, Some(secret)) => secret,
        (None, None) => return Ok(None),
    };
    let trimmed = Zeroizing::new(secret.trim().to_owned());
    if trimmed.is_empty() {
        return Err(Fault::new(Code::Usage, format!("the secret for {flag} is empty")).into());
    }
    Ok(Some(trimmed))
}

/// The same, asked for on the terminal when neither is there.
///
/// # Errors
/// As [`read`], and if there is no terminal to ask on.
pub(super) fn read_or_ask(
    flag: &str,
    given: Option<&str>,
    variable: &str,
    what: &str,
) -> Result<Zeroizing<String>, Failure> {
    match read(flag, given, variable)? {
        Some(secret) => Ok(secret),
        None if io::stdin().is_terminal() => ask(what),
        None => Err(Fault::new(Code::Usage, format!("the {what} is missing"))
            .help(format!("pass {flag} @FILE or -, or set {variable}"))
            .into()),
    }
}

/// Asks on the terminal, which does not show what is typed.
fn ask(what: &str) -> Result<Zeroizing<String>, Failure> {
    let failed =
        |error: io::Error| Fault::new(Code::Failed, format!("the {what} can't be asked for: {error}"));
    let stdin = io::stdin();
    let before = tcgetattr(&stdin).map_err(|error| failed(error.into()))?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    silent.local_modes.insert(LocalModes::ECHONL);
    eprint!("{what}: ");
    tcsetattr(&stdin, OptionalActions::Flush, &silent).map_err(|error| failed(error.into()))?;
    let mut line = Zeroizing::new(String::new());
    let read = stdin.read_line(&mut line);
    // Whatever came of it, the terminal is as it was.
    let restored = tcsetattr(&stdin, OptionalActions::Now, &before);
    read.and_then(|_| restored.map_err(io::Error::from)).map_err(failed)?;
    let typed = Zeroizing::new(line.trim().to_owned());
    if typed.is_empty() {
        return Err(Fault::new(Code::Usage, format!("the {what} is empty")).into());
    }
    Ok(typed)
}

/// Reads the secret that `flag` says where to find, as it is: it need not be text.
///
/// # Errors
/// If the flag was given the secret itself, or what holds it can't be read.
pub(super) fn file(flag: &str, source: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if !is_source(source) {
        return Err(not_a_source(flag).help(format!("pass {flag} @FILE")).into());
    }
    Ok(Zeroizing::new(input::read(source, SECRET_BYTES_MAX)?))
}

/// Whether a flag says where its secret is, and is not the secret itself.
pub(super) fn is_source(given: &str) -> bool {
    given == "-" || given.starts_with('@')
}

fn from_source(source: &str) -> Result<Zeroizing<String>, Failure> {
    let bytes = Zeroizing::new(input::read(source, SECRET_BYTES_MAX)?);
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Fault::new(Code::Usage, format!("{} does not hold text", input::name(source))))?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn not_a_source(flag: &str) -> Fault {
    Fault::new(Code::Usage, format!("{flag} takes @FILE or -, not the secret itself"))
        .help("every process on this host can read the arguments of every other")
}

fn literal(flag: &str, variable: &str) -> Fault {
    not_a_source(flag)
        .help(format!("save it to a file of mode 0600 and pass {flag} @FILE, or set {variable}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const UNSET: &str = "MICRO_NODE_A_VARIABLE_NOBODY_SETS";

    #[test]
    fn a_secret_on_the_command_line_is_refused_and_not_repeated() {
        let Err(Failure::Fault(fault)) = read("--token", Some("hunter2"), UNSET) else {
            panic!("a literal was taken");
        };
        assert_eq!(fault.code, Code::Usage);
        assert!(!format!("{fault:?}").contains("hunter2"));
    }

    #[test]
    fn a_file_gives_the_secret_without_its_line_end() {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(b"hunter2\n").expect("room for seven bytes");
        let source = format!("@{}", file.path().display());
        let secret = read("--token", Some(&source), UNSET).expect("the file is there").expect("it was given");
        assert_eq!(secret.as_str(), "hunter2");
        assert!(read("--token", None, UNSET).expect("nothing was given").is_none());
    }

    #[test]
    fn an_empty_or_missing_file_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let source = format!("@{}", file.path().display());
        assert!(read("--token", Some(&source), UNSET).is_err());
        assert!(read("--token", Some("@/nowhere/at/all"), UNSET).is_err());
    }
}
