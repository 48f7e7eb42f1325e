//! Endpoints whose request or answer is a stream, called by the SDK's own client. A node in between changes nothing of
//! what either side sees, so there is none here.

use crate::fake_node::FakeNode;
use futures::TryStreamExt;
use micro_sdk::{
    client::{Address, Node},
    prelude::*,
    serve::Server,
    wire::{Effect, Streams},
};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

const PATIENCE: Duration = Duration::from_secs(10);

#[message]
struct Upto {
    count: u64,
}

#[message]
struct Line {
    text: String,
}

/// Tells when it is dropped.
struct Held(Arc<AtomicU64>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Clone, Default)]
struct Talker {
    /// How many numbers were made by `endless`, and how many of its calls are over.
    made: Arc<AtomicU64>,
    ended: Arc<AtomicU64>,
}

#[service(name = "talker")]
impl Talker {
    async fn call(&self, line: Line) -> Result<Line> {
        Ok(line)
    }

    /// Counts.
    async fn count(&self, upto: Upto) -> Result<impl Stream<Item = Result<u64>>> {
        if upto.count == 13 {
            return Err(Fault::new(Code::Conflict, "not so far").help("elsewhere"));
        }
        Ok(stream::iter(0..upto.count).map(|number| match number {
            7 => Err(Fault::new(Code::Unavailable, "seven is not to be had")),
            number => Ok(number),
        }))
    }

    async fn total(&self, numbers: Streaming<u64>, ctx: Ctx) -> Result<u64> {
        assert_eq!(ctx.remaining(), Duration::MAX, "no deadline was set");
        numbers.try_fold(0, async |total, number| Ok(total + number)).await
    }

    async fn talk(&self, lines: Streaming<Line>, ctx: Ctx) -> Result<impl Stream<Item = Result<Line>>> {
        let who = ctx.metadata("who").unwrap_or("nobody").to_owned();
        Ok(lines.map(move |line| Ok(Line { text: format!("{who}: {}", line?.text) })))
    }

    async fn endless(&self, _: ()) -> Result<impl Stream<Item = Result<String>>> {
        let held = Held(self.ended.clone());
        Ok(stream::repeat_with(move || {
            let _held = &held;
            self.made.fetch_add(1, Ordering::SeqCst);
            Ok("x".repeat(64 << 10))
        }))
    }

    async fn silent(&self, _: ()) -> Result<impl Stream<Item = Result<u8>>> {
        let held = Held(self.ended.clone());
        Ok(stream::pending().map(move |number| {
            let _held = &held;
            number
        }))
    }

    async fn panic(&self, upto: Upto) -> Result<impl Stream<Item = Result<u64>>> {
        Ok(stream::iter(0..).map(move |number| {
            assert!(number < upto.count, "too far");
            Ok(number)
        }))
    }
}

/// A served talker, and a client of its port.
struct Served {
    talker: Talker,
    client: Node,
    _node: FakeNode,
    _stop: oneshot::Sender<()>,
}

impl Served {
    async fn start() -> Served {
        let mut node = FakeNode::start();
        let (stop, stopped) = oneshot::channel::<()>();
        let talker = Talker::default();
        let server = Server::new(talker.clone()).node(node.address());
        tokio::spawn(server.run_until(async { drop(stopped.await) }));
        let attached = timeout(PATIENCE, node.attached.recv()).await.expect("in time").expect("it attaches");
        let address: Address = attached.address.parse().expect("an address");
        let client = Node::connect_to(address).await.expect("it listens");
        Served { talker, client, _node: node, _stop: stop }
    }

    /// All that an endpoint answers one message, and the fault that ends it if one does.
    async fn ask(&self, endpoint: &str, request: Value) -> (Vec<Value>, Option<Fault>) {
        let mut answers = self.client.stream("talker", endpoint).ask(&request).expect("it can be sent");
        let mut values = Vec::new();
        while let Some(answer) = timeout(PATIENCE, answers.next()).await.expect("in time") {
            match answer {
                Ok(value) => values.push(value),
                Err(fault) => return (values, Some(fault)),
            }
        }
        (values, None)
    }
}

#[test]
fn a_service_tells_which_of_its_sides_are_streams() {
    let endpoints = micro_sdk::serve::Service::endpoints(&Talker::default());
    let of = |name: &str| endpoints.iter().find(|endpoint| endpoint.name == name).expect("it is there");
    let streams = |name: &str| {
        let Streams { client, server } = of(name).streams;
        (client, server)
    };
    assert_eq!(streams("Talker.call"), (false, false));
    assert_eq!(streams("Talker.count"), (false, true));
    assert_eq!(streams("Talker.total"), (true, false));
    assert_eq!(streams("Talker.talk"), (true, true));
    let schema = |text: &str| serde_json::from_str::<Value>(text).expect("a schema is JSON");
    assert_eq!(schema(&of("Talker.total").request_schema)["type"], "integer", "of one message");
    assert_eq!(schema(&of("Talker.talk").response_schema)["properties"]["text"]["type"], "string");
}

