//! Floods at the doors: whoever means well is answered meanwhile, and what the node has in memory stays within bounds.
//! How long that takes is printed, and asserted by nobody.

use anyhow::{Context, ensure};
use futures::future::join_all;
use micro_sdk::client::NewAccount;
use micro_tests::{Cluster, Plan, get, post, resident_kib, until};
use rcgen::{CertificateParams, KeyPair};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{fs, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

/// Longer than any deadline of a door.
const PATIENCE: Duration = Duration::from_secs(40);
/// How many requests tell how long one takes.
const REQUESTS: usize = 100;
/// What a node may have in memory under a flood, in KiB: some hundred bytes to some ten KiB for each connection, and
/// what it has anyway.
const RESIDENT_MAX_KIB: u64 = 400 << 10;

async fn cluster(extra: Vec<String>) -> anyhow::Result<Cluster> {
    Cluster::start(Plan { size: 1, extra, ..Plan::default() }, &mut |_| ()).await
}

/// What 99 of a hundred took at most, and the slowest.
fn shown(mut times: Vec<Duration>) -> String {
    times.sort();
    format!("p99 {:?} (slowest {:?})", times[times.len() * 99 / 100 - 1], times[times.len() - 1])
}

/// How long requests of one who means well take, each on a connection of its own.
async fn times(api: SocketAddr) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    for _ in 0..REQUESTS {
        let began = Instant::now();
        let answer = get(api, "/health").await?;
        ensure!(answer.status == 200, "{answer:?}");
        times.push(began.elapsed());
    }
    Ok(times)
}

/// Tells what a flood has done to others, and checks that it was bounded.
fn tell(cluster: &Cluster, flood: &str, before: Vec<Duration>, during: Vec<Duration>) -> anyhow::Result<()> {
    let resident = resident_kib(cluster.members[0].at().pid)?;
    println!("{flood}: {} before, {} during; {resident} KiB in memory", shown(before), shown(during));
    ensure!(resident < RESIDENT_MAX_KIB, "{flood}: {resident} KiB in memory");
    Ok(())
}

/// What all of it leaves: a node that serves.
async fn serves(cluster: &mut Cluster) -> anyhow::Result<()> {
    cluster.client(0).await?.store().put("k", "v").await?;
    ensure!(cluster.members[0].is_running(), "{}", cluster.members[0].last_words());
    let log = fs::read_to_string(cluster.members[0].log())?;
    ensure!(!log.contains("panicked"), "{}", cluster.members[0].last_words());
    Ok(())
}

/// Sends a head that never ends, a piece at a time, until the door has had enough.
async fn dribble(address: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n").await?;
    let mut said = [0; 1024];
    loop {
        if stream.write_all(b"x-a: b\r\n").await.is_err() {
            return Ok(());
        }
        if let Ok(Ok(0) | Err(_)) = timeout(Duration::from_millis(700), stream.read(&mut said)).await {
            return Ok(());
        }
    }
}

#[tokio::test]
async fn five_hundred_slow_heads_are_left_and_others_are_served() -> anyhow::Result<()> {
    let mut cluster = cluster(Vec::new()).await?;
    let api = cluster.members[0].at().api;
    let before = times(api).await?;
    let mut slow = JoinSet::new();
    (0..500).for_each(|_| drop(slow.spawn(dribble(api))));
    sleep(Duration::from_secs(1)).await;
    tell(&cluster, "slow heads", before, times(api).await?)?;
    let all = async {
        while let Some(ended) = slow.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    };
    timeout(PATIENCE, all).await.context("they are still served")??;
    serves(&mut cluster).await
}

/// How long requests take inside TLS, all on one connection but the first.
async fn secure_times(url: &str, authority: &str) -> anyhow::Result<Vec<Duration>> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "60"]);
    command.args(["--cacert", authority, "-w", "%{stderr}%{time_total}\n"]).args(vec![url; REQUESTS]);
    let output = command.kill_on_drop(true).output().await.context("curl")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    said.lines().map(|line| Ok(Duration::from_secs_f64(line.parse()?))).collect()
}

