//! The store's client: what it sends, how it goes on when connections are lost, and what it makes of answers.

use crate::{
    fake_node::FakeNode,
    fake_store::{COMPACTED, CUT, ENDED, LEASE_MS, NEVER, SILENT},
};
use futures::TryStreamExt;
use micro_sdk::{
    client::{Compare, Fence, Node, OpResult, Order, WatchError},
    wire::Code,
};
use std::time::Duration;

async fn node() -> (FakeNode, Node) {
    let fake = FakeNode::start();
    let node = Node::connect_to(fake.address()).await.expect("the fake node answers");
    (fake, node)
}

#[tokio::test]
async fn a_put_carries_what_it_was_given() {
    let (fake, node) = node().await;
    let put = node.store().put("id1", "Jane").ttl(Duration::from_secs(60)).lease(5).metadata("by", "me");
    assert_eq!(put.if_absent().await, Ok(1));
    let write = fake.last().write.expect("it was asked");
    assert_eq!((write.ttl_ms, write.lease, write.if_version), (60_000, 5, Some(0)));
    assert_eq!(write.metadata["by"], "me");
}

#[tokio::test]
async fn a_stale_read_tells_its_age_and_one_of_the_past_its_revision() {
    let (_fake, node) = node().await;
    let found = node.store().get("id1").stale().found().await.expect("it is read");
    assert_eq!((found.age, found.revision), (Some(Duration::from_millis(5)), 9));
    assert_eq!(node.store().get("id1").at(3).found().await.expect("it is read").revision, 3);
}

#[tokio::test]
async fn a_scan_takes_page_after_page() {
    let (_fake, node) = node().await;
    let list = node.store().list("id").suffix("paged").order(Order::Descending);
    let keys: Vec<_> = list.scan().map_ok(|record| record.key).try_collect().await.expect("it is listed");
    assert_eq!(keys, ["id", "id1", "id2"]);
    assert_eq!(node.store().list("").count().await, Ok(42));
}

#[tokio::test]
async fn a_table_reads_and_writes_json_of_its_type() {
    let (fake, node) = node().await;
    let texts = node.store().table("texts").typed::<String>();
    texts.put("id1", &"Jane".to_owned()).await.expect("it is written");
    assert_eq!(fake.last().write.expect("it was asked").value, "\"Jane\"");
    let record = texts.get("id1").await.expect("it is read").expect("it is there");
    assert_eq!(record.value, "default//texts");
    let numbers = node.store().typed::<u8>();
    assert_eq!(numbers.get("id1").await.expect_err("it is text").code, Code::Failed);
}

#[tokio::test]
async fn a_range_of_any_size_is_deleted_entry_by_entry() {
    let (_fake, node) = node().await;
    assert_eq!(node.store().delete_range("x").await, Ok(2500));
    let (_fake, node) = crate::store::node().await;
    assert_eq!(node.store().delete_range("x").limit(1500).await, Ok(1500));
}

#[tokio::test]
async fn a_transaction_takes_whole_operations_but_no_conditions_inside_them() {
    let (fake, node) = node().await;
    let users = node.store().table("users");
    let done = users.txn().then(users.put("a", "1")).then(users.get("b")).await.expect("it is done");
    assert!(done.held);
    assert!(
        matches!(&done.results[..], [OpResult::Written, OpResult::Read(Some(record))] if record.key == "b")
    );
    let txn = users.txn().when(Compare::version(&users, "a", 7)).otherwise(users.delete("a"));
    assert!(!txn.await.expect("it is done").held);
    let place = fake.last().transactions[1].compares[0].place.clone().expect("it says where");
    assert_eq!(place.table, "users");
    let misplaced =
        users.txn().then(users.put("a", "1").if_version(3)).await.expect_err("it has a condition");
    assert_eq!(misplaced.code, Code::Usage);
}

#[tokio::test]
async fn a_write_behind_a_fence_that_fell_says_so_and_one_of_another_version_says_that() {
    let (_fake, node) = node().await;
    let put = |token| node.store().put("a", "1").if_version(41).fence(Fence::new("nightly", token));
    let fault = put(39).await.expect_err("the fake lock has token 40");
    assert_eq!(fault.code, Code::Conflict);
    assert!(fault.message.contains("\"nightly\" is not held under token 39"), "{fault}");
    let fault = put(40).await.expect_err("the fake record is at 42");
    assert_eq!(
        (fault.code, fault.message.as_str()),
        (Code::Conflict, "a is at version 42, not at version 41")
    );
}

