//! `micro-node leash`: stands between a command that holds something of the mesh and the program that it runs, so that
//! the program does not outlive the command. Not for people.
//!
//! A process that is killed can't end its children any more, and what it held is another's soon after. So the kernel is
//! asked to end the program then. It can be asked by that program's own process only, before the program is there.

use super::failure::Failure;
use clap::Args;
use micro_sdk::wire::{Code, Fault};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use std::{
    convert::Infallible,
    ffi::OsString,
    io,
    os::unix::process::CommandExt,
    process::{Command, id},
};

const EXAMPLES: &str = "\
Example:
  micro-node lock nightly -- ./backup.sh                runs ./backup.sh on a leash";

/// Run a program that is killed when the process that asked for it ends
#[derive(Debug, Args)]
#[command(hide = true, after_help = EXAMPLES)]
pub(super) struct Leash {
    /// The process that asked for it
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    parent: i32,

    /// The program with its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Leash {
    /// Becomes the program.
    ///
    /// # Errors
    /// If it can't: then nothing was run.
    pub(super) fn run(self) -> Result<Infallible, Failure> {
        let (program, arguments) =
            self.command.split_first().expect("clap wants a command of one word at least");
        let cannot = |error: io::Error| {
            let message = format!("cannot run {}: {error}", program.display());
            Fault::new(Code::Usage, message).help("nothing was run")
        };
        // Not SIGTERM, which a program may take its time over: nobody would be there to make it end.
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| cannot(error.into()))?;
        // It may have ended before the kernel was asked.
        if getppid() != Pid::from_raw(self.parent) {
            return Err(Fault::new(Code::Unavailable, "the process that asked for it has ended")
                .help("nothing was run")
                .into());
        }
        Err(cannot(Command::new(program).args(arguments).exec()).into())
    }

    /// The command line that runs `command` on a leash held by this process.
    ///
    /// # Errors
    /// If the system does not tell which program this is.
    pub(super) fn around(command: &[String]) -> Result<tokio::process::Command, Failure> {
        let own = std::env::current_exe().map_err(|error| {
            Fault::new(Code::Failed, format!("the system does not tell which program this is: {error}"))
                .help("nothing was run")
        })?;
        let mut leashed = tokio::process::Command::new(own);
        leashed.args(["leash", "--parent", &id().to_string(), "--"]).args(command);
        Ok(leashed)
    }
}
