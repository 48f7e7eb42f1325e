//! A built node as programs of others find it: none of them knows anything of this project, and each is as its authors
//! give it out.

mod events;
mod grpc_js;
mod load;
mod metrics;
mod openapi;
mod tls;

use anyhow::{Context, ensure};
use micro_tests::{Cluster, until};
use std::{fs, process::Output, time::Duration};
use tokio::{process::Command, time::timeout};

/// Longer than any of the programs takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// The admin secret of the first node.
fn secret(cluster: &Cluster) -> anyhow::Result<String> {
    Ok(fs::read_to_string(&cluster.members[0].at().admin_secret_file)?.trim().to_owned())
}

/// Waits until the first node knows a service.
async fn known(cluster: &Cluster, service: &str) -> anyhow::Result<()> {
    until(service, Duration::from_secs(20), async || {
        let services = cluster.client(0).await?.services().await?;
        ensure!(services.iter().any(|found| found.name == service), "{service} is not known");
        Ok(())
    })
    .await
}

/// Runs a program to its end.
async fn output(mut command: Command) -> anyhow::Result<Output> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let ended = timeout(PATIENCE, command.kill_on_drop(true).output()).await;
    ended.with_context(|| format!("{name} does not end"))?.with_context(|| format!("{name} is not there"))
}

/// What a program prints that must succeed.
pub(crate) async fn printed(command: Command) -> anyhow::Result<String> {
    let output = output(command).await?;
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "it ended with {}: {said}\n{failed}", output.status);
    Ok(said.into_owned())
}
