//! Each service that is attached is an account of its own: what it calls, it calls as itself.

use crate::auth::rule;
use anyhow::{Context, ensure};
use micro_sdk::{
    Node,
    client::{Address, NewAccount, NewRule},
    prelude::*,
    serve::Server,
    wire::{Code, Namespace},
};
use micro_tests::{Cluster, Greeter, until};
use std::time::Duration;
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(20);

/// A question without more to it.
#[message]
struct Ask {}

/// Who somebody is taken for.
#[message]
struct Who {
    caller: String,
    account: String,
    namespace: String,
    kind: String,
}

/// A service that asks others.
struct Porter;

#[service]
impl Porter {
    /// Tells whom its node takes it for.
    async fn who(&self, _: Ask, ctx: Ctx) -> Result<Who> {
        let found = ctx.node().await?.auth().who_am_i().await?;
        let micro_sdk::client::Identity { caller, account, namespace, kind, .. } = found;
        Ok(Who { caller, account, namespace, kind })
    }

    /// Calls another service.
    async fn greet(&self, _: Ask, ctx: Ctx) -> Result<Who> {
        let hello = serde_json::json!({ "name": "Jane" });
        let answer = ctx.node().await?.call("helloworld", "Greeter.call", hello).await?;
        let caller = answer["msg"].as_str().unwrap_or_default().to_owned();
        Ok(Who { caller, account: String::new(), namespace: String::new(), kind: String::new() })
    }

    /// Writes a record.
    async fn write(&self, _: Ask, ctx: Ctx) -> Result<Ask> {
        ctx.node().await?.store().table("porter").put("a", "1").await?;
        Ok(Ask {})
    }
}

/// Serves a porter at one node, in this process.
async fn porter(cluster: &Cluster, index: usize, namespace: &str) -> anyhow::Result<JoinHandle<Result<()>>> {
    let address: Address = cluster.members[index].address().parse()?;
    let namespace: Namespace = namespace.parse()?;
    let server = Server::new(Porter).name("porter").node(address).namespace(namespace.clone());
    let serving = tokio::spawn(server.run_until(std::future::pending()));
    until("the porter is known", PATIENCE, async || {
        let services = cluster.client(0).await?.with_namespace(namespace.clone()).services().await?;
        ensure!(services.iter().any(|service| service.name == "porter"), "not yet");
        Ok(())
    })
    .await?;
    Ok(serving)
}

async fn ask(node: &Node, endpoint: &str) -> std::result::Result<serde_json::Value, Fault> {
    node.call("porter", format!("Porter.{endpoint}"), serde_json::json!({})).await
}

#[tokio::test]
async fn a_service_calls_as_itself_and_rules_can_name_it() -> anyhow::Result<()> {
    let cluster = Cluster::of(4).await?;
    let _greeter = Greeter::start(cluster.root(), &cluster.members[1], false)?;
    // Attached to a node that may not vote, and so can't sign.
    let _serving = porter(&cluster, 3, "default").await?;
    let admin = cluster.client(0).await?;
    let who = until("it is somebody", PATIENCE, async || Ok(ask(&admin, "who").await?)).await?;
    let expected = serde_json::json!({
        "caller": "account", "account": "porter", "namespace": "default", "kind": "service",
    });
    assert_eq!(who, expected);

    // It is no admin, though its process is: services may be called by accounts, records need a rule.
    until("the greeter is known", PATIENCE, async || {
        ensure!(ask(&admin, "greet").await?["caller"] == "Hello Jane");
        Ok(())
    })
    .await?;
    let fault = ask(&admin, "write").await.expect_err("no rule grants it");
    assert_eq!(fault.code, Code::Denied, "{fault}");
    assert!(fault.message.contains("porter"), "{fault}");
    rule(&cluster, "default", "porters", "service:porter", "store:default/porter:write").await?;
    until("the rule counts", PATIENCE, async || Ok(ask(&admin, "write").await.map(drop)?)).await?;

    let deny = NewRule {
        scope: "service:porter".to_owned(),
        resource: "service:helloworld:*".to_owned(),
        denies: true,
        priority: 5,
    };
    admin.auth().create_rule("quiet", deny).await?;
    until("the denial counts", PATIENCE, async || {
        let fault = ask(&admin, "greet").await.err().context("it may still call")?;
        ensure!(fault.code == Code::Denied, "{fault}");
        Ok(())
    })
    .await?;
    // It is about the porter and nobody else.
    let hello = serde_json::json!({ "name": "Jane" });
    admin.call("helloworld", "Greeter.call", hello).await?;
    Ok(())
}

#[tokio::test]
async fn services_of_one_name_in_two_namespaces_are_two() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let tenant: Namespace = "acme".parse()?;
    let _serving = porter(&cluster, 0, "acme").await?;
    let admin = cluster.client(0).await?.with_namespace(tenant);
    let who = until("it is somebody", PATIENCE, async || Ok(ask(&admin, "who").await?)).await?;
    assert_eq!((&who["account"], &who["namespace"]), (&"porter".into(), &"acme".into()));
    rule(&cluster, "default", "porters", "service:porter", "store:*:*").await?;
    let fault = ask(&admin, "write").await.expect_err("that rule is about another porter");
    assert_eq!(fault.code, Code::Denied, "{fault}");
    Ok(())
}

#[tokio::test]
async fn a_login_is_kept_alive_while_it_is_used_and_ends_when_it_is_revoked() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let admin = cluster.client(0).await?;
    let made = admin.auth().create_account("jane", NewAccount::default()).await?;
    let secret = made.secret.context("a secret was made")?;
    let mut login = admin.auth().login("jane", &secret).await?;
    // As if it were about to end: the next one is fetched at once.
    login.expires = std::time::SystemTime::now();
    let used = login.refresh.clone();
    let jane = admin.clone().with_login(login);
    until("the token was renewed", PATIENCE, async || {
        // A refresh token that was used is good no more, and showing it again ends all that its login began.
        let who = jane.auth().who_am_i().await?;
        ensure!(who.account == "jane", "{who:?}");
        Ok(())
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(jane.auth().who_am_i().await?.account, "jane");
    let fault = admin.auth().refresh(&used).await.expect_err("it was used by the renewal");
    assert!(fault.message.contains("used before"), "{fault}");
    until("it has ended", PATIENCE, async || {
        let refused = jane.auth().who_am_i().await.err().context("it is still taken")?;
        ensure!(refused.code == Code::Denied, "{refused}");
        Ok(())
    })
    .await
}
