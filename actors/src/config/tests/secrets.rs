//! Secrets: where they are not, who opens them, and new keys.

use super::{Desk, path, setting};
use crate::{
    auth::SealKey,
    config::{
        GetRequest, Inherited, LostSecrets, MeshSeal, What, inherit_keys, leaf::Content, lost::lost,
        rotation::unopened, state::Opener,
    },
};
use micro_sdk::wire::{ClusterId, Code, Namespace};

const SECRET: &str = "\"hunter2-hunter2\"";

impl Desk {
    /// Whether a text stands anywhere in what is stored.
    fn stores(&self, text: &str) -> bool {
        let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        self.bench.everything().iter().any(|(key, row)| holds(key) || holds(row))
    }

    /// The numbers of the keys that are there.
    fn keys(&self) -> Vec<u32> {
        self.state(|state| Ok(state.keys()?.into_keys().collect()))
    }

    /// The keys that the leaves of the tree are sealed with.
    fn sealed_with(&self) -> Vec<u32> {
        let key = |content: &Content| match content {
            Content::Sealed(sealed) => Some(sealed.key),
            Content::Plain(_) => None,
        };
        self.state(move |state| {
            Ok(state.tree()?.leaves().filter_map(|(_, leaf)| key(&leaf.content)).collect())
        })
    }
}

