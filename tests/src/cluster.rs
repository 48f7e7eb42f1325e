//! Several nodes on this machine, joined to one mesh.

use crate::{CommandLine, Greeter, Member, until};
use anyhow::{Context, ensure};
use micro_sdk::Node;
use rustix::process::Signal;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

/// From the last node's readiness to the voters that were asked for.
const VOTERS_LIMIT: Duration = Duration::from_secs(60);

/// From an attach until all nodes know of it: gossip takes a second, on a machine that may be busy compiling.
const KNOWN_LIMIT: Duration = Duration::from_secs(20);

/// The names of nodes, in order. Later ones are called `node-27` and so on.
const NAMES: [&str; 26] = [
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett", "kilo",
    "lima", "mike", "november", "oscar", "papa", "quebec", "romeo", "sierra", "tango", "uniform", "victor",
    "whiskey", "xray", "yankee", "zulu",
];

/// How a cluster is to be.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// How many nodes, at least one.
    pub size: usize,
    /// Whether nodes and data outlive this program.
    pub keep: bool,
    /// Further arguments of each `micro-node start`.
    pub extra: Vec<String>,
}

/// Several nodes on this machine. Dropping it kills them and removes their data, unless the plan was to keep them.
pub struct Cluster {
    /// The nodes, in the order of their start.
    pub members: Vec<Member>,
    root: PathBuf,
    // Removed on drop, after the processes: fields are dropped in this order.
    _scratch: Option<TempDir>,
}

impl Cluster {
    /// A cluster of `size` nodes, for as long as the value lives.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn of(size: usize) -> anyhow::Result<Self> {
        Self::start(Plan { size, ..Plan::default() }, &mut |_| ()).await
    }

    /// Starts nodes as planned and waits until all serve and the first three vote. `progress` is told of each step.
    ///
    /// # Errors
    /// If a node does not start, join or become a voter in time: then with what it said last.
    pub async fn start(plan: Plan, progress: &mut dyn FnMut(&str)) -> anyhow::Result<Self> {
        ensure!(plan.size > 0, "a cluster has at least one node");
        // Short: a unix socket's path has at most 107 bytes.
        let scratch = tempfile::Builder::new().prefix("micro-node-").tempdir_in("/tmp")?;
        let root = scratch.path().to_owned();
        let scratch = if plan.keep {
            let _kept: PathBuf = scratch.keep();
            None
        } else {
            Some(scratch)
        };
        let mut members = Vec::new();
        for index in 0..plan.size {
            let name =
                NAMES.get(index).map_or_else(|| format!("node-{}", index + 1), |&name| name.to_owned());
            let member = Member::new(&root, &name, plan.extra.clone())?;
            members.push(if plan.keep { member.detached() } else { member });
        }
        let mut cluster = Cluster { members, root, _scratch: scratch };
        if let Err(error) = cluster.bring_up(progress).await {
            // Kept processes would outlive even a start that failed.
            cluster.kill_all().await;
            return Err(error);
        }
        Ok(cluster)
    }

    /// The folder that holds everything of this cluster.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The command line, aimed at the node with this index.
    ///
    /// # Errors
    /// If `micro-node` is not built.
    pub fn cli(&self, index: usize) -> anyhow::Result<CommandLine> {
        self.members[index].cli()
    }

    /// A client of the node with this index, over its unix socket.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn client(&self, index: usize) -> anyhow::Result<Node> {
        self.members[index].client().await
    }

    /// The example service, attached to the node with this index and known to all.
    ///
    /// # Errors
    /// If it does not start, or is not known in time.
    pub async fn greeter(&self, index: usize) -> anyhow::Result<Greeter> {
        let greeter = Greeter::start(&self.root, &self.members[index], false)?;
        until("the service is known everywhere", KNOWN_LIMIT, async || {
            for index in 0..self.members.len() {
                let services = self.client(index).await?.services().await?;
                ensure!(services.iter().any(|service| service.name == "helloworld"), "not on {index}");
            }
            Ok(())
        })
        .await?;
        Ok(greeter)
    }

    /// The status document as the node with this index sees it.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn status(&self, index: usize) -> anyhow::Result<serde_json::Value> {
        self.cli(index)?.json(&["status", "-o", "json"]).await
    }

    /// The index of the leader, as the node `seen_by` knows it.
    ///
    /// # Errors
    /// If it knows none that is one of these members.
    pub async fn leader(&self, seen_by: usize) -> anyhow::Result<usize> {
        let status = self.status(seen_by).await?;
        ensure!(status["consensus"]["quorum"] == true, "no quorum");
        let leader = &status["consensus"]["leader"];
        let nodes = status["nodes"].as_array().context("status has no nodes")?;
        let node =
            nodes.iter().find(|node| !leader.is_null() && node["id"] == *leader).context("no leader")?;
        let index = self.members.iter().position(|member| node["name"] == member.name());
        index.context("the leader is none of these nodes")
    }

    /// Makes a token and returns what a further node needs to join.
    ///
    /// # Errors
    /// If no token can be made.
    pub async fn invitation(&self, name: &str) -> anyhow::Result<Vec<String>> {
        self.members[0].invite(name).await
    }

    /// A further node of this cluster, not started yet.
    ///
    /// # Errors
    /// If its folder cannot be made.
    pub fn further(&self, name: &str) -> anyhow::Result<Member> {
        Member::new(&self.root, name, Vec::new())
    }

    /// Asks all nodes to end, and waits until they have.
    ///
    /// # Errors
    /// If one did not end by itself: then it was killed.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let mut running: Vec<&mut Member> = self.members.iter_mut().collect();
        running.retain_mut(|member| member.is_running());
        for member in &running {
            member.signal(Signal::TERM)?;
        }
        let mut outcome = Ok(());
        for member in running {
            outcome = outcome.and(member.ended().await.map(|_| ()));
        }
        outcome
    }

    /// Ends all nodes at once.
    pub async fn kill_all(&mut self) {
        for member in &mut self.members {
            // Some may have ended, or never started: then there is nothing to kill.
            member.kill().await.ok();
        }
    }

    async fn bring_up(&mut self, progress: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        self.members[0].start(&[]).await?;
        progress(&format!("{} serves", self.members[0].name()));
        for index in 1..self.members.len() {
            let invitation = self.invitation(self.members[index].name()).await?;
            self.members[index].start(&invitation).await?;
            progress(&format!("{} has joined", self.members[index].name()));
        }
        // Three voters is the node's own default; two would survive less than one.
        let voters = if self.members.len() < 3 { 1 } else { 3 };
        until(&format!("{voters} voters"), VOTERS_LIMIT, async || {
            let status = self.status(0).await?;
            let found = status["consensus"]["voters"].as_array().map_or(0, Vec::len);
            ensure!(found >= voters, "{found} so far: {}", status["nodes"]);
            Ok(())
        })
        .await?;
        progress(&format!("{voters} of {} nodes vote", self.members.len()));
        Ok(())
    }
}
