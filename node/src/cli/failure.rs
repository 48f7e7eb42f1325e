//! How a command ends when it does not end well.

use super::{
    output::{Format, Output, yaml},
    shape::{Described, Shape, Shapes},
};
use clap::builder::styling::{AnsiColor, Style};
use micro_sdk::wire::{Code, Effect, Fault};
use schemars::JsonSchema;
use serde::Serialize;
use std::{fmt::Write, io, process::ExitCode};

/// Why a command ended early.
#[derive(Debug)]
pub(super) enum Failure {
    /// Something went wrong, and there is something to say about it.
    Fault(Fault),
    /// Whoever read stdout has read enough. Not a failure to anyone but this program.
    PipeClosed,
    /// A signal asked for the end; the exit code is the shell's, 128 + its number. Or a program that was run ended so.
    Signalled(u8),
    /// What was asked is answered on stdout, and the answer is a no: the exit code says so too.
    Answered(u8),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Failure::Fault(fault)
    }
}

impl Failure {
    /// Bad input.
    pub(super) fn usage(message: impl ToString) -> Self {
        let message = message.to_string();
        let message = message.trim_start_matches("error: ");
        let mut lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
        let fault = Fault::new(Code::Usage, lines.next().unwrap_or("bad arguments"));
        Failure::Fault(lines.fold(fault, Fault::help))
    }

    /// What a write to stdout that failed means.
    pub(super) fn of_stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::PipeClosed,
            _ => Failure::Fault(
                Fault::new(Code::Failed, format!("cannot write to stdout: {error}"))
                    .help("the command itself has been carried out"),
            ),
        }
    }

    /// The same without advice that the command can't take: a node does not know who asks, and names the flag of those
    /// that read.
    pub(super) fn fitting(self, takes_stale: bool) -> Self {
        match self {
            Failure::Fault(mut fault) if !takes_stale => {
                fault.help.retain(|line| !line.starts_with("`--stale` "));
                Failure::Fault(fault)
            }
            other => other,
        }
    }

    /// Tells stderr, and gives the exit code.
    pub(super) fn report(&self, output: &Output) -> ExitCode {
        match self {
            Failure::PipeClosed => ExitCode::SUCCESS,
            Failure::Signalled(code) | Failure::Answered(code) => ExitCode::from(*code),
            Failure::Fault(fault) => {
                output.error(&show(fault, output.format()));
                ExitCode::from(fault.code.exit_code())
            }
        }
    }
}

/// A fault as stderr shows it: one line of JSON, a document of YAML, or text for people.
pub(super) fn show(fault: &Fault, format: Format) -> String {
    if matches!(format, Format::Json | Format::Jsonl | Format::Yaml) {
        let error = ErrorItem {
            code: fault.code,
            exit_code: fault.code.exit_code(),
            message: &fault.message,
            help: &fault.help,
            effect: fault.effect,
        };
        let line = ErrorLine { schema: ERROR.title().id(), error };
        return match format {
            Format::Yaml => yaml(&line).trim_end().to_owned(),
            _ => serde_json::to_string(&line).expect("text and numbers are always JSON"),
        };
    }
    let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    let dim = Style::new().dimmed();
    // What services say has as many lines as they like: none of them may look like one of this program.
    let within = |text: &str| text.replace('\n', "\n    ");
    let (message, code) = (within(&fault.message), fault.code.name());
    let mut text = format!("{red}error:{red:#} {message}  {dim}[{code}]{dim:#}");
    // The code `unknown` says so itself.
    if fault.effect == Effect::Unknown && fault.code != Code::Unknown {
        text.push_str("\n  note: it is not known whether it was done");
    }
    for line in &fault.help {
        write!(text, "\n  help: {}", within(line)).expect("a String takes every write");
    }
    text
}

/// What a command that fails says on stderr, where JSON was asked for.
#[derive(Serialize, JsonSchema)]
struct ErrorLine<'a> {
    /// The shape of this document.
    schema: String,
    /// The failure.
    error: ErrorItem<'a>,
}

/// Why a command ended early.
#[derive(Serialize, JsonSchema)]
struct ErrorItem<'a> {
    /// What kind of failure.
    code: Code,
    /// How the process ends.
    exit_code: u8,
    /// What happened.
    message: &'a str,
    /// What to do, a line for each.
    help: &'a [String],
    /// What is known of what was done.
    effect: Effect,
}

const ERROR: Shape<ErrorLine<'static>> = Shape::new("error", &[]);

pub(super) const SHAPES: Shapes = &[&ERROR];

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(fault: &Fault, format: Format) -> String {
        anstream::adapter::strip_str(&show(fault, format)).to_string()
    }

    #[test]
    fn an_error_says_what_why_and_what_to_do() {
        let fault =
            Fault::new(Code::NotFound, "no service \"hello\"").help("did you mean `helloworld`?").help("b");
        let text = "error: no service \"hello\"  [not_found]\n  help: did you mean `helloworld`?\n  help: b";
        assert_eq!(plain(&fault, Format::Table), text);
        let json = concat!(
            r#"{"schema":"micro-node/error/v1","error":{"code":"not_found","exit_code":5,"message":"no service \"hello\"","#,
            r#""help":["did you mean `helloworld`?","b"],"effect":"none"}}"#
        );
        assert_eq!(plain(&fault, Format::Json), json);
    }

    #[test]
    fn lines_of_a_service_are_told_from_those_of_this_program() {
        let fault = Fault::new(Code::Failed, "red\nerror: fake").help("a\n  help: b");
        let text = "error: red\n    error: fake  [failed]\n  help: a\n      help: b";
        assert_eq!(plain(&fault, Format::Table), text);
    }

    #[test]
    fn a_command_is_not_told_of_a_flag_that_it_does_not_have() {
        let failure = || {
            let fault = Fault::new(Code::Unavailable, "no quorum").help("start the voters");
            Failure::from(fault.help("`--stale` reads this node's replica as it is"))
        };
        let help = |failure| match failure {
            Failure::Fault(fault) => fault.help.len(),
            other => panic!("{other:?}"),
        };
        assert_eq!((help(failure().fitting(true)), help(failure().fitting(false))), (2, 1));
    }

    #[test]
    fn an_unknown_outcome_is_said_once() {
        let timeout = Fault::new(Code::Timeout, "too late").effect_unknown();
        let text = "error: too late  [timeout]\n  note: it is not known whether it was done";
        assert_eq!(plain(&timeout, Format::Table), text);
        assert_eq!(plain(&Fault::new(Code::Unknown, "lost"), Format::Table), "error: lost  [unknown]");
    }

    #[test]
    fn what_clap_says_becomes_a_message_and_help() {
        let Failure::Fault(fault) =
            Failure::usage("error: unexpected argument '--x'\n\n  tip: none\n\nUsage: y\n")
        else {
            panic!("usage is a fault");
        };
        assert_eq!(fault.message, "unexpected argument '--x'");
        assert_eq!(fault.help, ["tip: none", "Usage: y"]);
        assert_eq!(fault.code.exit_code(), 2);
    }
}
