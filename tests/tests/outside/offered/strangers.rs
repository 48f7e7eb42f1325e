//! The ports that `micro-node service` opens, to other users of the host. They are tried by root only, who can be any.

use super::{Offered, script};
use anyhow::ensure;
use micro_tests::Cluster;
use std::{fs, net::SocketAddr};
use tokio::process::Command;

/// Asks as another user, and says what came back.
const ASK: &str = r#"
import os, socket, sys
# What is loaded when it is needed may be where another user finds nothing.
'x'.encode('idna')
os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
with socket.create_connection(('127.0.0.1', int(sys.argv[2])), 10) as asked:
    asked.settimeout(10)
    try:
        asked.sendall(sys.argv[3].encode())
        print(asked.recv(100))
    except ConnectionError:
        print(b'')
"#;

async fn asked_by(user: u32, port: SocketAddr, request: &str) -> anyhow::Result<String> {
    let mut python = Command::new("python3");
    python.args(["-c", ASK, &user.to_string(), &port.port().to_string(), request]).kill_on_drop(true);
    let output = python.output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Neither reads files past the rules of the mesh, nor runs programs as somebody else.
pub(crate) async fn are_not_answered(stranger: u32) -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let site = cluster.root().join("site");
    fs::create_dir(&site)?;
    fs::write(site.join("a.txt"), "a")?;
    let files = ["--endpoint", &format!("file://{}", site.display())];
    let files = Offered::start(&cluster, 0, "site", &files).await?;
    let runs = ["--endpoint", &script(cluster.root(), "tool", "echo yes")?];
    let runs = Offered::start(&cluster, 0, "tool", &runs).await?;
    for (port, request) in [
        (files.port()?, "GET /site/a.txt HTTP/1.0\r\n\r\n"),
        (
            runs.port()?,
            "POST /call HTTP/1.1\r\nhost: x\r\nmicro-caller: admin\r\ncontent-length: 2\r\n\r\n{}",
        ),
    ] {
        let own = asked_by(0, port, request).await?;
        ensure!(own.contains("200"), "{request}: {own}");
        let theirs = asked_by(stranger, port, request).await?;
        ensure!(theirs == "b''", "{request}: {theirs}");
    }
    Ok(())
}
