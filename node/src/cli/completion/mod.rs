//! `micro-node completion`: shells complete what is typed by asking this program, which knows its commands and asks the
//! node for the rest.

mod live;
mod names;
mod typed;

use super::{failure::Failure, output::Output, profile::Profile};
use clap::{Args, ValueEnum};
use clap_complete::env::{Bash, CompleteEnv, Elvish, EnvCompleter, Fish, Powershell, Zsh};
use micro_sdk::wire::{Code, Fault};
use std::{env, path::PathBuf, process::ExitCode};

/// The variable by which a shell asks: its value is which one.
const VARIABLE: &str = "MICRO_NODE_COMPLETE";

/// Print the script with which a shell completes commands, services, their endpoints and fields
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  echo 'source <(micro-node completion bash)' >> ~/.bashrc
  echo 'source <(micro-node completion zsh)' >> ~/.zshrc
  micro-node completion fish > ~/.config/fish/completions/micro-node.fish
  echo 'eval (micro-node completion elvish | slurp)' >> ~/.config/elvish/rc.elv
  micro-node completion powershell >> $PROFILE")]
pub(super) struct Completion {
    /// Which shell
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
}

impl Completion {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let shell: &dyn EnvCompleter = match self.shell {
            Shell::Bash => &Bash,
            Shell::Zsh => &Zsh,
            Shell::Fish => &Fish,
            Shell::Elvish => &Elvish,
            Shell::Powershell => &Powershell,
        };
        let mut script = Vec::new();
        let written = shell.write_registration(VARIABLE, "micro-node", "micro-node", &program(), &mut script);
        written.map_err(|error| Fault::new(Code::Failed, format!("the script can't be written: {error}")))?;
        output.bytes(&script)
    }
}

/// How the script calls this program: as it was called now.
fn program() -> String {
    let called = PathBuf::from(env::args_os().next().unwrap_or_else(|| "micro-node".into()));
    let absolute = match called.components().count() {
        // A name is looked up in the path then too.
        0 | 1 => called,
        _ => std::path::absolute(&called).unwrap_or(called),
    };
    absolute.to_string_lossy().into_owned()
}

/// Answers a shell that asks what may come next; none if no shell asks.
pub(super) fn answer(profile: &Profile) -> Option<ExitCode> {
    let asked = env::var_os(VARIABLE).is_some_and(|shell| !shell.is_empty());
    let answered = asked.then(|| {
        let answer = CompleteEnv::with_factory(|| live::command(profile)).var(VARIABLE);
        answer.try_complete(env::args_os(), env::current_dir().ok().as_deref())
    })?;
    match answered {
        Ok(true) => Some(ExitCode::SUCCESS),
        Ok(false) => None,
        Err(error) => {
            // A shell shows no more of it than that there is nothing.
            let _ = error.print();
            Some(ExitCode::from(Code::Usage.exit_code()))
        }
    }
}
