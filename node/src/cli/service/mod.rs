//! `micro-node service`: any program of this host as a service of the mesh.

mod endpoint;
mod health;
mod particulars;

pub(super) use particulars::{Company, Particulars};

use super::{failure::Failure, globals::Globals, hold, output::Output, session, signals::Signals, unit};
use clap::Args;
use micro_sdk::{
    client::Node,
    serve::{HealthCheck, Server},
    wire::{Code, Fault, ServiceName},
};
use std::{collections::BTreeMap, future::pending, net::SocketAddr, path::Path, time::Duration};
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

const EXAMPLES: &str = "\
Examples:
  micro-node service --name shop --endpoint http://127.0.0.1:5000                     a program that runs already
  micro-node service --name shop --endpoint http://127.0.0.1:5000 -- python3 shop.py  runs it, and ends as it ends
  micro-node service --name till --endpoint grpc://127.0.0.1:6000 --version 1.4 --metadata zone=b -- ./till
  micro-node service --name shop --endpoint http://127.0.0.1:5000 --health http:/healthz --health-interval 2s
  micro-node service --name shop --endpoint http://127.0.0.1:5000 --health 'command:pg_isready -q'

It is a service for as long as this command runs, also over restarts of the node. The node makes the check, but for \
`command`, which is run here. Callers are led to instances that work; `micro-node services NAME` shows all, with why. \
COMMAND is given signals that this command is given, is asked to end if the node refuses it, and is killed if it has \
not ended 10 s later.";

/// Offer any program of this host as a service
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ServiceCommand {
    /// What it is called by [default: what COMMAND is called]
    #[arg(long, value_name = "NAME")]
    name: Option<ServiceName>,

    #[command(flatten)]
    offered: Particulars,

    /// How long this command may be silent before it counts as failing; ten times as long, and it is gone [default: for
    /// as long as its connection to the node stands]
    #[arg(long, value_name = "TIME", value_parser = unit::duration)]
    ttl: Option<Duration>,

    /// How long COMMAND may take until it listens
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = unit::duration)]
    start_timeout: Duration,

    /// The program to run, with its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// What was said of the program, and is right.
struct Said {
    metadata: BTreeMap<String, String>,
    check: Option<HealthCheck>,
}

impl ServiceCommand {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let name = self.name()?;
        let said = Said { metadata: self.offered.metadata()?, check: self.offered.check(Company::Command)? };
        let code = session::run_to_end(globals, async |node| {
            let mut signals = hold::signals()?;
            let server = self.server(&node, &name, &said);
            match self.command.is_empty() {
                true => {
                    tokio::select! {
                        biased;
                        _ = signals.next() => Ok(0),
                        ended = server.run_until(pending()) => Ok(ended.map(|()| 0)?),
                    }
                }
                false => {
                    self.is_free().await?;
                    let mut child = hold::start(&self.command, &[])?;
                    match self.listening(&mut child, &mut signals, output).await? {
                        Some(code) => Ok(code),
                        None => {
                            output.detail(&format!("{name} listens at {}", self.offered.endpoint.address));
                            offer(server, &mut child, &mut signals).await
                        }
                    }
                }
            }
        })?;
        if code == 0 { Ok(()) } else { Err(Failure::Signalled(code)) }
    }

    /// What it is called by.
    fn name(&self) -> Result<ServiceName, Failure> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let program = self.command.first().map(Path::new).and_then(Path::file_stem);
        let name = program.and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        name.ok_or_else(|| Failure::usage("a service has a name\ngive one with --name"))
    }

    fn server(&self, node: &Node, name: &ServiceName, said: &Said) -> Server {
        let address = self.offered.endpoint.address;
        let server = match self.offered.speaks_http() {
            true => Server::http(name.as_str(), address),
            false => Server::grpc(name.as_str(), address),
        };
        let mut server = server.client(node).version(&self.offered.service_version);
        for (name, value) in &said.metadata {
            server = server.metadata(name, value);
        }
        if let Some(check) = &said.check {
            server = server.health(check.clone());
        }
        match self.ttl {
            Some(ttl) => server.ttl(ttl),
            None => server,
        }
    }

    /// Makes sure that nobody listens where the program is to: calls would go to a stranger.
    async fn is_free(&self) -> Result<(), Failure> {
        let address = self.offered.endpoint.address;
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
        let address = self.offered.endpoint.address;
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