#[test]
fn a_secret_is_in_no_stored_byte_and_in_no_answer() {
    let mut desk = Desk::new();
    let reply = desk.set_secret("shop", &format!(r#"{{"key":{SECRET},"pin":[1,2]}}"#)).expect("it fits");
    desk.set("shop.open", "true").expect("it fits");
    assert!(!format!("{reply:?}").contains("hunter2"));
    assert!(reply.edits.iter().all(|edit| edit.secret && edit.after.as_deref() == Some("\"[secret]\"")));
    assert_eq!(desk.get("shop").as_deref(), Some(r#"{"key":"[secret]","open":true,"pin":"[secret]"}"#));
    let shown = format!(r#"{{"key":{SECRET},"open":true,"pin":[1,2]}}"#);
    assert_eq!(desk.get_secret("shop"), Ok(Some(shown)));
    assert!(!desk.stores("hunter2") && desk.stores("shop.open"));
    let request = GetRequest { show_secrets: true, ..desk.get_request("shop") };
    let reading = desk.read(request, &[]).expect("the key is here");
    assert!(!format!("{reading:?}").contains("hunter2"));
    assert!(!format!("{:?}", desk.request(setting("a", SECRET))).contains("hunter2"));
}

#[test]
fn what_is_a_secret_stays_one() {
    let mut desk = Desk::new();
    desk.set_secret("shop.key", SECRET).expect("it fits");
    assert_eq!(desk.set("shop.key", SECRET).expect("it fits").edits, [], "it is the same");
    desk.set("shop.key", "\"hunter3\"").expect("it fits");
    assert!(!desk.stores("hunter3"));
    assert_eq!(desk.get("shop.key").as_deref(), Some("\"[secret]\""));
    // Whatever takes its place, too.
    desk.set("shop.key", r#"{"inner":"hunter4"}"#).expect("it fits");
    desk.set("shop", "\"hunter5\"").expect("it fits");
    assert!(!desk.stores("hunter4") && !desk.stores("hunter5"));
    assert_eq!(desk.get_secret("shop").expect("the key is here").as_deref(), Some("\"hunter5\""));
    desk.roll_back("shop", 1).expect("it is known");
    assert_eq!(desk.get("shop").as_deref(), Some(r#"{"key":"[secret]"}"#));
    let known = desk.get_secret("shop.key").expect("the key is here");
    assert_eq!(known.as_deref(), Some(SECRET));
}

#[test]
fn what_was_shown_without_its_secrets_is_written_back_with_them() {
    let mut desk = Desk::new();
    desk.set_secret("shop.key", SECRET).expect("it fits");
    let shown = desk.get("shop").expect("it is there");
    assert_eq!(desk.set("shop", &shown).expect("it fits").edits, []);
    desk.set("shop", r#"{"key":"[secret]","open":true}"#).expect("it fits");
    assert_eq!(desk.get_secret("shop.key").expect("the key is here").as_deref(), Some(SECRET));
    let fault = desk.set("shop.pin", "\"[secret]\"").expect_err("no secret is there");
    assert!(fault.code == Code::Usage && fault.message.contains("shop.pin"), "{fault}");
}

#[test]
fn a_plain_value_that_becomes_a_secret_is_not_shown_as_it_was() {
    let mut desk = Desk::new();
    desk.set("shop.key", SECRET).expect("it fits");
    let reply = desk.set_secret("shop.key", SECRET).expect("it fits");
    assert_eq!(reply.edits[0].before.as_deref(), Some("\"[secret]\""));
}

#[test]
fn a_schema_does_not_tell_a_secret() {
    let mut desk = Desk::new();
    let schema = r#"{"properties":{"key":{"type":"integer"},"any":{"not":{"required":["key"]}}}}"#;
    desk.set_schema("shop", Some(schema)).expect("nothing is there");
    let fault = desk.set_secret("shop.key", SECRET).expect_err("it does not fit");
    assert!(fault.code == Code::Usage && fault.message.contains("shop.key"), "{fault}");
    assert!(!format!("{fault:?}").contains("hunter2"), "{fault:?}");
}

#[test]
fn a_new_key_seals_all_and_old_ones_stay_while_history_needs_them() {
    let mut desk = Desk::new();
    let other: Namespace = "other".parse().expect("a good name");
    desk.set_secret("shop.key", SECRET).expect("it fits");
    desk.set_secret("shop.pin", "1234").expect("it fits");
    desk.namespace = other.clone();
    desk.set_secret("a", "\"else\"").expect("it fits");
    desk.namespace = Namespace::default();
    let namespaces = [Namespace::default(), other.clone()];
    assert_eq!(desk.rotate(&namespaces, |_| ()), 2);
    assert_eq!(desk.sealed_with(), [2, 2]);
    assert_eq!(desk.keys(), [1, 2], "the history has what the first one sealed");
    assert_eq!(desk.get_secret("shop.key").expect("the keys are here").as_deref(), Some(SECRET));
    let version = desk.read(desk.get_request("shop.key"), &[]).expect("it is there").leaves[0].version;
    assert_eq!(version, 1, "who set it has not changed");
    // A rollback brings nothing back under the old key.
    desk.set("shop.pin", "5678").expect("it fits");
    desk.roll_back("shop.pin", 2).expect("it is known");
    assert_eq!(desk.sealed_with(), [2, 2]);
    assert_eq!(desk.get_secret("shop.pin").expect("the keys are here").as_deref(), Some("1234"));
    desk.namespace = other;
    assert_eq!(
        (desk.sealed_with(), desk.get_secret("a").expect("it opens").as_deref()),
        (vec![2], Some("\"else\""))
    );
}

#[test]
fn a_rotation_goes_on_where_it_was_while_others_write() {
    let mut desk = Desk::new();
    for number in 0..600 {
        desk.set_secret(&format!("s.k{number}"), &number.to_string()).expect("it fits");
    }
    desk.stage("s.k1", "\"staged\"", 50).expect("it fits");
    let namespaces = [Namespace::default()];
    let (_, version) = desk.state(|state| state.current_key()).expect("there are secrets");
    // Begun, and then given up.
    let begun = super::begun(2, version, &desk.opener);
    let late = desk.request(What::Set {
        path: path("s.late"),
        value: super::Plaintext::new("1"),
        secret: true,
        replace: false,
        canary_percent: 0,
    });
    let Ok(super::Planned::Make(sealed_with_old, _)) = desk.plan(&late) else { panic!("there is a key") };
    assert!(desk.transact(&begun));
    assert!(!desk.transact(&sealed_with_old), "nothing is sealed with the old key any more");
    let mut steps = 0;
    let key = desk.rotate(&namespaces, |desk| {
        steps += 1;
        desk.set("s.k0", &format!("\"during {steps}\"")).expect("it fits");
    });
    assert_eq!(key, 2);
    assert!(steps >= 3, "{steps}");
    assert!(desk.sealed_with().iter().all(|key| *key == 2));
    let staged = desk.state(|state| state.canaries()).remove(0);
    let content = &staged.edits[0].after.as_ref().expect("it sets something").content;
    assert!(matches!(content, Content::Sealed(sealed) if sealed.key == 2));
    desk.end(staged.number, true).expect("it is staged");
    assert_eq!(desk.get_secret("s.k1").expect("the keys are here").as_deref(), Some("\"staged\""));
    assert_eq!(desk.get_secret("s.k599").expect("the keys are here").as_deref(), Some("599"));
}

#[test]
fn a_mesh_made_of_a_backup_lives_without_the_keys_of_the_old_one() {
    let mut desk = Desk::new();
    desk.set_secret("shop", &format!(r#"{{"key":{SECRET},"pin":1}}"#)).expect("it fits");
    desk.opener.seal = SealKey::generate(&desk.opener.seams);
    desk.set("shop.open", "true").expect("it is no secret");
    assert_eq!(desk.get("shop").as_deref(), Some(r#"{"key":"[secret]","open":true,"pin":"[secret]"}"#));
    let fault = desk.get_secret("shop.key").expect_err("nothing opens it");
    assert!(fault.message.contains("shop.key") && fault.help[0].contains("set it anew"), "{fault:?}");
    desk.set("shop.key", "\"anew\"").expect("a new key is made");
    assert_eq!(desk.get_secret("shop.key").expect("it opens").as_deref(), Some("\"anew\""));
    assert_eq!(desk.rotate(&[Namespace::default()], |_| ()), 3);
    assert_eq!(desk.sealed_with(), [3, 1], "what can't be opened stays as it is");
    desk.roll_back("shop", 1).expect("it is known");
    assert!(desk.get_secret("shop.key").is_err());
    assert_eq!(desk.set("shop", r#"{"key":1,"pin":2}"#).expect("it fits").edits.len(), 2);
    assert_eq!(desk.get_secret("shop").expect("all opens").as_deref(), Some(r#"{"key":1,"pin":2}"#));
}

#[test]
fn secrets_that_can_not_be_opened_are_set_anew_one_by_one_under_a_schema() {
    let mut desk = Desk::new();
    let schema = r#"{"required":["key","pin"],"additionalProperties":false,"properties":{
        "key":{"type":"string","minLength":3},"pin":{"type":"integer"},"open":{"type":"boolean"},
        "mode":{"anyOf":[{"const":"a"},{"const":"b"}]}},
        "if":{"properties":{"pin":{"const":1}}},"else":{"required":["open"]}}"#;
    desk.set_secret("shop", r#"{"key":"hunter2","pin":1}"#).expect("it fits");
    desk.set_schema("shop", Some(schema)).expect("what is there fits");
    desk.opener.seal = SealKey::generate(&desk.opener.seams);
    desk.set("shop.mode", "\"a\"").expect("what nobody can open is in nobody's way");
    desk.set_schema("shop", None).expect("it may go");
    desk.set_schema("shop", Some(schema)).expect("what nobody can open is not wrong");
    // What is known is checked as before.
    for (at, value, wrong) in [
        ("shop.open", "1", "shop.open: "),
        ("shop.mode", "\"c\"", "shop.mode: "),
        ("shop.key", "\"x\"", "shop.key: "),
        ("shop.other", "1", "Additional properties"),
    ] {
        let fault = desk.set(at, value).expect_err("it does not fit");
        assert!(fault.code == Code::Usage && fault.message.contains(wrong), "{at}: {fault}");
    }
    assert_eq!(desk.delete("shop.key").expect_err("it is required").code, Code::Usage);
    let fault = desk.roll_back("shop.key", 1);
    assert!(fault.is_ok_and(|reply| reply.edits.is_empty()), "it is so already");
    desk.set("shop.key", "\"anew\"").expect("it is set anew");
    desk.set("shop.pin", "1").expect("so is the other");
    assert_eq!(desk.get_secret("shop.key"), Ok(Some("\"anew\"".to_owned())));
    // What nobody can open does not come back past the schema.
    let fault = desk.roll_back("shop.key", 1).expect_err("whether it fits, nobody knows");
    assert!(fault.message.contains("shop.key can't be opened"), "{fault}");
    let fault = desk.set("shop.pin", "2").expect_err("now the condition is known");
    assert_eq!(fault.code, Code::Usage);
}

#[test]
fn a_rotation_names_what_it_could_not_open() {
    let mut desk = Desk::new();
    desk.set_secret("shop", r#"{"key":"x","pin":1}"#).expect("it fits");
    desk.opener.seal = SealKey::generate(&desk.opener.seams);
    desk.set("shop.key", "\"anew\"").expect("a new key is made");
    let namespaces = [Namespace::default()];
    let key = desk.rotate(&namespaces, |_| ());
    let lost = desk.look(move |glimpse| unopened(glimpse, key, &namespaces)).expect("a healthy disk is read");
    assert_eq!(lost, [(Namespace::default(), "shop.pin".to_owned())]);
}

#[test]
fn secrets_that_nobody_can_open_are_counted_and_some_are_named() {
    let mut desk = Desk::new();
    let found = |desk: &Desk| {
        let opener = desk.opener.clone();
        desk.look(move |glimpse| lost(glimpse, &opener)).expect("a healthy disk is read")
    };
    assert_eq!(found(&desk), LostSecrets::default());
    desk.set_secret("shop", r#"{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7}"#).expect("it fits");
    assert_eq!(found(&desk), LostSecrets::default());
    desk.opener.seal = SealKey::generate(&desk.opener.seams);
    let told = found(&desk);
    assert_eq!((told.count, told.places.len()), (7, 5));
    assert_eq!(told.places[0], (Namespace::default(), "shop.a".to_owned()));
    desk.set("shop.a", "2").expect("it is set anew");
    assert_eq!(found(&desk).count, 6);
    desk.delete("shop").expect("it may go");
    assert_eq!(found(&desk), LostSecrets::default());
}

#[test]
fn a_mesh_made_of_a_backup_reads_the_secrets_with_the_seal_key_of_the_old_one() {
    let mut desk = Desk::new();
    let Opener { seams, seal: old, cluster } = desk.opener.clone();
    let heir = SealKey::generate(&seams);
    let (state, new_cluster) = (desk.bench.storage.state.clone(), ClusterId(cluster.0 + 1));
    let inherit = |key: &SealKey| {
        let heir = MeshSeal { cluster: new_cluster, key: &heir };
        inherit_keys(&*state, &seams, MeshSeal { cluster, key }, heir)
    };
    let nothing = Inherited { keys: 0, lost: 0 };
    assert_eq!(inherit(&SealKey::generate(&seams)), Ok(nothing), "there are no secrets yet");
    desk.set_secret("shop.key", SECRET).expect("it fits");
    assert_eq!(desk.rotate(&[Namespace::default()], |_| ()), 2);
    let before = desk.bench.everything();
    let fault = inherit(&SealKey::generate(&seams)).expect_err("it is another mesh's key");
    assert_eq!(fault.code, Code::Usage);
    assert_eq!(desk.bench.everything(), before, "nothing was changed");

    let kept = desk.keys().len() as u64;
    assert_eq!(inherit(&old), Ok(Inherited { keys: kept, lost: 0 }));
    assert!(desk.get_secret("shop.key").is_err(), "the old mesh's seal does not open it any more");
    desk.opener = Opener { seams: seams.clone(), seal: heir.clone(), cluster: new_cluster };
    assert_eq!(desk.get_secret("shop.key").expect("it opens").as_deref(), Some(SECRET));
    desk.set_secret("shop.pin", "1").expect("the key that sealed goes on");
    assert_eq!(desk.sealed_with(), [2, 2]);
    assert!(inherit(&old).is_err(), "it is done already");
    assert!(!desk.stores("hunter2"));
}
