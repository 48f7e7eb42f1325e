//! A node, as its clients see it: one connection, one deadline for each request, one place where failures are
//! read.

use super::{
    Address, Auth, Blobs, Call, ConfigTree, Election, HeldLock, Lock, Login, Registry, Store, StreamCall,
    Token, address,
    auth::keep_logged_in,
    background::Background,
    dial::{self, DialError, causes, root_cause},
    lock,
    shown::Shown,
};
use crate::{
    proto::{
        self, MESSAGE_BYTES_MAX, audit_client::AuditClient, auth_client::AuthClient,
        blobs_client::BlobsClient, config_client::ConfigClient, node_client::NodeClient,
        registry_client::RegistryClient, store_client::StoreClient,
    },
    wire::{
        Code, Effect, Fault, Namespace,
        limits::{DEADLINE_MS_DEFAULT, DEADLINE_MS_MAX},
        status::Status,
    },
};
use serde_json::Value;
use std::{error::Error, fmt, sync::Arc, time::Duration};
use tokio::{runtime::Handle, sync::watch};
use tonic::{Request, Response, metadata::MetadataValue, transport::Channel};

/// A client of one node. Cloning is cheap, and clones share the connection.
///
/// Every request ends within its deadline: 10 s unless [`Node::with_timeout`] or the request says otherwise.
#[derive(Clone)]
pub struct Node {
    address: Arc<Address>,
    pub(super) channel: Channel,
    token: Option<Shown>,
    namespace: Namespace,
    timeout: Duration,
    background: Background,
}

/// A single-use token with which another node may join.
#[derive(Clone, Debug)]
pub struct JoinToken {
    /// The token itself. Good for one node.
    pub token: Token,
    /// The mesh addresses that it leads to.
    pub addresses: Vec<String>,
    /// When it stops working, as RFC 3339.
    pub expires: String,
}

/// What is at stake in a request: what its failure says depends on it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stake {
    /// Nothing is changed.
    Read,
    /// A change that the node does once for each key, however often it is asked.
    Write(u128),
    /// Anything may come of it.
    Call,
}

impl Node {
    /// Connects to the node named by `MICRO_NODE_ADDRESS`, else to the socket in `MICRO_NODE_SOCKET`, else to the
    /// default socket if it exists, else to `127.0.0.1:8081`. On TCP, the secret in `MICRO_NODE_TOKEN` is presented.
    ///
    /// # Errors
    /// `Unreachable` if there is no node, `Usage` if the variable holds no address.
    pub async fn connect() -> Result<Node, Fault> {
        if let Some(address) = Address::from_env()? {
            return Node::connect_to(address).await;
        }
        if let Some(socket) = address::named_socket() {
            return Node::connect_to(Address::Unix(socket)).await;
        }
        if let Some(socket) = address::existing_default_socket() {
            return Node::connect_to(Address::Unix(socket)).await;
        }
        Node::connect_to(Address::loopback()).await.map_err(|fault| {
            let socket = Address::Unix(address::default_socket());
            let reason = fault.message.trim_start_matches("cannot reach a node");
            let message = format!("cannot reach a node at {socket}: no such file; nor{reason}");
            Fault { message, ..fault }
        })
    }

    /// Connects to the node at `address`. On TCP, the secret in `MICRO_NODE_TOKEN` is presented.
    ///
    /// # Errors
    /// `Unreachable` if nobody answers there.
    pub async fn connect_to(address: Address) -> Result<Node, Fault> {
        let channel = dial::channel(&address).await?;
        let node = Node::over(address, channel);
        Ok(Node { token: Token::from_env().map(Shown::Fixed), ..node })
    }

    /// The same over a connection of its own.
    ///
    /// # Errors
    /// `Unreachable` if nobody answers there.
    #[cfg(feature = "serve")]
    pub(crate) async fn connect_again(&self) -> Result<Node, Fault> {
        Ok(Node { channel: dial::channel(&self.address).await?, ..self.clone() })
    }

