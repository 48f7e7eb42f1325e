//! JSON from stdin or a file, a line each.

use super::{failure::Failure, input};
use micro_sdk::wire::{Code, Fault, limits::BODY_BYTES_MAX};
use serde_json::Value;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    thread,
};
use tokio::sync::mpsc;

/// Lines that are read ahead: each may be as long as a body.
const AHEAD_MAX: usize = 2;

/// The values, as they are read. That is done on a thread of its own: a terminal may never say anything, and nothing
/// ends a read of it but the end of the process.
#[derive(Debug)]
pub(super) struct Lines(mpsc::Receiver<Result<Value, Failure>>);

impl Lines {
    /// Those of the file that `argument` names as `@FILE`; of stdin, if it is `-`.
    ///
    /// # Errors
    /// If the file can't be read.
    pub(super) fn open(argument: &str) -> Result<Self, Failure> {
        let place = input::name(argument).to_owned();
        let unreadable = |error: io::Error| {
            Failure::from(Fault::new(Code::Usage, format!("cannot read {place}: {error}")))
        };
        let source: Box<dyn Read + Send> = match argument.strip_prefix('@') {
            Some(path) => Box::new(File::open(path).map_err(unreadable)?),
            None => Box::new(io::stdin()),
        };
        let (sender, receiver) = mpsc::channel(AHEAD_MAX);
        let reading = thread::Builder::new().name("lines".to_owned());
        let name = place.clone();
        reading.spawn(move || read(BufReader::new(source), &name, &sender)).map_err(unreadable)?;
        Ok(Lines(receiver))
    }

    /// The next value; none behind the last. An error is the last.
    pub(super) async fn next(&mut self) -> Option<Result<Value, Failure>> {
        self.0.recv().await
    }
}

/// Reads until the end, an error, or until nobody asks any more.
fn read(mut source: impl BufRead, place: &str, sender: &mpsc::Sender<Result<Value, Failure>>) {
    for number in 1_u64.. {
        let next = match line(&mut source, place, number) {
            Ok(Line::End) => return,
            Ok(Line::Blank) => continue,
            Ok(Line::Value(value)) => Ok(value),
            Err(failure) => Err(failure),
        };
        let last = next.is_err();
        if sender.blocking_send(next).is_err() || last {
            return;
        }
    }
}

/// What is on a line.
enum Line {
    Value(Value),
    Blank,
    /// Nothing: it is behind the last.
    End,
}

fn line(source: &mut impl BufRead, place: &str, number: u64) -> Result<Line, Failure> {
    let usage =
        |what: String| Failure::from(Fault::new(Code::Usage, format!("line {number} of {place} {what}")));
    let mut bytes = Vec::new();
    // One byte more than the limit, so that too much is noticed and never held.
    let mut source = source.take(BODY_BYTES_MAX as u64 + 1);
    source.read_until(b'\n', &mut bytes).map_err(|error| usage(format!("cannot be read: {error}")))?;
    if bytes.is_empty() {
        return Ok(Line::End);
    }
    if bytes.len() > BODY_BYTES_MAX {
        return Err(usage(format!("is larger than the limit of {BODY_BYTES_MAX} bytes")));
    }
    if bytes.trim_ascii().is_empty() {
        return Ok(Line::Blank);
    }
    let value = serde_json::from_slice(&bytes).map_err(|error| usage(format!("is not JSON: {error}")))?;
    Ok(Line::Value(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn all(text: &'static str) -> Vec<Result<Value, String>> {
        let (sender, mut receiver) = mpsc::channel(16);
        read(text.as_bytes(), "stdin", &sender);
        drop(sender);
        let told = |next: Result<Value, Failure>| {
            next.map_err(|failure| match failure {
                Failure::Fault(fault) => fault.message,
                other => format!("{other:?}"),
            })
        };
        std::iter::from_fn(|| receiver.blocking_recv()).map(told).collect()
    }

    #[test]
    fn each_line_is_a_value() {
        assert_eq!(all("{\"a\":1}\n\n  \n2\r\n\"x\""), [Ok(json!({"a": 1})), Ok(json!(2)), Ok(json!("x"))]);
        assert_eq!(all(""), []);
    }

    #[test]
    fn what_is_no_value_is_the_last_and_says_where() {
        let read = all("1\n{\n3\n");
        assert_eq!((read.len(), &read[0]), (2, &Ok(json!(1))));
        assert!(
            read[1].as_ref().is_err_and(|told| told.starts_with("line 2 of stdin is not JSON")),
            "{read:?}"
        );
    }
}
