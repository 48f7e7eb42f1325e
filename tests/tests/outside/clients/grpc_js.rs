//! gRPC by `@grpc/grpc-js`, from the platform's own .proto files.

use super::{known, printed, secret};
use micro_tests::{Cluster, Greeter, JavaScript};

#[tokio::test]
async fn javascript_reads_writes_watches_and_calls_over_grpc() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let _greeter = Greeter::start(cluster.root(), &cluster.members[0], false)?;
    known(&cluster, "helloworld").await?;
    let mut client = JavaScript::with_clients().await?.client("grpc_client.js");
    client.arg(cluster.members[0].at().proxy.to_string());
    client.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../sdk/proto"));
    client.env("MICRO_NODE_TOKEN", secret(&cluster)?);
    let said = printed(client).await?;
    assert_eq!(said.lines().last(), Some("deadlines"), "{said}");
    Ok(())
}
