//! Each service that is attached is an account of its own: what it calls, it calls as itself.

use crate::auth::rule;
use anyhow::{Context, ensure};
use micro_sdk::{
    Node,
    client::{Address, NewAccount, NewRule, Token},
    prelude::*,
    proto::{self, AttachEvent, AttachRequest, attach_event::Event, registry_client::RegistryClient},
    serve::Server,
    wire::{Code, Namespace},
};
use micro_tests::{Cluster, Greeter, until};
use std::{fs, time::Duration};
use tokio::task::JoinHandle;
use tonic::{Streaming, transport::Endpoint};

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

/// Attaches a service that nobody calls, as any program could, and gives what its node tells it.
async fn ghost(cluster: &Cluster, index: usize) -> anyhow::Result<Streaming<AttachEvent>> {
    let at = cluster.members[index].at();
    let channel = Endpoint::from_shared(format!("http://{}", at.proxy))?.connect().await?;
    let endpoint = proto::Endpoint { name: "Ghost.boo".to_owned(), ..proto::Endpoint::default() };
    let mut request = tonic::Request::new(AttachRequest {
        name: "ghost".to_owned(),
        version: "1".to_owned(),
        address: "127.0.0.1:9".to_owned(),
        endpoints: vec![endpoint],
        ..AttachRequest::default()
    });
    let secret = fs::read_to_string(&at.admin_secret_file)?;
    request.metadata_mut().insert("authorization", format!("Bearer {}", secret.trim()).parse()?);
    Ok(RegistryClient::new(channel).attach(request).await?.into_inner())
}

/// The next token that a service is told.
async fn next_token(events: &mut Streaming<AttachEvent>) -> anyhow::Result<Token> {
    let told = async {
        loop {
            let told = events.message().await?.context("it has ended")?.event;
            if let Some(Event::Token(told)) = told {
                return anyhow::Ok(Token::new(told.token));
            }
        }
    };
    tokio::time::timeout(PATIENCE, told).await.context("no token is told")?
}

/// Whether each node takes a token, or none does, within a second.
async fn all_say(cluster: &Cluster, token: &Token, taken: bool) -> anyhow::Result<()> {
    for member in &cluster.members {
        let address: Address = member.at().proxy.to_string().parse()?;
        let node = Node::connect_to(address).await?.with_token(token.clone());
        until("the token is judged", Duration::from_secs(1), async || {
            let answer = node.auth().who_am_i().await;
            ensure!(answer.is_ok() == taken, "{answer:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn tokens_of_a_service_can_be_ended_and_it_has_a_good_one_while_it_is_attached() -> anyhow::Result<()> {
    let cluster = Cluster::of(3).await?;
    let (admin, cli) = (cluster.client(0).await?, cluster.cli(0)?);
    let mut events = ghost(&cluster, 2).await?;
    let first = next_token(&mut events).await?;
    all_say(&cluster, &first, true).await?;
    // While it is attached its name is enough, and its node gives it another.
    until("it is known there", PATIENCE, async || Ok(admin.service("ghost").await.map(drop)?)).await?;
    cli.ok(&["auth", "revoke", "ghost", "--yes"]).await?;
    all_say(&cluster, &first, false).await?;
    let second = next_token(&mut events).await?;
    all_say(&cluster, &second, true).await?;
    // No rotation of the keys leaves it without one.
    admin.auth().rotate_keys().await?;
    admin.auth().rotate_keys().await?;
    let third = next_token(&mut events).await?;
    all_say(&cluster, &third, true).await?;
    all_say(&cluster, &second, false).await?;
    // Once it has detached, its last token can be ended still.
    drop(events);
    until("it has gone", PATIENCE, async || {
        ensure!(admin.service("ghost").await.is_err(), "it is there still");
        Ok(())
    })
    .await?;
    all_say(&cluster, &third, true).await?;
    // A node that has not heard yet that it has gone takes the name alone still.
    let named = cli.run(&["auth", "revoke", "ghost", "--yes"]).await?;
    ensure!(named.code == 0 || named.code == 5 && named.stderr.contains("--kind service"), "{named:?}");
    cli.ok(&["auth", "revoke", "ghost", "--kind", "service", "--yes"]).await?;
    all_say(&cluster, &third, false).await
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
