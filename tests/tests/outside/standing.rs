//! Nobody gives rights that they lack: neither by accounts nor by rules, at whichever door.

use crate::auth::rule;
use anyhow::{Context, ensure};
use micro_sdk::{
    Node,
    client::{AccountChange, Address, Login, NewAccount, NewRule, RuleChange},
    wire::{AccountKind, Code, Fault},
};
use micro_tests::{Cluster, send, until};
use std::{fs, time::Duration};

/// What is decided is so on every node within this time.
const PROMISE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);

/// An account and a login of it.
async fn logged_in(cluster: &Cluster, name: &str, scopes: &[&str]) -> anyhow::Result<Login> {
    let admin = cluster.client(0).await?;
    let created = admin.auth().create_account(name, account(scopes)).await?;
    Ok(admin.auth().login(name, &created.secret.context("a secret was made")?).await?)
}

fn account(scopes: &[&str]) -> NewAccount {
    NewAccount { scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(), ..NewAccount::default() }
}

async fn as_who(cluster: &Cluster, login: &Login) -> anyhow::Result<Node> {
    let address: Address = cluster.members[0].at().proxy.to_string().parse()?;
    Ok(Node::connect_to(address).await?.with_token(login.access.clone()))
}

#[track_caller]
fn assert_denied<T>(what: &str, result: Result<T, Fault>) {
    match result {
        Err(fault) => assert_eq!(fault.code, Code::Denied, "{what}: {fault}"),
        Ok(_) => panic!("{what} was allowed"),
    }
}

