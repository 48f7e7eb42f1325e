//! The HTTP api where other hosts reach it, in a network of its own: nothing but the test is in there.

use crate::http::tls::renew;
use anyhow::Context;
use micro_tests::{CommandLine, program, until};
use std::{fs, path::Path, time::Duration};
use tokio::process::{Child, Command};

/// The port in that network.
const PORT: &str = "8443";
/// From exec to an answer, on a machine that may be busy compiling.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A node in a network of its own.
struct Secluded<'a> {
    folder: &'a Path,
    process: Child,
}

impl<'a> Secluded<'a> {
    fn start(folder: &'a Path) -> anyhow::Result<Self> {
        let file = |name: &str| folder.join(name).display().to_string();
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""]);
        command
            .arg(program("micro-node")?)
            .arg("start")
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.args(["--data-dir", &file("data"), "--socket", &file("node.sock")]);
        command.args(["--api", &format!("0.0.0.0:{PORT}"), "--api-host", "api.example.org"]);
        command.args(["--api-tls-cert", &file("cert.pem"), "--api-tls-key", &file("key.pem")]);
        command.stderr(fs::File::create(folder.join("log"))?).kill_on_drop(true);
        Ok(Secluded { folder, process: command.spawn().context("unshare")? })
    }

    /// The status and the body of a request for `path` at the name that the certificate is for.
    async fn ask(&self, path: &str, more: &[&str]) -> anyhow::Result<(u16, String)> {
        let network = format!("--net=/proc/{}/ns/net", self.process.id().context("it has ended")?);
        let mut command = Command::new("nsenter");
        command.args([&network, "curl", "--silent", "--show-error", "--max-time", "20", "--noproxy", "*"]);
        // In HTTP/2 curl may take a refusal that comes before its body is sent for a broken stream.
        command.arg("--http1.1").arg("--cacert").arg(self.folder.join("cert.pem"));
        command.args(["--connect-to", &format!("api.example.org:{PORT}:127.0.0.1:{PORT}")]);
        command.args(["-w", "\n%{http_code}"]).args(more);
        let output = command.arg(format!("https://api.example.org:{PORT}{path}")).output().await?;
        let said = String::from_utf8(output.stdout)?;
        let (body, status) = said.rsplit_once('\n').context("no answer")?;
        anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok((status.parse()?, body.to_owned()))
    }
}

#[tokio::test]
async fn other_hosts_reach_the_api_inside_tls_and_have_to_show_who_they_are() -> anyhow::Result<()> {
    let home = tempfile::Builder::new().prefix("micro-node-").tempdir_in("/tmp")?;
    renew(home.path(), &["api.example.org"], "elsewhere")?;
    let mut node = Secluded::start(home.path())?;
    until("it is ready", START_LIMIT, async || {
        let (status, body) = node.ask("/ready", &[]).await?;
        anyhow::ensure!(status == 200, "{status} {body}");
        Ok(())
    })
    .await?;
    // On loopback anybody calls people's services, and reads what is public; here nobody does without a token.
    for path in ["/helloworld/call", "/-/v1/store/read?key=k", "/metrics"] {
        let (status, body) = node.ask(path, &["-d", "{}"]).await?;
        assert!([401, 403, 405].contains(&status), "{path}: {status} {body}");
        let (status, body) = node.ask(path, &[]).await?;
        assert!([401, 403].contains(&status), "{path}: {status} {body}");
    }
    let commands = CommandLine::new(Some(format!("unix:{}/node.sock", home.path().display())), home.path())?;
    commands.ok(&["store", "write", "k", "v"]).await?;
    let secret = fs::read_to_string(home.path().join("data/files/admin.secret"))?;
    fs::write(home.path().join("header"), format!("authorization: Bearer {}", secret.trim()))?;
    let header = format!("@{}", home.path().join("header").display());
    let (status, body) = node.ask("/-/v1/store/read?key=k", &["-H", &header]).await?;
    assert!(status == 200 && body.contains("dg=="), "{status} {body}");
    // A name that nobody said is this host's.
    let (status, body) = node.ask("/health", &["-H", "host: elsewhere.example.org"]).await?;
    assert_eq!(status, 403, "{body}");
    Ok(node.process.kill().await?)
}
