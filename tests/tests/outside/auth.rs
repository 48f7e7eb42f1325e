//! Accounts, tokens and rules: on three nodes, as people and programs use them.

use anyhow::{Context, ensure};
use micro_sdk::{
    Node,
    client::{Address, Compare, Login, NewAccount, NewRule, Token},
    wire::{Code, Fault, Namespace},
};
use micro_tests::{Cluster, CommandLine, Greeter, Outcome, get, get_as, until};
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

/// The promise: what is revoked or denied is so on every node within this time.
const PROMISE: Duration = Duration::from_secs(1);
/// For what has to become true, but promises no time.
const PATIENCE: Duration = Duration::from_secs(10);

/// The proxy of one node, with nothing shown yet.
async fn proxy(cluster: &Cluster, index: usize) -> anyhow::Result<Node> {
    let address: Address = cluster.members[index].at().proxy.to_string().parse()?;
    Ok(Node::connect_to(address).await?)
}

/// The command line at the proxy of one node.
fn remote(cluster: &Cluster, index: usize) -> anyhow::Result<CommandLine> {
    CommandLine::new(Some(cluster.members[index].at().proxy.to_string()), cluster.root())
}

fn file(cluster: &Cluster, name: &str, text: &str) -> anyhow::Result<String> {
    let path: PathBuf = cluster.root().join(name);
    fs::write(&path, text)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(format!("@{}", path.display()))
}

/// Makes an account and logs in with it, through one node.
async fn logged_in(cluster: &Cluster, namespace: &str, name: &str, scopes: &[&str]) -> anyhow::Result<Login> {
    let namespace: Namespace = namespace.parse()?;
    let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    let admin = cluster.client(0).await?.with_namespace(namespace.clone());
    let created = admin.auth().create_account(name, NewAccount { scopes, ..NewAccount::default() }).await?;
    let secret = created.secret.context("a secret was made")?;
    Ok(proxy(cluster, 0).await?.with_namespace(namespace).auth().login(name, &secret).await?)
}

/// Makes a rule that grants.
pub async fn rule(
    cluster: &Cluster,
    namespace: &str,
    id: &str,
    scope: &str,
    resource: &str,
) -> anyhow::Result<()> {
    let admin = cluster.client(0).await?.with_namespace(namespace.parse()?);
    let rule = NewRule { scope: scope.to_owned(), resource: resource.to_owned(), ..NewRule::default() };
    admin.auth().create_rule(id, rule).await?;
    Ok(())
}

/// What came of a request, by its code: none for success.
fn code<T>(result: Result<T, Fault>) -> Option<Code> {
    result.err().map(|fault| fault.code)
}

#[track_caller]
fn assert_denied(outcome: &Outcome, named: &str) {
    assert_eq!(outcome.code, 4, "{} {}", outcome.stdout, outcome.stderr);
    assert!(outcome.stderr.contains(named), "{named:?} is not in: {}", outcome.stderr);
}

