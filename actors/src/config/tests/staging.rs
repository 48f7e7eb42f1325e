//! Changes that some have and others have not yet.

use super::{Desk, path};
use crate::config::GetRequest;
use micro_sdk::wire::Code;

impl Desk {
    /// What one sees who has these staged changes.
    fn seen_with(&self, at: &str, canaries: &[u64]) -> Option<String> {
        let request = GetRequest { instance: Some(1), ..self.get_request(at) };
        let reading = self.read(request, canaries).expect("it can be read");
        reading.value.map(super::Plaintext::into_exposed)
    }
}

#[test]
fn some_have_it_until_it_is_everybodys() {
    let mut desk = Desk::new();
    desk.set("shop", r#"{"a":1,"b":{"c":2}}"#).expect("it fits");
    let reply = desk.stage("shop", r#"{"a":10,"b":3}"#, 10).expect("it fits");
    assert_eq!((reply.version, reply.canary), (2, 2));
    assert_eq!(desk.get("shop").as_deref(), Some(r#"{"a":1,"b":{"c":2}}"#));
    assert_eq!(desk.seen_with("shop", &[]).as_deref(), Some(r#"{"a":1,"b":{"c":2}}"#));
    assert_eq!(desk.seen_with("shop", &[2]).as_deref(), Some(r#"{"a":10,"b":3}"#));
    // What changes beside it, they have too.
    desk.set("shop.d", "4").expect("it fits");
    assert_eq!(desk.seen_with("shop", &[2]).as_deref(), Some(r#"{"a":10,"b":3,"d":4}"#));
    let request = GetRequest { instance: Some(1), ..desk.get_request("shop") };
    let marks: Vec<u64> =
        desk.read(request, &[2]).expect("it can be read").leaves.iter().map(|leaf| leaf.canary).collect();
    assert_eq!(marks, [2, 2, 0]);
    assert_eq!(desk.at("shop", Some(2)).expect("it is known").as_deref(), Some(r#"{"a":1,"b":{"c":2}}"#));
    let reply = desk.end(2, true).expect("it is staged");
    assert_eq!((reply.version, reply.edits.len()), (4, 3));
    assert_eq!(desk.get("shop").as_deref(), Some(r#"{"a":10,"b":3,"d":4}"#));
    assert_eq!(desk.end(2, true).expect_err("it is over").code, Code::NotFound);
}

#[test]
fn one_that_is_taken_back_leaves_nothing() {
    let mut desk = Desk::new();
    desk.set("shop.a", "1").expect("it fits");
    let canary = desk.stage("shop.a", "2", 100).expect("it fits").canary;
    let reply = desk.end(canary, false).expect("it is staged");
    assert_eq!((reply.version, reply.edits.len()), (3, 1));
    assert_eq!(desk.seen_with("shop", &[canary]).as_deref(), Some(r#"{"a":1}"#));
    assert_eq!(desk.get("shop").as_deref(), Some(r#"{"a":1}"#));
    let kinds = desk.state(|state| {
        let mut kinds = Vec::new();
        state.changes(0, u64::MAX, |change, _| {
            kinds.push(change.kind.name());
            Ok(true)
        })?;
        Ok(kinds)
    });
    assert_eq!(kinds, ["abort", "stage", "set"]);
}

#[test]
fn two_do_not_touch_the_same() {
    let mut desk = Desk::new();
    desk.set("shop", r#"{"a":{"x":1},"b":2}"#).expect("it fits");
    desk.stage("shop.a.x", "2", 10).expect("it fits");
    for at in ["shop.a.x", "shop.a", "shop.a.x.y"] {
        let fault = desk.stage(at, "3", 10).expect_err("it meets the other");
        assert!(fault.code == Code::Conflict && fault.message.contains("shop.a.x"), "{at}: {fault}");
    }
    desk.stage("shop.b", "3", 10).expect("it meets no other");
    assert_eq!(desk.stage("shop.b2", "3", 101).expect_err("more than all").code, Code::Usage);
    let fault = desk.stage("", r#"{"shop":{"c":1}}"#, 10).expect_err("whose instances?");
    assert!(fault.code == Code::Usage && path("").is_root(), "{fault}");
}

#[test]
fn what_is_staged_has_to_fit_the_schema_when_it_is_staged_and_when_it_is_promoted() {
    let mut desk = Desk::new();
    let schema = |kind: &str| format!(r#"{{"properties":{{"items":{{"type":"{kind}"}}}}}}"#);
    desk.set_schema("shop", Some(&schema("integer"))).expect("nothing is there");
    assert_eq!(desk.stage("shop.items", "\"x\"", 10).expect_err("it does not fit").code, Code::Usage);
    let canary = desk.stage("shop.items", "1", 10).expect("it fits").canary;
    desk.set_schema("shop", Some(&schema("string"))).expect("nothing is there");
    assert_eq!(desk.end(canary, true).expect_err("it does not fit any more").code, Code::Usage);
    desk.end(canary, false).expect("it may always be taken back");
}
