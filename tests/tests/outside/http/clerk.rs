//! A service in this process that tells what it was given, for tests of how a request becomes what it takes.

use micro_sdk::{client::Address, prelude::*, serve::Server, wire::Namespace};
use micro_tests::{Cluster, until};
use std::time::Duration;
use tokio::{sync::oneshot, task::JoinHandle};

/// A place.
#[message]
pub struct Place {
    /// Its number.
    zip: u32,
}

/// All kinds of values.
#[message]
#[derive(Default)]
#[serde(default)]
pub struct Order {
    /// Which one.
    id: Option<u64>,
    /// Whose.
    name: Option<String>,
    /// How old they are.
    age: Option<u32>,
    /// How much of it.
    share: Option<f64>,
    /// Whether it is open.
    open: Option<bool>,
    /// What it is called besides.
    tags: Vec<String>,
    /// Where it goes.
    place: Option<Place>,
    /// All that is left of a path.
    rest: Option<String>,
    /// Who answered.
    by: Option<String>,
}

/// How long to wait.
#[message]
pub struct Nap {
    /// In milliseconds.
    ms: u64,
}

/// How much to answer.
#[message]
pub struct Much {
    /// In bytes.
    bytes: usize,
}

/// Why not.
#[message]
pub struct Refusal {
    /// The name of a code.
    code: String,
}

struct Clerk;

#[service(name = "clerk", version = "1.2")]
impl Clerk {
    /// Says that it is there.
    async fn call(&self, order: Order) -> Result<Order> {
        Ok(Order { by: Some("call".to_owned()), ..order })
    }

    /// Tells what it was given.
    #[endpoint(get = "/orders/{id}", put = "/orders/{id}", delete = "/orders/{id}")]
    #[endpoint(get = "/files/{rest=**}")]
    #[endpoint(get = "/{name}/desk", host = "clerk.example")]
    async fn echo(&self, order: Order) -> Result<Order> {
        Ok(order)
    }

    /// Tells that an order is open.
    #[endpoint(get = "/orders/open")]
    async fn open_orders(&self, order: Order) -> Result<Order> {
        Ok(Order { by: Some("open".to_owned()), ..order })
    }

    /// Waits.
    async fn wait(&self, nap: Nap) -> Result<()> {
        tokio::time::sleep(Duration::from_millis(nap.ms)).await;
        Ok(())
    }

    /// Answers much.
    async fn much(&self, much: Much) -> Result<String> {
        Ok("x".repeat(much.bytes))
    }

    /// Refuses.
    async fn refuse(&self, why: Refusal) -> Result<()> {
        let code = serde_json::from_value(why.code.into());
        let code: Code = code.map_err(|error| Fault::new(Code::Usage, error.to_string()))?;
        Err(Fault::new(code, "as asked for").help("ask for something else"))
    }
}

/// The service as it runs, until it is dropped.
pub struct Running {
    _stop: oneshot::Sender<()>,
    _serving: JoinHandle<Result<()>>,
}

/// Serves the clerk at a node of a cluster, in a namespace, and waits until the node knows it.
pub async fn serve(
    cluster: &Cluster,
    index: usize,
    namespace: &str,
    permits: u32,
) -> anyhow::Result<Running> {
    let address = cluster.members[index].address().parse::<Address>()?;
    let namespace: Namespace = namespace.parse()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = Server::new(Clerk).node(address).namespace(namespace.clone()).permits(permits);
    let serving = tokio::spawn(server.run_until(async move {
        let _dropped = stopped.await;
    }));
    until("the clerk attached", Duration::from_secs(20), async || {
        let api = cluster.members[index].at().api;
        let answer = super::ask(api, "GET /clerk", &[&format!("micro-namespace: {namespace}")], "").await?;
        anyhow::ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
        Ok(())
    })
    .await?;
    Ok(Running { _stop: stop, _serving: serving })
}