#[tokio::test]
async fn an_account_may_do_what_a_rule_grants_on_every_node_until_it_is_revoked() -> anyhow::Result<()> {
    let cluster = Cluster::of(3).await?;
    let jane = logged_in(&cluster, "default", "jane", &["crm"]).await?;
    let mut nodes = Vec::new();
    for index in 0..3 {
        nodes.push(proxy(&cluster, index).await?.with_token(jane.access.clone()));
    }
    for node in &nodes {
        let identity = node.auth().who_am_i().await?;
        ensure!(identity.account == "jane" && identity.scopes == ["crm"], "{identity:?}");
        let fault = node.store().get("k").await.expect_err("no rule grants it");
        ensure!(
            fault.code == Code::Denied && fault.message.contains("store:default/default:read"),
            "{fault:?}"
        );
        ensure!(code(node.status().await) == Some(Code::Denied), "the cluster is the admin's");
    }
    rule(&cluster, "default", "crm", "crm", "store:default/*:*").await?;
    for node in &nodes {
        until("granted", PROMISE, async || Ok(node.store().put("k", "v").await?)).await?;
    }
    // Each part of a transaction is asked about, what is only compared too.
    let (own, other) = (nodes[1].store(), nodes[1].store().database("other"));
    ensure!(code(own.txn().then(own.put("k", "w")).await).is_none(), "all of it is granted");
    let fault = own.txn().then(own.put("k", "x")).then(other.put("k", "x")).await;
    ensure!(code(fault) == Some(Code::Denied), "a part of it is denied");
    let fault = own.txn().when(Compare::absent(&other, "k")).then(own.put("k", "y")).await;
    ensure!(code(fault) == Some(Code::Denied), "what it compares is denied");
    ensure!(own.get("k").await?.context("it is there")?.value == "w", "nothing of what was denied was done");
    // A watch that goes on ends too.
    let mut watch = nodes[2].store().watch("").await?;
    cluster.client(0).await?.auth().revoke_account("jane").await?;
    for node in &nodes {
        let refused = async || {
            let fault = node.store().get("k").await.err().context("it is taken still")?;
            ensure!(fault.code == Code::Denied && fault.message.contains("revoked"), "{fault:?}");
            Ok(())
        };
        until("revoked", PROMISE, refused).await?;
    }
    let mut ended = async || loop {
        match watch.next().await.context("it ended without a word")? {
            Ok(_) => {}
            Err(error) => return anyhow::Ok(error),
        }
    };
    tokio::time::timeout(PROMISE, ended()).await.context("the watch goes on")??;
    let fault = nodes[0].auth().refresh(&jane.refresh).await.expect_err("its session has ended");
    ensure!(fault.code == Code::Denied, "{fault:?}");
    Ok(())
}