#[tokio::test]
async fn a_service_answers_with_a_stream() {
    let served = Served::start().await;
    assert_eq!(
        served.ask("Talker.count", json!({"count": 3})).await,
        (vec![json!(0), 1.into(), 2.into()], None)
    );
    assert_eq!(served.ask("Talker.count", json!({"count": 0})).await, (vec![], None));
    let line = json!({"text": "a call is a stream of one"});
    assert_eq!(served.ask("Talker.call", line.clone()).await, (vec![line], None));
}

#[tokio::test]
async fn faults_are_told_before_and_behind_messages() {
    let served = Served::start().await;
    let (values, fault) = served.ask("Talker.count", json!({"count": 13})).await;
    assert_eq!((values.len(), fault), (0, Some(Fault::new(Code::Conflict, "not so far").help("elsewhere"))));
    let (values, fault) = served.ask("Talker.count", json!({"count": 9})).await;
    assert_eq!((values.len(), fault.map(|fault| fault.code)), (7, Some(Code::Unavailable)));
    let (values, fault) = served.ask("Talker.panic", json!({"count": 2})).await;
    let fault = fault.expect("it panics");
    assert_eq!((values.len(), fault.code, fault.effect), (2, Code::Failed, Effect::Unknown), "{fault}");
    for (endpoint, request, code) in
        [("Talker.count", json!({"count": "many"}), Code::Usage), ("Talker.coun", json!({}), Code::NotFound)]
    {
        let (values, fault) = served.ask(endpoint, request).await;
        assert_eq!((values.len(), fault.map(|fault| fault.code)), (0, Some(code)), "{endpoint}");
    }
}

#[tokio::test]
async fn a_caller_says_a_stream() {
    let served = Served::start().await;
    let total = served.client.stream("talker", "Talker.total").begin().expect("it can be sent");
    for number in 1..=100 {
        total.send(&json!(number)).await.expect("it listens");
    }
    let told: Vec<Value> = total.finish().try_collect().await.expect("it adds up");
    assert_eq!(told, [json!(5050)]);
}

#[tokio::test]
async fn both_sides_talk_in_turn() {
    let served = Served::start().await;
    let mut talk = served
        .client
        .stream("talker", "Talker.talk")
        .metadata("Who", "jane")
        .begin()
        .expect("it can be sent");
    for number in 0..3 {
        talk.send(&json!({"text": number.to_string()})).await.expect("it listens");
        let answer = timeout(PATIENCE, talk.next()).await.expect("in time").expect("it answers");
        assert_eq!(answer, Ok(json!({"text": format!("jane: {number}")})));
    }
    talk.send(&json!({"text": 7})).await.expect("it listens");
    let refused =
        timeout(PATIENCE, talk.next()).await.expect("in time").expect("it tells").expect_err("no text");
    assert!(refused.code == Code::Usage && refused.message.contains("Talker.talk"), "{refused}");
    assert_eq!(talk.next().await, None, "nothing comes behind a fault");
}

#[tokio::test]
async fn a_service_is_no_further_than_its_caller_reads_and_ends_with_it() {
    let served = Served::start().await;
    let mut answers =
        served.client.stream("talker", "Talker.endless").ask(&Value::Null).expect("it can be sent");
    assert!(answers.next().await.expect("it begins").is_ok());
    // All windows on the way are full some time, and then it stays where it is.
    let mut before = 0;
    timeout(PATIENCE, async {
        loop {
            sleep(Duration::from_millis(200)).await;
            let made = served.talker.made.load(Ordering::SeqCst);
            if made == before {
                break;
            }
            before = made;
        }
    })
    .await
    .expect("it stops for a reader that does not read");
    assert!(before < 1024, "{before} messages of 64 KiB wait somewhere");
    drop(answers);
    over(&served, 1).await;
    let silent = served.client.stream("talker", "Talker.silent").ask(&Value::Null).expect("it can be sent");
    sleep(Duration::from_millis(50)).await;
    drop(silent);
    over(&served, 2).await;
}

/// Waits until so many handlers have ended.
async fn over(served: &Served, ended: u64) {
    timeout(PATIENCE, async {
        while served.talker.ended.load(Ordering::SeqCst) < ended {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the handler is dropped");
}

#[tokio::test]
async fn a_stream_has_no_longer_than_its_caller_gives_it() {
    let served = Served::start().await;
    let call = served.client.stream("talker", "Talker.silent").timeout(Duration::from_millis(100));
    let mut answers = call.ask(&Value::Null).expect("it can be sent");
    let fault =
        timeout(PATIENCE, answers.next()).await.expect("in time").expect("it ends").expect_err("it is late");
    assert_eq!((fault.code, fault.effect), (Code::Timeout, Effect::Unknown), "{fault}");
    over(&served, 1).await;
}
