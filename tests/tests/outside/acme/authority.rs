//! A certificate authority as RFC 8555 has it, in this process: it checks what it is sent, looks at what it is
//! promised, and can be told to be difficult.

use super::{
    issuer::Issuer,
    jws::{PublicKey, Request, Signer, decoded},
    look,
    reply::{Answer, Reply},
};
use anyhow::{Context, bail, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Method, Response, StatusCode, header::LOCATION};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    convert::Infallible,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_rustls::TlsAcceptor;

/// How long it waits until it is known where to look.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it asks itself whether that is known.
const PERIOD: Duration = Duration::from_millis(50);

/// How it is disposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It does what it is asked.
    Well,
    /// It takes no connections.
    Down,
    /// It takes no orders, since there were too many.
    Limited,
}

/// What it is and what it has done.
struct State {
    mood: Mood,
    life: Duration,
    /// Where the domains are served: it looks at each of them.
    places: Vec<SocketAddr>,
    /// How many of the next nonces it does not take.
    bad_nonces: u32,
    nonces: BTreeSet<String>,
    accounts: Vec<PublicKey>,
    orders: Vec<Order>,
    /// What it found fault with.
    complaints: Vec<String>,
}

struct Order {
    account: usize,
    names: Vec<String>,
    token: String,
    status: &'static str,
    why: Option<String>,
    certificate: Option<String>,
}

/// The authority. It ends when it is dropped.
pub struct Authority {
    address: SocketAddr,
    root: PathBuf,
    desk: Arc<Desk>,
    serving: JoinHandle<()>,
}

struct Desk {
    base: String,
    issuer: Issuer,
    state: Mutex<State>,
}

