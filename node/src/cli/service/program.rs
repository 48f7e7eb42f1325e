//! A program that is run once a call, as a service: the request on stdin, the answer on stdout.
//!
//! ```text
//!   call ── a place? ── no ──► overloaded
//!             └ yes ── its turn ──► the program ── exit code 0 ──► stdout: JSON as it is, other text as a string
//!                                      │               └ else ───► failed, with what it said last
//!                                      └ deadline, or the caller is gone: killed
//! ```

use super::{super::leash::Leash, once};
use bytes::Bytes;
use futures::future::BoxFuture;
use micro_sdk::{
    serve::{Ctx, HealthCheck, Service, unknown_endpoint},
    wire::{Code, Endpoint, Fault, Namespace, Streams, limits::BODY_BYTES_MAX},
};
use rustix::fs::{Access, access};
use std::path::Path;
use tokio::{process::Command, sync::Semaphore, time::timeout};

/// The sole endpoint.
const CALL: &str = "call";
/// How many calls wait for each that is worked on: more would wait longer than most callers do.
const WAITING: usize = 4;
/// How many of the last lines of what a program said are told when it fails.
const LINES_TOLD: usize = 3;
/// What the program is told of who calls, and what the node calls that.
const TOLD: [(&str, &str); 5] = [
    ("MICRO_CALLER", "micro-caller"),
    ("MICRO_ACCOUNT", "micro-account"),
    ("MICRO_ACCOUNT_NAMESPACE", "micro-account-namespace"),
    ("MICRO_ACCOUNT_SCOPES", "micro-account-scopes"),
    ("TRACEPARENT", "traceparent"),
];
/// The most bytes that a variable of those has: the kernel takes 128 KiB (execve(2)).
const TOLD_BYTES_MAX: usize = 16 << 10;

/// The program, and its bounds.
pub(super) struct Program {
    name: String,
    namespace: Namespace,
    /// The program itself, then its arguments.
    line: Vec<String>,
    /// Calls that are worked on or wait.
    places: Semaphore,
    /// Calls that are worked on.
    turns: Semaphore,
}

impl Program {
    /// A program under a name, which runs `at_once` times at once at most.
    pub fn new(name: String, namespace: Namespace, line: Vec<String>, at_once: usize) -> Self {
        let places = Semaphore::new(at_once * (1 + WAITING));
        Program { name, namespace, line, places, turns: Semaphore::new(at_once) }
    }

    /// How many calls it takes at once, those that wait included.
    pub fn permits(&self) -> u32 {
        u32::try_from(self.places.available_permits()).unwrap_or(u32::MAX)
    }

    async fn answer(&self, ctx: Ctx, body: Bytes) -> Result<Bytes, Fault> {
        let Ok(_place) = self.places.try_acquire() else {
            let message = format!("{} is run as often at once as it may, and too many calls wait", self.name);
            return Err(Fault::new(Code::Overloaded, message)
                .help("try again in a moment, or have it run more often at once: --at-once"));
        };
        let late = || {
            let message = format!("{} was not run: its turn did not come within the call's time", self.name);
            Fault::new(Code::Timeout, message).help("have it run more often at once: --at-once")
        };
        let turn = timeout(ctx.remaining(), self.turns.acquire()).await.map_err(|_| late())?;
        let _turn = turn.expect("it is never closed");
        let command = self.command(&ctx)?;
        let ended = once::run(command, body, BODY_BYTES_MAX).await;
        let ended =
            ended.map_err(|fault| Fault { message: format!("{}: {}", self.name, fault.message), ..fault })?;
        self.outcome(ended)
    }

    fn command(&self, ctx: &Ctx) -> Result<Command, Fault> {
        // Killed if this process is.
        let leashed = Leash::around(&self.line);
        let mut command = leashed.map_err(|_| {
            Fault::new(Code::Failed, "the system does not tell which program this is").help("nothing was run")
        })?;
        command.env("MICRO_SERVICE", &self.name).env("MICRO_ENDPOINT", CALL);
        command.env("MICRO_NAMESPACE", self.namespace.to_string());
        command.env("MICRO_TRACE_ID", ctx.trace().to_string());
        command.env("MICRO_DEADLINE_MS", ctx.remaining().as_millis().to_string());
        // A secret of whoever offers the program is not for each of its runs.
        command.env_remove("MICRO_NODE_TOKEN");
        for (variable, header) in TOLD {
            match ctx.metadata(header).filter(|value| value.len() <= TOLD_BYTES_MAX) {
                Some(value) => command.env(variable, value),
                None => command.env_remove(variable),
            };
        }
        Ok(command)
    }

