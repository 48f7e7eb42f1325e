//! The client: what it sends, how it waits, what it says when things go wrong.

use crate::fake_node::FakeNode;
use micro_sdk::{
    client::{Address, Node, RemoveEvenIf, Token},
    wire::{Code, Effect, Fault, Namespace},
};
use serde_json::json;
use std::time::{Duration, Instant};

async fn node() -> (FakeNode, Node) {
    let fake = FakeNode::start();
    let node = Node::connect_to(fake.address()).await.expect("the fake node answers");
    (fake, node)
}

#[tokio::test]
async fn every_write_has_its_own_idempotency_key_and_a_deadline() {
    let (fake, node) = node().await;
    let users = node.store().table("users");
    assert_eq!(users.put("id1", "Jane").await, Ok(7));
    let first = fake.last();
    assert_eq!(first.key, "id1");
    assert_eq!(first.idempotency_key.len(), 16);
    let timeout = first.headers.get("grpc-timeout").expect("the node is told the deadline");
    assert_eq!(timeout, "10000000u");
    assert!(first.headers.get("authorization").is_none());

    assert_eq!(users.delete("id1").await, Ok(true));
    assert_eq!(fake.last().idempotency_key.len(), 16);
    assert_ne!(fake.last().idempotency_key, first.idempotency_key);

    assert_eq!(users.put("id1", "Jane").if_version(41).idempotency_key(42).await, Ok(42));
    assert_eq!(fake.last().idempotency_key, 42u128.to_be_bytes().as_slice());
}

#[tokio::test]
async fn records_are_read_where_they_were_asked_for() {
    let (_fake, node) = node().await;
    let node = node.with_namespace("acme".parse::<Namespace>().expect("a name"));
    let record = node.store().database("crm").table("users").get("id1").await.expect("it is read");
    let record = record.expect("it is there");
    assert_eq!((record.key.as_str(), record.version), ("id1", 7));
    assert_eq!(record.json::<String>(), Ok("acme/crm/users".to_owned()));
    assert_eq!(record.json::<u8>().expect_err("it is text").code, Code::Failed);
    assert_eq!(node.store().get("none").stale().await, Ok(None));

    let page = node.store().list("id").after("7").limit(20).stale().await.expect("it is listed");
    assert_eq!((page.records[0].key.as_str(), page.records[0].version, page.more), ("id7", 20, true));
}

#[tokio::test]
async fn a_fault_comes_as_the_node_made_it() {
    let (_fake, node) = node().await;
    let fault = node.store().put("conflict", "x").await.expect_err("it conflicts");
    assert_eq!(fault, Fault::new(Code::Conflict, "at version 42, not 41").help("read it again"));
    let fault = node.service("ghost").await.expect_err("there is none");
    assert_eq!((fault.code, fault.help.len()), (Code::NotFound, 1));
    assert_eq!(node.leave(false).await.expect_err("no quorum").code, Code::Unavailable);
    assert_eq!(node.transfer_leadership(Some("b")).await.expect("it was handed over").name, "b");
    assert_eq!(node.drain(Some("b"), true).await.expect("it works again").name, "b:true");
    node.remove_node("c", RemoveEvenIf::default()).await.expect_err("it is up");
    assert_eq!(
        node.remove_node("c", RemoveEvenIf { up: true, ..Default::default() })
            .await
            .expect("it was removed")
            .name,
        "c"
    );
    assert_eq!(node.status().await.expect_err("it is no status").code, Code::Internal);
}

#[tokio::test]
async fn a_backup_that_ends_early_is_an_error() {
    let (_fake, node) = node().await;
    let mut backup = node.backup().await.expect("it begins");
    assert_eq!(backup.bytes(), 9);
    for part in ["one", "two"] {
        assert_eq!(backup.next().await.expect("there is more"), Some(part.into()));
    }
    assert_eq!(backup.next().await.expect_err("it was cut off").code, Code::Unavailable);
}