fn random() -> String {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).expect("the system gives random bytes");
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Authority {
    /// Starts one, in this mood; the certificate of its root is written below `folder`.
    pub async fn start(folder: &Path, mood: Mood, life: Duration) -> anyhow::Result<Self> {
        let issuer = Issuer::new()?;
        let root = folder.join("root.pem");
        std::fs::write(&root, issuer.root())?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let acceptor = TlsAcceptor::from(issuer.directory()?);
        let state = State {
            mood,
            life,
            places: Vec::new(),
            bad_nonces: 0,
            nonces: BTreeSet::new(),
            accounts: Vec::new(),
            orders: Vec::new(),
            complaints: Vec::new(),
        };
        let base = format!("https://localhost:{}", address.port());
        let desk = Arc::new(Desk { base, issuer, state: Mutex::new(state) });
        let serving = tokio::spawn(serve(listener, acceptor, desk.clone()));
        Ok(Authority { address, root, desk, serving })
    }

    /// What a node is told to have its certificates for these domains from here.
    pub fn flags(&self, domains: &[&str]) -> Vec<String> {
        let mut flags: Vec<String> =
            domains.iter().flat_map(|domain| ["--acme-domain", domain]).map(str::to_owned).collect();
        flags.extend(["--acme-agree-tos", "--acme-email", "ops@example.org"].map(str::to_owned));
        flags.extend(["--acme-directory".to_owned(), format!("{}/directory", self.desk.base)]);
        flags.extend(["--acme-root".to_owned(), self.root.display().to_string()]);
        flags
    }

    /// A caller who believes its root, and nobody else.
    pub fn caller(&self) -> anyhow::Result<look::Caller> {
        look::Caller::believing(&self.desk.issuer.root())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Looks at all of these places from now on.
    pub fn look_at(&self, places: &[SocketAddr]) {
        self.desk.state().places = places.to_vec();
    }

    /// Is so from now on.
    pub fn be(&self, mood: Mood) {
        self.desk.state().mood = mood;
    }

    /// Does not take the next nonces.
    pub fn refuse_nonces(&self, count: u32) {
        self.desk.state().bad_nonces = count;
    }

    /// How many have an account.
    pub fn accounts(&self) -> usize {
        self.desk.state().accounts.len()
    }

    /// How many orders were made for a name.
    pub fn orders(&self, name: &str) -> usize {
        self.desk.state().orders.iter().filter(|order| order.names == [name]).count()
    }

    /// What it found fault with.
    pub fn complaints(&self) -> Vec<String> {
        self.desk.state().complaints.clone()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, desk: Arc<Desk>) {
    while let Ok((stream, _)) = listener.accept().await {
        if desk.state().mood != Mood::Down {
            tokio::spawn(connection(stream, acceptor.clone(), desk.clone()));
        }
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, desk: Arc<Desk>) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(move |request| {
        let desk = desk.clone();
        async move { Ok::<_, Infallible>(desk.respond(request).await) }
    });
    // Whoever hangs up has heard enough.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while they hold it")
    }

    async fn respond(self: &Arc<Self>, request: http::Request<Incoming>) -> Response<Full<bytes::Bytes>> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let answer = match parts.method {
            Method::GET if path == "/directory" => Ok(Reply::json(&self.directory())),
            Method::HEAD | Method::GET if path == "/nonce" => Ok(Reply::json(&json!({}))),
            Method::POST => self.post(&path, &body),
            other => Err(("malformed", format!("{other} {path}"))),
        };
        let reply = answer.unwrap_or_else(|(kind, detail)| {
            let status = match kind {
                "rateLimited" => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::BAD_REQUEST,
            };
            if !["badNonce", "rateLimited"].contains(&kind) {
                self.state().complaints.push(format!("{path}: {detail}"));
            }
            let kind = format!("urn:ietf:params:acme:error:{kind}");
            let problem = json!({ "type": kind, "detail": detail, "status": status.as_u16() });
            Reply { status, ..Reply::json(&problem) }
        });
        let nonce = random();
        self.state().nonces.insert(nonce.clone());
        let response = Response::builder().status(reply.status).header("replay-nonce", nonce);
        let response = match reply.location {
            Some(location) => response.header(LOCATION, location),
            None => response,
        };
        response.body(Full::from(reply.body)).expect("these are good headers")
    }

    fn directory(&self) -> Value {
        let at = |path: &str| format!("{}/{path}", self.base);
        json!({
            "newNonce": at("nonce"), "newAccount": at("account"), "newOrder": at("order"),
            "revokeCert": at("revoke"), "keyChange": at("key"),
        })
    }

    fn post(self: &Arc<Self>, path: &str, body: &[u8]) -> Answer {
        let malformed = |error: anyhow::Error| ("malformed", format!("{error:#}"));
        let request = Request::parse(body).map_err(malformed)?;
        {
            let mut state = self.state();
            if !state.nonces.remove(&request.nonce) {
                return Err(("badNonce", "it was used before, or never given".to_owned()));
            }
            if state.bad_nonces > 0 {
                state.bad_nonces -= 1;
                return Err(("badNonce", "it is not taken today".to_owned()));
            }
        }
        if request.url != format!("{}{path}", self.base) {
            return Err(("unauthorized", format!("it is for {}", request.url)));
        }
        if let ("/account", Signer::Key(key)) = (path, &request.signer) {
            let key = key.clone();
            return self.account(&request, key).map_err(malformed);
        }
        let account = self.account_of(&request).map_err(malformed)?;
        if path == "/order" {
            if self.state().mood == Mood::Limited {
                return Err(("rateLimited", "too many certificates for this name".to_owned()));
            }
            return self.order(&request, account).map_err(malformed);
        }
        self.of_order(path, &request, account).map_err(malformed)
    }

    /// Makes an account, or finds the one of this key.
    fn account(&self, request: &Request, key: PublicKey) -> anyhow::Result<Reply> {
        ensure!(request.is_signed_by(&key), "the signature is wrong");
        let asked = request.payload.as_ref().context("it asks for nothing")?;
        ensure!(asked["termsOfServiceAgreed"] == true, "it does not agree: {asked}");
        ensure!(asked["contact"] == json!(["mailto:ops@example.org"]), "another contact: {asked}");
        let mut state = self.state();
        let known = state.accounts.iter().position(|known| *known == key);
        let number = known.unwrap_or(state.accounts.len());
        if known.is_none() {
            state.accounts.push(key);
        }
        let reply = Reply::json(&json!({ "status": "valid" }));
        Ok(reply.made(format!("{}/account/{number}", self.base)))
    }

    /// The account that has signed a request.
    fn account_of(&self, request: &Request) -> anyhow::Result<usize> {
        let Signer::Account(account) = &request.signer else { bail!("it names no account") };
        let prefix = format!("{}/account/", self.base);
        let number: usize =
            account.strip_prefix(&prefix).context("an account of another authority")?.parse()?;
        let key = self.state().accounts.get(number).cloned().context("there is no such account")?;
        ensure!(request.is_signed_by(&key), "the signature is wrong");
        Ok(number)
    }

    fn order(&self, request: &Request, account: usize) -> anyhow::Result<Reply> {
        let asked = request.payload.as_ref().context("it asks for nothing")?;
        let names = asked["identifiers"].as_array().context("it is for no names")?.iter().map(|name| {
            ensure!(name["type"] == "dns", "another kind: {name}");
            Ok(name["value"].as_str().context("no name")?.to_owned())
        });
        let names: Vec<String> = names.collect::<anyhow::Result<_>>()?;
        ensure!(names.len() == 1, "each name has a certificate of its own: {names:?}");
        let mut state = self.state();
        state.orders.push(Order {
            account,
            names,
            token: random(),
            status: "pending",
            why: None,
            certificate: None,
        });
        let number = state.orders.len() - 1;
        Ok(self.shown(&state.orders[number], number).made(format!("{}/order/{number}", self.base)))
    }

    fn shown(&self, order: &Order, number: usize) -> Reply {
        let at = |part: &str| format!("{}/{part}/{number}", self.base);
        let names: Vec<Value> =
            order.names.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
        let mut shown = json!({
            "status": order.status, "identifiers": names, "authorizations": [at("authorization")],
            "finalize": at("finalize"),
        });
        if order.status == "valid" {
            shown["certificate"] = at("certificate").into();
        }
        Reply::json(&shown)
    }

    /// What there is below an order: looked at, or taken further.
    fn of_order(self: &Arc<Self>, path: &str, request: &Request, account: usize) -> anyhow::Result<Reply> {
        let (part, number) = path[1..].split_once('/').context("there is nothing here")?;
        let number: usize = number.parse()?;
        let mut state = self.state();
        let (life, thumbprint) = (state.life, state.accounts[account].thumbprint.clone());
        let order = state.orders.get_mut(number).context("there is no such order")?;
        ensure!(order.account == account, "it is another one's");
        match (part, &request.payload) {
            ("order", None) => {
                let reply = self.shown(order, number);
                if order.status == "processing" {
                    order.status = "valid";
                }
                Ok(reply)
            }
            ("authorization", None) => Ok(self.authorization(order, number)),
            ("challenge", Some(_)) => {
                ensure!(order.status == "pending", "it is {} already", order.status);
                tokio::spawn(self.clone().look(number, thumbprint));
                Ok(Reply::json(&self.challenge(order, number)))
            }
            ("finalize", Some(asked)) => {
                ensure!(order.status == "ready", "it is {}", order.status);
                let request = decoded(asked["csr"].as_str().context("there is no request")?)?;
                order.certificate = Some(self.issuer.issue(&request, &order.names, life)?);
                order.status = "processing";
                Ok(self.shown(order, number))
            }
            ("certificate", None) => {
                let certificate = order.certificate.clone().context("there is none yet")?;
                Ok(Reply { status: StatusCode::OK, location: None, body: certificate.into_bytes() })
            }
            _ => bail!("there is nothing here"),
        }
    }

    fn challenge(&self, order: &Order, number: usize) -> Value {
        let status = match order.status {
            "pending" => "pending",
            "invalid" => "invalid",
            _ => "valid",
        };
        let url = format!("{}/challenge/{number}", self.base);
        let mut challenge =
            json!({ "type": "tls-alpn-01", "url": url, "token": order.token, "status": status });
        if let Some(why) = &order.why {
            let kind = "urn:ietf:params:acme:error:connection";
            challenge["error"] = json!({ "type": kind, "detail": why, "status": 400 });
        }
        challenge
    }

    fn authorization(&self, order: &Order, number: usize) -> Reply {
        let challenge = self.challenge(order, number);
        let other = json!({
            "type": "http-01", "url": format!("{}/other/{number}", self.base), "token": random(), "status": "pending",
        });
        Reply::json(&json!({
            "identifier": { "type": "dns", "value": order.names[0] }, "status": challenge["status"],
            "challenges": [other, challenge],
        }))
    }

    /// Where it looks, if it is well.
    fn to_look_at(&self) -> Vec<SocketAddr> {
        let state = self.state();
        if state.mood == Mood::Well { state.places.clone() } else { Vec::new() }
    }

    /// The name and the token of an order.
    fn asked(&self, number: usize) -> (String, String) {
        let order = &self.state().orders[number];
        (order.names[0].clone(), order.token.clone())
    }

    /// Looks at the challenge of an order, at all places.
    async fn look(self: Arc<Self>, number: usize, thumbprint: String) {
        let end = Instant::now() + PATIENCE;
        let places = loop {
            let places = self.to_look_at();
            if !places.is_empty() {
                break places;
            }
            if Instant::now() > end {
                return;
            }
            sleep(PERIOD).await;
        };
        let (name, token) = self.asked(number);
        let expected = digest(&SHA256, format!("{token}.{thumbprint}").as_bytes());
        let mut found = Ok(());
        for place in places {
            found = found.and(look::at_challenge(place, &name, expected.as_ref()).await);
        }
        let mut state = self.state();
        match found {
            Ok(()) => state.orders[number].status = "ready",
            Err(error) => {
                state.orders[number].status = "invalid";
                state.orders[number].why = Some(format!("{error:#}"));
                state.complaints.push(format!("{name}: {error:#}"));
            }
        }
    }
}
