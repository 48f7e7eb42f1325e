//! A service in this process whose endpoints are streams of all kinds.

use futures::TryStreamExt;
use micro_sdk::{client::Address, prelude::*, serve::Server};
use micro_tests::{Cluster, until};
use std::time::Duration;
use tokio::{sync::oneshot, task::JoinHandle, time::sleep};

/// How far to go.
#[message]
pub struct Limit {
    /// Where it fails.
    at: u64,
}

/// How much.
#[message]
pub struct Much {
    /// How many messages.
    count: u64,
}

/// How fast.
#[message]
pub struct Pace {
    /// The milliseconds between two messages.
    ms: u64,
}

/// A message with a name.
#[message]
pub struct Named {
    /// The name.
    id: String,
}

struct Talker;

#[service(name = "talker", version = "1")]
impl Talker {
    /// Counts, and fails.
    async fn fail(&self, limit: Limit) -> Result<impl Stream<Item = Result<u64>>> {
        Ok(stream::iter(0..=limit.at).map(move |number| match number < limit.at {
            true => Ok(number),
            false => Err(Fault::new(Code::Conflict, "as asked for")),
        }))
    }

    /// Adds up.
    async fn total(&self, numbers: Streaming<u64>) -> Result<u64> {
        numbers.try_fold(0, async |total, number| Ok(total + number)).await
    }

    /// Counts without an end.
    async fn tick(&self, pace: Pace) -> Result<impl Stream<Item = Result<u64>>> {
        Ok(stream::iter(0..).then(move |number| async move {
            if number > 0 {
                sleep(Duration::from_millis(pace.ms)).await;
            }
            Ok(number)
        }))
    }

    /// Goes on behind the last message that was seen.
    async fn resume(&self, much: Much, ctx: Ctx) -> Result<impl Stream<Item = Result<Named>>> {
        let last =
            ctx.metadata("last-event-id").and_then(|last| last.strip_prefix("m-")?.parse::<u64>().ok());
        let next = last.map_or(0, |last| last + 1);
        Ok(stream::iter(next..next + much.count).map(|number| Ok(Named { id: format!("m-{number}") })))
    }
}

/// The service as it runs, until it is dropped.
pub struct Running {
    _stop: oneshot::Sender<()>,
    _serving: JoinHandle<Result<()>>,
}

/// Serves the talker at a node of a cluster, and waits until another one knows it.
pub async fn serve(cluster: &Cluster, index: usize, seen_by: usize) -> anyhow::Result<Running> {
    let address = cluster.members[index].address().parse::<Address>()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(Server::new(Talker).node(address).run_until(async move {
        let _dropped = stopped.await;
    }));
    until("the talker attached", Duration::from_secs(20), async || {
        let services = cluster.client(seen_by).await?.services().await?;
        anyhow::ensure!(services.iter().any(|service| service.name == "talker"), "it is not known");
        Ok(())
    })
    .await?;
    Ok(Running { _stop: stop, _serving: serving })
}