    /// A client over a channel that was made elsewhere; `address` is how it is called in errors.
    pub fn over(address: Address, channel: Channel) -> Node {
        let timeout = Duration::from_millis(DEADLINE_MS_DEFAULT.into());
        let (namespace, background) = (Namespace::default(), Background::default());
        Node { address: Arc::new(address), channel, token: None, namespace, timeout, background }
    }

    /// Presents `token`: the admin secret, or the access token of a [login](Auth::login). A unix socket needs none, and
    /// is shown none.
    #[must_use]
    pub fn with_token(mut self, token: Token) -> Node {
        self.token = Some(Shown::Fixed(token));
        self
    }

    /// Acts as the account of `login` from now on, also on a unix socket. The access token is renewed at two thirds of
    /// its life, for as long as this value or a clone of it lives. The refresh token is used up by that: what was kept
    /// of it elsewhere is of no use any more.
    #[must_use]
    pub fn with_login(self, login: Login) -> Node {
        let (sender, tokens) = watch::channel(Some(login.access.clone()));
        let auth = Node { token: None, ..self.clone() }.auth();
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(keep_logged_in(auth, login, sender));
        }
        Node { token: Some(Shown::Renewed(tokens)), ..self }
    }

    /// Shows the newest of these tokens.
    #[cfg(feature = "serve")]
    pub(crate) fn with_renewed(self, tokens: watch::Receiver<Option<Token>>) -> Node {
        Node { token: Some(Shown::Renewed(tokens)), ..self }
    }

    /// The same for a request that proves itself by the secret in it, and so shows no token.
    ///
    /// # Errors
    /// `Denied` if the secret would leave this host unencrypted.
    pub(super) fn confidential(&self) -> Result<Node, Fault> {
        self.check_private()?;
        Ok(Node { token: None, ..self.clone() })
    }

    /// Refuses to send a secret to another host unencrypted.
    fn check_private(&self) -> Result<(), Fault> {
        if self.address.is_local() {
            return Ok(());
        }
        let message = format!("a secret or token is not sent unencrypted to {}", self.address);
        Err(Fault::new(Code::Denied, message).help("run the command on the node's own host"))
    }

    /// Whether requests present a token.
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Accounts, tokens and rules of the namespace.
    pub fn auth(&self) -> Auth {
        Auth::new(self.clone())
    }

    /// Works in `namespace` instead of `default`.
    #[must_use]
    pub fn with_namespace(mut self, namespace: Namespace) -> Node {
        self.namespace = namespace;
        self
    }

    /// Gives each request `timeout`, unless it says otherwise; ten minutes at most.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Node {
        self.timeout = timeout;
        self
    }

    /// Where the node is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The namespace that requests go to.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Waits until what was dropped is given back: leases, locks, the lead of elections. A program that drops them and
    /// ends at once leaves them to their time to live.
    pub async fn settled(&self) {
        self.background.idle().await;
    }

    /// What goes on after a value was dropped.
    pub(super) fn background(&self) -> &Background {
        &self.background
    }

    /// The mesh's consistent store: database `default`, table `default`.
    pub fn store(&self) -> Store {
        Store::new(self.clone())
    }

    /// The mesh's configuration: the tree of values of the namespace.
    pub fn config(&self) -> ConfigTree {
        ConfigTree::new(self.clone())
    }

    /// The mesh's blobs: large bytes by name.
    pub fn blobs(&self) -> Blobs {
        Blobs::new(self.clone())
    }

    /// Who offers what, as it changes.
    pub fn registry(&self) -> Registry {
        Registry::new(self.clone())
    }

    /// A lock that one caller of the whole mesh holds at a time.
    pub fn lock(&self, name: impl Into<String>) -> Lock {
        Lock::new(self.clone(), name.into())
    }

    /// The locks that are held, by name.
    ///
    /// # Errors
    /// Those of a read.
    pub async fn locks(&self) -> Result<Vec<HeldLock>, Fault> {
        lock::held(self).await
    }

    /// An election that one candidate of the whole mesh wins at a time.
    pub fn election(&self, name: impl Into<String>) -> Election {
        Election::new(self.clone(), name.into())
    }

    /// Calls `endpoint` (`Handler.method`, or `method` where the service has a sole handler) of `service`
    /// with
    /// `body`, wherever it runs. Await it for the answer, or set more first.
    pub fn call(&self, service: impl Into<String>, endpoint: impl Into<String>, body: Value) -> Call {
        Call::new(self.clone(), service.into(), endpoint.into(), body)
    }

    /// The same for an endpoint whose request or answer is a stream: see [`StreamCall`].
    pub fn stream(&self, service: impl Into<String>, endpoint: impl Into<String>) -> StreamCall {
        StreamCall::new(self.clone(), service.into(), endpoint.into())
    }

    /// The cluster as the node sees it. Needs no quorum.
    ///
    /// # Errors
    /// `Internal` if the document can't be read; else as every request.
    pub async fn status(&self) -> Result<Status, Fault> {
        let mut client = self.client();
        let sent = |request| async move { client.status(request).await };
        let response = self.ask(Stake::Read, self.timeout, proto::StatusRequest {}, sent).await?;
        serde_json::from_slice(&response.document).map_err(|error| {
            let message = format!("the status of the node at {} can't be read: {error}", self.address);
            Fault::new(Code::Internal, message).help("client and node may be of different versions")
        })
    }

    /// Makes a token with which one other node may join within `ttl`.
    ///
    /// # Errors
    /// `Denied` if this caller may not, `Unavailable` without quorum; else as every request.
    pub async fn create_token(&self, ttl: Duration) -> Result<JoinToken, Fault> {
        let ttl_s = u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX);
        let mut client = self.client();
        let sent = |request| async move { client.create_token(request).await };
        let message = proto::CreateTokenRequest { ttl_s };
        let response = self.ask(Stake::Call, self.timeout, message, sent).await?;
        let proto::CreateTokenResponse { token, addresses, expires } = response;
        Ok(JoinToken { token: Token::new(token), addresses, expires })
    }

    /// The timeout of requests that set none.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub(crate) fn client(&self) -> NodeClient<Channel> {
        NodeClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn registry_client(&self) -> RegistryClient<Channel> {
        RegistryClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn records(&self) -> StoreClient<Channel> {
        StoreClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn configuration(&self) -> ConfigClient<Channel> {
        ConfigClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn auth_client(&self) -> AuthClient<Channel> {
        AuthClient::new(self.channel.clone())
    }

    pub(crate) fn audit_client(&self) -> AuditClient<Channel> {
        AuditClient::new(self.channel.clone())
    }

    pub(crate) fn blob_client(&self) -> BlobsClient<Channel> {
        BlobsClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// `message` with the token, if the node wants one.
    ///
    /// # Errors
    /// `Denied` if the secret would leave this host unencrypted, `Usage` if it can't be a header.
    pub(crate) fn request<M>(&self, message: M) -> Result<Request<M>, Fault> {
        let mut request = Request::new(message);
        let over_tcp = matches!(&*self.address, Address::Tcp { .. });
        let Some(shown) = self.token.as_ref().filter(|shown| over_tcp || shown.is_for_sockets()) else {
            return Ok(request);
        };
        self.check_private()?;
        let token = shown.token()?;
        let mut bearer: MetadataValue<_> = format!("Bearer {}", token.expose())
            .parse()
            .map_err(|_| Fault::new(Code::Usage, "the token holds characters that no token has"))?;
        bearer.set_sensitive(true);
        request.metadata_mut().insert("authorization", bearer);
        Ok(request)
    }

    /// Sends `message` and waits for the answer, no longer than `timeout`; the node is told the same
    /// deadline.
    pub(crate) async fn ask<M, R, S, F>(
        &self,
        stake: Stake,
        timeout: Duration,
        message: M,
        send: S,
    ) -> Result<R, Fault>
    where
        S: FnOnce(Request<M>) -> F,
        F: Future<Output = Result<Response<R>, tonic::Status>>,
    {
        let timeout = timeout.min(Duration::from_millis(DEADLINE_MS_MAX.into()));
        let mut request = self.request(message)?;
        request.set_timeout(timeout);
        match tokio::time::timeout(timeout, send(request)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(self.fault(stake, timeout, status)),
            Err(_) => Err(self.late(stake, timeout)),
        }
    }

    /// Reads a failure. A status with a source was made here, of a connection that failed; one without came
    /// from the node.
    pub(crate) fn fault(&self, stake: Stake, timeout: Duration, status: tonic::Status) -> Fault {
        let Some(source) = status.source() else { return self.answered(stake, status) };
        if let Some(dial) = DialError::among(source) {
            return Fault::from(dial);
        }
        if causes(source).any(|error| error.is::<tonic::TimeoutExpired>()) {
            return self.late(stake, timeout);
        }
        let message = format!("lost the node at {}: {}", self.address, root_cause(source));
        let help = "look whether it still runs: `micro-node status`";
        stake.unsure(Fault::new(Code::Unreachable, message).help(help))
    }

    /// Reads a failure that came as an answer: of the node, or of another server that has the port.
    fn answered(&self, stake: Stake, status: tonic::Status) -> Fault {
        if is_not_grpc(&status) {
            let message = format!("what answers at {} is not a node's gRPC proxy", self.address);
            return Fault::new(Code::Unreachable, message).help(
                "is it the HTTP api? the proxy is at 127.0.0.1:8081 unless the node was told otherwise",
            );
        }
        let fault = Fault::from(status);
        match stake {
            Stake::Read => Fault { effect: Effect::None, ..fault },
            Stake::Write(key) if fault.effect == Effect::Unknown => {
                let help = std::iter::once(repeat_help(key)).chain(fault.help).collect();
                Fault { help, ..fault }
            }
            Stake::Write(_) | Stake::Call => fault,
        }
    }

    fn late(&self, stake: Stake, timeout: Duration) -> Fault {
        let message = format!("the node at {} gave no answer within {timeout:?}", self.address);
        stake.unsure(
            Fault::new(Code::Timeout, message)
                .help("allow more time with --timeout, or look at `micro-node status`"),
        )
    }
}

impl Stake {
    /// `fault`, and what is to be said when nobody knows whether the request was done.
    pub(crate) fn unsure(self, fault: Fault) -> Fault {
        match self {
            Stake::Read => fault,
            Stake::Call => fault.effect_unknown(),
            Stake::Write(key) => {
                let message = format!("{}: whether the write was done is not known", fault.message);
                let help = std::iter::once(repeat_help(key)).chain(fault.help).collect();
                Fault { help, ..Fault::new(Code::Unknown, message) }
            }
        }
    }
}

/// How to repeat a write of which nobody knows whether it was done. The key may have been made up here, so this is
/// where a person learns it.
fn repeat_help(key: u128) -> String {
    format!(
        "repeat it with idempotency key {key:032x}: it is done once at most, if you do so within a minute"
    )
}

/// Whether a plain HTTP server made this answer: its refusal where gRPC has a status (4xx, so nothing was done), or
/// the text of that refusal where gRPC has a message. tonic tells neither but in words.
fn is_not_grpc(status: &tonic::Status) -> bool {
    let message = status.message();
    let refused = ["with status: 4", "HTTP status code 4"].iter().any(|word| message.contains(word));
    let foreign = ["invalid compression flag", "grpc-status header missing"];
    refused && foreign.iter().any(|word| message.contains(word))
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.address)
    }
}
