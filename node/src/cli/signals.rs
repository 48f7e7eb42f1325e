//! The signals that ask a process to end.

use std::{fs, future::pending, io};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT and SIGTERM, from now on delivered here.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    /// Takes the signals over from the system, which would end the process at once.
    ///
    /// # Errors
    /// If the system does not let go of them.
    pub(super) fn take() -> io::Result<Self> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: None,
        })
    }

    /// The same with SIGHUP, which comes when the terminal goes away; unless the process was started to outlive that,
    /// by `nohup`.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    pub(super) fn take_with_hangup() -> io::Result<Self> {
        let signals = Signals::take()?;
        let hangup = if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Signals { hangup, ..signals })
    }

    /// Waits for the next one; gives the exit code that a shell would give it: 128 + its number.
    pub(super) async fn next(&mut self) -> u8 {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = self.terminate.recv() => 143,
            _ = self.interrupt.recv() => 130,
            _ = hangup => 129,
        }
    }
}

/// Whether whoever started this process has it ignore SIGHUP (proc_pid_status(5), `SigIgn`: a mask in hexadecimal, the
/// lowest bit is signal 1, which is this one).
fn ignores_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
