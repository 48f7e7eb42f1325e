//! Holding something of the mesh (a lock, the lead of an election) while a person or a program makes use of it.

use super::{failure::Failure, leash::Leash, signals::Signals};
use micro_sdk::wire::{Code, Fault};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    future::Future,
    io::{self, IsTerminal},
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    time::Duration,
};
use tokio::{
    process::Child,
    time::{Instant, sleep_until, timeout},
};

/// How long a program may take to end after what it needs was lost.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// The exit code of the process that was asked to end while it held something: that is how a person ends it.
const ENDED: u8 = 0;

/// SIGINT and SIGTERM, delivered here from now on.
pub(super) fn signals() -> Result<Signals, Failure> {
    let no_signals = |error| Fault::new(Code::Failed, format!("the system gives no signals: {error}"));
    Ok(Signals::take_with_hangup().map_err(no_signals)?)
}

/// Waits until `what` is lost, and says so: others may have it from then on.
pub(super) async fn lost(what: String, lost: impl Future<Output = Fault>) -> Fault {
    let Fault { message, help, .. } = lost.await;
    let fault = Fault::new(Code::Unavailable, format!("{what} was lost: {message}"));
    help.into_iter().fold(fault, Fault::help)
}

/// Waits for a signal, or until what is held is lost. Gives the exit code.
pub(super) async fn until_signal(
    signals: &mut Signals,
    lost: impl Future<Output = Fault>,
) -> Result<u8, Failure> {
    tokio::select! {
        biased;
        _ = signals.next() => Ok(ENDED),
        fault = lost => Err(fault.into()),
    }
}

/// Runs a program while something is held. Signals are passed on to it; it is ended if what is held is lost, and killed
/// if this process is. Gives its exit code.
pub(super) async fn run(
    command: &[String],
    token: (&str, u64),
    signals: &mut Signals,
    lost: impl Future<Output = Fault>,
) -> Result<u8, Failure> {
    let program = command.first().expect("clap wants a command of one word at least");
    let mut child = start(command, &[(token.0, token.1.to_string())])?;
    tokio::pin!(lost);
    loop {
        tokio::select! {
            biased;
            status = child.wait() => return Ok(exit_code(status.map_err(no_status)?)),
            code = signals.next() => pass_on(&child, code),
            fault = &mut lost => {
                end(&mut child).await?;
                return Err(fault.help(format!("{program} was ended")).into());
            }
        }
    }
}

/// Runs a program, with these variables beside its own. It is killed if this process is.
///
/// # Errors
/// If it can't be run.
pub(super) fn start(command: &[String], variables: &[(&str, String)]) -> Result<Child, Failure> {
    let program = command.first().expect("clap wants a command of one word at least");
    let child = Leash::around(command)?.envs(variables.iter().map(|(name, value)| (name, value))).spawn();
    Ok(child.map_err(|error| {
        Fault::new(Code::Usage, format!("cannot run {program}: {error}")).help("nothing was run")
    })?)
}

/// Waits until a program ends. Gives its exit code.
///
/// # Errors
/// If the system does not tell how it ended.
pub(super) async fn ended(child: &mut Child) -> Result<u8, Failure> {
    Ok(exit_code(child.wait().await.map_err(no_status)?))
}

/// Passes a signal on that this process was given, and those that follow, and waits until the program ends; it is
/// killed if it takes too long. Gives its exit code.
///
/// # Errors
/// If the system does not tell how it ended.
pub(super) async fn finish(child: &mut Child, signals: &mut Signals, code: u8) -> Result<u8, Failure> {
    pass_on(child, code);
    let deadline = Instant::now() + END_PATIENCE;
    loop {
        tokio::select! {
            biased;
            ended = ended(child) => return ended,
            code = signals.next() => pass_on(child, code),
            () = sleep_until(deadline) => {
                child.kill().await.map_err(no_status)?;
                return ended(child).await;
            }
        }
    }
}

/// Asks a program to end, and makes it if it does not.
///
/// # Errors
/// If the system does not tell how it ended.
pub(super) async fn end(child: &mut Child) -> Result<(), Failure> {
    send(child, Signal::TERM);
    if timeout(END_PATIENCE, child.wait()).await.is_err() {
        child.kill().await.map_err(no_status)?;
    }
    Ok(())
}

/// Passes a signal on. Ctrl-C at a terminal reaches the program by itself, and a second one would end it at once.
fn pass_on(child: &Child, code: u8) {
    match code {
        130 if io::stdin().is_terminal() => {}
        130 => send(child, Signal::INT),
        _ => send(child, Signal::TERM),
    }
}

/// Sends a signal. A program that has ended meanwhile needs none.
fn send(child: &Child, signal: Signal) {
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
        let _ = kill_process(pid, signal);
    }
}

fn no_status(error: std::io::Error) -> Failure {
    Fault::new(Code::Failed, format!("the system does not tell how the program ended: {error}"))
        .effect_unknown()
        .into()
}

/// The code that a shell would show.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