#[tokio::test]
async fn the_keys_are_rotated_and_tokens_of_the_last_one_stay_good() -> anyhow::Result<()> {
    let cluster = Cluster::of(3).await?;
    let first = logged_in(&cluster, "default", "jane", &[]).await?;
    let admin = cluster.client(1).await?;
    let others = [proxy(&cluster, 1).await?, proxy(&cluster, 2).await?];
    let who = async |token: &Token| -> anyhow::Result<()> {
        for node in &others {
            node.clone().with_token(token.clone()).auth().who_am_i().await?;
        }
        Ok(())
    };
    who(&first.access).await?;
    let rotation = admin.auth().rotate_keys().await?;
    ensure!(rotation.keys.len() == 2 && rotation.dropped.is_none(), "{rotation:?}");
    who(&first.access).await?;
    // Whatever key signs meanwhile, all nodes know it.
    let mut last = first.clone();
    for _ in 0..6 {
        last = others[0].auth().refresh(&last.refresh).await?;
        who(&last.access).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let rotation = admin.auth().rotate_keys().await?;
    ensure!(rotation.keys.len() == 2 && rotation.dropped.is_some(), "{rotation:?}");
    until("the first key is gone", PROMISE, async || {
        ensure!(who(&first.access).await.is_err(), "its token is taken still");
        Ok(())
    })
    .await?;
    who(&last.access).await?;
    let keys = others[0].auth().keys().await?;
    ensure!(keys["keys"].as_array().is_some_and(|keys| keys.len() == 2), "{keys}");
    let document = get(cluster.members[1].at().api, "/.well-known/jwks.json").await?;
    ensure!(document.status == 200 && document.json()? == keys, "{document:?}");
    // Of the platform somebody without a rule is told what everybody may use.
    let document =
        get_as(cluster.members[1].at().api, "/openapi.json", last.access.expose()).await?.json()?;
    let described = |path: &str| document["paths"].get(path).is_some();
    ensure!(described("/-/v1/auth/login") && !described("/-/v1/store/write"), "{}", document["paths"]);
    Ok(())
}

#[tokio::test]
async fn namespaces_are_tenants() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let acme = logged_in(&cluster, "acme", "boss", &["admin"]).await?;
    let guest = logged_in(&cluster, "beta", "guest", &[]).await?;
    rule(&cluster, "acme", "admins", "admin", "*:*:*").await?;
    rule(&cluster, "acme", "guests", "beta/*", "store:default/public:read").await?;
    let at = async |login: &Login, namespace: &str| -> anyhow::Result<Node> {
        let node = proxy(&cluster, 0).await?.with_token(login.access.clone());
        Ok(node.with_namespace(namespace.parse()?))
    };
    let boss = at(&acme, "acme").await?;
    until("the rule decides", PROMISE, async || Ok(boss.store().table("public").put("k", "v").await?))
        .await?;
    boss.config().set("shop.open", true).await?;
    boss.auth().create_account("clerk", NewAccount::default()).await?;
    // In its own namespace it may do everything, and nothing in another, nor with the mesh.
    for namespace in ["default", "beta"] {
        let there = at(&acme, namespace).await?;
        ensure!(code(there.store().get("k").await) == Some(Code::Denied), "records of {namespace}");
        ensure!(code(there.config().get("").await) == Some(Code::Denied), "configuration of {namespace}");
        ensure!(code(there.services().await) == Some(Code::Denied), "services of {namespace}");
        ensure!(code(there.auth().accounts().await) == Some(Code::Denied), "accounts of {namespace}");
        let rule = NewRule { scope: "+".to_owned(), resource: "*:*:*".to_owned(), ..NewRule::default() };
        ensure!(
            code(there.auth().create_rule("x", rule).await) == Some(Code::Denied),
            "rules of {namespace}"
        );
    }
    ensure!(code(boss.status().await) == Some(Code::Denied), "the mesh");
    ensure!(code(boss.auth().rotate_keys().await) == Some(Code::Denied), "the keys of the mesh");
    ensure!(code(boss.create_token(Duration::from_secs(60)).await) == Some(Code::Denied), "join tokens");
    // By name, and in the platform's own encoding, nobody gets around it.
    let by_name = boss.call("store", "read", serde_json::json!({})).await;
    ensure!(code(by_name) == Some(Code::Denied), "the store by its name");
    // A guest may do what the host's own rule says.
    let visit = at(&guest, "acme").await?;
    ensure!(visit.store().table("public").get("k").await?.is_some(), "the rule says so");
    ensure!(code(visit.store().table("public").put("k", "w").await) == Some(Code::Denied), "not to write");
    ensure!(code(visit.store().table("private").get("k").await) == Some(Code::Denied), "not that");
    Ok(())
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_its_thief_is_found_out() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let first = logged_in(&cluster, "default", "jane", &[]).await?;
    let node = proxy(&cluster, 0).await?;
    let second = node.auth().refresh(&first.refresh).await?;
    let third = node.auth().refresh(&second.refresh).await?;
    let as_jane = node.clone().with_token(third.access.clone());
    as_jane.auth().who_am_i().await?;
    // Somebody has kept the first one.
    ensure!(code(node.auth().refresh(&first.refresh).await) == Some(Code::Denied), "it was used before");
    ensure!(code(node.auth().refresh(&third.refresh).await) == Some(Code::Denied), "the session has ended");
    until("the session has ended", PROMISE, async || {
        ensure!(code(as_jane.auth().who_am_i().await) == Some(Code::Denied), "its token is taken still");
        Ok(())
    })
    .await?;
    let nonsense = node.auth().refresh(&Token::new("mnr1_nonsense")).await;
    ensure!(code(nonsense) == Some(Code::Denied), "it is none");
    Ok(())
}

#[tokio::test]
async fn wrong_names_and_wrong_secrets_are_told_apart_by_nobody() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    logged_in(&cluster, "default", "jane", &[]).await?;
    let node = proxy(&cluster, 0).await?;
    let refused = async |name: &str| -> anyhow::Result<String> {
        let fault = node.auth().login(name, &Token::new("guess-guess")).await.expect_err("it is a guess");
        ensure!(fault.code == Code::Denied, "{fault:?}");
        Ok(fault.message.replace(name, "NAME"))
    };
    assert_eq!(refused("jane").await?, refused("john").await?);
    Ok(())
}

