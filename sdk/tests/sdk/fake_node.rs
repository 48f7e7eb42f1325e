//! A node that does what a test tells it and remembers what it was asked.

use bytes::Bytes;
use futures::{Stream, StreamExt, future::pending, stream};
use micro_sdk::{
    client::Address,
    proto::{self, attach_event::Event, node_server, registry_server, store_server},
    wire::{Code, Fault},
};
use std::{
    net::Shutdown,
    os::unix::net::UnixStream,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{net::UnixListener, sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status, metadata::MetadataMap, transport::Server};

/// A fake node on a unix socket in a directory of its own.
pub struct FakeNode {
    directory: TempDir,
    serving: Option<JoinHandle<()>>,
    /// The same sockets that tonic serves, to be cut: it lets those with work in flight live on.
    open: Arc<Mutex<Vec<UnixStream>>>,
    asked: Asked,
    /// Every attach request, as it comes.
    pub attached: mpsc::UnboundedReceiver<proto::AttachRequest>,
    tell: mpsc::UnboundedSender<proto::AttachRequest>,
}

/// What the store was last asked: the message's interesting parts and its headers.
#[derive(Clone, Debug, Default)]
pub struct Question {
    pub key: String,
    pub idempotency_key: Bytes,
    pub headers: MetadataMap,
    pub write: Option<proto::WriteRequest>,
    /// All transactions.
    pub transactions: Vec<proto::TransactRequest>,
    /// Where each watch was asked to begin.
    pub watched_from: Vec<Option<u64>>,
    /// How often a lease was kept alive.
    pub kept: usize,
    /// What services said of their health.
    pub reports: Vec<proto::ReportHealthRequest>,
}

#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) last: Arc<Mutex<Question>>,
    tell: mpsc::UnboundedSender<proto::AttachRequest>,
}

impl FakeNode {
    pub fn start() -> FakeNode {
        let (tell, attached) = mpsc::unbounded_channel();
        let asked = Asked { last: Arc::default(), tell: tell.clone() };
        let directory = TempDir::new().expect("a directory can be made");
        let mut node = FakeNode { directory, serving: None, open: Arc::default(), asked, attached, tell };
        node.restart();
        node
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("node.sock")
    }

    pub fn address(&self) -> Address {
        Address::Unix(self.socket())
    }

    pub fn last(&self) -> Question {
        self.asked.last.lock().expect("nobody panicked").clone()
    }

    /// Ends the node as a crash would: every connection is cut, the socket's file stays.
    pub async fn kill(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
        for socket in self.open.lock().expect("nobody panicked").drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    pub fn restart(&mut self) {
        let _ = std::fs::remove_file(self.socket());
        let listener = UnixListener::bind(self.socket()).expect("the socket can be bound");
        let fake = Asked { tell: self.tell.clone(), ..self.asked.clone() };
        let server = Server::builder()
            .add_service(registry_server::RegistryServer::new(fake.clone()))
            .add_service(store_server::StoreServer::new(fake.clone()))
            .add_service(node_server::NodeServer::new(fake));
        let open = self.open.clone();
        let incoming = UnixListenerStream::new(listener).map(move |socket| {
            let socket = socket?.into_std()?;
            open.lock().expect("nobody panicked").push(socket.try_clone()?);
            tokio::net::UnixStream::from_std(socket)
        });
        let serving = async move {
            let _ = server.serve_with_incoming(incoming).await;
        };
        self.serving = Some(tokio::spawn(serving));
    }
}

/// How the fake answers to a service of this name.
const REFUSED: &str = "refused";
/// A service of this name is let go of after a moment, once.
pub const FORGOTTEN: &str = "forgotten";

#[tonic::async_trait]
impl registry_server::Registry for Asked {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<proto::AttachEvent, Status>> + Send>>;
    type WatchServicesStream =
        Pin<Box<dyn Stream<Item = Result<proto::WatchServicesResponse, Status>> + Send>>;

