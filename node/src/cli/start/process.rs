//! The life of the process that is a node: start, ready, serve, stop.
//!
//! ```text
//! starting ──► waiting until ready ──► serving ──► stopping ──► exit         SIGHUP: takes some settings up anew
//!    │ signal        │ signal, end       │ signal, end    │ second signal
//!    └► 130 / 143    └► stopping         └► stopping      └► 130 / 143 at once
//! ```

use super::{
    Start, banner,
    live::LiveSettings,
    log::{self, LogFormat, LogSwitch},
    ready_file::ReadyFile,
    systemd::{self, Notice},
};
use crate::{
    busy_poll,
    cli::{failure::Failure, output::Output, session::no_runtime, signals::Signals},
    config::ApiTls,
    doors::check_certificate,
    node::{Card, Node},
};
use micro_actors::auth::{STARTING_RULES, StartingRule};
use micro_sdk::wire::{Code, Fault};
use std::time::Duration;
use tokio::{runtime::Builder, time::Instant};

/// Blocking work of a node: scans, checkpoints and name lookups, seldom two at a time. More threads would
/// only take the disk from the log.
const BLOCKING_THREADS_MAX: usize = 4;
/// How long blocking work may go on after the node has stopped. Whatever is cut off is safe on disk or not
/// wanted.
const BLOCKING_GRACE: Duration = Duration::from_secs(2);
/// How often a node that is not ready says so: it may wait for hosts that somebody has to switch on.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs a node until it is told to end, or ends by itself.
pub(super) fn run(start: Start, output: &Output) -> Result<(), Failure> {
    let format = start.log_format.unwrap_or_else(LogFormat::fitting);
    let log = log::init(format, &start.log, output)?;
    let ready_file = start.ready_file.as_deref().map(ReadyFile::new).transpose()?;
    // One thread for all of it: batches of the mesh and of consensus fall apart on a work-stealing runtime.
    let mut builder = Builder::new_current_thread();
    builder.enable_all().max_blocking_threads(BLOCKING_THREADS_MAX);
    let runtime = busy_poll::build(&mut builder, start.busy_poll).map_err(no_runtime)?;
    let result = runtime.block_on(live(start, log, Voice { format, output }, ready_file));
    runtime.shutdown_timeout(BLOCKING_GRACE);
    result
}

async fn live(
    start: Start,
    log: LogSwitch,
    voice: Voice<'_>,
    ready_file: Option<ReadyFile>,
) -> Result<(), Failure> {
    let began = Instant::now();
    let mut signals = Signals::take()
        .map_err(|error| Fault::new(Code::Failed, format!("the system gives no signals: {error}")))?;
    let settings = LiveSettings::take(&start, log)?;
    let file = start.file.clone();
    let starting = async {
        let config = start.config().await?;
        // Before others hear of the node: it would be a member that can't start.
        if let Some(ApiTls::Files(files)) = config.http.tls.clone() {
            check_certificate(files)?;
        }
        Ok::<_, Failure>(Node::start(config).await?)
    };
    let node = tokio::select! {
        biased;
        code = signals.next() => return Err(Failure::Signalled(code)),
        node = starting => node?,
    };
    if let Some(file) = file {
        tracing::info!(file = %file.display(), "settings were taken from a file");
    }
    let outcome = serve(&node, &mut signals, began, &voice, ready_file.as_ref(), settings).await;
    if let Some(file) = &ready_file {
        file.remove();
    }
    notify(Notice::Stopping);
    tokio::select! {
        biased;
        code = signals.next() => Err(Failure::Signalled(code)),
        () = node.stop() => {
            tracing::info!("ended");
            outcome
        }
    }
}

/// Serves until a signal or the node itself ends it. An end that was asked for is a good one.
async fn serve(
    node: &Node,
    signals: &mut Signals,
    began: Instant,
    voice: &Voice<'_>,
    ready_file: Option<&ReadyFile>,
    settings: LiveSettings,
) -> Result<(), Failure> {
    voice.introduce(node);
    let ready = async {
        node.ready().await?;
        if let Some(file) = ready_file {
            file.write(node.card())?;
        }
        notify(Notice::Ready);
        voice.ready(node, began.elapsed());
        Ok::<(), Fault>(())
    };
    let serving = async {
        tokio::select! {
            biased;
            result = ready => result?,
            never = complain(node, began) => match never {},
        }
        std::future::pending::<Result<(), Fault>>().await
    };
    tokio::select! {
        biased;
        _ = signals.next() => {
            tracing::info!("asked to end: draining");
            Ok(())
        }
        result = node.ended() => Ok(result?),
        never = settings.follow(node) => match never {},
        result = serving => Ok(result?),
    }
}

/// Says now and then that the node is not ready.
async fn complain(node: &Node, began: Instant) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(PATIENCE).await;
        let waited_s = began.elapsed().as_secs();
        tracing::warn!(waited_s, "not ready yet: waiting for {}", node.waits_for());
    }
}

/// Tells systemd, if it is there to be told. That it is deaf ends no node.
fn notify(notice: Notice) {
    if let Err(error) = systemd::tell(notice) {
        tracing::warn!("systemd can't be told: {error}");
    }
}

/// How the process speaks of itself: to a person, or to whatever collects its log.
struct Voice<'a> {
    format: LogFormat,
    output: &'a Output,
}

impl Voice<'_> {
    fn introduce(&self, node: &Node) {
        let card = node.card();
        match self.format {
            LogFormat::Pretty => self.output.remark(&banner::banner(card)),
            LogFormat::Json => tracing::info!(
                version = env!("CARGO_PKG_VERSION"),
                name = card.name,
                node = %card.id,
                cluster = %card.cluster,
                data_dir = %card.data_dir.display(),
                socket = %card.socket.display(),
                api = %card.api,
                proxy = %card.proxy,
                mesh = %card.mesh,
                advertise = %card.advertise,
                "started"
            ),
        }
        // Whoever has founded a mesh is told once what it allows.
        if card.fresh && !card.joined {
            self.tell_rules(card);
        }
    }

    fn tell_rules(&self, card: &Card) {
        if matches!(self.format, LogFormat::Pretty) {
            return self.output.remark(&banner::rules(card));
        }
        for StartingRule { id, scope, resource, meaning } in STARTING_RULES {
            tracing::info!(
                rule = id,
                scope,
                resource,
                "a rule to begin with: {meaning}; see `micro-node auth list rules`"
            );
        }
    }

    fn ready(&self, node: &Node, took: Duration) {
        match self.format {
            LogFormat::Pretty => self.output.remark(&banner::ready(node.card(), took)),
            LogFormat::Json => tracing::info!("ready in {} ms", took.as_millis()),
        }
    }
}
