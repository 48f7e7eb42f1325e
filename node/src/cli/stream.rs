//! `micro-node stream`.

use super::{
    callee::Callee, failure::Failure, globals::Globals, hint, input, lines::Lines, output::Output, session,
    unit,
};
use clap::Args;
use futures::StreamExt;
use micro_sdk::{
    client::{Conversation, Requests, StreamCall},
    wire::limits::BODY_BYTES_MAX,
};
use serde_json::Value;
use std::{pin::pin, time::Duration};

const EXAMPLES: &str = "\
Examples:
  micro-node stream helloworld stream '{\"count\":3}'
  micro-node stream helloworld Greeter.stream '{\"count\":3}' | jq .count
  printf '{\"stroke\":1}\\n{\"stroke\":2}\\n' | micro-node stream helloworld ping_pong -

Each message is printed as it comes, as JSON on a line of its own. With - or @FILE each line is a message, sent as it \
is read. It ends with the service, after --request-timeout, or with Ctrl-C.";

/// Call a service by name whose request or answer is a stream
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Stream {
    #[command(flatten)]
    callee: Callee,

    /// The message, as JSON; or @FILE, or - for stdin, with a message on each line
    #[arg(default_value = "{}")]
    body: String,

    /// How long it may go on [default: as long as it likes]
    #[arg(long, alias = "request_timeout", value_name = "TIME", env = "MICRO_NODE_REQUEST_TIMEOUT",
          value_parser = unit::duration)]
    request_timeout: Option<Duration>,
}

/// What is said to a service.
#[derive(Debug)]
pub(super) enum Said {
    /// One message.
    One(Value),
    /// A message for each line.
    Lines(Lines),
}

impl Said {
    /// What an argument stands for.
    ///
    /// # Errors
    /// If it is not JSON, or the file can't be read.
    pub(super) fn read(argument: &str) -> Result<Self, Failure> {
        Ok(match argument == "-" || argument.starts_with('@') {
            true => Said::Lines(Lines::open(argument)?),
            false => Said::One(input::json(argument, BODY_BYTES_MAX)?),
        })
    }

    /// Says it, and ends when all is said, or when nobody listens: the answers tell why.
    async fn say(self, requests: Requests) -> Result<(), Failure> {
        match self {
            Said::One(message) => drop(requests.send(&message).await),
            Said::Lines(mut lines) => {
                while let Some(message) = lines.next().await {
                    if requests.send(&message?).await.is_err() {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Stream {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let said = Said::read(&self.body)?;
        session::run(globals, async |node| {
            let asked = self.callee.service.to_string();
            let mut call = node.stream(self.callee.service, self.callee.endpoint);
            for (name, value) in self.callee.headers {
                call = call.metadata(name, value);
            }
            if let Some(timeout) = self.request_timeout {
                call = call.timeout(timeout);
            }
            match converse(call, said, output).await {
                Err(Failure::Fault(fault)) => Err(hint::service(fault, &node, &asked).await.into()),
                answered => answered,
            }
        })
    }
}

/// Says what is to be said, and shows what is answered, until that ends.
pub(super) async fn converse(call: StreamCall, said: Said, output: &Output) -> Result<(), Failure> {
    let Conversation { requests, mut answers } = call.begin()?;
    let mut saying = pin!(said.say(requests));
    let mut all_said = false;
    loop {
        tokio::select! {
            biased;
            answer = answers.next() => match answer {
                Some(answer) => output.foreign_line(&answer?)?,
                None => return Ok(()),
            },
            said = &mut saying, if !all_said => {
                said?;
                all_said = true;
            }
        }
    }
}
