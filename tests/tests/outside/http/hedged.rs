//! Programs that take HTTP as it is, of which one does not answer any more: another one does.

use super::ask;
use anyhow::ensure;
use micro_sdk::{client::Address, serve::Server};
use micro_tests::{Cluster, until};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    time::sleep,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A program that answers each request with its name, until it is stuck.
struct Web {
    name: &'static str,
    requests: AtomicU32,
    /// How long it takes.
    ms: u64,
    stuck: AtomicBool,
}

impl Web {
    /// Starts it, and attaches it as `web`.
    async fn start(name: &'static str, ms: u64, node: Address) -> anyhow::Result<Arc<Self>> {
        let web = Arc::new(Web { name, requests: AtomicU32::new(0), ms, stuck: AtomicBool::new(false) });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let server = Server::http("web", listener.local_addr()?).node(node);
        tokio::spawn(server.run_until(futures::future::pending()));
        let own = web.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(own.clone().serve(stream));
            }
        });
        Ok(web)
    }

    async fn serve(self: Arc<Self>, mut stream: TcpStream) -> std::io::Result<()> {
        let (reader, mut writer) = stream.split();
        let mut lines = BufReader::new(reader).lines();
        while let Some(line) = lines.next_line().await? {
            // No request here has a body: its head ends with an empty line.
            if !line.is_empty() {
                continue;
            }
            self.requests.fetch_add(1, Ordering::SeqCst);
            if self.stuck.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            sleep(Duration::from_millis(self.ms)).await;
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}", self.name.len(), self.name);
            writer.write_all(answer.as_bytes()).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn another_program_is_asked_where_its_paths_may_be_asked_twice() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let node: Address = cluster.members[0].address().parse()?;
    let (one, two) = (Web::start("one", 0, node.clone()).await?, Web::start("two", 10, node).await?);
    until("both are known", PATIENCE, async || {
        let services = cluster.client(0).await?.services().await?;
        ensure!(
            services.iter().any(|service| service.name == "web" && service.instances.len() == 2),
            "{services:?}"
        );
        Ok(())
    })
    .await?;
    let file = cluster.root().join("policy.toml");
    std::fs::write(&file, "idempotent = [\"/\"]\n[hedge]\nleast = \"20ms\"\n")?;
    cluster.cli(0)?.ok(&["policy", "set", "web", &file.display().to_string()]).await?;
    let api = cluster.members[0].at().api;
    // How long it takes as a rule has to be known first, and who is the quicker one.
    for _ in 0..60 {
        ensure!(ask(api, "GET /web/x", &[], "").await?.status == 200, "both work");
    }
    one.stuck.store(true, Ordering::SeqCst);
    let asked = one.requests.load(Ordering::SeqCst);
    for _ in 0..8 {
        let answer = ask(api, "GET /web/x", &["micro-deadline-ms: 5000"], "").await?;
        ensure!((answer.status, answer.body.as_str()) == (200, "two"), "{} {}", answer.status, answer.body);
    }
    ensure!(one.requests.load(Ordering::SeqCst) > asked, "nobody was asked who does not answer");
    ensure!(two.requests.load(Ordering::SeqCst) >= 8, "the other one answered all");
    Ok(())
}
