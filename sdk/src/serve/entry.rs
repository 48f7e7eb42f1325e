//! The body of `main` under `#[micro_sdk::main]`.

use super::{Outcome, say};
use crate::wire::{Code, Fault};
use std::process::ExitCode;

/// Runs `program` on one thread, which is what a service needs until it computes. An error is printed as the
/// command line prints it, and its exit code is the process's.
pub fn run<F: Future<Output: Outcome<Ok = ()>>>(program: F) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(program).into_result(),
        Err(error) => Err(Fault::new(Code::Failed, format!("the runtime can't start: {error}"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            say(format_args!("error: {fault}"));
            for line in &fault.help {
                say(format_args!("  help: {line}"));
            }
            ExitCode::from(fault.code.exit_code())
        }
    }
}
