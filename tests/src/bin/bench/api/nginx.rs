//! nginx in front of one service: what people put there who have no mesh.

use anyhow::{Context, ensure};
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::Stdio,
    time::Duration,
};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// How long it may take to listen.
const START_LIMIT: Duration = Duration::from_secs(10);

/// One nginx. It ends with this value.
pub struct Nginx {
    /// Takes HTTP/1.1.
    pub http1: SocketAddr,
    /// Takes HTTP/2 without TLS, known beforehand.
    pub http2: SocketAddr,
    // Ended before its files are removed: fields are dropped in this order.
    _process: Child,
    _scratch: TempDir,
}

impl Nginx {
    /// Starts one process, which is one core, that passes `/helloworld/call` on to the service at `service`. It keeps
    /// connections to the service, writes no log, and passes on the request's id, as the api does.
    ///
    /// # Errors
    /// If nginx is missing, or does not listen.
    pub async fn start(service: SocketAddr) -> anyhow::Result<Self> {
        let scratch = tempfile::Builder::new().prefix("micro-node-nginx-").tempdir_in("/tmp")?;
        let (http1, http2) = (free_address()?, free_address()?);
        let folder = scratch.path().display();
        let text = format!(
            "master_process off;\ndaemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n  access_log off;\n  client_body_temp_path {folder}/body;\n  proxy_temp_path {folder}/proxy;\n\
             \x20 fastcgi_temp_path {folder}/f;\n  uwsgi_temp_path {folder}/u;\n  scgi_temp_path {folder}/s;\n\
             \x20 keepalive_requests 1000000000;\n\
             \x20 upstream service {{ server {service}; keepalive 128; keepalive_requests 1000000000; }}\n\
             \x20 server {{\n    listen {http1};\n    listen {http2} http2;\n\
             \x20   location = /helloworld/call {{\n      proxy_pass http://service/Greeter/call;\n\
             \x20     proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n\
             \x20     proxy_set_header X-Request-Id $request_id;\n    }}\n  }}\n}}\n"
        );
        let file = scratch.path().join("nginx.conf");
        fs::write(&file, text)?;
        let process = Command::new("nginx")
            .arg("-e")
            .arg(scratch.path().join("error.log"))
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("nginx, of Debian's package nginx-light")?;
        let nginx = Nginx { http1, http2, _process: process, _scratch: scratch };
        let listens = async || -> anyhow::Result<()> {
            let answer = micro_tests::post(http1, "/helloworld/call", super::QUESTION).await?;
            ensure!(
                answer.status == 200 && answer.body == super::ANSWER,
                "{} {}",
                answer.status,
                answer.body
            );
            Ok(())
        };
        micro_tests::until("nginx passes calls on", START_LIMIT, listens).await?;
        Ok(nginx)
    }
}

/// A port that is free now.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
