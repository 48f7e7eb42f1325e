//! What a service's program says of itself when it is asked with `--help` or `--version`, instead of serving.
//!
//! Only a sole argument counts: all others are the program's own, and so is `-h` where it stands before a value.

use super::Service;
use crate::client::{ADDRESS_VARIABLE, TOKEN_VARIABLE};
use std::{ffi::OsString, fmt::Write};

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Help,
    Version,
}

impl Question {
    /// The question in a program's arguments, its own name left out.
    pub(crate) fn among(mut arguments: impl Iterator<Item = OsString>) -> Option<Question> {
        let (Some(sole), None) = (arguments.next(), arguments.next()) else { return None };
        match sole.to_str()? {
            "-h" | "--help" => Some(Question::Help),
            "--version" => Some(Question::Version),
            _ => None,
        }
    }

    /// The answer, for a service that goes by `name` and `version`. A line end follows its last line.
    pub(crate) fn answer(self, name: &str, version: &str, service: &dyn Service) -> String {
        let mut text = format!("{name} {version}\n");
        if self == Question::Version {
            return text;
        }
        text.push_str(
            "\nA service of micro-node: it attaches to the node on this host and serves until it is told to end.\n\
             \nEndpoints:\n",
        );
        for endpoint in service.endpoints() {
            let doc = endpoint.doc.lines().next().unwrap_or_default();
            writeln!(text, "{}", format!("  {:<24}  {doc}", endpoint.name).trim_end())
                .expect("a String takes every write");
        }
        write!(
            text,
            "\nEnvironment, where the program does not say otherwise:\n  \
             {ADDRESS_VARIABLE:<24}  the node, as unix:PATH or HOST:PORT [default: the node on this host]\n  \
             {TOKEN_VARIABLE:<24}  the admin secret, for a node at HOST:PORT\n"
        )
        .expect("a String takes every write");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        serve::Ctx,
        wire::{Endpoint, Fault},
    };
    use bytes::Bytes;
    use futures::future::BoxFuture;

    struct Greeter;

    impl Service for Greeter {
        fn name(&self) -> &str {
            "greeter"
        }

        fn version(&self) -> &str {
            "1.2.3"
        }

        fn endpoints(&self) -> Vec<Endpoint> {
            vec![super::super::endpoint::<(), Result<(), Fault>>("Greeter.call", "Says hello.\n\nTo all.")]
        }

        fn dispatch<'a>(&'a self, _: &'a str, _: Ctx, _: Bytes) -> BoxFuture<'a, Result<Bytes, Fault>> {
            unreachable!("nobody calls it")
        }
    }

    #[test]
    fn a_sole_argument_asks_and_all_others_are_the_programs_own() {
        let asked = |arguments: &[&str]| Question::among(arguments.iter().map(OsString::from));
        assert_eq!(asked(&["-h"]), Some(Question::Help));
        assert_eq!(asked(&["--help"]), Some(Question::Help));
        assert_eq!(asked(&["--version"]), Some(Question::Version));
        for own in [&[][..], &["-h", "localhost"], &["--verbose"], &["run", "--help"]] {
            assert_eq!(asked(own), None, "{own:?}");
        }
    }

    #[test]
    fn help_tells_name_version_endpoints_and_variables() {
        let text = "\
greeter 1.2.3

A service of micro-node: it attaches to the node on this host and serves until it is told to end.

Endpoints:
  Greeter.call              Says hello.

Environment, where the program does not say otherwise:
  MICRO_NODE_ADDRESS        the node, as unix:PATH or HOST:PORT [default: the node on this host]
  MICRO_NODE_TOKEN          the admin secret, for a node at HOST:PORT
";
        assert_eq!(Question::Help.answer("greeter", "1.2.3", &Greeter), text);
        assert_eq!(Question::Version.answer("other", "2.0.0", &Greeter), "other 2.0.0\n");
    }
}
