//! `micro-node service`: any program of this host as a service of the mesh, or the files of a folder.

mod endpoint;
mod folder;
mod health;
mod listening;
mod neighbours;
mod once;
mod particulars;
mod program;
mod site;

pub(super) use endpoint::Endpoint;
pub(super) use particulars::{Company, Particulars};

use super::{failure::Failure, globals::Globals, hold, output::Output, session, signals::Signals, unit};
use clap::Args;
use folder::Folder;
use listening::Listening;
use micro_sdk::{
    client::Node,
    serve::{HealthCheck, Server},
    wire::{Code, Fault, Mount, ServiceName},
};
use neighbours::Neighbours;
use program::Program;
use site::Site;
use std::{collections::BTreeMap, io, path::Path, pin::pin, thread::available_parallelism, time::Duration};
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};

/// How long answers may take that are under way when this command is told to end: as long as a call may by default.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "\
Examples:
  micro-node service --name shop --endpoint http://127.0.0.1:5000                     a program that runs already
  micro-node service --name shop --endpoint http://127.0.0.1:5000 -- python3 shop.py  runs it, and ends as it ends
  micro-node service --name till --endpoint grpc://127.0.0.1:6000 --version 1.4 --metadata zone=b -- ./till
  micro-node service --name shop --endpoint http://127.0.0.1:5000 --health http:/healthz --health-interval 2s
  micro-node service --name shop --endpoint http://127.0.0.1:5000 --health 'command:pg_isready -q'
  micro-node service --name shop --endpoint http://127.0.0.1:5000 --mount /market --mount shop.example.org/
  micro-node service --name site --endpoint file:///srv/site --mount /docs
  micro-node service --name resize --endpoint exec:///usr/local/bin/resize --at-once 4 -- --width 200

It is a service for as long as this command runs, also over restarts of the node. The node makes the check, but for \
`command`, which is run here. Callers are led to instances that work; `micro-node services NAME` shows all, with why. \
COMMAND is given signals that this command is given, is asked to end if the node refuses it, and is killed if it has \
not ended 10 s later.

A program that takes HTTP is sent the paths of requests as they are, /NAME or the mount included. Files are found \
below each mount, or else below /NAME: only those that are in the folder, wherever links lead, and none whose name \
begins with a dot; index.html stands for its folder.

With exec://, PROGRAM is run for each call of the endpoint `call`, COMMAND being its arguments: the request is its \
stdin, what it writes to stdout the answer (JSON as it is, other text as a string), and any exit code but 0 a failure, \
told with the end of its stderr. MICRO_CALLER, MICRO_ACCOUNT, MICRO_SERVICE, MICRO_NAMESPACE, MICRO_TRACE_ID and \
MICRO_DEADLINE_MS are in its environment. It is killed, with what it has started, when the time of the call is over or \
the caller is gone.";

