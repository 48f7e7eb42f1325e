//! The question before something that is hard to undo, or can't be.

use super::{failure::Failure, globals::Globals};
use micro_sdk::wire::{Code, Fault};
use std::io::{self, IsTerminal, Write};

/// Asks on the terminal whether to go on; `--yes` has answered already.
///
/// # Errors
/// If the answer is anything but yes, or there is nobody to ask.
pub(super) fn ask(globals: &Globals, question: &str) -> Result<(), Failure> {
    if globals.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        let fault = Fault::new(Code::Usage, "there is nobody to ask whether this is meant: nothing was done")
            .help(format!("it would have asked: {question}"))
            .help("add --yes to do it all the same");
        return Err(fault.into());
    }
    // The question goes to stderr, unstyled and flushed before the wait.
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush());
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    match (read, answer.trim().to_ascii_lowercase().as_str()) {
        (Ok(_), "y" | "yes") => Ok(()),
        _ => Err(Fault::new(Code::Failed, "not confirmed: nothing was done").into()),
    }
}