#[tokio::test]
async fn a_silent_node_is_waited_for_no_longer_than_asked() {
    let (_fake, node) = node().await;
    let begun = Instant::now();
    let timeout = Duration::from_millis(100);
    let read = node.store().get("slow").timeout(timeout).await.expect_err("it is late");
    assert_eq!((read.code, read.effect), (Code::Timeout, Effect::None));
    let write =
        node.store().put("slow", "x").idempotency_key(0xab).timeout(timeout).await.expect_err("it is late");
    assert_eq!((write.code, write.effect), (Code::Unknown, Effect::Unknown));
    assert!(write.help[0].contains("000000ab"), "{write:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    // The connection is as good as before.
    assert_eq!(node.store().put("id1", "x").await, Ok(7));
}

#[tokio::test]
async fn a_write_of_unknown_outcome_names_its_key_and_a_read_has_no_effect() {
    let (fake, node) = node().await;
    let write = node.store().put("unsure", "x").await.expect_err("nobody knows");
    let key: String = fake.last().idempotency_key.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(write.help[0].contains(&key) && write.help[1].contains("read the record"), "{write:?}");
    let read = node.store().get("foreign").await.expect_err("it fails");
    assert_eq!((read.code, read.effect), (Code::Failed, Effect::None));
}

#[tokio::test]
async fn a_call_carries_its_metadata_and_deadline() {
    let (_fake, node) = node().await;
    let call = node.call("helloworld", "Greeter.call", json!({ "name": "Jane" }));
    let reply =
        call.timeout(Duration::from_secs(2)).metadata("Color", "red").reply().await.expect("it answers");
    let expected = json!({
        "to": "helloworld/Greeter.call",
        "body": { "name": "Jane" },
        "timeout_ms": 2000,
        "color": "red",
    });
    assert_eq!((reply.body, reply.trace_id.as_str(), reply.node.as_str()), (expected, "t1", "alpha"));
    let answer = node.call("a", "b", json!(1)).await.expect("it answers");
    assert_eq!(answer["body"], 1);
}

#[tokio::test]
async fn services_are_listed_and_a_join_token_is_not_printed() {
    let (_fake, node) = node().await;
    assert_eq!(node.services().await.expect("they are listed")[0].name, "helloworld");
    let token = node.create_token(Duration::from_secs(900)).await.expect("it is made");
    assert_eq!(token.token.expose(), "secret-900");
    assert!(!format!("{token:?}").contains("secret-900"));
    let unauthorized = node.with_token(Token::new("hush"));
    assert!(!format!("{unauthorized:?}").contains("hush"));
}

#[tokio::test]
async fn no_node_is_an_error_that_says_where_it_was_looked_for() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let socket = directory.path().join("node.sock");
    let fault = Node::connect_to(Address::Unix(socket.clone())).await.expect_err("there is no node");
    assert_eq!(fault.code, Code::Unreachable);
    assert_eq!(fault.message, format!("cannot reach a node at unix:{}: no such file", socket.display()));
    assert_eq!(fault.help, ["start one with `micro-node start`"]);

    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a port is free")
        .local_addr()
        .expect("bound")
        .port();
    let address = format!("127.0.0.1:{port}").parse::<Address>().expect("an address");
    let fault = Node::connect_to(address).await.expect_err("there is no node");
    assert_eq!(fault.message, format!("cannot reach a node at 127.0.0.1:{port}: connection refused"));
}

#[tokio::test]
async fn a_client_finds_its_node_again_after_a_restart() {
    let (mut fake, node) = node().await;
    fake.kill().await;
    drop(std::fs::remove_file(fake.socket()));
    let lost = node.store().get("id1").await.expect_err("the node is dead");
    assert_eq!((lost.code, lost.effect), (Code::Unreachable, Effect::None), "{lost}");
    fake.restart();
    let found = async {
        while node.store().get("id1").await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), found).await.expect("it is found again");
}

#[tokio::test]
async fn a_node_that_dies_with_a_write_in_hand_leaves_its_outcome_unknown() {
    let (mut fake, node) = node().await;
    let write = tokio::spawn(node.store().put("slow", "x").into_future());
    let read = tokio::spawn(node.store().get("slow").into_future());
    tokio::time::sleep(Duration::from_millis(100)).await;
    fake.kill().await;
    let write = write.await.expect("no panic").expect_err("the node is dead");
    assert_eq!((write.code, write.effect), (Code::Unknown, Effect::Unknown), "{write}");
    let read = read.await.expect("no panic").expect_err("the node is dead");
    assert_eq!((read.code, read.effect), (Code::Unreachable, Effect::None), "{read}");
    assert!(read.message.starts_with("lost the node at unix:"), "{read}");
}

#[tokio::test]
async fn the_secret_goes_to_tcp_on_this_host_only() {
    let channel = tonic::transport::Endpoint::from_static("http://10.0.0.1:1").connect_lazy();
    let remote =
        Node::over("10.0.0.1:1".parse().expect("an address"), channel).with_token(Token::new("hush"));
    let fault = remote.services().await.expect_err("it is not sent");
    assert_eq!((fault.code, fault.effect), (Code::Denied, Effect::None));
    assert!(!fault.message.contains("hush") && fault.message.contains("10.0.0.1:1"), "{fault}");
}