#[tokio::test]
async fn who_makes_accounts_gives_no_more_than_they_have() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    rule(&cluster, "default", "desk", "desk", "auth:*:*").await?;
    let desk = logged_in(&cluster, "clerk", &["desk"]).await?;
    let boss = logged_in(&cluster, "boss", &["admin"]).await?;
    let (clerk, boss) = (as_who(&cluster, &desk).await?, as_who(&cluster, &boss).await?);
    let (clerk, boss) = (clerk.auth(), boss.auth());

    until("the rule decides", PROMISE, async || Ok(clerk.create_account("plain", account(&[])).await?))
        .await?;
    clerk.create_account("colleague", account(&["desk"])).await?;
    assert_denied("an admin", clerk.create_account("mine", account(&["admin"])).await);
    assert_denied("another scope", clerk.create_account("mine", account(&["desk", "sales"])).await);
    for kind in [AccountKind::Service, AccountKind::Node] {
        let named = NewAccount { kind, ..NewAccount::default() };
        assert_denied("what rules name by its kind", clerk.create_account("billing", named).await);
    }
    let more = |scope: &str| AccountChange { add_scopes: vec![scope.to_owned()], ..AccountChange::default() };
    clerk.update_account("plain", more("desk")).await?;
    assert_denied("a scope that is lacking", clerk.update_account("plain", more("admin")).await);
    assert_denied("a scope for oneself", clerk.update_account("clerk", more("admin")).await);

    let secret = "a-secret-of-ours-0123".to_owned().into();
    assert_denied("the secret of an admin", clerk.set_secret(Some("boss"), None, Some(&secret)).await);
    assert_denied("an admin's end", clerk.revoke_account("boss").await);
    assert_denied("an admin's account", clerk.delete_account("boss").await);
    assert_denied("a scope of an admin", clerk.update_account("boss", more("desk")).await);
    clerk.set_secret(Some("colleague"), None, Some(&secret)).await?;
    clerk.delete_account("colleague").await?;

    let all = NewRule { scope: "desk".into(), resource: "*:*:*".into(), ..NewRule::default() };
    assert_denied("a rule", clerk.create_rule("mine", all.clone()).await);
    let wider = RuleChange { resource: Some("*:*:*".into()), ..RuleChange::default() };
    assert_denied("a wider rule", clerk.update_rule("desk", wider).await);
    assert_denied("no rule any more", clerk.delete_rule("loopback").await);

    // The same by HTTP.
    let at = cluster.members[0].at();
    let (body, token) = (r#"{"name":"mine","scopes":["admin"]}"#, desk.access.expose());
    let request = format!(
        "POST /-/v1/auth/create-account HTTP/1.0\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        at.api,
        body.len()
    );
    let answer = send(at.api, request.as_bytes()).await?;
    ensure!(answer.status == 403 && answer.body.contains("scope admin"), "{answer:?}");

    // Whoever is an admin may do all of it.
    boss.create_account("root-too", account(&["admin", "sales"])).await?;
    boss.create_account("billing", NewAccount { kind: AccountKind::Service, ..account(&["x"]) }).await?;
    boss.create_rule("wide", all).await?;
    boss.delete_account("root-too").await?;

    let directory = cluster.members[0].data_dir().join("audit");
    until("the log says what was given, and what was not", PATIENCE, async || {
        let mut log = String::new();
        for file in fs::read_dir(&directory)? {
            log += &fs::read_to_string(file?.path())?;
        }
        let has = |words: &[&str]| log.lines().any(|line| words.iter().all(|word| line.contains(word)));
        ensure!(has(&["create account root-too scopes admin,sales", "allowed", "default/boss"]), "{log}");
        ensure!(has(&["create service account billing scopes x", "allowed"]), "{log}");
        ensure!(has(&["create account mine scopes admin", "denied", "default/clerk", "lacks"]), "{log}");
        ensure!(has(&["create rule mine", "denied", "default/clerk"]), "{log}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn scopes_and_rules_are_changed_in_place() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let (admin, cli) = (cluster.client(0).await?, cluster.cli(0)?);
    let login = logged_in(&cluster, "jane", &["sales"]).await?;
    let jane = as_who(&cluster, &login).await?;
    cli.ok(&["auth", "update", "account", "jane", "--add-scope", "crm", "--metadata", "team=a"]).await?;
    // What it had goes on, and the next token has what it was given.
    ensure!(jane.auth().who_am_i().await?.scopes == ["sales"], "the token says what it said");
    let next = jane.auth().refresh(&login.refresh).await?;
    let jane = as_who(&cluster, &next).await?;
    ensure!(jane.auth().who_am_i().await?.scopes == ["sales", "crm"], "{:?}", jane.auth().who_am_i().await?);
    let told = cli
        .json(&[
            "auth",
            "update",
            "account",
            "jane",
            "--remove-scope",
            "sales",
            "--metadata",
            "team=",
            "-o",
            "json",
        ])
        .await?;
    assert_eq!(
        (&told["item"]["scopes"], &told["item"]["metadata"]),
        (&["crm"].into(), &serde_json::json!({}))
    );
    until("what it had has ended", PROMISE, async || {
        let fault = jane.auth().who_am_i().await.err().context("its token is taken still")?;
        ensure!(fault.message.contains("revoked"), "{fault}");
        Ok(())
    })
    .await?;
    ensure!(admin.auth().refresh(&next.refresh).await.is_err(), "the login has ended");
    ensure!(
        cli.run(&["auth", "update", "account", "jane", "--remove-scope", "sales"]).await?.code == 5,
        "gone"
    );
    ensure!(cli.run(&["auth", "update", "account", "jane"]).await?.code == 2, "nothing is asked for");

    rule(&cluster, "default", "crm", "crm", "store:crm/*:read").await?;
    let change =
        ["auth", "update", "rule", "crm", "--resource", "store:crm/*:*", "--priority", "7", "-o", "json"];
    let told = cli.json(&change).await?;
    assert_eq!(told["item"]["resource"], "store:crm/*:*");
    assert_eq!((&told["item"]["scope"], &told["item"]["priority"]), (&"crm".into(), &7.into()));
    // One that the mesh begins with too.
    cli.ok(&["auth", "update", "rule", "loopback", "--access", "denied"]).await?;
    until("it decides", PROMISE, async || {
        let checked = cli.run(&["auth", "check", "--anonymous", "service:shop:Cart.add"]).await?;
        ensure!(checked.code == 4 && checked.stdout.contains("loopback denies"), "{checked:?}");
        Ok(())
    })
    .await?;
    ensure!(admin.auth().rules().await?.len() == 4, "none is there twice");
    ensure!(
        cli.run(&["auth", "update", "rule", "none", "--priority", "1"]).await?.code == 5,
        "there is none"
    );
    let unknown = cli.run(&["auth", "check", "storre:t:x"]).await?;
    ensure!(unknown.code == 2 && unknown.stderr.contains("did you mean `store`?"), "{unknown:?}");
    Ok(())
}
