//! What the macros make of an impl.

use micro_sdk::{prelude::*, serve::Service};
use serde_json::Value;

/// A line of talk.
#[message]
#[derive(PartialEq)]
pub struct Line {
    /// Who said it.
    from: String,
    /// What was said.
    #[serde(default)]
    text: Option<String>,
}

/// How loud.
#[message]
#[derive(Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Volume {
    VeryLow,
    High,
}

#[derive(Debug)]
struct RoomFull(u32);

impl From<RoomFull> for Fault {
    fn from(RoomFull(room): RoomFull) -> Fault {
        Fault::new(Code::Conflict, format!("room {room} is full"))
    }
}

type Answer = Result<Vec<Line>>;

struct Chat;

#[service(name = "chat", version = "2")]
impl Chat {
    /// Says a line.
    ///
    /// Twice, to be sure.
    pub async fn post(&self, line: Line, ctx: Ctx) -> Answer {
        assert!(ctx.metadata("absent").is_none());
        Ok(vec![line.clone(), self.same(line)])
    }

    async fn r#loop(&self, Line { from, .. }: Line) -> Result<Line> {
        Ok(Line { from, text: None })
    }

    async fn enter(&self, room: u32) -> Result<(), RoomFull> {
        Err(RoomFull(room))
    }

    async fn tune(&self, volume: Volume) -> Result<Volume> {
        Ok(volume)
    }

    #[cfg(any())]
    async fn absent(&self, _: NoSuchType) -> Result<()> {
        Ok(())
    }

    /// Not async: left alone.
    fn same(&self, line: Line) -> Line {
        line
    }
}

struct Unnamed<T>(T);

#[service]
impl<T: Clone + Into<i64> + Send + Sync + 'static> Unnamed<T> {
    async fn get(&self, _: ()) -> Result<i64> {
        Ok(self.0.clone().into())
    }
}

#[test]
fn a_service_tells_its_name_and_endpoints() {
    assert_eq!((Chat.name(), Chat.version()), ("chat", "2"));
    let names: Vec<String> = Chat.endpoints().into_iter().map(|endpoint| endpoint.name).collect();
    assert_eq!(names, ["Chat.post", "Chat.loop", "Chat.enter", "Chat.tune"]);
    let post = &Chat.endpoints()[0];
    assert_eq!(post.doc, "Says a line.\n\nTwice, to be sure.");
}

#[test]
fn a_service_without_a_name_has_its_packages() {
    assert_eq!((Unnamed(1).name(), Unnamed(1).version()), ("micro-sdk", env!("CARGO_PKG_VERSION")));
    assert_eq!(Unnamed(1).endpoints()[0].name, "Unnamed.get");
}

#[test]
fn schemas_have_fields_and_doc_comments() {
    let endpoints = Chat.endpoints();
    let taken: Value = serde_json::from_str(&endpoints[0].request_schema).expect("a schema is JSON");
    assert_eq!(taken["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(taken["description"], "A line of talk.");
    assert_eq!(taken["properties"]["from"]["description"], "Who said it.");
    assert_eq!(taken["properties"]["text"]["description"], "What was said.");
    assert_eq!(taken["required"], serde_json::json!(["from"]));
    let given: Value = serde_json::from_str(&endpoints[0].response_schema).expect("a schema is JSON");
    assert_eq!(given["type"], "array");
    let volume: Value = serde_json::from_str(&endpoints[3].request_schema).expect("a schema is JSON");
    assert_eq!(volume["enum"], serde_json::json!(["very_low", "high"]));
}
