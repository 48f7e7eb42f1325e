//! Changes that some have and others have not yet.

use super::{Desk, path};
use crate::config::{EditView, GetRequest};
use micro_sdk::wire::{Code, Namespace};

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
    for at in ["shop.a.x", "shop.a"] {
        let fault = desk.stage(at, "3", 10).expect_err("it meets the other");
        assert!(fault.code == Code::Conflict && fault.message.contains("shop.a.x"), "{at}: {fault}");
    }
    desk.stage("shop.b", "3", 10).expect("it meets no other");
    assert_eq!(desk.stage("shop.b2", "3", 101).expect_err("more than all").code, Code::Usage);
    let fault = desk.stage("", r#"{"shop":{"c":1}}"#, 10).expect_err("whose instances?");
    assert!(fault.code == Code::Usage && path("").is_root(), "{fault}");
}

#[test]
fn what_others_have_set_since_is_not_taken_away() {
    let mut desk = Desk::new();
    desk.set("shop", r#"{"items":10,"open":true}"#).expect("it fits");
    let canary = desk.stage("shop", r#"{"items":50,"new":1}"#, 10).expect("it fits").canary;
    assert!(desk.set("shop.open", "false").expect("it fits").staged.is_empty(), "that is beside it");
    assert_eq!(desk.set("shop.items", "60").expect("it fits").staged, [canary], "who does it is told");
    let overtaken = |desk: &Desk| {
        let views = desk.state(|state| Ok(state.canaries()?[0].overtaken(&state.tree()?)));
        let shown =
            |view: EditView| (view.path, view.before.unwrap_or_default(), view.after.unwrap_or_default());
        views.into_iter().map(shown).collect::<Vec<_>>()
    };
    let text = |path: &str, before: &str, after: &str| (path.to_owned(), before.to_owned(), after.to_owned());
    assert_eq!(overtaken(&desk), [text("shop.items", "10", "60")]);
    let fault = desk.end(canary, true).expect_err("60 would be lost");
    assert_eq!(fault.code, Code::Conflict);
    assert!(fault.message.contains("changed shop.items since 2 was staged: it was 10 and is 60"), "{fault}");
    assert!(fault.help.iter().any(|help| help.contains("micro-node config abort 2")), "{fault:?}");
    assert_eq!(desk.get("shop.items").as_deref(), Some("60"));
    // What has come to stand below it, and what has gone, is no more to be lost than what is another.
    desk.set("shop.items", "10").expect("it fits");
    assert_eq!(overtaken(&desk), [], "it is what it was");
    desk.set("shop.new", r#"{"deep":7}"#).expect("it fits");
    assert_eq!(overtaken(&desk), [text("shop.new.deep", "", "7")]);
    desk.delete("shop").expect("it is there");
    assert_eq!(overtaken(&desk), [text("shop.items", "10", "")]);
    assert_eq!(desk.end(canary, true).expect_err("somebody wants it away").code, Code::Conflict);
    desk.end(canary, false).expect("it may always be taken back");
}

#[test]
fn a_promotion_that_is_refused_tells_no_secret_and_a_new_key_is_in_nobodys_way() {
    let mut desk = Desk::new();
    desk.set_secret("shop.key", "\"hunter1\"").expect("it fits");
    desk.set("shop.open", "\"hunter2\"").expect("it fits");
    let canary = desk.stage("shop.key", "\"hunter3\"", 10).expect("it fits").canary;
    desk.rotate(&[Namespace::default()], |_| ());
    desk.end(canary, true).expect("it was sealed anew, and is what it was");
    let canary = desk.stage("shop.key", "\"hunter4\"", 10).expect("it fits").canary;
    desk.set("shop.key", "\"hunter5\"").expect("it fits");
    let fault = desk.end(canary, true).expect_err("hunter5 would be lost");
    assert!(fault.message.contains("it was \"[secret]\" and is \"[secret]\""), "{fault}");
    assert!(!format!("{fault:?}").contains("hunter"), "{fault:?}");
}

#[test]
fn nothing_is_staged_for_nobody() {
    let mut desk = Desk { instances: 0, ..Desk::new() };
    let fault = desk.stage("web.n", "1", 10).expect_err("nobody would have it");
    assert!(fault.code == Code::NotFound && fault.message.contains("service web is running"), "{fault}");
    assert_eq!(desk.set("web.n", "1").expect("it is for whoever comes").canary, 0);
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
