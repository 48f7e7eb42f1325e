//! Certificates that the mesh orders of an authority (ACME): how they come, are renewed, and what happens when they
//! do not.

mod authority;
mod issuer;
mod jws;
mod look;
mod reply;

use anyhow::{Context, ensure};
use authority::{Authority, Mood};
use base64::{Engine, engine::general_purpose::STANDARD};
use micro_tests::{Cluster, CommandLine, Member, Plan, get, until};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::sleep;

const SHOP: &str = "shop.example.org";
const WWW: &str = "www.example.org";
const SOON: Duration = Duration::from_secs(45);
/// A life that does not end while a test runs.
const LONG: Duration = Duration::from_secs(90 * 24 * 3600);
/// What a private key of P-256 in PKCS#8 looks like, up to its secret number (RFC 5958, RFC 5915).
const PRIVATE_KEY: &[u8] = &[
    0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01,
    0x04, 0x20,
];

/// A mesh whose nodes have certificates for these domains from `authority`.
async fn cluster(size: usize, authority: &Authority, domains: &[&str]) -> anyhow::Result<Cluster> {
    let extra = authority.flags(domains);
    Cluster::start(Plan { size, extra, ..Plan::default() }, &mut |_| ()).await
}

fn apis(cluster: &Cluster) -> Vec<SocketAddr> {
    cluster.members.iter().map(|member| member.at().api).collect()
}

/// What is wrong with certificates, as a node sees it: severity and message of each.
async fn problems(cluster: &Cluster, index: usize) -> anyhow::Result<Vec<(String, String)>> {
    let status = cluster.status(index).await?;
    let problems = status["problems"].as_array().context("status has no problems")?;
    let told = problems.iter().filter_map(|problem| {
        let message = problem["message"].as_str()?.to_owned();
        message.contains("example.org").then(|| Some((problem["severity"].as_str()?.to_owned(), message)))?
    });
    Ok(told.collect())
}

async fn no_problems(cluster: &Cluster) -> anyhow::Result<()> {
    until("no problem with certificates", SOON, async || {
        for index in 0..cluster.members.len() {
            let told = problems(cluster, index).await?;
            ensure!(told.is_empty(), "{index}: {told:?}");
        }
        Ok(())
    })
    .await
}

/// Waits until all of these show certificates for a domain, and returns the one that all show.
async fn shown(authority: &Authority, apis: &[SocketAddr], domain: &str) -> anyhow::Result<Vec<u8>> {
    let caller = authority.caller()?;
    until(&format!("all nodes show the certificate for {domain}"), 3 * SOON, async || {
        let mut shown: Vec<Vec<u8>> = Vec::new();
        for api in apis {
            let line = caller.connect(*api, domain).await;
            let line =
                line.with_context(|| format!("{api}; found fault with: {:?}", authority.complaints()))?;
            shown.push(line.certificate);
        }
        ensure!(shown.windows(2).all(|two| two[0] == two[1]), "they show different ones");
        Ok(shown.swap_remove(0))
    })
    .await
}

fn files_below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(files_below(&path)?),
            false => found.push(path),
        }
    }
    Ok(found)
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Looks through all that a node has written for private keys, and for what must be found there if the looking is good.
fn look_through(member: &Member, certificate: &[u8]) -> anyhow::Result<()> {
    let encoded = STANDARD.encode(PRIVATE_KEY);
    let (mut found, mut files) = (false, files_below(&member.data_dir())?);
    files.push(member.log());
    for file in files {
        let Ok(bytes) = fs::read(&file) else { continue };
        found |= holds(&bytes, certificate);
        // Without the last letter, which depends on what follows.
        for key in [PRIVATE_KEY, &encoded.as_bytes()[..encoded.len() - 1], b"PRIVATE KEY"] {
            ensure!(!holds(&bytes, key), "a private key is in {}", file.display());
        }
    }
    ensure!(found, "not even the certificate was found");
    Ok(())
}

#[tokio::test]
async fn a_certificate_is_ordered_once_and_every_node_shows_it() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = Authority::start(folder.path(), Mood::Well, LONG).await?;
    authority.refuse_nonces(1);
    // The first node begins the order while it is alone, and the authority looks at all of them, also at the one that
    // does not vote.
    let cluster = cluster(4, &authority, &[SHOP, WWW]).await?;
    let (apis, caller) = (apis(&cluster), authority.caller()?);
    let refused = caller.connect(apis[2], SHOP).await.err().context("a certificate was there at once")?;
    ensure!(format!("{refused:#}").contains("alert"), "{refused:#}");
    until("it is told that there is none", SOON, async || {
        let told = problems(&cluster, 3).await?;
        ensure!(
            told.iter().any(|(_, message)| message.contains(SHOP) && message.contains("yet")),
            "{told:?}"
        );
        Ok(())
    })
    .await?;
    cluster.cli(1)?.ok(&["store", "write", "it", "works"]).await?;

    authority.look_at(&apis);
    let shop = shown(&authority, &apis, SHOP).await?;
    let www = shown(&authority, &apis, WWW).await?;
    ensure!(shop != www, "each has its own");
    no_problems(&cluster).await?;
    let _greeter = cluster.greeter(1).await?;
    for api in &apis {
        for domain in [SHOP, WWW] {
            caller.call(*api, domain).await.with_context(|| format!("{domain} at {api}"))?;
        }
    }
    ensure!(authority.accounts() == 1 && authority.orders(SHOP) == 1 && authority.orders(WWW) == 1);
    ensure!(authority.complaints().is_empty(), "{:?}", authority.complaints());
    // A challenge is over once there is a certificate.
    ensure!(look::at_challenge(apis[0], SHOP, &[0; 32]).await.is_err(), "it still answers");
    for member in &cluster.members {
        look_through(member, &shop)?;
    }
    Ok(())
}

