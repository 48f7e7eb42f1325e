//! Setting, removing, rolling back; what two writers do to each other; what is kept.

use super::{Desk, path, setting};
use crate::config::{
    ChangeReply, ChangeRequest, ConfigPath, Plaintext, What,
    commit::CHANGES_KEPT,
    plan::{EDITS_MAX, LEAVES_MAX, Planned},
};
use micro_sdk::wire::Code;

fn edits(reply: &ChangeReply) -> Vec<(&str, Option<&str>, Option<&str>)> {
    reply
        .edits
        .iter()
        .map(|edit| (edit.path.as_str(), edit.before.as_deref(), edit.after.as_deref()))
        .collect()
}

#[test]
fn objects_are_merged_and_all_else_replaces() {
    let mut desk = Desk::new();
    assert_eq!(desk.get(""), None);
    let reply = desk.set("shop", r#"{"limits":{"items":10,"carts":1.0},"open":false}"#).expect("it fits");
    assert_eq!((reply.version, reply.edits.len()), (1, 3));
    let reply = desk.set("shop", r#"{"limits":{"items":20},"name":null}"#).expect("it fits");
    assert_eq!(
        edits(&reply),
        [("shop.limits.items", Some("10"), Some("20")), ("shop.name", None, Some("null"))]
    );
    let whole = r#"{"limits":{"carts":1.0,"items":20},"name":null,"open":false}"#;
    assert_eq!(desk.get("shop").as_deref(), Some(whole));
    assert_eq!(desk.get("shop.open").as_deref(), Some("false"));
    assert_eq!(desk.get("shop.name").as_deref(), Some("null"), "null that is there is there");
    assert_eq!(desk.get("shop.nothing"), None);
    // A leaf where a branch was, and a branch where a leaf was.
    desk.set("shop.limits", "[1, 2]").expect("it fits");
    desk.set("shop.open", r#"{"days":"mon"}"#).expect("it fits");
    let whole = r#"{"limits":[1,2],"name":null,"open":{"days":"mon"}}"#;
    assert_eq!(desk.get("shop").as_deref(), Some(whole));
    // An empty object is merged as any other: it takes nothing away.
    assert_eq!(desk.set("shop", "{}").expect("it fits").edits, []);
    desk.set("empty", "{}").expect("it fits");
    assert_eq!(desk.get("empty").as_deref(), Some("{}"));
    desk.set("empty.x", "1").expect("it fits");
    assert_eq!(desk.get("empty").as_deref(), Some(r#"{"x":1}"#));
}

#[test]
fn nothing_is_set_through_what_is_no_object() {
    let mut desk = Desk::new();
    let whole = r#"{"empty":{},"flag":true,"list":[1,2],"n":5,"none":null,"text":"x"}"#;
    desk.set("a", whole).expect("it fits");
    desk.set_secret("a.key", "\"hunter2\"").expect("it fits");
    let before = desk.get("a");
    for (at, value, refused) in [
        ("a.list.0", "5", "a.list is a list, not an object"),
        ("a.n.b", "1", "a.n is a number, not an object"),
        ("a.n.b.c", "1", "a.n is a number"),
        ("a.text.b", "1", "a.text is a text"),
        ("a.flag.b", "1", "a.flag is true or false"),
        ("a.none.b", "1", "a.none is null"),
        ("a.key.b", "1", "a.key is a secret"),
        // A document is merged, and must not do what a path must not.
        ("a", r#"{"n":{"b":1}}"#, "a.n is a number"),
        ("", r#"{"a":{"list":{"0":5}}}"#, "a.list is a list"),
    ] {
        let fault = desk.set(at, value).expect_err("it would be lost");
        assert!(fault.code == Code::Usage && fault.message.starts_with(refused), "{at}: {fault}");
        assert!(fault.help[0].contains("micro-node config set a."), "{fault:?}");
        assert_eq!(desk.get("a"), before);
    }
    desk.set("a.empty.b", "1").expect("an empty object is an object");
    // On purpose it is another thing: what is named itself, and all of it.
    desk.set("a.n", r#"{"b":1}"#).expect("it is named");
    let mut what = setting("a", r#"{"list":{"0":5}}"#);
    if let What::Set { replace, .. } = &mut what {
        *replace = true;
    }
    let request = desk.request(what);
    desk.change(&request).expect("all that is there is replaced");
    assert_eq!(desk.get("a").as_deref(), Some(r#"{"list":{"0":5}}"#));
}

#[test]
fn what_replaces_leaves_nothing_else_and_what_is_the_same_alone() {
    let mut desk = Desk::new();
    desk.set("shop", r#"{"a":1,"b":{"c":2,"d":3}}"#).expect("it fits");
    let mut what = setting("shop", r#"{"a":1,"b":{"c":4}}"#);
    if let What::Set { replace, .. } = &mut what {
        *replace = true;
    }
    let request = desk.request(what);
    let reply = desk.change(&request).expect("it fits");
    assert_eq!(edits(&reply), [("shop.b.c", Some("2"), Some("4")), ("shop.b.d", Some("3"), None)]);
    assert_eq!(desk.get("shop").as_deref(), Some(r#"{"a":1,"b":{"c":4}}"#));
    let versions: Vec<u64> =
        desk.state(|state| Ok(state.tree()?.leaves().map(|(_, leaf)| leaf.version).collect()));
    assert_eq!(versions, [1, 2]);
}

#[test]
fn what_is_there_already_is_no_change() {
    let mut desk = Desk::new();
    desk.set("a", "1").expect("it fits");
    let reply = desk.set("a", "1").expect("it fits");
    assert_eq!((reply.version, reply.edits), (1, Vec::new()));
    assert_eq!(desk.delete("b").expect("nothing is there").version, 1);
    let request = ChangeRequest { dry_run: true, ..desk.request(setting("a", "2")) };
    let reply = desk.change(&request).expect("it fits");
    assert_eq!((reply.version, edits(&reply)), (1, vec![("a", Some("1"), Some("2"))]));
    assert_eq!(desk.get("a").as_deref(), Some("1"));
}

#[test]
fn names_with_dots_are_names() {
    let mut desk = Desk::new();
    desk.set("hosts", r#"{"example.org":{"port":1},"example":{"org":2}}"#).expect("it fits");
    assert_eq!(desk.get("hosts.example\\.org.port").as_deref(), Some("1"));
    assert_eq!(desk.get("hosts.example.org").as_deref(), Some("2"));
    desk.delete("hosts.example").expect("it is there");
    assert_eq!(desk.get("hosts").as_deref(), Some(r#"{"example.org":{"port":1}}"#));
}

#[test]
fn of_two_writers_who_saw_the_same_one_decides_anew() {
    let mut desk = Desk::new();
    desk.set("n", r#"{"a":1}"#).expect("it fits");
    let (one, other) = (desk.request(setting("n.b", "2")), desk.request(setting("n.c", "3")));
    let Ok(Planned::Make(first, _)) = desk.plan(&one) else { panic!("there is something to do") };
    let Ok(Planned::Make(second, _)) = desk.plan(&other) else { panic!("there is something to do") };
    assert!(desk.transact(&first));
    assert!(!desk.transact(&second), "it was decided from what is no more");
    desk.change(&other).expect("decided anew it is made");
    assert_eq!(desk.get("n").as_deref(), Some(r#"{"a":1,"b":2,"c":3}"#));
}

#[test]
fn a_version_that_is_not_the_last_is_refused() {
    let mut desk = Desk::new();
    desk.set("a", "1").expect("it fits");
    let request = ChangeRequest { if_version: Some(0), ..desk.request(setting("a", "2")) };
    let fault = desk.change(&request).expect_err("it is at 1");
    assert!(fault.code == Code::Conflict && fault.message.contains("at version 1, not 0"), "{fault}");
    let request = ChangeRequest { if_version: Some(1), ..request };
    assert_eq!(desk.change(&request).expect("it is at 1").version, 2);
}

#[test]
fn a_change_with_a_key_is_made_once_and_answered_the_same() {
    let mut desk = Desk::new();
    let request = ChangeRequest { idempotency_key: Some(7), ..desk.request(setting("a", "1")) };
    let reply = desk.change(&request).expect("it fits");
    desk.set("a", "2").expect("it fits");
    assert_eq!(desk.change(&request).expect("it was made"), reply);
    assert_eq!(desk.get("a").as_deref(), Some("2"));
    let other = ChangeRequest { idempotency_key: Some(7), ..desk.request(setting("b", "1")) };
    assert_eq!(desk.change(&other).expect_err("it is another").code, Code::Conflict);
}

#[test]
fn the_tree_is_read_and_rolled_back_as_it_was() {
    let mut desk = Desk::new();
    desk.set("shop", r#"{"a":1,"b":2}"#).expect("it fits");
    desk.set("shop.a", r#"{"x":3}"#).expect("it fits");
    desk.delete("shop.b").expect("it fits");
    desk.set("other", "4").expect("it fits");
    for (version, shop) in [
        (0, None),
        (1, Some(r#"{"a":1,"b":2}"#)),
        (2, Some(r#"{"a":{"x":3},"b":2}"#)),
        (3, Some(r#"{"a":{"x":3}}"#)),
        (4, Some(r#"{"a":{"x":3}}"#)),
    ] {
        assert_eq!(desk.at("shop", Some(version)).expect("it is known").as_deref(), shop, "at {version}");
    }
    assert_eq!(desk.at("shop", Some(5)).expect_err("it is not there").code, Code::Usage);
    let reply = desk.roll_back("shop", 1).expect("it is known");
    assert_eq!(reply.version, 5);
    assert_eq!(desk.get("").as_deref(), Some(r#"{"other":4,"shop":{"a":1,"b":2}}"#));
    desk.roll_back("", 0).expect("it is known");
    assert_eq!(desk.get(""), None);
    desk.roll_back("shop", 3).expect("it is known");
    assert_eq!(desk.get("").as_deref(), Some(r#"{"shop":{"a":{"x":3}}}"#));
}

#[test]
fn of_the_history_the_last_is_kept() {
    let mut desk = Desk::new();
    let first = ChangeRequest { idempotency_key: Some(7), ..desk.request(setting("a", "0")) };
    desk.change(&first).expect("it fits");
    for number in 1..CHANGES_KEPT + 10 {
        desk.set("a", &number.to_string()).expect("it fits");
    }
    let (head, _) = desk.state(|state| state.head());
    assert_eq!((head.version, head.known_from), (CHANGES_KEPT + 10, 10));
    let fault = desk.at("a", Some(9)).expect_err("it is not known");
    assert!(fault.code == Code::Conflict && fault.message.contains("begins at version 10"), "{fault}");
    assert_eq!(desk.at("a", Some(10)).expect("it is known").as_deref(), Some("9"));
    let counted = desk.state(|state| {
        let (mut count, mut bytes) = (0, 0);
        state.changes(0, u64::MAX, |_, size| {
            (count, bytes) = (count + 1, bytes + size);
            Ok(true)
        })?;
        Ok((count, bytes, state.answered(7)?.is_none()))
    });
    assert_eq!(counted, (CHANGES_KEPT, head.history_bytes, true), "its key is forgotten with a change");
}

#[test]
fn limits_are_named() {
    let mut desk = Desk::new();
    let object = |from: usize, count: usize| {
        let members: Vec<String> = (from..from + count).map(|number| format!("\"k{number}\":1")).collect();
        format!("{{{}}}", members.join(","))
    };
    let fault = desk.set("many", &object(0, EDITS_MAX + 1)).expect_err("too many at once");
    assert!(fault.code == Code::Usage && fault.message.contains("900"), "{fault}");
    for step in 0..LEAVES_MAX / 500 {
        desk.set("many", &object(step * 500, 500)).expect("it fits");
    }
    let fault = desk.set("one", "1").expect_err("too many in all");
    assert!(fault.message.contains("10000"), "{fault}");
    desk.delete("many.k1").expect("less is no more");
    let large = format!("\"{}\"", "x".repeat(60 << 10));
    let mut desk = Desk::new();
    let members: Vec<String> = (0..20).map(|number| format!("\"k{number}\":{large}")).collect();
    let fault = desk.set("large", &format!("{{{}}}", members.join(","))).expect_err("too large at once");
    assert!(fault.code == Code::Usage && fault.help[0].contains("several steps"), "{fault:?}");
    let what = What::Set {
        path: ConfigPath::default(),
        value: Plaintext::new("{}"),
        secret: false,
        replace: false,
        canary_percent: 0,
    };
    let request = desk.request(what);
    assert_eq!(desk.change(&request).expect_err("it is nothing").code, Code::Usage);
    let request = ChangeRequest { reason: "x".repeat(2000), ..desk.request(setting("a", "1")) };
    assert_eq!(desk.change(&request).expect_err("too long").code, Code::Usage);
}

#[test]
fn namespaces_have_trees_of_their_own_that_no_request_finds() {
    let mut desk = Desk::new();
    desk.set("a", "1").expect("it fits");
    desk.namespace = "other".parse().expect("a good name");
    assert_eq!(desk.get("a"), None);
    assert_eq!(desk.set("a", "2").expect("it fits").version, 1);
    desk.namespace = micro_sdk::wire::Namespace::default();
    assert_eq!(desk.get("a").as_deref(), Some("1"));
    let namespaces = desk.state(|state| state.namespaces());
    assert_eq!(namespaces.len(), 2);
    assert!(path("").is_root());
}

#[test]
fn what_does_not_fit_the_schema_is_refused() {
    let mut desk = Desk::new();
    desk.set("shop.items", "\"many\"").expect("there is no schema");
    let schema = r#"{"properties":{"items":{"type":"integer"}},"required":["items"]}"#;
    let fault = desk.set_schema("shop", Some(schema)).expect_err("what is there does not fit");
    assert!(fault.code == Code::Usage && fault.message.contains("shop.items"), "{fault}");
    desk.set("shop.items", "1").expect("there is no schema");
    desk.set_schema("shop", Some(schema)).expect("what is there fits");
    for result in [
        desk.set("shop.items", "\"many\""),
        desk.set("shop", r#"{"items":{"a":1}}"#),
        desk.roll_back("shop", 1),
    ] {
        assert_eq!(result.expect_err("it does not fit").code, Code::Usage);
    }
    desk.set("shop.name", "\"x\"").expect("it fits");
    assert_eq!(desk.delete("shop.items").expect_err("it is required").code, Code::Usage);
    desk.delete("shop").expect("a part where nothing is fits");
    desk.set("shop", r#"{"items":2}"#).expect("it fits");
    desk.set_schema("shop", None).expect("it may go");
    desk.set("shop.items", "\"many\"").expect("there is no schema");
}

#[test]
fn a_change_that_was_decided_before_a_schema_came_is_decided_anew() {
    let mut desk = Desk::new();
    let request = desk.request(setting("shop.items", "\"many\""));
    let Ok(Planned::Make(transaction, _)) = desk.plan(&request) else { panic!("there is something to do") };
    desk.set_schema("shop", Some(r#"{"properties":{"items":{"type":"integer"}}}"#))
        .expect("nothing is there");
    assert!(!desk.transact(&transaction));
    assert_eq!(desk.change(&request).expect_err("it does not fit").code, Code::Usage);
}
