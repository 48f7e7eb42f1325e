//! A program that runs once, for one answer, and is gone with whoever waits for it: with all that it has started.

use bytes::Bytes;
use micro_sdk::wire::{Code, Fault};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    process::{ExitStatus, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::Command,
};

/// How much is kept of the end of what a program says.
const SAID_BYTES_MAX: usize = 4 << 10;
/// How much is read at once.
const CHUNK: usize = 8 << 10;
/// The longest line that is told of what a program said.
const LINE_CHARS_MAX: usize = 200;

/// How a program ended.
pub(super) struct Ended {
    pub status: ExitStatus,
    /// What it wrote to stdout: the beginning, and one byte more than was wanted if there was more.
    pub answer: Vec<u8>,
    /// The end of what it wrote to stderr.
    pub said: Vec<u8>,
}

/// Runs a program with this on stdin, and takes the beginning of what it writes to stdout: `most` bytes. It is killed
/// when there is more, and when this is dropped. What it has started and left behind ends with it.
///
/// # Errors
/// If it can't be run, with nothing done.
pub(super) async fn run(mut command: Command, input: Bytes, most: usize) -> Result<Ended, Fault> {
    // A group of its own, so that what a shell has started is ended with the shell.
    command.process_group(0).kill_on_drop(true);
    command.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |error: std::io::Error| Fault::new(Code::Failed, format!("it can't be run: {error}"));
    let mut child = command.spawn().map_err(failed)?;
    let leader = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let group = Group { leader, is_gone: AtomicBool::new(false) };
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let told = async {
        if let Some(mut stdin) = stdin {
            // It may end before it has read all, or not care.
            let _ = stdin.write_all(&input).await;
        }
    };
    let answered = async {
        let answer = beginning(stdout, most).await;
        if answer.len() > most {
            group.kill();
        }
        answer
    };
    let ended = async {
        let status = child.wait().await;
        group.kill();
        group.is_gone.store(true, Ordering::Relaxed);
        status
    };
    let (status, answer, said, ()) = tokio::join!(ended, answered, end(stderr), told);
    Ok(Ended { status: status.map_err(failed)?, answer, said })
}

/// A program and what it has started. Dropped, all of them are killed.
struct Group {
    leader: Option<Pid>,
    /// Then its number may be another's.
    is_gone: AtomicBool,
}

impl Group {
    fn kill(&self) {
        if let Some(leader) = self.leader.filter(|_| !self.is_gone.load(Ordering::Relaxed)) {
            // Nobody is left of it, most of the time.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The first bytes of what is written, and one more if there is more.
async fn beginning(from: Option<impl AsyncRead + Unpin>, most: usize) -> Vec<u8> {
    let mut read = Vec::new();
    if let Some(from) = from {
        let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        // What was read before an error is what there is.
        let _ = from.take(limit).read_to_end(&mut read).await;
    }
    read
}

/// The last bytes of what is written.
async fn end(from: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut from) = from else { return kept };
    let mut chunk = [0; CHUNK];
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        kept.extend_from_slice(&chunk[..read]);
        let beyond = kept.len().saturating_sub(SAID_BYTES_MAX);
        kept.drain(..beyond);
    }
    kept
}

/// The last lines, `count` at most, of what a program said, as they can be shown: of one line, without colours or
/// control characters. None if it said nothing.
pub(super) fn last_lines(said: &[u8], count: usize) -> Option<String> {
    let text = String::from_utf8_lossy(said);
    let text = anstream::adapter::strip_str(&text).to_string();
    let line = |line: &str| line.chars().filter(|char| !char.is_control()).collect::<String>();
    let lines = text.lines().map(|text| line(text).trim().to_owned()).filter(|line| !line.is_empty());
    let lines: Vec<String> = lines.collect();
    let last = lines[lines.len().saturating_sub(count)..].join(" | ");
    (!last.is_empty()).then(|| last.chars().take(LINE_CHARS_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    fn shell(line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        command
    }

    #[tokio::test]
    async fn a_program_is_told_and_heard() {
        let ended = run(shell("cat; echo no >&2; exit 3"), "yes".into(), 9).await.expect("it runs");
        assert_eq!((ended.status.code(), &*ended.answer, &*ended.said), (Some(3), &b"yes"[..], &b"no\n"[..]));
        // One that reads nothing is not waited for.
        let ended = run(shell("exit 0"), vec![0; 1 << 20].into(), 9).await.expect("it runs");
        assert!(ended.status.success() && ended.answer.is_empty());
        let endless = run(shell("yes"), Bytes::new(), 9).await.expect("it runs");
        assert_eq!(endless.answer.len(), 10);
        assert!(run(Command::new("/nowhere/at/all"), Bytes::new(), 9).await.is_err());
    }

    #[tokio::test]
    async fn nothing_that_it_has_started_outlives_it() {
        // The one that is left holds stdout open: nobody waits for it.
        let left = run(shell("sleep 600 & echo $!"), Bytes::new(), 99).await.expect("it runs");
        let gone = async |pid: &str| {
            let status = format!("/proc/{}/stat", pid.trim());
            while std::fs::read_to_string(&status).is_ok_and(|stat| !stat.contains(") Z ")) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        gone(&String::from_utf8_lossy(&left.answer)).await;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pid");
        let line = format!("sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait", file.display());
        let stopped = timeout(Duration::from_secs(60), async {
            tokio::select! {
                biased;
                _ = run(shell(&line), Bytes::new(), 9) => unreachable!("it runs for ten minutes"),
                pid = async {
                    loop {
                        if let Ok(pid) = std::fs::read_to_string(&file) {
                            break pid;
                        }
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                } => pid,
            }
        });
        gone(&stopped.await.expect("it has started")).await;
    }

    #[test]
    fn what_was_said_last_is_of_one_line_and_can_be_shown() {
        assert_eq!(last_lines(b"one\n\n two\x07\n\x1b[31mthree\x1b[0m \n\n", 1).as_deref(), Some("three"));
        assert_eq!(last_lines(b"one\n\n two\x07\nthree", 2).as_deref(), Some("two | three"));
        assert_eq!(last_lines(b"\n \x1b[0m\n", 3), None);
        assert_eq!(last_lines(&[b'x'; 9999], 1).map(|line| line.len()), Some(LINE_CHARS_MAX));
    }
}
