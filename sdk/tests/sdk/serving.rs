//! A service on its own port, attached to a fake node.

use crate::fake_node::{FORGOTTEN, FakeNode};
use axum::{
    body::Body,
    http::{Method, Request, StatusCode, Version},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use micro_sdk::{
    prelude::*,
    proto,
    serve::{HealthCheck, Server},
    wire::limits::BODY_BYTES_MAX,
};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

const PATIENCE: Duration = Duration::from_secs(10);

#[message]
struct Hello {
    name: String,
}

#[message]
struct Greeting {
    msg: String,
}

#[message]
struct Told {
    trace: String,
    traceparent: Option<String>,
    remaining_ms: u64,
    color: Option<String>,
}

struct Greeter;

#[service(name = "greeter")]
impl Greeter {
    /// Says hello.
    async fn call(&self, req: Hello) -> Result<Greeting> {
        Ok(Greeting { msg: format!("Hello {}", req.name) })
    }

    async fn tell(&self, _: (), ctx: Ctx) -> Result<Told> {
        Ok(Told {
            trace: ctx.trace().to_string(),
            traceparent: ctx.traceparent().map(str::to_owned),
            remaining_ms: u64::try_from(ctx.remaining().as_millis()).expect("it is bounded"),
            color: ctx.metadata("color").map(str::to_owned),
        })
    }

    async fn refuse(&self, req: Hello) -> Result<Greeting> {
        Err(Fault::new(Code::Conflict, format!("{} was greeted", req.name)).help("greet someone else"))
    }

    async fn panic(&self, req: Hello) -> Result<Greeting> {
        panic!("{} is unspeakable", req.name)
    }

    async fn sleep(&self, ms: u64) -> Result<u64> {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        Ok(ms)
    }
}

/// A served `Greeter`, and what came of it.
struct Served {
    node: FakeNode,
    request: proto::AttachRequest,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<()>>,
}

impl Served {
    async fn start() -> Served {
        Served::named("greeter").await
    }

    async fn named(name: &str) -> Served {
        let mut node = FakeNode::start();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = Server::new(Greeter).name(name).node(node.address());
        let server = tokio::spawn(server.run_until(async { drop(stopped.await) }));
        let request = timeout(PATIENCE, node.attached.recv()).await.expect("in time").expect("it attaches");
        Served { node, request, stop, server }
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(format!("http://{}{path}", self.request.address))
    }

    async fn post(&self, path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        send(client(), self.request(Method::POST, path).body(body.into()).expect("a request")).await
    }
}

fn client() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).build(HttpConnector::new())
}

fn client_of_http2() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).http2_only(true).build(HttpConnector::new())
}

async fn send(client: Client<HttpConnector, Body>, request: Request<Body>) -> (StatusCode, Value) {
    let response = timeout(PATIENCE, client.request(request)).await.expect("in time").expect("it answers");
    let status = response.status();
    let body = response.into_body().collect().await.expect("the body comes").to_bytes();
    (status, serde_json::from_slice(&body).expect("the body is JSON"))
}

#[tokio::test]
async fn a_service_attaches_with_what_it_offers() {
    let served = Served::start().await;
    assert_eq!((served.request.name.as_str(), served.request.permits), ("greeter", 1024));
    assert_eq!(served.request.version, env!("CARGO_PKG_VERSION"));
    assert!(served.request.address.starts_with("127.0.0.1:"));
    let call = &served.request.endpoints[0];
    assert_eq!((call.name.as_str(), call.doc.as_str()), ("Greeter.call", "Says hello."));
    assert!(call.request_schema.contains("\"name\"") && call.response_schema.contains("\"msg\""));
}