#[tokio::test]
async fn certificates_are_renewed_under_calls_of_which_none_fails() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = Authority::start(folder.path(), Mood::Well, Duration::from_secs(36)).await?;
    let cluster = cluster(3, &authority, &[SHOP]).await?;
    let apis = apis(&cluster);
    authority.look_at(&apis);
    let first = shown(&authority, &apis, SHOP).await?;
    let _greeter = cluster.greeter(0).await?;
    let caller = authority.caller()?;
    let mut lines = Vec::new();
    for api in &apis {
        lines.push(caller.connect(*api, SHOP).await?);
    }
    let mut certificates = vec![first];
    // The second renewal is past the end of the first certificate.
    until("the certificate was renewed, and again", 3 * SOON, async || {
        for (api, line) in apis.iter().zip(&mut lines) {
            // Nothing of this may fail: it is told at once, and not tried again.
            let on_it = line.call().await.context("a connection that stays");
            let anew = async {
                let mut line = caller.connect(*api, SHOP).await?;
                line.call().await?;
                anyhow::Ok(line.certificate)
            };
            match (on_it, anew.await) {
                (Ok(()), Ok(certificate)) if !certificates.contains(&certificate) => {
                    certificates.push(certificate)
                }
                (Ok(()), Ok(_)) => {}
                (on_it, anew) => return Ok(Err((on_it, anew.map(drop)))),
            }
        }
        ensure!(certificates.len() > 2, "{} so far", certificates.len());
        Ok(Ok(()))
    })
    .await?
    .map_err(|failed| anyhow::anyhow!("a call has failed: {failed:?}"))?;
    ensure!(authority.accounts() == 1, "the account is one");
    no_problems(&cluster).await
}

#[tokio::test]
async fn an_authority_that_is_down_at_the_start_is_told_and_asked_again() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = Authority::start(folder.path(), Mood::Down, LONG).await?;
    let cluster = cluster(1, &authority, &[SHOP]).await?;
    let apis = apis(&cluster);
    authority.look_at(&apis);
    let told = until("it is told", SOON, async || {
        let told = problems(&cluster, 0).await?;
        ensure!(told.iter().any(|(severity, _)| severity == "critical"), "{told:?}");
        Ok(told)
    })
    .await?;
    ensure!(told[0].1.contains("localhost") || told[0].1.contains("closed"), "it does not say why: {told:?}");
    cluster.cli(0)?.ok(&["store", "write", "it", "works"]).await?;
    authority.be(Mood::Well);
    shown(&authority, &apis, SHOP).await?;
    no_problems(&cluster).await
}

#[tokio::test]
async fn what_an_authority_finds_at_the_name_is_told() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = Authority::start(folder.path(), Mood::Well, LONG).await?;
    // Somebody else answers there.
    authority.look_at(&[authority.address()]);
    let cluster = cluster(1, &authority, &[SHOP]).await?;
    let apis = apis(&cluster);
    let found = until("it is told", SOON, async || {
        let found = authority.complaints().into_iter().next().context("nothing yet")?;
        let told = problems(&cluster, 0).await?;
        let (severity, message) = told.first().context("no problem")?;
        ensure!(severity == "critical" && message.contains(&found[SHOP.len() + 2..]), "{found}: {message}");
        Ok(found)
    })
    .await?;
    ensure!(found.starts_with(SHOP), "{found}");
    authority.look_at(&apis);
    shown(&authority, &apis, SHOP).await?;
    no_problems(&cluster).await
}

#[tokio::test]
async fn an_authority_that_has_had_enough_is_left_alone() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = Authority::start(folder.path(), Mood::Limited, LONG).await?;
    let mut cluster = cluster(1, &authority, &[SHOP]).await?;
    until("it is told", SOON, async || {
        let told = problems(&cluster, 0).await?;
        ensure!(told.iter().any(|(_, message)| message.contains("too many certificates")), "{told:?}");
        Ok(())
    })
    .await?;
    // Nor is it asked again because a node starts anew.
    authority.be(Mood::Well);
    authority.look_at(&apis(&cluster));
    cluster.members[0].stop().await?;
    cluster.members[0].start(&[]).await?;
    sleep(Duration::from_secs(15)).await;
    ensure!(authority.orders(SHOP) == 0, "it was asked again");
    let refused = authority.caller()?.connect(cluster.members[0].at().api, SHOP).await;
    ensure!(refused.is_err());
    Ok(())
}

