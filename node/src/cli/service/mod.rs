//! `micro-node service`: any program of this host as a service of the mesh.

mod endpoint;
mod health;

use super::{failure::Failure, globals::Globals, hold, output::Output, session, signals::Signals, unit};
use clap::Args;
use endpoint::{Endpoint, Speech};
use health::Health;
use micro_sdk::{
    client::Node,
    serve::Server,
    wire::{Code, Fault, ServiceName, metadata},
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

It is a service for as long as this command runs, also over restarts of the node. The node makes the check, but for
`command`, which is run here. Callers are led to instances that work; `micro-node services NAME` shows all, with why.
COMMAND is given signals that this command is given, is asked to end if the node refuses it, and is killed if it has not
ended 10 s later.";

/// Offer any program of this host as a service
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ServiceCommand {
    /// What it is called by [default: what COMMAND is called]
    #[arg(long, value_name = "NAME")]
    name: Option<ServiceName>,

    /// Where it listens: http://127.0.0.1:PORT for HTTP as it is, grpc://127.0.0.1:PORT for gRPC with reflection
    #[arg(long, value_name = "URL")]
    endpoint: Endpoint,

    /// The service's own version
    #[arg(long = "version", value_name = "VERSION", default_value = "latest")]
    service_version: String,

    /// What to say of it; may be given more than once
    #[arg(long, value_name = "KEY=VALUE", value_parser = unit::pair)]
    metadata: Vec<(String, String)>,

    /// How to find out whether it works: tcp, http:/PATH, grpc, grpc:SERVICE, command:LINE or none [default: tcp for
    /// http, grpc for grpc if it is there]
    #[arg(long, value_name = "CHECK")]
    health: Option<Health>,

    /// From one check to the next
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = unit::duration)]
    health_interval: Duration,

    /// How long a check may take
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = unit::duration)]
    health_timeout: Duration,

    /// How many checks in a row have to fail before it counts as failing
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    unhealthy_after: u32,

    /// How many checks in a row have to pass before it counts as passing
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    healthy_after: u32,

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

impl ServiceCommand {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let name = self.name()?;
        let metadata = self.metadata()?;
        let code = session::run_to_end(globals, async |node| {
            let mut signals = hold::signals()?;
            let server = self.server(&node, &name, &metadata);
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
                            output.detail(&format!("{name} listens at {}", self.endpoint.address));
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

    fn metadata(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut entries = BTreeMap::new();
        for (name, value) in &self.metadata {
            if entries.insert(name.clone(), value.clone()).is_some() {
                return Err(Failure::usage(format!("the metadata {name} is there twice")));
            }
        }
        metadata::check(&entries).map_err(Failure::usage)?;
        Ok(entries)
    }

    fn server(&self, node: &Node, name: &ServiceName, metadata: &BTreeMap<String, String>) -> Server {
        let address = self.endpoint.address;
        let server = match self.endpoint.speech {
            Speech::Http => Server::http(name.as_str(), address),
            Speech::Grpc => Server::grpc(name.as_str(), address),
        };
        let mut server = server.client(node).version(&self.service_version);
        for (name, value) in metadata {
            server = server.metadata(name, value);
        }
        if let Some(check) = Health::check(self.health.as_ref(), self.endpoint.speech) {
            let check = check.interval(self.health_interval).timeout(self.health_timeout);
            server =
                server.health(check.unhealthy_after(self.unhealthy_after).healthy_after(self.healthy_after));
        }
        match self.ttl {
            Some(ttl) => server.ttl(ttl),
            None => server,
        }
    }

    /// Makes sure that nobody listens where the program is to: calls would go to a stranger.
    async fn is_free(&self) -> Result<(), Failure> {
        let address = self.endpoint.address;
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
        let address = self.endpoint.address;
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