#[tokio::test]
async fn a_service_says_of_itself_what_it_likes_and_reports_how_it_is() {
    let mut node = FakeNode::start();
    let (stop, stopped) = oneshot::channel::<()>();
    let well = Arc::new(AtomicBool::new(true));
    let asked = well.clone();
    let check = HealthCheck::own(move || {
        let well = asked.load(Ordering::Relaxed);
        async move { if well { Ok(()) } else { Err(Fault::new(Code::Unavailable, "no database")) } }
    });
    let check = check.interval(Duration::from_millis(20)).unhealthy_after(2);
    let server = Server::new(Greeter).node(node.address()).metadata("zone", "b").health(check);
    let server = tokio::spawn(server.run_until(async { drop(stopped.await) }));
    let request = timeout(PATIENCE, node.attached.recv()).await.expect("in time").expect("it attaches");
    assert_eq!(request.metadata.get("zone").map(String::as_str), Some("b"));
    let check = request.check.expect("it has one");
    assert!(matches!(check.kind, Some(proto::health_check::Kind::Reported(_))), "{check:?}");
    assert_eq!((check.interval_ms, check.unhealthy_after), (20, 2));
    let reported = async |failing: bool, reason: &str| {
        while !node.last().reports.last().is_some_and(|last| last.failing == failing && last.reason == reason)
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, reported(false, "")).await.expect("it reports");
    well.store(false, Ordering::Relaxed);
    timeout(PATIENCE, reported(true, "no database")).await.expect("it reports");
    assert_eq!(node.last().reports[0].instance, "1");
    stop.send(()).expect("it listens");
    server.await.expect("it does not panic").expect("it ends well");
}