#[tokio::test]
async fn five_thousand_silent_handshakes_are_left_and_others_are_served() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name).display().to_string();
    let key = KeyPair::generate()?;
    fs::write(file("key.pem"), key.serialize_pem())?;
    fs::write(
        file("cert.pem"),
        CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?.pem(),
    )?;
    // Both ends of each connection are on this host, but not in one process.
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files })?;
    let count = files.maximum.map_or(5000, |most| most.saturating_sub(1000).min(5000));
    let extra = ["--api-tls-cert".to_owned(), file("cert.pem"), "--api-tls-key".to_owned(), file("key.pem")];
    let mut cluster = cluster(extra.into()).await?;
    let api = cluster.members[0].at().api;
    let url = format!("https://localhost:{}/health", api.port());
    let before = secure_times(&url, &file("cert.pem")).await?;
    let mut silent = Vec::new();
    for _ in 0..count {
        // Where all places are taken, the system keeps some waiting, and more get no answer.
        match timeout(Duration::from_secs(2), TcpStream::connect(api)).await {
            Ok(stream) => silent.push(stream?),
            Err(_full) => break,
        }
    }
    let during = secure_times(&url, &file("cert.pem")).await?;
    tell(&cluster, &format!("{} silent handshakes", silent.len()), before, during)?;
    for stream in &mut silent {
        let ended = timeout(PATIENCE, stream.read(&mut [0])).await.context("one is still open")?;
        ensure!(!matches!(ended, Ok(1..)), "it was told something");
    }
    serves(&mut cluster).await
}

/// Requests that are taken back at once, as many as the door takes, until `over`.
async fn reset(api: SocketAddr, over: Instant) -> anyhow::Result<()> {
    let mut frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for id in (1..4000_u32).step_by(2).map(u32::to_be_bytes) {
        // HEADERS of GET / (all of it is in the table), and RST_STREAM with CANCEL.
        frames.extend_from_slice(&[&[0, 0, 3, 1, 5][..], &id, &[0x82, 0x86, 0x84]].concat());
        frames.extend_from_slice(&[&[0, 0, 4, 3, 0][..], &id, &[0, 0, 0, 8]].concat());
    }
    while Instant::now() < over {
        let mut client = TcpStream::connect(api).await?;
        // It may be ended before all is sent.
        let _cut = client.write_all(&frames).await;
        let _ended =
            timeout(PATIENCE, client.read_to_end(&mut Vec::new())).await.context("it is still open")?;
    }
    Ok(())
}

#[tokio::test]
async fn requests_that_are_taken_back_do_not_keep_others_from_being_served() -> anyhow::Result<()> {
    let mut cluster = cluster(Vec::new()).await?;
    let api = cluster.members[0].at().api;
    let before = times(api).await?;
    let over = Instant::now() + Duration::from_secs(4);
    let flood = join_all((0..8).map(|_| reset(api, over)));
    let (flooded, during) = tokio::join!(flood, times(api));
    flooded.into_iter().collect::<anyhow::Result<()>>()?;
    tell(&cluster, "resets", before, during?)?;
    serves(&mut cluster).await
}

#[tokio::test]
async fn two_hundred_logins_at_once_take_no_more_memory_than_some() -> anyhow::Result<()> {
    let mut cluster = cluster(Vec::new()).await?;
    let (at, admin) = (cluster.members[0].at().clone(), cluster.client(0).await?);
    let mut secret = None;
    for number in 0..20 {
        secret = admin.auth().create_account(&format!("jane{number}"), NewAccount::default()).await?.secret;
    }
    let before = times(at.api).await?;
    let login = async |number: usize| -> anyhow::Result<u16> {
        let wrong = format!(r#"{{"account":"jane{}","secret":"a wrong secret {number}"}}"#, number % 20);
        Ok(post(at.api, "/-/v1/auth/login", &wrong).await?.status)
    };
    let flood = join_all((0..200).map(login));
    let (statuses, during) = tokio::join!(flood, times(at.api));
    let statuses: Vec<u16> = statuses.into_iter().collect::<anyhow::Result<_>>()?;
    ensure!(statuses.iter().all(|status| [401, 403, 429, 503].contains(status)), "{statuses:?}");
    ensure!(statuses.contains(&429), "none was refused: {statuses:?}");
    tell(&cluster, "logins", before, during?)?;
    // Whoever knows the secret comes in when the flood is over, by the door that it did not come by.
    let secret = secret.context("a secret was made")?;
    until("a login", PATIENCE, async || {
        admin.auth().login("jane19", &secret).await?;
        Ok(())
    })
    .await?;
    serves(&mut cluster).await
}
