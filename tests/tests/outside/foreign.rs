//! Programs that know nothing of the mesh, offered by `micro-node service`: checked, called, failing, back, gone.

use anyhow::{Context, ensure};
use micro_sdk::client::{HealthState, Registration, ServiceInstance};
use micro_tests::{Answer, Cluster, Python, get, program, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};
use tokio::process::{Child, Command};

const SOON: Duration = Duration::from_secs(20);

/// A server of HTTP in Python. It says its name and who calls, is sick while a file is there, and ends with 7. It takes
/// long where that is asked for, and hangs up where it is called as it is.
const SCRIPT: &str = r#"
import http.server, os, signal, sys, time
port, name, sick = int(sys.argv[1]), sys.argv[2], sys.argv[3]
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == '/shop/slow':
            time.sleep(3)
        if self.path == '/shop/' + name:
            return
        health = self.path == '/health'
        self.send_response(503 if health and os.path.exists(sick) else 200)
        self.end_headers()
        self.wfile.write(f"{name} {self.path} {self.headers.get('micro-caller')}".encode())
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(('127.0.0.1', port), Handler).serve_forever()
"#;

/// A program, and the command that offers it as `shop`.
struct Offered {
    command: Child,
    sick: PathBuf,
    address: SocketAddr,
}

impl Offered {
    /// Starts a program called `name` at the node with this index.
    fn start(cluster: &Cluster, index: usize, name: &str, more: &[&str]) -> anyhow::Result<Self> {
        let script = cluster.root().join("shop.py");
        fs::write(&script, SCRIPT)?;
        let (sick, address) = (cluster.root().join(format!("{name}.sick")), free()?);
        let mut command = Command::new(program("micro-node")?);
        command.env("HOME", cluster.root()).env("MICRO_NODE_CONFIG", "/dev/null");
        command.args(["--address", &cluster.members[index].address(), "service", "--name", "shop"]);
        command.args(["--endpoint", &format!("http://{address}"), "--metadata", &format!("name={name}")]);
        command.args(more).args(["--", "python3"]).arg(&script).args([&address.port().to_string(), name]);
        command.arg(&sick).stdin(Stdio::null()).kill_on_drop(true);
        let log = fs::File::create(cluster.root().join(format!("{name}.log")))?;
        command.stdout(log.try_clone()?).stderr(log);
        Ok(Offered { command: command.spawn()?, sick, address })
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.command.id().and_then(|id| Pid::from_raw(id.cast_signed())).context("it runs")?;
        Ok(kill_process(pid, signal)?)
    }

    /// How the command ended.
    async fn code(&mut self) -> anyhow::Result<Option<i32>> {
        Ok(tokio::time::timeout(SOON, self.command.wait()).await.context("it does not end")??.code())
    }
}

/// An address at which nobody listens.
fn free() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

async fn call(cluster: &Cluster, index: usize) -> anyhow::Result<Answer> {
    get(cluster.members[index].at().api, "/shop/what?is=it").await
}

/// Which programs answer to many calls.
async fn answering(cluster: &Cluster, index: usize) -> anyhow::Result<String> {
    let mut names = Vec::new();
    for _ in 0..20 {
        let answer = call(cluster, index).await?;
        ensure!(answer.status == 200, "{answer:?}");
        names.extend(answer.body.split(' ').next().map(str::to_owned));
    }
    names.sort();
    names.dedup();
    Ok(names.join(" "))
}

async fn answered_by(cluster: &Cluster, index: usize, names: &str) -> anyhow::Result<()> {
    until(&format!("{names} are called on {index}"), SOON, async || {
        let found = answering(cluster, index).await?;
        ensure!(found == names, "{found}");
        Ok(())
    })
    .await
}

/// Waits until a node knows that an instance is so. Who of several that work is called is the node's to choose.
async fn found(cluster: &Cluster, index: usize, name: &str, state: HealthState) -> anyhow::Result<()> {
    until(&format!("{name} is {state:?} on {index}"), SOON, async || {
        let known = instance(cluster, index, name).await?;
        ensure!(known.health.state == state, "{known:?}");
        Ok(())
    })
    .await
}

/// The instance that has this name in its metadata, as a node knows it.
async fn instance(cluster: &Cluster, index: usize, name: &str) -> anyhow::Result<ServiceInstance> {
    let service = cluster.client(index).await?.service("shop").await?;
    let meant = |instance: &ServiceInstance| instance.metadata.get("name").is_some_and(|own| own == name);
    service.instances.into_iter().find(meant).with_context(|| format!("no {name}"))
}

const CHECKED: [&str; 8] =
    ["--health", "http:/health", "--health-interval", "200ms", "--unhealthy-after", "2", "--version", "1.4"];

