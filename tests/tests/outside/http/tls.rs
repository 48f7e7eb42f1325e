//! The HTTP api inside TLS, with a certificate that is replaced while the node runs.

use super::curl;
use anyhow::ensure;
use micro_tests::{Cluster, CommandLine, Plan, until};
use rcgen::{CertificateParams, DnType, KeyPair};
use std::{fs, path::Path, time::Duration};

/// What this host is called by itself.
const HERE: [&str; 2] = ["localhost", "127.0.0.1"];

/// Writes a certificate for these hosts, and its key. Its file is its own authority.
pub fn renew(folder: &Path, hosts: &[&str], name: &str) -> anyhow::Result<()> {
    let mut params = CertificateParams::new(hosts.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate()?;
    fs::write(folder.join("key.pem"), key.serialize_pem())?;
    fs::write(folder.join("cert.pem"), params.self_signed(&key)?.pem())?;
    Ok(())
}

#[tokio::test]
async fn the_api_is_inside_tls_and_takes_up_a_new_certificate() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name).display().to_string();
    renew(folder.path(), &HERE, "first")?;
    let extra =
        vec!["--api-tls-cert".to_owned(), file("cert.pem"), "--api-tls-key".to_owned(), file("key.pem")];
    let cluster = Cluster::start(Plan { size: 1, extra, ..Plan::default() }, &mut |_| ()).await?;
    let api = cluster.members[0].at().api;
    let url = format!("https://localhost:{}/health", api.port());
    for (http, version) in [("--http2", "2 200"), ("--http1.1", "1.1 200")] {
        let format = ["-o", "/dev/null", "-w", "%{http_version} %{http_code}"];
        let told = curl(&[&["--cacert", &file("cert.pem"), http][..], &format, &[&url]].concat()).await?;
        assert_eq!(told, version);
    }
    assert!(curl(&[&url]).await.is_err(), "a certificate that nobody knows was taken");
    assert!(curl(&[&url.replace("https", "http")]).await.is_err(), "it answers in the clear");
    assert!(
        curl(&["--cacert", &file("cert.pem"), "--tls-max", "1.2", &url]).await.is_err(),
        "it speaks old TLS"
    );

    renew(folder.path(), &HERE, "second")?;
    until("the new certificate", Duration::from_secs(20), async || {
        curl(&["--cacert", &file("cert.pem"), &url]).await.map(drop)
    })
    .await?;
    // What can't be used is not taken up.
    fs::write(folder.path().join("key.pem"), "nonsense")?;
    let cli = cluster.cli(0)?;
    let problems =
        async || Ok::<_, anyhow::Error>(cli.json(&["status", "-o", "json"]).await?["problems"].to_string());
    until("the status tells of it", Duration::from_secs(20), async || {
        let told = problems().await?;
        let key = file("key.pem");
        ensure!(
            told.contains(&format!("the file {key} can't be used")) && told.contains(" since 20"),
            "{told}"
        );
        ensure!(!told.contains("nonsense"), "{told}");
        Ok(())
    })
    .await?;
    curl(&["--cacert", &file("cert.pem"), &url]).await?;
    let log = fs::read_to_string(cluster.members[0].log())?;
    assert!(log.matches("stays as it was").count() == 1, "{}", cluster.members[0].last_words());
    // A file that is gone is no better; and once both are there again, nothing is told any more.
    fs::remove_file(folder.path().join("key.pem"))?;
    until("the status tells of that", Duration::from_secs(20), async || {
        let told = problems().await?;
        ensure!(told.contains("can't be read"), "{told}");
        Ok(())
    })
    .await?;
    renew(folder.path(), &HERE, "third")?;
    until("the third certificate", Duration::from_secs(20), async || {
        curl(&["--cacert", &file("cert.pem"), &url]).await?;
        let told = problems().await?;
        ensure!(!told.contains("certificate"), "{told}");
        Ok(())
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_stops_the_start() -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("micro-node-").tempdir_in("/tmp")?;
    let file = |name: &str| folder.path().join(name).display().to_string();
    renew(folder.path(), &HERE, "first")?;
    fs::write(folder.path().join("empty.pem"), "")?;
    let (data, socket) = (file("data"), file("node.sock"));
    let start = [
        "start",
        "--data-dir",
        &data,
        "--socket",
        &socket,
        "--api",
        "127.0.0.1:0",
        "--proxy",
        "127.0.0.1:0",
        "--mesh-listen",
        "127.0.0.1:0",
    ];
    for (certificate, key, named) in [
        ("empty.pem", "key.pem", "empty.pem"),
        ("nothing.pem", "key.pem", "nothing.pem"),
        ("cert.pem", "cert.pem", "cert.pem"),
    ] {
        let flags = [file(certificate), file(key)];
        let arguments = [&start[..], &["--api-tls-cert", &flags[0], "--api-tls-key", &flags[1]]].concat();
        let outcome = CommandLine::new(None, folder.path())?.run(&arguments).await?;
        assert_eq!(outcome.code, 2, "{}", outcome.stderr);
        assert!(outcome.stderr.contains(named), "{named} is not named: {}", outcome.stderr);
    }
    let outcome =
        CommandLine::new(None, folder.path())?.run(&[&start[..], &["--api-tls-cert", "x"]].concat()).await?;
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
    Ok(())
}
