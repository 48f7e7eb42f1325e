//! Three nodes of one mesh under load: their store beside etcd's, and calls of a service.

use crate::{
    calls, contest,
    etcd::Etcd,
    figure::Figure,
    footprint::{IDLE, MEMORY, resident_mb},
    frame::Dialect,
    load::Load,
    report::Report,
    selection::Selection,
    side::{Door, Side},
    store,
};
use anyhow::{Context, ensure};
use micro_tests::{Cluster, until};
use std::{fs, path::PathBuf, time::Duration};

/// Until three nodes that have just started agree who leads.
const LEADER_LIMIT: Duration = Duration::from_secs(30);

const IDLE_MEMORY: &str = "idle memory, largest of three nodes";
const LOADED_MEMORY: &str = "memory after the load, leader";

/// What is measured of three nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Memory, puts and reads, and calls.
    Mesh,
    /// The store by itself.
    Store,
}

/// How three nodes are to be measured.
pub struct Plan {
    /// What of them.
    pub part: Part,
    /// Which rows.
    pub selection: Selection,
    /// How often each: the median counts.
    pub runs: usize,
    /// How often each that has a bar.
    pub runs_for_bar: usize,
    /// One in this many requests is sent.
    pub share: u32,
    /// Where etcd is kept, unless it is left out.
    pub etcd: Option<PathBuf>,
}

/// Measures what is wanted of three nodes.
///
/// # Errors
/// If the nodes do not come up, or do not end. What fails later is in the report.
pub async fn measure(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let selection = &plan.selection;
    let is_store = plan.part == Part::Store;
    let (puts_and_reads, calls) = (contest::is_wanted(selection), !is_store && calls::is_wanted(selection));
    let volumes = is_store && store::is_wanted(selection);
    let memory = !is_store && selection.wants_any(&[IDLE_MEMORY, LOADED_MEMORY]);
    if !(puts_and_reads || calls || volumes || memory) {
        return Ok(());
    }
    eprintln!("==> three nodes");
    let load = Load::new(plan.share)?;
    let mut cluster = Cluster::of(3).await?;
    let leader = until("a leader", LEADER_LIMIT, async || cluster.leader(0).await).await?;
    let follower = (leader + 1) % cluster.members.len();

    if memory && selection.wants(IDLE_MEMORY) {
        report.take(IDLE_MEMORY, idle_memory(&cluster).await);
    }
    if puts_and_reads {
        report.take("puts and reads", compare(plan, &load, &cluster, leader, follower).await);
        if memory && selection.wants(LOADED_MEMORY) {
            let memory = resident_mb(cluster.members[leader].at().pid);
            let figure = memory.map(|memory| vec![Figure::plain(LOADED_MEMORY, memory, "MB", None)]);
            report.take(LOADED_MEMORY, figure);
        }
    }
    if calls {
        report.take("calls", calls::measure(&load, &cluster, (leader, follower), selection, plan.runs).await);
    }
    if volumes {
        store::measure(&load, &cluster, (leader, follower), plan, report).await;
    }
    cluster.stop().await
}

async fn idle_memory(cluster: &Cluster) -> anyhow::Result<Vec<Figure>> {
    tokio::time::sleep(IDLE).await;
    let mut largest: f64 = 0.0;
    for member in &cluster.members {
        largest = largest.max(resident_mb(member.at().pid)?);
    }
    Ok(vec![Figure::plain(IDLE_MEMORY, largest, "MB", Some(MEMORY))])
}

async fn compare(
    plan: &Plan,
    load: &Load,
    cluster: &Cluster,
    leader: usize,
    follower: usize,
) -> anyhow::Result<Vec<Figure>> {
    let mut sides = vec![Side {
        name: "ours",
        dialect: Dialect::Micro,
        leader: door(cluster, leader)?,
        follower: door(cluster, follower)?,
    }];
    let etcd = match &plan.etcd {
        Some(cache) => Some(Etcd::start(cache).await?),
        None => None,
    };
    if let Some(etcd) = &etcd {
        sides.push(etcd.side().await?);
    }
    let figures = contest::measure(load, &sides, plan).await?;

    // A leader that changed on the way would have made leader and follower rows the same thing.
    ensure!(cluster.leader(0).await? == leader, "the leader has changed under load");
    if let Some(etcd) = &etcd {
        ensure!(
            etcd.side().await?.leader.base == sides[1].leader.base,
            "etcd's leader has changed under load"
        );
    }
    Ok(figures)
}

/// Where a node takes gRPC, and what lets requests in.
///
/// # Errors
/// If its secret can't be read.
pub fn door(cluster: &Cluster, index: usize) -> anyhow::Result<Door> {
    let at = cluster.members[index].at();
    let secret = fs::read_to_string(&at.admin_secret_file).context("the admin secret")?;
    let pass = format!("authorization: Bearer {}", secret.trim());
    Ok(Door { base: format!("http://{}", at.proxy), pass: Some(pass) })
}