#[tokio::test]
async fn a_program_that_fails_its_check_is_not_called_until_it_passes_again() -> anyhow::Result<()> {
    let cluster = Cluster::of(2).await?;
    let (mut a, b) =
        (Offered::start(&cluster, 0, "a", &CHECKED)?, Offered::start(&cluster, 0, "b", &CHECKED)?);
    for index in 0..2 {
        for name in ["a", "b"] {
            found(&cluster, index, name, HealthState::Passing).await?;
        }
    }
    let answer = call(&cluster, 1).await?;
    ensure!(answer.body.ends_with("/shop/what?is=it anonymous"), "{answer:?}");
    let known = instance(&cluster, 1, "a").await?;
    ensure!(known.version == "1.4" && known.health.state == HealthState::Passing, "{known:?}");
    fs::write(&a.sick, "")?;
    for index in 0..2 {
        found(&cluster, index, "a", HealthState::Failing).await?;
        answered_by(&cluster, index, "b").await?;
    }
    let known = instance(&cluster, 1, "a").await?;
    let reason = known.health.reason.unwrap_or_default();
    ensure!(known.health.state == HealthState::Failing && reason.contains("503"), "{reason}");
    ensure!(known.health.since.is_some_and(|since| since.starts_with("20")));
    let cli = cluster.cli(1)?;
    ensure!(cli.ok(&["services"]).await?.contains("  1/2  "), "not counted");
    let shown = cli.ok(&["services", "shop"]).await?;
    ensure!(shown.contains("failing since") && shown.contains("name=a"), "{shown}");
    fs::write(&b.sick, "")?;
    until("nobody is called", SOON, async || {
        let answer = call(&cluster, 1).await?;
        ensure!(answer.status == 503 && answer.body.contains("no instance of service"), "{answer:?}");
        Ok(())
    })
    .await?;
    ensure!(cli.ok(&["status"]).await?.contains("none of its 2 instances works"), "no problem is told");
    fs::remove_file(&a.sick)?;
    answered_by(&cluster, 1, "a").await?;
    fs::remove_file(&b.sick)?;
    found(&cluster, 1, "b", HealthState::Passing).await?;
    a.signal(Signal::TERM)?;
    assert_eq!(a.code().await?, Some(7));
    answered_by(&cluster, 1, "b").await?;
    ensure!(std::net::TcpStream::connect(a.address).is_err(), "the program outlived its command");
    Ok(())
}