    async fn attach(
        &self,
        request: Request<proto::AttachRequest>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let request = request.into_inner();
        let name = request.name.clone();
        let _ = self.tell.send(request);
        if name == REFUSED {
            return Err(Fault::new(Code::Denied, "not you").help("ask the operator").into());
        }
        let attached = proto::Attached {
            instance: "1".to_owned(),
            node: "000000000000002a".to_owned(),
            node_name: "alpha".to_owned(),
        };
        let first =
            stream::once(async move { Ok(proto::AttachEvent { event: Some(Event::Attached(attached)) }) });
        let end = async move {
            match name == FORGOTTEN {
                true => tokio::time::sleep(Duration::from_millis(50)).await,
                false => pending().await,
            }
        };
        Ok(Response::new(first.chain(stream::once(end).filter_map(|()| async { None })).boxed()))
    }

    async fn report_health(
        &self,
        request: Request<proto::ReportHealthRequest>,
    ) -> Result<Response<proto::ReportHealthResponse>, Status> {
        self.last.lock().expect("nobody panicked").reports.push(request.into_inner());
        Ok(Response::new(proto::ReportHealthResponse {}))
    }

    async fn register(
        &self,
        request: Request<proto::AttachRequest>,
    ) -> Result<Response<proto::RegisterResponse>, Status> {
        let ttl_ms = request.into_inner().ttl_ms;
        let (instance, node, node_name) = ("1".to_owned(), "2a".to_owned(), "alpha".to_owned());
        Ok(Response::new(proto::RegisterResponse { instance, node, node_name, ttl_ms }))
    }

    async fn deregister(
        &self,
        _: Request<proto::DeregisterRequest>,
    ) -> Result<Response<proto::DeregisterResponse>, Status> {
        Ok(Response::new(proto::DeregisterResponse {}))
    }

    async fn watch_services(
        &self,
        _: Request<proto::WatchServicesRequest>,
    ) -> Result<Response<Self::WatchServicesStream>, Status> {
        Ok(Response::new(stream::empty().boxed()))
    }

    async fn list_services(
        &self,
        _: Request<proto::ListServicesRequest>,
    ) -> Result<Response<proto::ListServicesResponse>, Status> {
        let services = vec![proto::Service { name: "helloworld".to_owned(), instances: Vec::new() }];
        Ok(Response::new(proto::ListServicesResponse { services }))
    }

    async fn get_service(
        &self,
        request: Request<proto::GetServiceRequest>,
    ) -> Result<Response<proto::GetServiceResponse>, Status> {
        let name = request.into_inner().name;
        Err(Fault::new(Code::NotFound, format!("no service {name:?}")).help("looked in gossip").into())
    }
}

#[tonic::async_trait]
impl node_server::Node for Asked {
    type BackupStream = Pin<Box<dyn Stream<Item = Result<proto::BackupResponse, Status>> + Send>>;

    /// Two parts, and then it fails.
    async fn backup(&self, _: Request<proto::BackupRequest>) -> Result<Response<Self::BackupStream>, Status> {
        let part = |text: &'static str| Ok(proto::BackupResponse { chunk: text.into(), bytes: 9 });
        let parts = [part("one"), part("two"), Err(Status::unavailable("the node stops"))];
        Ok(Response::new(Box::pin(stream::iter(parts))))
    }

    async fn drain(
        &self,
        request: Request<proto::DrainRequest>,
    ) -> Result<Response<proto::DrainResponse>, Status> {
        let proto::DrainRequest { node, undo } = request.into_inner();
        let drained = proto::Member { id: "3".to_owned(), name: format!("{node}:{undo}") };
        Ok(Response::new(proto::DrainResponse { drained: Some(drained) }))
    }

    async fn links(
        &self,
        _request: Request<proto::LinksRequest>,
    ) -> Result<Response<proto::LinksResponse>, Status> {
        Ok(Response::new(proto::LinksResponse::default()))
    }

    async fn explain(
        &self,
        _request: Request<proto::ExplainRequest>,
    ) -> Result<Response<proto::ExplainResponse>, Status> {
        Ok(Response::new(proto::ExplainResponse::default()))
    }