#[tokio::test]
async fn calls_are_answered_over_http_1_and_2() {
    let served = Served::start().await;
    for (client, version) in [(client(), Version::HTTP_11), (client_of_http2(), Version::HTTP_2)] {
        let request = served.request(Method::POST, "/Greeter/call").version(version);
        let answer = send(client, request.body(Body::from(r#"{"name":"Jane"}"#)).expect("a request")).await;
        assert_eq!(answer, (StatusCode::OK, json!({ "msg": "Hello Jane" })), "{version:?}");
    }
    let health = served.request(Method::GET, "/health").body(Body::empty()).expect("a request");
    assert_eq!(client().request(health).await.expect("it answers").status(), StatusCode::OK);
}

#[tokio::test]
async fn bad_input_is_refused_with_the_reason() {
    let served = Served::start().await;
    let (status, fault) = served.post("/Greeter/call", "{\n \"name\": }").await;
    assert_eq!((status, &fault["code"]), (StatusCode::BAD_REQUEST, &json!("usage")));
    assert!(fault["message"].as_str().is_some_and(|text| text.contains("line 2 column 10")), "{fault}");

    let (status, fault) = served.post("/Greeter/call", "").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(fault["message"].as_str().is_some_and(|text| text.contains("missing field `name`")), "{fault}");

    let (status, fault) = served.post("/Greeter/Cal", "{}").await;
    assert_eq!((status, &fault["code"]), (StatusCode::NOT_FOUND, &json!("not_found")));
    assert!(
        fault["help"][0].as_str().is_some_and(|text| text.contains("Greeter.call, Greeter.tell")),
        "{fault}"
    );
    let (_, fault) = served.post("/Greeter/Call", "{}").await;
    assert_eq!(fault["help"][0], "did you mean `Greeter.call`?");

    let get = served.request(Method::GET, "/Greeter/call").body(Body::empty()).expect("a request");
    assert_eq!(send(client(), get).await.0, StatusCode::BAD_REQUEST);

    let late = served.request(Method::POST, "/Greeter/call").header("micro-deadline-ms", "soon");
    let (status, fault) = send(client(), late.body(Body::from("{}")).expect("a request")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(fault["message"].as_str().is_some_and(|text| text.contains("micro-deadline-ms")), "{fault}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let served = Served::start().await;
    let large = Bytes::from(vec![b' '; BODY_BYTES_MAX + 1]);
    let request = served.request(Method::POST, "/Greeter/call").body(Body::from(large)).expect("a request");
    let (status, fault) = send(client_of_http2(), request).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(fault["message"].as_str().is_some_and(|text| text.contains("16777216")), "{fault}");
}

#[tokio::test]
async fn a_handlers_fault_is_the_answer() {
    let served = Served::start().await;
    let (status, fault) = served.post("/Greeter/refuse", r#"{"name":"Jane"}"#).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let fault: Fault = serde_json::from_value(fault).expect("it is a fault");
    assert_eq!(fault, Fault::new(Code::Conflict, "Jane was greeted").help("greet someone else"));
}

#[tokio::test]
async fn a_panic_is_an_answer_and_not_the_end() {
    let served = Served::start().await;
    let (status, fault) = served.post("/Greeter/panic", r#"{"name":"Jane"}"#).await;
    assert_eq!((status, &fault["code"]), (StatusCode::INTERNAL_SERVER_ERROR, &json!("failed")));
    assert_eq!(fault["message"], "Greeter.panic panicked");
    assert_eq!(served.post("/Greeter/call", r#"{"name":"Jane"}"#).await.0, StatusCode::OK);
}

#[tokio::test]
async fn trace_and_deadline_reach_the_handler() {
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let served = Served::start().await;
    let request = served
        .request(Method::POST, "/Greeter/tell")
        .header("micro-trace-id", "4bf92f3577b34da6a3ce929d0e0e4736")
        .header("traceparent", PARENT)
        .header("micro-deadline-ms", "2000")
        .header("color", "red");
    let (_, told) = send(client(), request.body(Body::empty()).expect("a request")).await;
    let told: Told = serde_json::from_value(told).expect("it is what was told");
    assert_eq!(told.trace, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!((told.traceparent.as_deref(), told.color.as_deref()), (Some(PARENT), Some("red")));
    assert!((1000..=2000).contains(&told.remaining_ms), "{told:?}");
}

#[tokio::test]
async fn a_handler_has_no_longer_than_the_deadline() {
    let served = Served::start().await;
    let begun = Instant::now();
    let request = served.request(Method::POST, "/Greeter/sleep").header("micro-deadline-ms", "50");
    let (status, fault) = send(client(), request.body(Body::from("60000")).expect("a request")).await;
    assert_eq!((status, &fault["code"]), (StatusCode::GATEWAY_TIMEOUT, &json!("timeout")));
    assert_eq!(fault["effect"], "unknown");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_service_attaches_again_when_its_node_lets_go() {
    let mut served = Served::named(FORGOTTEN).await;
    for _ in 0..2 {
        let again =
            timeout(PATIENCE, served.node.attached.recv()).await.expect("in time").expect("it attaches");
        assert_eq!(again.address, served.request.address, "the port stays");
    }
}

#[tokio::test]
async fn a_service_waits_for_a_node_that_is_not_there_yet() {
    let mut node = FakeNode::start();
    node.kill().await;
    drop(std::fs::remove_file(node.socket()));
    let server =
        tokio::spawn(Server::new(Greeter).node(node.address()).run_until(futures::future::pending()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    node.restart();
    timeout(PATIENCE, node.attached.recv()).await.expect("in time").expect("it attaches");
    assert!(!server.is_finished());
}

#[tokio::test]
async fn a_refused_service_ends_with_the_reason() {
    let served = Served::named("refused").await;
    let fault =
        timeout(PATIENCE, served.server).await.expect("in time").expect("no panic").expect_err("refused");
    assert_eq!(fault, Fault::new(Code::Denied, "not you").help("ask the operator"));
    let server = Server::new(Greeter).name("No Name").run_until(futures::future::pending());
    assert_eq!(server.await.expect_err("it is no name").code, Code::Usage);
}

#[tokio::test]
async fn a_service_that_is_stopped_finishes_what_is_in_flight() {
    let served = Served::start().await;
    let request = served.request(Method::POST, "/Greeter/sleep").body(Body::from("300")).expect("a request");
    let in_flight = tokio::spawn(send(client_of_http2(), request));
    tokio::time::sleep(Duration::from_millis(100)).await;
    served.stop.send(()).expect("it still runs");
    assert_eq!(in_flight.await.expect("no panic"), (StatusCode::OK, json!(300)));
    let ended = timeout(PATIENCE, served.server).await.expect("in time").expect("no panic");
    assert_eq!(ended, Ok(()));
    let refused =
        client().get(format!("http://{}/health", served.request.address).parse().expect("a uri")).await;
    assert!(refused.is_err(), "the port is closed");
}
