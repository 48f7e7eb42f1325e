//! TLS by OpenSSL: version 1.3 and nothing older, and the protocols that are offered inside it.

use super::output;
use anyhow::ensure;
use micro_tests::{Cluster, Plan};
use rcgen::{CertificateParams, KeyPair};
use std::{fs, process::Stdio};
use tokio::process::Command;

#[tokio::test]
async fn openssl_is_offered_tls_1_3_with_both_versions_of_http_and_nothing_older() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name).display().to_string();
    let key = KeyPair::generate()?;
    fs::write(folder.path().join("key.pem"), key.serialize_pem())?;
    let params = CertificateParams::new(vec!["localhost".to_owned()])?;
    fs::write(folder.path().join("cert.pem"), params.self_signed(&key)?.pem())?;
    let extra =
        vec!["--api-tls-cert".to_owned(), file("cert.pem"), "--api-tls-key".to_owned(), file("key.pem")];
    let cluster = Cluster::start(Plan { size: 1, extra, ..Plan::default() }, &mut |_| ()).await?;
    let api = cluster.members[0].at().api;
    let shake = async |arguments: &[&str]| -> anyhow::Result<(bool, String)> {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &api.to_string(), "-CAfile", &file("cert.pem")]);
        command.args(["-servername", "localhost", "-verify_return_error", "-verify_hostname", "localhost"]);
        command.args(arguments).stdin(Stdio::null());
        let output = output(command).await?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
    };
    for (offered, taken) in [
        ("h2,http/1.1", "ALPN protocol: h2"),
        ("http/1.1,h2", "ALPN protocol: h2"),
        ("http/1.1", "ALPN protocol: http/1.1"),
    ] {
        let (good, said) = shake(&["-alpn", offered]).await?;
        ensure!(good && said.contains(taken), "{offered}: {said}");
        ensure!(said.contains("New, TLSv1.3, Cipher is TLS_"), "{offered}: {said}");
    }
    let (good, said) = shake(&[]).await?;
    ensure!(good && said.contains("No ALPN negotiated"), "{said}");
    for old in [
        &["-tls1_2"][..],
        &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"],
        &["-tls1", "-cipher", "DEFAULT@SECLEVEL=0"],
        &["-alpn", "spdy/3"],
        &["-ciphersuites", "TLS_AES_128_CCM_8_SHA256"],
    ] {
        let (good, said) = shake(old).await?;
        ensure!(!good && said.contains("alert"), "{old:?}: {said}");
    }
    Ok(())
}