    async fn ping(
        &self,
        request: Request<proto::PingRequest>,
    ) -> Result<Response<proto::PingResponse>, Status> {
        let node = proto::Member { id: "3".to_owned(), name: request.into_inner().node };
        Ok(Response::new(proto::PingResponse { node: Some(node), took_us: 1500, ..Default::default() }))
    }

    /// Gives back what it got.
    async fn call(
        &self,
        request: Request<proto::CallRequest>,
    ) -> Result<Response<proto::CallResponse>, Status> {
        let call = request.into_inner();
        let body = format!(
            r#"{{"to":"{}/{}","body":{},"timeout_ms":{},"color":{:?}}}"#,
            call.service,
            call.endpoint,
            String::from_utf8_lossy(&call.body),
            call.timeout_ms,
            call.metadata.get("color").map_or("", String::as_str),
        );
        let (trace_id, node) = ("t1".to_owned(), "alpha".to_owned());
        Ok(Response::new(proto::CallResponse {
            body: body.into(),
            trace_id,
            node,
            ..proto::CallResponse::default()
        }))
    }

    async fn status(
        &self,
        _: Request<proto::StatusRequest>,
    ) -> Result<Response<proto::StatusResponse>, Status> {
        Ok(Response::new(proto::StatusResponse { document: "{}".into() }))
    }

    async fn create_token(
        &self,
        request: Request<proto::CreateTokenRequest>,
    ) -> Result<Response<proto::CreateTokenResponse>, Status> {
        let token = format!("secret-{}", request.into_inner().ttl_s);
        let (addresses, expires) = (vec!["10.0.0.1:8443".to_owned()], "2030-01-01T00:00:00Z".to_owned());
        Ok(Response::new(proto::CreateTokenResponse { token, addresses, expires }))
    }

    async fn leave(&self, _: Request<proto::LeaveRequest>) -> Result<Response<proto::LeaveResponse>, Status> {
        Err(Status::unavailable("no quorum"))
    }

    async fn transfer(
        &self,
        request: Request<proto::TransferRequest>,
    ) -> Result<Response<proto::TransferResponse>, Status> {
        let leader = proto::Member { id: "1".to_owned(), name: request.into_inner().to };
        Ok(Response::new(proto::TransferResponse { leader: Some(leader) }))
    }

    async fn remove(
        &self,
        request: Request<proto::RemoveRequest>,
    ) -> Result<Response<proto::RemoveResponse>, Status> {
        let proto::RemoveRequest { node, even_if_up, .. } = request.into_inner();
        if !even_if_up {
            return Err(Status::failed_precondition("it is up"));
        }
        let removed = proto::Member { id: "2".to_owned(), name: node };
        Ok(Response::new(proto::RemoveResponse { removed: Some(removed) }))
    }

    async fn settings(
        &self,
        _: Request<proto::SettingsRequest>,
    ) -> Result<Response<proto::SettingsResponse>, Status> {
        Ok(Response::new(proto::SettingsResponse::default()))
    }

    async fn show_authority(
        &self,
        _: Request<proto::ShowAuthorityRequest>,
    ) -> Result<Response<proto::ShowAuthorityResponse>, Status> {
        Ok(Response::new(proto::ShowAuthorityResponse::default()))
    }

    async fn connect(
        &self,
        _: Request<proto::ConnectRequest>,
    ) -> Result<Response<proto::ConnectResponse>, Status> {
        Ok(Response::new(proto::ConnectResponse::default()))
    }

    async fn rotate_authority(
        &self,
        _: Request<proto::RotateAuthorityRequest>,
    ) -> Result<Response<proto::RotateAuthorityResponse>, Status> {
        Ok(Response::new(proto::RotateAuthorityResponse::default()))
    }

    async fn finish_authority(
        &self,
        _: Request<proto::FinishAuthorityRequest>,
    ) -> Result<Response<proto::FinishAuthorityResponse>, Status> {
        Ok(Response::new(proto::FinishAuthorityResponse::default()))
    }
}