#[tokio::test]
async fn the_http_api_takes_tokens_and_asks_for_one_once_the_first_rule_is_gone() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let _greeter = Greeter::start(cluster.root(), &cluster.members[0], false)?;
    let (api, path) = (cluster.members[0].at().api, "/helloworld/call?name=Jane");
    until("greeted", PATIENCE, async || {
        let answer = get(api, path).await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    })
    .await?;
    let jane = logged_in(&cluster, "default", "jane", &[]).await?;
    ensure!(get_as(api, path, jane.access.expose()).await?.status == 200, "accounts may call services");
    ensure!(get_as(api, path, "a.b.c").await?.status == 401, "what is no token is not nobody");
    cluster.cli(0)?.ok(&["auth", "delete", "rule", "loopback", "--yes"]).await?;
    until("the rule is gone", PROMISE, async || {
        let answer = get(api, path).await?;
        ensure!(answer.status == 401 && answer.body.contains("login"), "{answer:?}");
        let headers = answer.headers.to_ascii_lowercase();
        ensure!(headers.contains("www-authenticate: bearer"), "{headers}");
        Ok(())
    })
    .await?;
    ensure!(
        get(api, "/nobody/call").await?.status == 401,
        "who may not call learns nothing of what is there"
    );
    ensure!(get_as(api, path, jane.access.expose()).await?.status == 200, "its rule is another");
    // An endpoint is known by its full name, however it is called.
    let admin = cluster.client(0).await?;
    let deny =
        NewRule { denies: true, priority: 1, scope: "*".into(), resource: "service:*:Greeter.call".into() };
    admin.auth().create_rule("no-greeting", deny).await?;
    for path in [path, "/helloworld/Greeter/call?name=Jane"] {
        until("denied", PROMISE, async || {
            let answer = get_as(api, path, jane.access.expose()).await?;
            ensure!(answer.status == 403, "{answer:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn people_log_in_and_out_and_ask_what_they_may() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let (admin, jane) = (cluster.cli(0)?, remote(&cluster, 0)?);
    let named = admin.run(&["auth", "create", "account", "bob", "-o", "name"]).await?;
    ensure!(named.stdout.trim() == "bob" && named.stderr.contains("shown this once: "), "{named:?}");
    let secret = admin.ok(&["auth", "create", "account", "jane", "--scope", "billing"]).await?;
    let password = file(&cluster, "jane.secret", &secret)?;
    assert_denied(&jane.run(&["user"]).await?, "log in");
    let literal = jane.run(&["login", "jane", "--password", &secret]).await?;
    assert_eq!(literal.code, 2, "{}", literal.stderr);
    assert!(!literal.stderr.contains(&secret), "the secret is repeated");
    let wrong = file(&cluster, "wrong.secret", "wrong-wrong")?;
    assert_denied(&jane.run(&["login", "jane", "--password", &wrong]).await?, "secret is wrong");
    let login = jane.json(&["login", "jane", "--password", &password, "-o", "json"]).await?;
    assert_eq!(login["item"]["account"], "jane");
    let user = jane.json(&["user", "-o", "json"]).await?;
    assert_eq!((&user["item"]["caller"], &user["item"]["scopes"][0]), (&"account".into(), &"billing".into()));
    let token = jane.ok(&["user", "token"]).await?;
    let shown = admin.json(&["auth", "inspect", &file(&cluster, "token", &token)?, "-o", "json"]).await?;
    assert_eq!((&shown["item"]["good"], &shown["item"]["claims"]["sub"]), (&true.into(), &"jane".into()));

    let check = |resource: &'static str| ["auth", "check", "--account", "jane", resource, "-o", "json"];
    let denied = admin.run(&check("store:crm/people:read")).await?;
    assert_eq!(denied.code, 4, "{}", denied.stderr);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&denied.stdout)?["item"]["granted"], false);
    admin.ok(&["auth", "create", "rule", "crm", "--scope", "sales", "--resource", "store:crm/*:*"]).await?;
    let nearest = async || {
        let denied = admin.run(&check("store:crm/people:read")).await?;
        let item = serde_json::from_str::<serde_json::Value>(&denied.stdout)?;
        ensure!(item["item"]["nearest"] == "crm", "{item}");
        ensure!(item["item"]["nearest_unfit"] == "scope sales", "{item}");
        Ok(())
    };
    until("the nearest rule is named", PROMISE, nearest).await?;
    let rules = admin.json(&["auth", "list", "rules", "-o", "json"]).await?;
    let ids: Vec<&str> =
        rules["items"].as_array().context("rules")?.iter().filter_map(|r| r["id"].as_str()).collect();
    assert_eq!(ids, ["accounts", "admins", "crm", "loopback"]);
    assert_eq!(admin.json(&check("service:shop:Cart.add")).await?["item"]["rule"], "accounts");

    // A key that is given up takes access tokens with it, and no login.
    let outlived = jane.ok(&["user", "token"]).await?;
    for _ in 0..2 {
        admin.ok(&["auth", "keys", "rotate", "--yes"]).await?;
    }
    let outlived = file(&cluster, "outlived.token", &outlived)?;
    until("the key is gone", PROMISE, async || {
        ensure!(admin.run(&["auth", "inspect", &outlived]).await?.code == 4, "its tokens are good");
        Ok(())
    })
    .await?;
    let renewed = file(&cluster, "renewed.token", &jane.ok(&["user", "token"]).await?)?;
    admin.ok(&["auth", "inspect", &renewed]).await?;
    for _ in 0..2 {
        admin.ok(&["auth", "keys", "rotate", "--yes"]).await?;
    }
    until("that key is gone too", PROMISE, async || {
        ensure!(admin.run(&["auth", "inspect", &renewed]).await?.code == 4, "its tokens are good");
        Ok(())
    })
    .await?;
    assert_eq!(jane.json(&["user", "-o", "json"]).await?["item"]["account"], "jane");
    let keys = admin.json(&["auth", "keys", "list", "-o", "json"]).await?;
    ensure!(keys["schema"] == "micro-node/auth-keys/v1" && keys["keys"].is_array(), "{keys}");

    let new = file(&cluster, "new.secret", "another-secret")?;
    jane.ok(&["user", "set", "password", "--old", &password, "--password", &new]).await?;
    assert_denied(&jane.run(&["login", "jane", "--password", &password]).await?, "wrong");
    jane.ok(&["login", "jane", "--password", &new]).await?;
    jane.ok(&["user"]).await?;
    let last = jane.ok(&["user", "token"]).await?;
    jane.ok(&["logout"]).await?;
    assert_eq!(jane.run(&["logout"]).await?.code, 5);
    let given_back = file(&cluster, "last.token", &last)?;
    until("the token has ended", PROMISE, async || {
        let outcome = jane.run(&["user", "--token", &given_back]).await?;
        ensure!(outcome.code == 4 && outcome.stderr.contains("revoked"), "{outcome:?}");
        Ok(())
    })
    .await?;
    admin.ok(&["auth", "delete", "account", "jane", "--yes"]).await?;
    assert_eq!(admin.run(&["auth", "delete", "account", "jane", "--yes"]).await?.code, 5);
    assert_denied(&jane.run(&["login", "jane", "--password", &new]).await?, "wrong");
    Ok(())
}

#[tokio::test]
async fn what_was_made_before_a_restart_decides_after_it() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(1).await?;
    let jane = logged_in(&cluster, "default", "jane", &["crm"]).await?;
    let john = logged_in(&cluster, "default", "john", &["crm"]).await?;
    rule(&cluster, "default", "crm", "crm", "store:*:*").await?;
    let admin = cluster.cli(0)?;
    let told = admin.json(&["auth", "delete", "rule", "loopback", "--yes", "-o", "json"]).await?;
    assert_eq!((&told["item"]["id"], &told["item"]["deleted"]), (&"loopback".into(), &true.into()));
    let told = admin.json(&["auth", "revoke", "john", "--yes", "-o", "json"]).await?;
    assert_eq!((&told["item"]["name"], &told["item"]["revoked"]), (&"john".into(), &true.into()));
    cluster.members[0].kill().await?;
    cluster.members[0].start(&[]).await?;
    let node = proxy(&cluster, 0).await?;
    node.clone().with_token(jane.access).store().put("k", "v").await?;
    ensure!(
        code(node.clone().with_token(john.access).store().get("k").await) == Some(Code::Denied),
        "revoked"
    );
    node.auth().refresh(&jane.refresh).await?;
    let answer = get(cluster.members[0].at().api, "/helloworld/call").await?;
    ensure!(answer.status == 401, "the rule came back: {answer:?}");
    Ok(())
}
