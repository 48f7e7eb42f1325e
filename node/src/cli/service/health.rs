//! How it is found out whether a program works, as a flag says it.

use super::{endpoint::Endpoint, once, program};
use bytes::Bytes;
use micro_sdk::{
    serve::HealthCheck,
    wire::{Code, Fault},
};
use std::str::FromStr;
use tokio::process::Command;

/// How much of what a check writes to stdout is read: one that goes on is killed, and fails.
const TOLD_BYTES_MAX: usize = 64 << 10;

/// How it is found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Health {
    None,
    /// Whoever registered it says so.
    Reported,
    Tcp,
    /// The path.
    Http(String),
    /// The service of gRPC; empty for the server as a whole.
    Grpc(String),
    /// What a shell of this process runs.
    Command(String),
}

impl FromStr for Health {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once(':').map_or((text, None), |(kind, rest)| (kind, Some(rest)));
        match (kind, rest) {
            ("none", None) => Ok(Health::None),
            ("reported", None) => Ok(Health::Reported),
            ("tcp", None) => Ok(Health::Tcp),
            ("http", Some(path)) if path.starts_with('/') => Ok(Health::Http(path.to_owned())),
            ("grpc", service) => Ok(Health::Grpc(service.unwrap_or_default().to_owned())),
            ("command", Some(line)) if !line.trim().is_empty() => Ok(Health::Command(line.to_owned())),
            _ => Err("it is one of tcp, http:/PATH, grpc, grpc:SERVICE, command:LINE, reported and none"
                .to_owned()),
        }
    }
}

impl Health {
    /// The check, or what fits what is offered if nothing was said; none if none was wanted.
    pub fn check(said: Option<&Health>, endpoint: &Endpoint) -> Option<HealthCheck> {
        Some(match said {
            Some(Health::None) => return None,
            Some(Health::Reported) => HealthCheck::reported(),
            Some(Health::Tcp) => HealthCheck::tcp(),
            Some(Health::Http(path)) => HealthCheck::http(path),
            Some(Health::Grpc(service)) => HealthCheck::grpc(service),
            Some(Health::Command(line)) => {
                let line = line.clone();
                HealthCheck::own(move || run(line.clone()))
            }
            None => match endpoint {
                Endpoint::Http(_) | Endpoint::File(_) => HealthCheck::tcp(),
                Endpoint::Grpc(_) => HealthCheck::grpc_if_there(),
                Endpoint::Exec(path) => program::check(path),
            },
        })
    }
}

/// Runs a line in a shell: it passes with exit code 0. Dropped, it is killed, with all that it has started.
async fn run(line: String) -> Result<(), Fault> {
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]);
    let ended = once::run(shell, Bytes::new(), TOLD_BYTES_MAX).await;
    let ended = ended.map_err(|fault| Fault { message: format!("the check: {}", fault.message), ..fault })?;
    if ended.status.success() {
        return Ok(());
    }
    // What it says of a failure, most programs say on stderr, and some on stdout.
    let said = once::last_lines(&ended.said, 1).or_else(|| once::last_lines(&ended.answer, 1));
    Err(Fault::new(
        Code::Failed,
        match said {
            Some(said) => format!("{}: {said}", ended.status),
            None => ended.status.to_string(),
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_read() {
        for (text, health) in [
            ("none", Health::None),
            ("reported", Health::Reported),
            ("tcp", Health::Tcp),
            ("http:/health?deep=1:2", Health::Http("/health?deep=1:2".to_owned())),
            ("grpc", Health::Grpc(String::new())),
            ("grpc:shop.Cart", Health::Grpc("shop.Cart".to_owned())),
            ("command:test -e a:b", Health::Command("test -e a:b".to_owned())),
        ] {
            assert_eq!(text.parse(), Ok(health), "{text}");
        }
        for text in ["", "http", "http:health", "tcp:1", "none:", "command:", "command: ", "soon"] {
            assert!(text.parse::<Health>().is_err(), "{text:?} was taken for a check");
        }
    }

    #[tokio::test]
    async fn a_command_passes_with_exit_code_0_and_else_says_what_it_said_last() {
        assert_eq!(run("true".to_owned()).await, Ok(()));
        for (line, told) in [
            ("echo one >&2; echo two >&2; echo three; exit 3", "exit status: 3: two"),
            ("echo one; printf '\\033[31mtwo\\007\\033[0m\\n\\n'; exit 3", "exit status: 3: two"),
            ("exit 3", "exit status: 3"),
        ] {
            let fault = run(line.to_owned()).await.expect_err("it failed");
            assert_eq!(fault.message, told, "{line}");
        }
    }
}