    fn outcome(&self, ended: once::Ended) -> Result<Bytes, Fault> {
        let failed = |why: String| Err(Fault::new(Code::Failed, why).effect_unknown());
        let name = &self.name;
        if ended.answer.len() > BODY_BYTES_MAX {
            return failed(format!("{name} wrote more than an answer may have: {BODY_BYTES_MAX} bytes"));
        }
        if !ended.status.success() {
            let said = once::last_lines(&ended.said, LINES_TOLD);
            let said = said.map(|said| format!(": {said}")).unwrap_or_default();
            return failed(format!("{name} ended with {}{said}", ended.status));
        }
        // What it has to say beside its answer is for who runs the service.
        if let Some(said) = once::last_lines(&ended.said, usize::MAX) {
            tell(format_args!("{name}: {said}"));
        }
        json(ended.answer).or_else(|()| {
            failed(format!(
                "{name} wrote what is neither JSON nor text: bytes have to be encoded, as base64 say"
            ))
        })
    }
}

/// What a program wrote as an answer: JSON as it is, other text as a string without the line ends behind it, as a shell
/// has it in `$(…)`; `null` if it wrote nothing.
fn json(written: Vec<u8>) -> Result<Bytes, ()> {
    if serde_json::from_slice::<serde::de::IgnoredAny>(&written).is_ok() {
        return Ok(written.trim_ascii().to_vec().into());
    }
    let text = String::from_utf8(written).map_err(drop)?;
    let text = text.trim_end_matches(['\n', '\r']);
    let value = if text.is_empty() { serde_json::Value::Null } else { text.into() };
    Ok(value.to_string().into())
}

/// Tells the person who runs the command. `eprintln!` would panic once nobody reads any more.
fn tell(line: std::fmt::Arguments<'_>) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}

impl Service for Program {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        ""
    }

    fn endpoints(&self) -> Vec<Endpoint> {
        let program = Path::new(&self.line[0]).file_name().map(|name| name.to_string_lossy().into_owned());
        vec![Endpoint {
            name: CALL.to_owned(),
            request_schema: "true".to_owned(),
            response_schema: "true".to_owned(),
            doc: format!("Runs {} once.", program.as_deref().unwrap_or("a program")),
            routes: Vec::new(),
            streams: Streams::default(),
        }]
    }

    fn dispatch<'a>(
        &'a self,
        endpoint: &'a str,
        ctx: Ctx,
        body: Bytes,
    ) -> BoxFuture<'a, Result<Bytes, Fault>> {
        Box::pin(async move {
            match endpoint {
                CALL => self.answer(ctx, body).await,
                other => Err(unknown_endpoint(self, other)),
            }
        })
    }
}

/// Whether a file is there that can be run.
///
/// # Errors
/// Why not.
pub(super) fn is_runnable(path: &str) -> Result<(), Fault> {
    let refused = |why: String| Err(Fault::new(Code::Usage, format!("cannot run {path}: {why}")));
    match Path::new(path).metadata() {
        Err(error) => refused(error.to_string()),
        Ok(file) if !file.is_file() => refused("it is no file".to_owned()),
        Ok(_) => access(path, Access::EXEC_OK).or_else(|error| refused(error.to_string())),
    }
}

/// Finds out whether the program is still there.
pub(super) fn check(path: &str) -> HealthCheck {
    let path = path.to_owned();
    HealthCheck::own(move || {
        let found = is_runnable(&path);
        async { found }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_json_or_text() {
        for (written, answer) in [
            (&b"{\"a\": 1}\n"[..], "{\"a\": 1}"),
            (b" [1] ", "[1]"),
            (b"12\n", "12"),
            (b"hello\nworld\n\n", "\"hello\\nworld\""),
            (b"{\"a\": 1}\n{\"a\": 2}\n", "\"{\\\"a\\\": 1}\\n{\\\"a\\\": 2}\""),
            (b"", "null"),
            (b"\n", "null"),
        ] {
            assert_eq!(json(written.to_vec()).as_deref(), Ok(answer.as_bytes()), "{written:?}");
        }
        assert_eq!(json(vec![0xff, 0xfe]), Err(()));
    }
}
