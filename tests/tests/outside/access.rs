//! Every request of the API and every kind of caller: who is let through. A request without a row fails.

use crate::doors::{ask, requests};
use anyhow::{Context, ensure};
use micro_sdk::client::NewAccount;
use micro_tests::Cluster;
use std::collections::{BTreeMap, BTreeSet};
use tonic::{Code, transport::Endpoint};

/// What becomes of a request without any fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// No rule lets such a caller through.
    Denied,
    /// It carries what shows who asks, and shows nothing.
    Unproven,
    /// What is meant has to be said before it is decided who may do that.
    Usage,
    /// Whoever has come in may ask.
    Open,
}
use Fate::{Denied, Open, Unproven, Usage};

/// What accounts get that no rule is about, by service and method.
const ROWS: [(&str, &[(&str, Fate)]); 8] = [
    ("Audit", &[("ListAudit", Denied), ("VerifyAudit", Denied)]),
    (
        "Auth",
        &[
            // They are let in by what they show, and here it is nothing.
            ("Login", Unproven),
            ("Refresh", Unproven),
            ("Logout", Unproven),
            ("Keys", Open),
            ("WhoAmI", Open),
            ("Check", Usage),
            ("Inspect", Open),
            ("CreateAccount", Usage),
            ("ListAccounts", Denied),
            ("UpdateAccount", Usage),
            ("DeleteAccount", Usage),
            ("RevokeAccount", Usage),
            ("SetSecret", Denied),
            ("CreateRule", Denied),
            ("ListRules", Denied),
            ("UpdateRule", Denied),
            ("DeleteRule", Denied),
            ("RotateKeys", Denied),
        ],
    ),
    (
        "Blobs",
        &[
            ("PutBlob", Usage),
            ("GetBlob", Usage),
            ("HeadBlob", Usage),
            ("ListBlobs", Denied),
            ("DeleteBlob", Usage),
            ("HandOverBlobs", Denied),
        ],
    ),
    (
        "Config",
        &[
            ("GetConfig", Denied),
            ("SetConfig", Denied),
            ("DeleteConfig", Denied),
            ("WatchConfig", Denied),
            ("ConfigHistory", Denied),
            ("DiffConfig", Denied),
            ("RollBackConfig", Denied),
            ("ListCanaries", Denied),
            ("EndCanary", Denied),
            ("SetConfigSchema", Usage),
            ("GetConfigSchema", Usage),
            ("ConfigOrigins", Usage),
            ("RotateConfigKey", Denied),
        ],
    ),
    (
        "Node",
        &[
            ("Call", Usage),
            ("Status", Denied),
            ("Links", Denied),
            ("Explain", Denied),
            ("Ping", Denied),
            ("Connect", Denied),
            ("CreateToken", Denied),
            ("Drain", Denied),
            ("Backup", Denied),
            ("Leave", Denied),
            ("Transfer", Denied),
            ("Remove", Denied),
            ("Settings", Denied),
            ("ShowAuthority", Denied),
            ("RotateAuthority", Denied),
            ("FinishAuthority", Denied),
        ],
    ),
    (
        "Policies",
        &[
            ("SetPolicy", Usage),
            ("GetPolicy", Denied),
            ("ListPolicies", Denied),
            ("DeletePolicy", Usage),
            ("RehearsePolicy", Usage),
        ],
    ),
    (
        "Registry",
        &[
            ("Attach", Usage),
            ("ReportHealth", Usage),
            ("Register", Usage),
            ("Deregister", Usage),
            ("ListServices", Denied),
            ("GetService", Usage),
            ("WatchServices", Denied),
        ],
    ),
    (
        "Store",
        &[
            ("Write", Denied),
            ("Read", Denied),
            ("List", Denied),
            ("Delete", Denied),
            ("DeleteRange", Denied),
            ("Transact", Denied),
            ("Names", Denied),
            ("Watch", Denied),
            ("GrantLease", Denied),
            ("KeepLeaseAlive", Denied),
            ("RevokeLease", Denied),
            ("ListLeases", Denied),
            ("Compact", Denied),
            ("Retain", Denied),
            ("History", Denied),
        ],
    ),
];

/// What changes nothing if it is let through, and ends by itself: the other side of the rows above.
const READINGS: [&str; 15] = [
    "/micro.v1.Audit/ListAudit",
    "/micro.v1.Audit/VerifyAudit",
    "/micro.v1.Auth/ListAccounts",
    "/micro.v1.Auth/ListRules",
    "/micro.v1.Blobs/ListBlobs",
    "/micro.v1.Config/GetConfig",
    "/micro.v1.Config/ConfigHistory",
    "/micro.v1.Node/Status",
    "/micro.v1.Node/Settings",
    "/micro.v1.Policies/GetPolicy",
    "/micro.v1.Policies/ListPolicies",
    "/micro.v1.Registry/ListServices",
    "/micro.v1.Store/List",
    "/micro.v1.Store/ListLeases",
    "/micro.v1.Store/History",
];

#[tokio::test]
async fn every_request_lets_those_through_whom_its_row_says() -> anyhow::Result<()> {
    let rows: BTreeMap<String, Fate> = ROWS
        .iter()
        .flat_map(|(service, methods)| methods.iter().map(move |(method, fate)| (service, method, fate)))
        .map(|(service, method, fate)| (format!("/micro.v1.{service}/{method}"), *fate))
        .collect();
    let paths: BTreeSet<String> = requests()?.into_iter().collect();
    let without: Vec<_> = paths.iter().filter(|path| !rows.contains_key(*path)).collect();
    ensure!(without.is_empty(), "say who may ask for {without:?}");
    let gone: Vec<_> = rows.keys().filter(|path| !paths.contains(*path)).collect();
    ensure!(gone.is_empty(), "there is no {gone:?} any more");

    let cluster = Cluster::of(1).await?;
    let channel =
        Endpoint::from_shared(format!("http://{}", cluster.members[0].at().proxy))?.connect().await?;
    let token = async |namespace: &str, name: &str, scopes: &[&str]| -> anyhow::Result<String> {
        let admin = cluster.client(0).await?.with_namespace(namespace.parse()?);
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let created =
            admin.auth().create_account(name, NewAccount { scopes, ..NewAccount::default() }).await?;
        let secret = created.secret.context("a secret was made")?;
        Ok(admin.auth().login(name, &secret).await?.access.expose().to_owned())
    };
    let outsiders = [token("default", "jane", &[]).await?, token("acme", "boss", &["admin"]).await?];
    for (path, fate) in &rows {
        for outsider in &outsiders {
            let answer = ask(&channel, path, Some(outsider)).await?;
            let found = match &answer {
                Err(status) if status.code() == Code::PermissionDenied => Denied,
                Err(status) if status.code() == Code::Unauthenticated => Unproven,
                Err(status) if status.code() == Code::InvalidArgument => Usage,
                _ => Open,
            };
            ensure!(found == *fate, "{path} is {found:?}, and its row says {fate:?}: {answer:?}");
        }
    }
    let insider = token("default", "root-of-all", &["admin"]).await?;
    for path in READINGS {
        ensure!(rows.get(path) == Some(&Denied), "{path} tells nothing");
        let answer = ask(&channel, path, Some(&insider)).await?;
        ensure!(answer.is_ok(), "{path}: {answer:?}");
    }
    Ok(())
}
