//! HTTP/2 by `h2load`: many requests on few connections, none of which may fail.

use super::{known, printed};
use anyhow::ensure;
use micro_tests::{Cluster, Greeter};
use std::fs;
use tokio::process::Command;

#[tokio::test]
async fn thousands_of_requests_on_few_connections_are_all_answered() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let _greeter = Greeter::start(cluster.root(), &cluster.members[0], false)?;
    known(&cluster, "helloworld").await?;
    let body = cluster.root().join("hello.json");
    fs::write(&body, r#"{"name":"Jane"}"#)?;
    let api = cluster.members[0].at().api;
    let called = format!("http://{api}/helloworld/call");
    for (url, extra) in [
        (format!("http://{api}/health"), vec![]),
        (called.clone(), vec!["-d".to_owned(), body.display().to_string()]),
        // HTTP/1.1 with requests that do not wait for answers.
        (called, vec!["--h1".to_owned(), "-d".to_owned(), body.display().to_string()]),
    ] {
        let mut command = Command::new("h2load");
        command.args(["-n", "2000", "-c", "8", "-m", "64"]).args(&extra).arg(&url);
        let said = printed(command).await?;
        let all = "2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout";
        ensure!(said.contains(all) && said.contains("status codes: 2000 2xx"), "{url} {extra:?}: {said}");
    }
    Ok(())
}
