//! A program that listens by itself, and may be run by this command: waited for, offered, ended.

use super::{
    super::{failure::Failure, hold, output::Output, signals::Signals},
    serve,
};
use micro_sdk::{
    serve::Server,
    wire::{Code, Fault},
};
use std::{future::pending, net::SocketAddr, time::Duration};
use tokio::{
    net::TcpStream,
    process::Child,
    time::{sleep, timeout},
};

/// The pause between two looks whether a program listens yet.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// How long it is waited for a program without a word.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long one look may take.
const LOOK_LIMIT: Duration = Duration::from_millis(500);

/// A program that listens somewhere, or will.
pub(super) struct Listening<'c> {
    pub address: SocketAddr,
    /// The program to run; empty for one that runs already.
    pub command: &'c [String],
    /// How long it may take until it listens.
    pub start_timeout: Duration,
}

impl Listening<'_> {
    /// Offers it until it, or this command, ends. Gives the exit code.
    pub async fn offer(&self, server: Server, signals: &mut Signals, output: &Output) -> Result<u8, Failure> {
        if self.command.is_empty() {
            return serve(server, signals).await;
        }
        self.is_free().await?;
        let mut child = hold::start(self.command, &[])?;
        match self.listening(&mut child, signals, output).await? {
            Some(code) => Ok(code),
            None => {
                output.detail(&format!("the program listens at {}", self.address));
                offer(server, &mut child, signals).await
            }
        }
    }

    /// Makes sure that nobody listens where the program is to: calls would go to a stranger.
    async fn is_free(&self) -> Result<(), Failure> {
        let address = self.address;
        if !is_open(address).await {
            return Ok(());
        }
        Err(Fault::new(Code::Conflict, format!("another program listens at {address} already"))
            .help(
                "to offer that one, leave COMMAND away; else end it, or have COMMAND listen at another port",
            )
            .into())
    }

    /// Waits until the program listens. Gives its exit code if it ends before, by itself or by a signal.
    async fn listening(
        &self,
        child: &mut Child,
        signals: &mut Signals,
        output: &Output,
    ) -> Result<Option<u8>, Failure> {
        let address = self.address;
        let listens = timeout(self.start_timeout, async {
            if timeout(PATIENCE, until_open(address)).await.is_err() {
                output.remark(&format!("waiting until the program listens at {address}"));
                until_open(address).await;
            }
        });
        tokio::select! {
            biased;
            ended = hold::ended(child) => {
                output.remark(&format!("the program ended before it listened at {address}: it was no service"));
                ended.map(Some)
            }
            code = signals.next() => hold::finish(child, signals, code).await.map(Some),
            listens = listens => match listens {
                Ok(()) => Ok(None),
                Err(_) => {
                    hold::end(child).await?;
                    let message = format!("the program did not listen at {address} within {:?}", self.start_timeout);
                    Err(Fault::new(Code::Timeout, message)
                        .help("allow more time with --start-timeout")
                        .help("it was ended")
                        .into())
                }
            },
        }
    }
}

/// Whether somebody takes connections at an address.
async fn is_open(address: SocketAddr) -> bool {
    matches!(timeout(LOOK_LIMIT, TcpStream::connect(address)).await, Ok(Ok(_)))
}

/// Returns once somebody takes connections at an address.
async fn until_open(address: SocketAddr) {
    while !is_open(address).await {
        sleep(LOOK_PAUSE).await;
    }
}

/// Offers a program that runs, until it or this command ends. Gives its exit code.
async fn offer(server: Server, child: &mut Child, signals: &mut Signals) -> Result<u8, Failure> {
    let mut serving = Box::pin(server.run_until(pending()));
    let (code, refused) = tokio::select! {
        biased;
        ended = hold::ended(child) => return ended,
        code = signals.next() => (Some(code), None),
        ended = &mut serving => (None, ended.err()),
    };
    // Detached first, so that it is sent nothing more.
    drop(serving);
    match (code, refused) {
        (Some(code), _) => hold::finish(child, signals, code).await,
        (None, refused) => {
            hold::end(child).await?;
            let fault = refused.unwrap_or_else(|| Fault::new(Code::Unavailable, "it is offered no more"));
            Err(fault.help("the program was ended").into())
        }
    }
}
