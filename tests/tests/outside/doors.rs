//! The gRPC proxy's port lets nobody in who does not know the admin secret, whatever is asked.

use anyhow::{Context, ensure};
use micro_sdk::{
    client::{NewRule, Node},
    wire,
};
use micro_tests::{Cluster, Greeter, until};
use serde_json::json;
use std::{fs, path::Path, time::Duration};
use tonic::{
    Code, IntoRequest, Request, Status,
    client::Grpc,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

/// The paths of all requests of a node's API, as they are on the wire, read from the files that clients are made of.
pub(crate) fn requests() -> anyhow::Result<Vec<String>> {
    let mut paths = Vec::new();
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/proto/micro/v1"))? {
        let (mut package, mut service) = (String::new(), String::new());
        for line in fs::read_to_string(file?.path())?.lines().map(str::trim_start) {
            let name = |rest: &str| rest.split([' ', '(', ';', '{']).next().unwrap_or("").to_owned();
            if let Some(rest) = line.strip_prefix("package ") {
                package = name(rest);
            } else if let Some(rest) = line.strip_prefix("service ") {
                service = name(rest);
            } else if let Some(rest) = line.strip_prefix("rpc ") {
                paths.push(format!("/{package}.{service}/{}", name(rest)));
            }
        }
    }
    Ok(paths)
}

/// What comes of a request without any fields, with this bearer token.
pub(crate) async fn ask(
    channel: &Channel,
    path: &str,
    token: Option<&str>,
) -> anyhow::Result<Result<(), Status>> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await?;
    let mut request: Request<()> = ().into_request();
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", MetadataValue::try_from(format!("Bearer {token}"))?);
    }
    let codec: ProstCodec<(), ()> = ProstCodec::default();
    // All kinds of requests look like this one on the wire: one message each way is a stream too.
    let answers = grpc.server_streaming(request, path.parse()?, codec).await;
    Ok(match answers {
        Ok(answers) => answers.into_inner().message().await.map(drop),
        Err(status) => Err(status),
    })
}

#[tokio::test]
async fn every_request_of_the_api_is_refused_without_the_secret() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let at = cluster.members[0].at();
    let proxy = Endpoint::from_shared(format!("http://{}", at.proxy))?;
    let paths = requests()?;
    for known in ["/micro.v1.Store/Write", "/micro.v1.Node/Backup", "/micro.v1.Blobs/PutBlob"] {
        ensure!(paths.iter().any(|path| path == known), "{known} is not among {paths:?}");
    }
    let secret = fs::read_to_string(&at.admin_secret_file)?;
    let close = secret.trim().get(1..).context("a secret is longer than one character")?;
    // Who is let in and out shows other secrets, and these are wrong. What tokens are verified with is no secret.
    for path in paths.iter().filter(|path| *path != "/micro.v1.Auth/Keys") {
        // Who calls a service by name and shows nothing is asked which one.
        let nothing = Some(None).filter(|_| path != "/micro.v1.Node/Call");
        // A refused request is reset if it still sends, and a connection with hundreds of such is ended.
        let channel = proxy.connect().await?;
        for token in nothing.into_iter().chain([Some(""), Some("x"), Some(close)]) {
            let refused = ask(&channel, path, token).await?.expect_err("an anonymous caller was let in");
            ensure!(refused.code() == Code::Unauthenticated, "{path} with {token:?}: {refused:?}");
            ensure!(!refused.message().contains(close), "{path} tells the secret");
        }
    }
    let status = ask(&proxy.connect().await?, "/micro.v1.Node/Status", Some(secret.trim())).await?;
    ensure!(status.is_ok(), "the secret lets in: {status:?}");
    Ok(())
}

#[tokio::test]
async fn who_shows_nothing_calls_the_services_that_a_rule_opens_and_no_others() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let _greeter = Greeter::start(cluster.root(), &cluster.members[0], false)?;
    let nobody = Node::connect_to(cluster.members[0].at().proxy.to_string().parse()?).await?;
    let greet = async || nobody.call("helloworld", "call", json!({"name": "Jane"})).await;
    let greeted = async || Ok(greet().await?);
    let answer = until("it is greeted", Duration::from_secs(20), greeted).await?;
    ensure!(answer == json!({"msg": "Hello Jane"}), "{answer}");
    // No rule makes the platform's services anybody's.
    let all = NewRule { scope: "public".to_owned(), resource: "*:*:*".to_owned(), ..NewRule::default() };
    let admin = cluster.client(0).await?;
    admin.auth().create_rule("all", all).await?;
    for (service, endpoint) in [("store", "write"), ("network", "status"), ("auth", "show-authority")] {
        let fault = nobody.call(service, endpoint, json!({})).await.expect_err("it is the platform's");
        ensure!(fault.code == wire::Code::Denied, "{service} {endpoint}: {fault}");
    }
    admin.auth().delete_rule("all").await?;
    admin.auth().delete_rule("loopback").await?;
    let refused = async || match greet().await {
        Err(fault) if fault.code == wire::Code::Denied => Ok(()),
        other => anyhow::bail!("{other:?}"),
    };
    until("no rule opens it any more", Duration::from_secs(20), refused).await
}
