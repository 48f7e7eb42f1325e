//! Programs in other languages that call a service which their node reaches over another one only.

use super::clouds::Mesh;
use crate::{
    clients::printed,
    grpc::{check, echo},
};
use anyhow::ensure;
use micro_tests::{Greeter, JavaScript, until};
use std::time::Duration;

/// From a change of the network until all go by it, on a machine that may be busy compiling.
const CHANGE_LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn clients_of_grpc_call_services_two_hops_away() -> anyhow::Result<()> {
    let mesh = Mesh::start(&["east", "middle", "west"]).await?;
    mesh.hosts.cut(1, 3)?;
    mesh.gone(1, 3, "via n2").await?;
    let _greeter = Greeter::start(mesh.root.path(), &mesh.members[2], false)?;
    let _echo = echo(&mesh.members[2]).await?;
    until("the services are known", CHANGE_LIMIT, async || {
        let services = mesh.members[0].client().await?.services().await?;
        let known = |name: &str| services.iter().any(|service| service.name == name);
        ensure!(known("helloworld") && known("py-echo"), "not yet");
        Ok(())
    })
    .await?;
    // A unix socket is reached from every network namespace.
    let node = format!("unix:{}", mesh.members[0].at().socket.display());
    // Unary calls with deadlines, metadata, status details, cancellation that reaches the handler, and all kinds of
    // streams.
    for checks in
        ["platform", "greeter", "missing", "bytes_as_they_are", "statuses", "cancellation", "streams"]
    {
        check(checks, &node, None).await?;
    }
    let mut client = JavaScript::with_clients().await?.client("grpc_streams.js");
    client.arg(&node);
    let said = printed(client).await?;
    ensure!(said.lines().last() == Some("bothStream"), "{said}");
    ensure!(mesh.path(1, 3).await?.starts_with("via n2"), "it was no way over another node");
    Ok(())
}
