//! What floods a door is refused before anything is done for it, and a good client is served meanwhile.

use anyhow::{Context, ensure};
use micro_sdk::{
    Node,
    client::{Address, NewAccount},
    wire::Code,
};
use micro_tests::{Cluster, Plan, get, post, until};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Longer than the deadline for the head of a request.
const PATIENCE: Duration = Duration::from_secs(40);
/// How many idlers there are: more than a door's thread has of anything else.
const IDLERS: usize = 500;

async fn cluster(extra: &[&str]) -> anyhow::Result<Cluster> {
    let extra = extra.iter().map(|argument| (*argument).to_owned()).collect();
    Cluster::start(Plan { size: 1, extra, ..Plan::default() }, &mut |_| ()).await
}

/// What `/metrics` says was refused at a door for a reason.
async fn refused(cluster: &Cluster, door: &str, reason: &str) -> anyhow::Result<u64> {
    let metrics = get(cluster.members[0].at().api, "/metrics").await?.body;
    let name = format!("micro_node_door_refused_total{{door=\"{door}\",reason=\"{reason}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.and_then(|count| count.parse().ok()).with_context(|| format!("no {name} in {metrics}"))
}

#[tokio::test]
async fn clients_that_begin_and_do_not_go_on_are_left_and_others_are_served() -> anyhow::Result<()> {
    let cluster = cluster(&[]).await?;
    let at = cluster.members[0].at().clone();
    let mut idlers = Vec::new();
    for number in 0..IDLERS {
        for (address, beginning) in [(at.api, "GET /health HTTP/1.1\r\nhost: "), (at.proxy, "PRI * HT")] {
            let mut idler = TcpStream::connect(address).await?;
            // Every third says nothing at all.
            if number % 3 > 0 {
                idler.write_all(beginning.as_bytes()).await?;
            }
            idlers.push(idler);
        }
    }
    ensure!(get(at.api, "/health").await?.status == 200, "a good client is served");
    cluster.client(0).await?.store().put("k", "v").await?;
    for idler in &mut idlers {
        let mut said = Vec::new();
        // Whoever is left may be told why: what counts is that it ends.
        let _ended = timeout(PATIENCE, idler.read_to_end(&mut said)).await.context("it is still open")?;
    }
    until("all were counted", PATIENCE, async || {
        let counts = [refused(&cluster, "api", "late").await?, refused(&cluster, "proxy", "late").await?];
        ensure!(counts.iter().all(|count| *count >= IDLERS as u64), "{counts:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_flood_of_logins_is_refused_and_its_victim_can_log_in_elsewhere() -> anyhow::Result<()> {
    let cluster = cluster(&[]).await?;
    let at = cluster.members[0].at().clone();
    let admin = cluster.client(0).await?;
    let mut secrets = Vec::new();
    for name in ["jane", "joan"] {
        let created = admin.auth().create_account(name, NewAccount::default()).await?;
        secrets.push(created.secret.context("a secret was made")?);
    }
    let proxy = Node::connect_to(at.proxy.to_string().parse::<Address>()?).await?;
    let mut codes = Vec::new();
    for _ in 0..40 {
        let tried = proxy.auth().login("jane", &"a wrong secret".to_owned().into()).await;
        codes.push(tried.err().context("it is wrong")?.code);
    }
    let limited = codes.iter().filter(|code| **code == Code::Limited).count();
    ensure!(codes[0] == Code::Denied && limited > 10, "{codes:?}");
    let wrong = r#"{"account":"jane","secret":"a wrong secret"}"#;
    let answer = post(at.api, "/-/v1/auth/login", wrong).await?;
    ensure!(answer.status == 429 && answer.headers.to_lowercase().contains("retry-after: "), "{answer:?}");
    proxy.auth().login("joan", &secrets[1]).await.context("another account")?;
    admin.auth().login("jane", &secrets[0]).await.context("at another door")?;
    ensure!(refused(&cluster, "proxy", "login").await? == limited as u64, "each is counted");
    let shown = cluster.cli(0)?.ok(&["audit", "list", "--denied", "--account", "jane"]).await?;
    ensure!(shown.contains("too many logins as jane"), "{shown}");
    Ok(())
}

#[tokio::test]
async fn callers_without_an_account_are_bounded_where_a_person_says_so() -> anyhow::Result<()> {
    let cluster = cluster(&["--limit-unknown", "2", "--limit-connections", "20"]).await?;
    let at = cluster.members[0].at().clone();
    let mut statuses = Vec::new();
    for _ in 0..20 {
        statuses.push(get(at.api, "/nothing/there").await?.status);
    }
    ensure!(statuses[0] == 404 && statuses.contains(&429), "{statuses:?}");
    // Who is known goes on.
    let secret = std::fs::read_to_string(&at.admin_secret_file)?;
    ensure!(
        micro_tests::get_as(at.api, "/-/v1/network/status", secret.trim()).await?.status == 200,
        "the admin"
    );
    let settings = cluster.cli(0)?.ok(&["config", "view"]).await?;
    ensure!(
        settings.contains("limit-unknown") && settings.contains("MICRO_NODE")
            || settings.contains("--limit-unknown"),
        "{settings}"
    );
    // And whoever has all connections of an address gets no more.
    let mut open = Vec::new();
    for _ in 0..30 {
        open.push(TcpStream::connect(at.proxy).await?);
    }
    let mut ended = 0;
    for connection in &mut open {
        ended += usize::from(matches!(
            timeout(Duration::from_millis(200), connection.read_u8()).await,
            Ok(Err(_))
        ));
    }
    ensure!((5..=20).contains(&ended), "{ended} were ended at once");
    cluster.client(0).await?.store().put("k", "v").await?;
    Ok(())
}

#[tokio::test]
async fn of_who_may_do_nothing_no_long_request_is_read() -> anyhow::Result<()> {
    let cluster = cluster(&[]).await?;
    let at = cluster.members[0].at().clone();
    let created = cluster.client(0).await?.auth().create_account("jane", NewAccount::default()).await?;
    let secret = created.secret.context("a secret was made")?;
    let proxy = Node::connect_to(at.proxy.to_string().parse::<Address>()?).await?;
    let token = proxy.auth().login("jane", &secret).await?.access;
    let long = vec![b'x'; 900 << 10];
    let fault =
        proxy.clone().with_token(token.clone()).store().put("k", long).await.err().context("it is denied")?;
    ensure!(fault.code == Code::Denied && fault.message.contains("no more of a long request"), "{fault:?}");
    let (head, length) = (format!("authorization: Bearer {}", token.expose()), 10 << 20);
    // Only its head is sent: it is answered all the same.
    let request = format!(
        "POST /-/v1/store/write HTTP/1.1\r\nhost: {}\r\n{head}\r\ncontent-length: {length}\r\n\r\n",
        at.api
    );
    let answer = timeout(PATIENCE, micro_tests::send(at.api, request.as_bytes())).await??;
    ensure!(answer.status == 403 && answer.body.contains("no more of a long request"), "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn requests_that_are_taken_back_without_an_end_end_the_connection() -> anyhow::Result<()> {
    let cluster = cluster(&[]).await?;
    for (door, address) in [("proxy", cluster.members[0].at().proxy), ("api", cluster.members[0].at().api)] {
        let mut client = TcpStream::connect(address).await?;
        let mut frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
        for number in 0..2000_u32 {
            let id = (2 * number + 1).to_be_bytes();
            // HEADERS of GET / (:method, :scheme and :path are in the table), and RST_STREAM with CANCEL.
            frames.extend_from_slice(&[0, 0, 3, 1, 5]);
            frames.extend_from_slice(&id);
            frames.extend_from_slice(&[0x82, 0x86, 0x84]);
            frames.extend_from_slice(&[0, 0, 4, 3, 0]);
            frames.extend_from_slice(&id);
            frames.extend_from_slice(&[0, 0, 0, 8]);
        }
        // It may be ended before all is sent.
        let _cut = client.write_all(&frames).await;
        let mut said = Vec::new();
        let _ended = timeout(PATIENCE, client.read_to_end(&mut said)).await.context("it is still open")?;
        until("it was counted", PATIENCE, async || {
            ensure!(refused(&cluster, door, "resets").await? > 0, "at the {door}");
            Ok(())
        })
        .await?;
    }
    cluster.client(0).await?.store().put("k", "v").await?;
    Ok(())
}