#[tokio::test]
async fn a_program_stays_a_service_when_its_node_starts_again() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(1).await?;
    let a = Offered::start(&cluster, 0, "a", &[])?;
    answered_by(&cluster, 0, "a").await?;
    cluster.members[0].kill().await?;
    cluster.members[0].start(&[]).await?;
    answered_by(&cluster, 0, "a").await?;
    // Whoever looks is told what comes of it.
    let cli = cluster.cli(0)?;
    let words = ["services", "shop", "--watch", "--limit", "2", "-o", "jsonl"];
    let (told, _) = tokio::try_join!(cli.ok(&words), async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        a.signal(Signal::KILL)
    })?;
    let told: Vec<Value> = told.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let actions: Vec<&str> = told.iter().filter_map(|change| change["action"].as_str()).collect();
    ensure!(actions == ["create", "delete"], "{told:?}");
    for change in &told {
        micro_tests::Shapes::told().await?.is_of("micro-node/services-watch/v1", change)?;
    }
    until("the program is gone", SOON, async || {
        ensure!(std::net::TcpStream::connect(a.address).is_err(), "it listens");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_server_of_grpc_is_asked_what_it_offers_and_whether_it_serves() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let python = Python::with_clients().await?;
    let (address, sick) = (free()?, cluster.root().join("till.sick"));
    let mut till = python.client("grpc_till.py");
    till.args(["listen", &address.port().to_string()]).arg(&sick);
    let mut till = till.stdin(Stdio::null()).kill_on_drop(true).spawn()?;
    until("it listens", SOON, async || Ok(std::net::TcpStream::connect(address)?)).await?;
    let mut command = Command::new(program("micro-node")?);
    command.env("HOME", cluster.root()).env("MICRO_NODE_CONFIG", "/dev/null");
    command.args(["--address", &cluster.members[0].address(), "service", "--name", "till"]);
    command.args(["--endpoint", &format!("grpc://{address}"), "--health-interval", "200ms"]);
    let _offered = command.stdin(Stdio::null()).kill_on_drop(true).spawn()?;
    let cli = cluster.cli(0)?;
    let call = async || cli.run(&["call", "till", "Price", r#"{"count":"2"}"#]).await;
    let outcome = async |code: i32, told: &str| {
        until(told, SOON, async || {
            let outcome = call().await?;
            ensure!(outcome.code == code, "{outcome:?}");
            ensure!(outcome.stdout.contains(told) || outcome.stderr.contains(told), "{outcome:?}");
            Ok(())
        })
        .await
    };
    outcome(0, r#""total":"6""#).await?;
    fs::write(&sick, "")?;
    outcome(8, "it says that it does not serve").await?;
    fs::remove_file(&sick)?;
    outcome(0, r#""total":"6""#).await?;
    // Whose connection is refused has done nothing, whatever its messages are.
    till.kill().await?;
    let gone = call().await?;
    ensure!(gone.code == 8 && !gone.stderr.contains("not known whether"), "{gone:?}");
    Ok(())
}

#[tokio::test]
async fn a_program_that_ends_or_never_listens_ends_its_command() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let cli = cluster.cli(0)?;
    let endpoint = format!("http://{}", free()?);
    let offer = |more: &[&'static str]| {
        let words = ["service", "--name", "shop", "--endpoint", &endpoint, "--start-timeout", "1s"];
        words
            .iter()
            .map(|word| (*word).to_owned())
            .chain(more.iter().map(|word| (*word).to_owned()))
            .collect()
    };
    for (more, code, told) in [
        (&["--", "sh", "-c", "exit 3"][..], 3, "the program ended before it listened"),
        (&["--", "sleep", "60"], 7, "did not listen"),
        (&["--", "/nowhere/at/all"], 2, "cannot run"),
        (&["--health", "soon"], 2, "command:LINE"),
        (&["--metadata", "a b=c"], 2, "metadata name"),
    ] {
        let words: Vec<String> = offer(more);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let outcome = cli.run(&words).await?;
        ensure!(outcome.code == code && outcome.stderr.contains(told), "{more:?}: {outcome:?}");
    }
    // Calls would go to a stranger.
    let stranger = TcpListener::bind("127.0.0.1:0")?;
    let endpoint = format!("http://{}", stranger.local_addr()?);
    let outcome = cli.run(&["service", "--name", "shop", "--endpoint", &endpoint, "--", "true"]).await?;
    ensure!(outcome.code == 6 && outcome.stderr.contains("another program listens"), "{outcome:?}");
    Ok(())
}

#[tokio::test]
async fn a_policy_counts_for_programs_that_take_http() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let _one = Offered::start(&cluster, 0, "one", &[])?;
    let _two = Offered::start(&cluster, 0, "two", &[])?;
    answered_by(&cluster, 0, "one two").await?;
    let api = cluster.members[0].at().api;
    let file = cluster.root().join("policy.toml");
    fs::write(&file, "timeout = \"500ms\"\nidempotent = [\"/\"]\n")?;
    cluster.cli(0)?.ok(&["policy", "set", "shop", file.to_str().context("a path is text")?]).await?;
    until("the policy counts", SOON, async || {
        let slow = get(api, "/shop/slow").await?;
        ensure!(slow.status == 504 && slow.body.contains("within 500ms"), "{slow:?}");
        Ok(())
    })
    .await?;
    for _ in 0..10 {
        let answer = get(api, "/shop/one").await?;
        ensure!(answer.status == 200 && answer.body.starts_with("two "), "{answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn programs_that_share_a_name_each_get_their_own_calls() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let _http = Offered::start(&cluster, 0, "http", &[])?;
    answered_by(&cluster, 0, "http").await?;
    let mut command = Command::new(program("shop")?);
    command.env("HOME", cluster.root()).env("MICRO_NODE_ADDRESS", cluster.members[0].address());
    let log = fs::File::create(cluster.root().join("sdk.log"))?;
    command.current_dir(cluster.root()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let _sdk = command.kill_on_drop(true).spawn()?;
    until("both are there", SOON, async || {
        let instances = cluster.client(0).await?.service("shop").await?.instances.len();
        ensure!(instances == 2, "{instances}");
        Ok(())
    })
    .await?;
    // It says that it is open to nobody, and so gets no more calls than one.
    let called = cluster.cli(0)?.run(&["call", "shop", "limits", "{}"]).await?;
    ensure!(called.stderr.contains("the shop is closed"), "{called:?}");
    for _ in 0..10 {
        let answer = call(&cluster, 0).await?;
        ensure!(answer.status == 200 && answer.body.starts_with("http "), "{answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_was_registered_is_renewed_expires_and_can_be_ended() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let node = cluster.client(0).await?;
    let (registry, address) = (node.registry(), free()?);
    let offer = || Registration::http("shop", address).metadata("name", "a").ttl(Duration::from_millis(500));
    let first = registry.register(offer()).await?;
    assert_eq!(registry.register(offer()).await?.instance, first.instance);
    let other = registry.register(offer().version("2")).await?;
    ensure!(other.instance != first.instance, "it is another one");
    assert_eq!(node.service("shop").await?.instances.len(), 1);
    until("it is silent", SOON, async || {
        let known = instance(&cluster, 0, "a").await?;
        ensure!(known.health.state == HealthState::Failing, "{known:?}");
        Ok(())
    })
    .await?;
    registry.register(offer().version("2")).await?;
    assert_eq!(instance(&cluster, 0, "a").await?.health.state, HealthState::Passing);
    until("it is gone", SOON, async || {
        ensure!(node.services().await?.is_empty(), "it is there");
        Ok(())
    })
    .await?;
    let again = registry.register(offer()).await?;
    registry.deregister("shop", &again.instance).await?;
    ensure!(node.services().await?.is_empty(), "it is there");
    ensure!(registry.deregister("shop", &again.instance).await.is_err(), "it was ended twice");
    Ok(())
}