#[tokio::test]
async fn who_dies_while_it_orders_is_replaced() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = Authority::start(folder.path(), Mood::Well, LONG).await?;
    let mut cluster = cluster(3, &authority, &[SHOP]).await?;
    let apis = apis(&cluster);
    let began = until("one of them orders", SOON, async || {
        let orders = |member: &Member| {
            let log = fs::read_to_string(member.log()).unwrap_or_default();
            log.contains("a certificate for the HTTP api is ordered")
        };
        let one = cluster.members.iter().position(orders).context("none has begun")?;
        ensure!(authority.orders(SHOP) == 1);
        Ok(one)
    })
    .await?;
    cluster.members[began].kill().await?;
    let others: Vec<SocketAddr> = (0..3).filter(|index| *index != began).map(|index| apis[index]).collect();
    authority.look_at(&others);
    let certificate = shown(&authority, &others, SHOP).await?;
    cluster.members[began].start(&[]).await?;
    ensure!(shown(&authority, &apis, SHOP).await? == certificate);
    ensure!(authority.orders(SHOP) == 2 && authority.accounts() == 1);
    Ok(())
}

#[tokio::test]
async fn a_node_that_does_not_vote_orders_too() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = Authority::start(folder.path(), Mood::Well, LONG).await?;
    let mut cluster = Cluster::of(3).await?;
    let mut delta = cluster.further("delta")?;
    delta.start(&[cluster.invitation("delta").await?, authority.flags(&[SHOP])].concat()).await?;
    let api = delta.at().api;
    cluster.members.push(delta);
    let told = until("it is told, also where nobody ordered", SOON, async || {
        let told = problems(&cluster, 0).await?;
        ensure!(told.iter().any(|(_, message)| message.contains("delta")), "{told:?}");
        Ok(told)
    })
    .await?;
    ensure!(told.len() == 1, "{told:?}");
    authority.look_at(&[api]);
    let certificate = shown(&authority, &[api], SHOP).await?;
    let metrics = authority.caller()?.connect(api, SHOP).await?.get("/metrics").await?;
    ensure!(metrics.contains("micro_node_acme_failures_total 0"), "{metrics}");
    let ends = metrics
        .lines()
        .find_map(|line| line.strip_prefix("micro_node_acme_certificate_end_timestamp_seconds "));
    ensure!(ends.context(metrics.clone())?.parse::<u64>()? > 0);
    let others = get(cluster.members[0].at().api, "/metrics").await?.body;
    ensure!(!others.contains("micro_node_acme"), "{others}");
    for member in &cluster.members {
        look_through(member, &certificate)?;
    }
    Ok(())
}

#[tokio::test]
async fn what_can_not_be_ordered_is_refused_at_the_start() -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("micro-node-").tempdir_in("/tmp")?;
    let file = |name: &str| folder.path().join(name).display().to_string();
    fs::write(folder.path().join("empty.pem"), "")?;
    let (data, socket, empty, nothing) =
        (file("data"), file("node.sock"), file("empty.pem"), file("nothing.pem"));
    let start = ["start", "--data-dir", &data, "--socket", &socket];
    let good = ["--acme-agree-tos", "--acme-domain", SHOP];
    for (arguments, named) in [
        (&["--acme-agree-tos", "--acme-domain", "*.example.org"][..], "wildcard"),
        (&["--acme-agree-tos", "--acme-domain", "192.0.2.7"], "address"),
        (&["--acme-agree-tos", "--acme-domain", "localhost"], "label"),
        (&["--acme-agree-tos", "--acme-domain", "shop.example.org,a_b.example"], "a_b.example"),
        (&["--acme-domain", SHOP], "--acme-agree-tos"),
        (&["--acme-agree-tos"], "--acme-domain"),
        (&[&good[..], &["--api-tls-cert", &empty, "--api-tls-key", &empty]].concat(), "cannot be used with"),
        (&[&good[..], &["--acme-root", &empty]].concat(), "no certificate"),
        (&[&good[..], &["--acme-root", &nothing]].concat(), "nothing.pem"),
        (&[&good[..], &["--acme-directory", "http://acme.example"]].concat(), "https://"),
        (&[&good[..], &["--acme-email", "nobody"]].concat(), "ops@example.org"),
    ] {
        let outcome = CommandLine::new(None, folder.path())?.run(&[&start[..], arguments].concat()).await?;
        ensure!(outcome.code == 2 && outcome.stderr.contains(named), "{arguments:?}: {}", outcome.stderr);
        ensure!(!folder.path().join("data").exists(), "something was done");
    }
    Ok(())
}
