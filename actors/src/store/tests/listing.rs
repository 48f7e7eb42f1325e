//! Lists, as they are asked for.

use super::{Bench, delete, everything, put, write};
use crate::store::{
    ListOrder, ListReply, ListRequest, RecordRange, TablePath,
    command::{Put, StoreCommand},
    key,
    reading::{self, Listing},
};
use micro_sdk::wire::{Code, Fault};
use micro_storage::Family;
use std::time::Duration;
use tokio::time::Instant;

fn list(bench: &Bench, request: &ListRequest) -> Result<ListReply, Fault> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut listing = Listing::new(request.clone(), deadline)?;
    bench.replica().look(|view| listing.run(view))
}

fn keys(reply: &ListReply) -> Vec<&str> {
    reply.records.iter().map(|record| record.key.as_str()).collect()
}

/// Nine records, at revisions 1 to 9.
fn bench() -> Bench {
    let mut bench = Bench::new();
    for key in ["a1", "a2", "a3", "b1", "b2", "b3", "c1", "c2", "c3"] {
        bench.write(key, "value");
    }
    bench
}

#[test]
fn a_list_shows_what_was_asked_for() {
    let bench = bench();
    let all = ListRequest { range: everything(), ..ListRequest::default() };
    let from_to = RecordRange { from: "a2".to_owned(), to: "b2".to_owned(), ..RecordRange::default() };
    let descending = ListRequest { order: ListOrder::Descending, ..all.clone() };
    let cases: [(ListRequest, &[&str], bool); 9] = [
        (ListRequest { range: from_to.clone(), ..all.clone() }, &["a2", "a3", "b1"], false),
        (
            ListRequest { range: from_to, order: ListOrder::Descending, ..all.clone() },
            &["b1", "a3", "a2"],
            false,
        ),
        (ListRequest { suffix: "2".to_owned(), ..all.clone() }, &["a2", "b2", "c2"], false),
        (ListRequest { suffix: "2".to_owned(), limit: 2, ..all.clone() }, &["a2", "b2"], true),
        (ListRequest { suffix: "lt\0a1".to_owned(), ..all.clone() }, &[], false),
        (ListRequest { offset: 2, limit: 1, ..all.clone() }, &["a3"], true),
        (ListRequest { after: "c1".to_owned(), ..all.clone() }, &["c2", "c3"], false),
        (ListRequest { after: "a2".to_owned(), ..descending.clone() }, &["a1"], false),
        (
            ListRequest { range: RecordRange::key(all.range.table.clone(), "b1"), ..descending },
            &["b1"],
            false,
        ),
    ];
    for (request, expected, more) in cases {
        let reply = list(&bench, &request).expect("it is listed");
        assert_eq!((keys(&reply), reply.more), (expected.to_vec(), more), "{request:?}");
        assert_eq!(reply.revision, 9);
    }
    let counted = list(&bench, &ListRequest { count_only: true, limit: 2, ..all.clone() });
    let counted = counted.expect("it is counted");
    assert_eq!((counted.count, counted.records.len(), counted.more), (9, 0, false));
    let bare = list(&bench, &ListRequest { keys_only: true, ..all }).expect("it is listed");
    assert!(bare.count == 9 && bare.records.iter().all(|record| record.value.0.is_empty()));
}

#[test]
fn all_pages_show_one_moment() {
    for order in [ListOrder::Ascending, ListOrder::Descending] {
        let mut bench = bench();
        let mut request = ListRequest { range: everything(), order, limit: 2, ..ListRequest::default() };
        let mut seen = Vec::new();
        for change in ["a3", "b1", "c2", "c3", "d1"] {
            let page = list(&bench, &request).expect("it is listed");
            assert_eq!(page.revision, 9);
            seen.extend(page.records.iter().map(|record| (record.key.clone(), record.version)));
            request.page = page.page;
            bench.batch(&[write(change, "newer"), delete("a1"), delete("b2"), write("b0", "between")]);
        }
        assert!(request.page.is_empty());
        seen.sort();
        assert_eq!(seen.iter().map(|(_, version)| *version).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
}

#[test]
fn what_was_given_up_is_refused_and_the_last_of_it_is_not() {
    let mut bench = bench();
    bench.write("a1", "newer");
    bench.apply(StoreCommand::Compact { revision: 7 });
    let at = |at| ListRequest { range: everything(), at: Some(at), ..ListRequest::default() };
    assert_eq!(keys(&list(&bench, &at(7)).expect("it is listed")).len(), 7);
    let fault = list(&bench, &at(6)).expect_err("it is compacted");
    assert_eq!(fault.code, Code::Compacted);
    assert!(fault.message.contains("after revision 7"), "{fault}");
    bench.apply(StoreCommand::Compact { revision: u64::MAX });
    assert!(list(&bench, &at(10)).is_err() && bench.journal(Family::History).is_empty());
    assert_eq!(bench.ledger().history_bytes, 0);
}

#[test]
fn names_are_those_that_held_records_at_a_revision() {
    let mut bench = Bench::new();
    let key = |table: &str| TablePath::parse("", "", table).expect("good names").state_key("k");
    let write = |table| StoreCommand::Write {
        put: Put { key: key(table), ..put("k", "value") },
        if_version: None,
        idempotency_key: None,
    };
    let delete = |table| StoreCommand::Delete { key: key(table), if_version: None, idempotency_key: None };
    bench.batch(&[write("a"), write("b"), write("c"), delete("a"), write("d"), delete("b"), write("a")]);
    let prefix = TablePath::default().state_key("");
    let prefix = prefix[..prefix.len() - "default\0".len()].to_vec();
    let deadline = Instant::now() + Duration::from_secs(60);
    let names = |bench: &Bench, at| {
        let range = prefix.clone().into()..key::behind_prefix(&prefix);
        let found = bench.replica().look(|view| reading::names(view, range, prefix.len(), at, deadline));
        found.map(|reply| reply.names)
    };
    let expected: [(u64, &[&str]); 7] = [
        (1, &["a"]),
        (2, &["a", "b"]),
        (3, &["a", "b", "c"]),
        (4, &["b", "c"]),
        (5, &["b", "c", "d"]),
        (6, &["c", "d"]),
        (7, &["a", "c", "d"]),
    ];
    for (at, tables) in expected {
        assert_eq!(names(&bench, Some(at)).expect("they are listed"), tables, "at {at}");
    }
    assert_eq!(names(&bench, None).expect("they are listed"), ["a", "c", "d"]);
    bench.apply(StoreCommand::Compact { revision: 4 });
    assert_eq!(names(&bench, Some(4)).expect("they are listed"), ["b", "c"]);
    assert_eq!(names(&bench, Some(3)).expect_err("it is compacted").code, Code::Compacted);
}