/// Offer any program of this host as a service
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ServiceCommand {
    /// What it is called by [default: what COMMAND, or the folder or program of the endpoint, is called]
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

    /// How often an exec:// program may run at once: four times as many calls wait, and more are refused [default: as
    /// many as this host has cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    at_once: Option<u16>,

    /// The program to run, with its arguments; for exec://, the arguments alone
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// What was said of the program, and is right.
struct Said {
    name: ServiceName,
    metadata: BTreeMap<String, String>,
    check: Option<HealthCheck>,
    mounts: Vec<Mount>,
}

impl ServiceCommand {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let said = self.said()?;
        let code = session::run_to_end(globals, async |node| {
            let mut signals = hold::signals()?;
            match &self.offered.endpoint {
                Endpoint::Http(address) | Endpoint::Grpc(address) => {
                    let address = *address;
                    let server = match &self.offered.endpoint {
                        Endpoint::Grpc(_) => Server::grpc(said.name.as_str(), address),
                        _ => Server::http_at(said.name.as_str(), address, said.mounts.clone()),
                    };
                    let (command, start_timeout) = (self.command.as_slice(), self.start_timeout);
                    let listening = Listening { address, command, start_timeout };
                    listening.offer(self.dressed(server, &node, &said), &mut signals, output).await
                }
                Endpoint::File(path) => self.offer_files(path, &node, &said, &mut signals).await,
                Endpoint::Exec(path) => self.offer_runs(path, &node, &said, &mut signals).await,
            }
        })?;
        if code == 0 { Ok(()) } else { Err(Failure::Signalled(code)) }
    }

    /// What was said, if it fits together.
    fn said(&self) -> Result<Said, Failure> {
        let endpoint = &self.offered.endpoint;
        match endpoint {
            Endpoint::File(_) if !self.command.is_empty() => {
                return Err(Failure::usage(
                    "a folder needs no COMMAND: its files are served by this command",
                ));
            }
            // Before anything else is done; it is opened again once there is a node.
            Endpoint::File(path) => drop(open(path)?),
            Endpoint::Exec(path) => program::is_runnable(path)?,
            Endpoint::Http(_) | Endpoint::Grpc(_) => {}
        }
        if self.at_once.is_some() && !matches!(endpoint, Endpoint::Exec(_)) {
            return Err(Failure::usage(format!("--at-once is for exec://, and says nothing of {endpoint}")));
        }
        Ok(Said {
            name: self.name()?,
            metadata: self.offered.metadata()?,
            check: self.offered.check(Company::Command)?,
            mounts: self.offered.mounts()?.to_vec(),
        })
    }

    /// What it is called by.
    fn name(&self) -> Result<ServiceName, Failure> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let program = match &self.offered.endpoint {
            Endpoint::File(folder) => Some(folder.as_path()),
            Endpoint::Exec(program) => Some(Path::new(program)),
            Endpoint::Http(_) | Endpoint::Grpc(_) => self.command.first().map(Path::new),
        };
        let name = program.and_then(Path::file_stem).and_then(|name| name.to_str());
        let name = name.and_then(|name| name.parse().ok());
        name.ok_or_else(|| Failure::usage("a service has a name\ngive one with --name"))
    }

    /// Serves the files of a folder, which this command does itself.
    async fn offer_files(
        &self,
        path: &Path,
        node: &Node,
        said: &Said,
        signals: &mut Signals,
    ) -> Result<u8, Failure> {
        let folder = open(path)?;
        let (listener, address) = site::listener().await.map_err(no_port)?;
        let site = Site::of(folder, &said.name, &said.mounts);
        let (stop, stopping) = watch::channel(false);
        let mut serving = tokio::spawn(site.serve(listener, neighbours(node).await?, stopping));
        let server = Server::http_at(said.name.as_str(), address, said.mounts.clone());
        let server = server.permits(site::ANSWERS_MAX);
        let ended = serve(self.dressed(server, node, said), signals).await;
        // Detached by now: the node asks for nothing more.
        stop.send_replace(true);
        tokio::select! {
            biased;
            _ = signals.next() => {}
            _ = timeout(DRAIN_TIMEOUT, &mut serving) => {}
        }
        serving.abort();
        ended
    }

    /// Runs a program for each call.
    async fn offer_runs(
        &self,
        path: &str,
        node: &Node,
        said: &Said,
        signals: &mut Signals,
    ) -> Result<u8, Failure> {
        let at_once = match self.at_once {
            Some(at_once) => usize::from(at_once),
            None => available_parallelism().map_or(1, usize::from),
        };
        let line = [path.to_owned()].into_iter().chain(self.command.iter().cloned()).collect();
        let program = Program::new(said.name.to_string(), node.namespace().clone(), line, at_once);
        let (permits, neighbours) = (program.permits(), neighbours(node).await?);
        let server = Server::new(program).permits(permits);
        let server = server.admit(move |own, peer| neighbours.admit(own, peer));
        serve(self.dressed(server, node, said), signals).await
    }

    /// The same with all that was said of it.
    fn dressed(&self, server: Server, node: &Node, said: &Said) -> Server {
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
}

/// Serves until a signal asks for the end, then finishes what is under way; a second signal cuts that off.
async fn serve(server: Server, signals: &mut Signals) -> Result<u8, Failure> {
    let (stop, stopped) = oneshot::channel::<()>();
    let mut serving = pin!(server.run_until(async {
        let _ = stopped.await;
    }));
    tokio::select! {
        biased;
        _ = signals.next() => {}
        ended = &mut serving => return Ok(ended.map(|()| 0)?),
    }
    drop(stop);
    tokio::select! {
        biased;
        code = signals.next() => Ok(code),
        ended = serving => Ok(ended.map(|()| 0)?),
    }
}

fn open(folder: &Path) -> Result<Folder, Fault> {
    Folder::open(folder).map_err(|error| {
        Fault::new(Code::Usage, format!("cannot serve the folder {}: {error}", folder.display()))
            .help("it has to be there, and to be a folder that this user may enter")
    })
}

/// Who may connect to a port of this command.
async fn neighbours(node: &Node) -> Result<Neighbours, Failure> {
    Neighbours::of(node).await.map_err(|error| {
        Fault::new(Code::Failed, format!("the system does not tell whose connections are: {error}"))
            .help("nothing was offered: any user of this host could have connected")
            .into()
    })
}

fn no_port(error: io::Error) -> Fault {
    Fault::new(Code::Failed, format!("no loopback port can be had: {error}"))
}
