//! All that `/openapi.json` describes, by `schemathesis`: requests made of the document alone, good ones and bad ones.
//! Nothing may be answered with 5xx, and each answer is as the document says.

use super::{printed, secret};
use crate::http::clerk;
use micro_tests::{Cluster, Python};
use tokio::process::Command;

/// What holds for each answer, whatever was asked. Not among it: that all is accepted that a schema allows, since rules
/// for names are not in schemas; that all else is refused, since ProtoJSON takes `null` for nothing; and that no method
/// is taken but those described, since services are described as called by `POST`, and can be called by `GET` too.
const CHECKS: &str =
    "not_a_server_error,content_type_conformance,response_schema_conformance,status_code_conformance";
/// One way through all of it.
const SEED: &str = "20";

/// The tool, for what a node tells of itself.
async fn tool(cluster: &Cluster) -> anyhow::Result<Command> {
    let mut command = Python::with_clients().await?.module("schemathesis.cli");
    command.args(["--no-color", "run", "--checks", CHECKS, "--seed", SEED, "--generation-database", "none"]);
    command.args(["--request-timeout", "20", "--no-shrink", "--warnings", "off"]);
    command.args(["--suppress-health-check", "all"]).current_dir(cluster.root());
    command.arg(format!("http://{}/openapi.json", cluster.members[0].at().api));
    Ok(command)
}

#[tokio::test]
async fn a_service_answers_as_it_is_described() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let _clerk = clerk::serve(&cluster, 0, "default", 64).await?;
    let mut command = tool(&cluster).await?;
    command.args(["--phases", "coverage"]);
    // Those which fail, wait or answer much if they are asked to, and one at a host that is not there, are left out.
    command.args(["--exclude-path-regex", "/(refuse|wait|much|desk)$"]);
    printed(command).await?;
    Ok(())
}

#[tokio::test]
async fn the_platform_answers_as_it_is_described() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let mut command = tool(&cluster).await?;
    command.args([
        "--phases",
        "coverage",
        "--header",
        &format!("Authorization: Bearer {}", secret(&cluster)?),
    ]);
    // What goes on without an end, and what would end the node, are left out.
    command.args(["--exclude-path-regex", "/(watch.*|attach|audit/list|leave|drain|remove)$"]);
    printed(command).await?;
    Ok(())
}