#[tokio::test]
async fn a_batch_fills_entries_and_tells_what_was_done_before_it_failed() {
    let (fake, node) = node().await;
    let store = node.store();
    let mut batch = store.batch();
    for number in 0..1030 {
        batch.push(store.put(format!("k{number}"), "1"));
    }
    let done = batch.await.expect("it is done");
    assert_eq!((done.changes, done.entries, done.revision), (1030, 2, 2));
    let sizes: Vec<usize> = fake.last().transactions.iter().map(|txn| txn.then.len()).collect();
    assert_eq!(sizes, [1024, 6]);

    let large = "x".repeat(1 << 20);
    let batch = (0..4).fold(store.batch(), |batch, n| batch.with(store.put(format!("k{n}"), large.clone())));
    let error = batch.await.expect_err("the fake takes three entries");
    assert_eq!((error.done.changes, error.failed, error.fault.code), (2, 2, Code::Unavailable));
}

#[tokio::test]
async fn a_watch_goes_on_where_it_was_without_gap_or_repetition() {
    let (fake, node) = node().await;
    let mut watch = node.store().watch(CUT).since(4).await.expect("it begins");
    assert_eq!(watch.seen(), 3);
    let mut seen = Vec::new();
    while seen.len() < 5 {
        seen.push(watch.next().await.expect("it goes on").expect("it is a revision").revision);
    }
    assert_eq!(seen, [4, 5, 7, 8, 10]);
    assert_eq!(fake.last().watched_from, [4, 6, 8, 10].map(Some));
}

#[tokio::test]
async fn a_watch_from_now_on_knows_where_it_began() {
    let (_fake, node) = node().await;
    assert_eq!(node.store().watch("").await.expect("it begins").seen(), 10);
}

#[tokio::test]
async fn a_watch_ends_where_history_was_given_up_or_when_nobody_answers() {
    let (_fake, node) = node().await;
    let mut watch = node.store().watch(COMPACTED).since(4).await.expect("it begins");
    let mut ended = None;
    while let Some(next) = watch.next().await {
        ended = next.err();
    }
    assert!(matches!(ended, Some(WatchError::Compacted { next: 6, .. })), "{ended:?}");

    let (_fake, node) = crate::store::node().await;
    let patience = Duration::from_millis(300);
    let mut watch = node.store().watch(NEVER).patience(patience).await.expect("it begins");
    let ended = watch.next().await.expect("it says why").expect_err("nobody answers");
    assert!(matches!(&ended, WatchError::Fault(fault) if fault.code == Code::Unavailable), "{ended}");
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_lease_is_kept_alive_until_it_is_dropped() {
    let (fake, node) = node().await;
    let lease = node.store().lease(Duration::from_millis(7)).await.expect("it is granted");
    assert_eq!((lease.id(), lease.ttl()), (7, Duration::from_millis(LEASE_MS)));
    tokio::time::sleep(Duration::from_millis(4 * LEASE_MS)).await;
    assert!(!lease.is_lost());
    assert!(fake.last().kept >= 4, "{}", fake.last().kept);
    drop(lease);
    let kept = fake.last().kept;
    tokio::time::sleep(Duration::from_millis(2 * LEASE_MS)).await;
    assert!(fake.last().kept <= kept + 1);
}

#[tokio::test]
async fn a_lease_tells_when_it_is_lost() {
    let (_fake, node) = node().await;
    for (lease, code) in [(ENDED, Code::NotFound), (SILENT, Code::Unavailable)] {
        let lease = node.store().lease(Duration::from_millis(lease)).await.expect("it is granted");
        let fault = tokio::time::timeout(Duration::from_secs(5), lease.lost()).await.expect("it is lost");
        assert_eq!(fault.code, code, "{fault}");
        assert!(lease.is_lost());
    }
    assert_eq!(node.store().keep_alive(ENDED).await.expect_err("it has ended").code, Code::NotFound);
}

#[tokio::test]
async fn a_lease_is_revoked_on_drop_if_that_is_wanted() {
    let (fake, node) = node().await;
    let lease = node.store().lease(Duration::from_millis(9)).await.expect("it is granted").revoke_on_drop();
    drop(lease);
    let revoked = async {
        while fake.last().key != "revoked 9" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), revoked).await.expect("it is revoked");
}

#[tokio::test]
async fn listings_of_names_and_leases_are_whole() {
    let (_fake, node) = node().await;
    assert_eq!(node.store().databases().await.expect("they are listed"), ["a", "ab"]);
    assert_eq!(node.store().database("crm").tables().await.expect("they are listed"), ["of-crm"]);
    let leases = node.store().leases().await.expect("they are listed");
    assert_eq!(leases.iter().map(|lease| lease.lease).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(node.store().compact(7).await, Ok(7));
    assert_eq!(node.store().history().await.expect("it is told").revisions_max, 4);
}
