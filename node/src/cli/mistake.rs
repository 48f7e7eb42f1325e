//! A command line that is none, and what is said of it: what clap says, but for guesses that are none, and names of
//! commands that nobody is told of.

use super::{
    Cli,
    failure::Failure,
    output::{Format, Output},
};
use clap::{
    Command, CommandFactory, Error,
    builder::Resettable,
    error::{ContextKind, ContextValue, ErrorKind},
};
use micro_actors::nearest;
use std::{
    ffi::{OsStr, OsString},
    process::ExitCode,
};

/// Shows what clap has to say: help on stdout, a refusal on stderr, in JSON where JSON was asked for.
pub(super) fn refuse(mut error: Error) -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let json = !asked && wants_json(args.iter(), std::env::var_os("MICRO_NODE_OUTPUT").as_deref());
    let output = Output::plain(if json { Format::Json } else { Format::Table });
    if error.kind() == ErrorKind::MissingSubcommand {
        if args.is_empty() && !json {
            output.error(&Cli::command().render_help().ansi().to_string());
            return ExitCode::from(2);
        }
        return without_command(&error).report(&output);
    }
    if error.kind() == ErrorKind::UnknownArgument {
        keep_good_guess(&mut error);
    }
    if json {
        return Failure::usage(error).report(&output);
    }
    // A closed pipe is no reason to complain.
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// What clap says of `words`, with a usage that repeats what was typed alone. To clap, what a variable says is as
/// good as typed, so that every usage would have `--color <WHEN>` where `MICRO_NODE_COLOR` is set.
pub(super) fn as_typed(
    mut error: Error,
    command: Command,
    words: impl IntoIterator<Item = OsString>,
) -> Error {
    if let Err(typed) = without_variables(command).try_get_matches_from(words)
        && (typed.kind(), typed.get(ContextKind::InvalidArg))
            == (error.kind(), error.get(ContextKind::InvalidArg))
        && let Some(usage) = typed.get(ContextKind::Usage)
    {
        error.insert(ContextKind::Usage, usage.clone());
    }
    error
}

fn without_variables(command: Command) -> Command {
    command.mut_args(|arg| arg.env(Resettable::Reset)).mut_subcommands(without_variables)
}

/// That a command was begun, and not which.
fn without_command(error: &Error) -> Failure {
    let begun = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(begun)) => begun.as_str(),
        _ => "micro-node",
    };
    Failure::usage(format!(
        "'{begun}' requires a subcommand but one was not provided\n{begun} --help lists them"
    ))
}

/// Takes a guess away that is none: what clap takes for similar may share a few letters only. What says where a node
/// listens is no flag of those that look for it.
fn keep_good_guess(error: &mut Error) {
    let bare = |value: Option<&ContextValue>| match value {
        Some(ContextValue::String(flag)) => flag.trim_start_matches('-').split('=').next().map(str::to_owned),
        _ => None,
    };
    let Some(typed) = bare(error.get(ContextKind::InvalidArg)) else { return };
    let guess = bare(error.get(ContextKind::SuggestedArg));
    if guess.is_some_and(|guess| nearest(&typed, [guess.as_str()]).is_none()) {
        error.remove(ContextKind::SuggestedArg);
        // It shows the guess as the way to go.
        error.remove(ContextKind::Usage);
    }
    if typed == "socket" {
        let tip = "a node is found by --address unix:PATH; --socket is how `micro-node start` is told where to listen";
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
}

/// Whether arguments that could not be parsed asked for JSON all the same.
fn wants_json(args: impl Iterator<Item = impl AsRef<OsStr>>, env: Option<&OsStr>) -> bool {
    let mut json = env.is_some_and(|value| value == "json" || value == "jsonl");
    let mut value_follows = false;
    for arg in args {
        let arg = arg.as_ref().to_string_lossy();
        if arg == "--" {
            break;
        }
        if value_follows {
            json = arg == "json" || arg == "jsonl";
        }
        value_follows = arg == "-o" || arg == "--output";
        if let Some(value) = arg.strip_prefix("--output=").or_else(|| arg.strip_prefix("-o")) {
            json = value_follows || ["json", "jsonl"].contains(&value.trim_start_matches('='));
            json &= !value_follows;
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_noticed_in_arguments_that_cannot_be_parsed() {
        for args in [
            &["-o", "json"][..],
            &["x", "-ojson"],
            &["-ojsonl"],
            &["--output=json"],
            &["--output", "json"],
            &["-o=json"],
        ] {
            assert!(wants_json(args.iter(), None), "{args:?}");
        }
        for args in [&[][..], &["json"], &["-o", "table"], &["--", "-o", "json"], &["-o"]] {
            assert!(!wants_json(args.iter(), None), "{args:?}");
        }
        assert!(wants_json([""; 0].iter(), Some(OsStr::new("json"))));
        assert!(!wants_json(["-o", "table"].iter(), Some(OsStr::new("json"))));
    }

    #[test]
    fn a_usage_repeats_what_was_typed_and_not_what_a_variable_says() {
        // One that is set wherever tests run, in the place of our own.
        let command = || Cli::command().mut_arg("target", |arg| arg.env("PATH"));
        for (line, part) in [
            (&["store", "write", "a"][..], "store write <KEY> <VALUE>"),
            (&["-q", "store", "write", "a", "b", "--if-absent", "--if-version", "1"], "--if-"),
        ] {
            let words = || std::iter::once("micro-node").chain(line.iter().copied()).map(OsString::from);
            let error = command().try_get_matches_from(words()).expect_err("it is no command line");
            let said =
                |error: &Error| error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
            assert!(said(&error).contains("--target"), "clap does so no more: {}", said(&error));
            let error = as_typed(error, command(), words());
            assert!(!said(&error).contains("--target") && said(&error).contains(part), "{}", said(&error));
        }
    }

    #[test]
    fn a_guess_that_is_none_is_not_made() {
        let said = |words: &[&str]| {
            let words = ["micro-node"].iter().chain(words);
            let mut error = Cli::command().try_get_matches_from(words).expect_err("it is no command line");
            assert_eq!(error.kind(), ErrorKind::UnknownArgument);
            keep_good_guess(&mut error);
            error.to_string()
        };
        let text = said(&["status", "--socket", "x"]);
        assert!(text.contains("--address unix:PATH") && !text.contains("--token"), "{text}");
        let text = said(&["status", "--adress", "x"]);
        assert!(text.contains("--address"), "{text}");
    }
}
