//! Asks a server of gRPC what it offers (gRPC Server Reflection Protocol, v1 and v1alpha, whose messages are the same).

use super::contract::{Contract, DESCRIPTORS_BYTES_MAX};
use crate::registry::{OF_NODE, deepest};
use futures::{SinkExt, StreamExt, channel::mpsc};
use http::uri::PathAndQuery;
use micro_sdk::{
    proto::ProtoCodec,
    wire::{Code, Fault},
};
use prost::Message;
use prost_reflect::DescriptorPool;
use prost_types::FileDescriptorProto;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};
use tonic::{
    Status, Streaming,
    client::Grpc,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, ServerReflectionResponse, server_reflection_request::MessageRequest,
    server_reflection_response::MessageResponse,
};

const PATHS: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];
/// What servers have besides what they are for.
const OF_ALL_SERVERS: [&str; 3] = ["grpc.reflection.", "grpc.health.", "grpc.channelz."];
/// How long all answers may take: an instance on this host that takes longer has other troubles.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most files that are asked for.
const FILES_MAX: usize = 512;

/// What the server at an address says of itself.
pub enum Reflection {
    /// Its methods and messages.
    Told(Contract),
    /// It speaks gRPC, and does not tell what its methods are.
    Untold,
    /// Nobody takes a connection: a program that is about to start may, later.
    Absent,
}

impl Reflection {
    /// Asks the server at a loopback address.
    ///
    /// # Errors
    /// [`Code::Usage`] if it does not speak gRPC, if what it tells can't be, or is too much; [`Code::Timeout`] if it
    /// takes too long.
    pub async fn ask(address: SocketAddr) -> Result<Self, Fault> {
        let asked = async {
            for path in PATHS {
                match Dialogue::begin(address, path).await {
                    Ok(dialogue) => return dialogue.contract().await.map(Self::of),
                    Err(Refusal::Absent) => return Ok(Reflection::Absent),
                    Err(Refusal::Foreign(why)) => return Err(foreign(address, &why)),
                    Err(Refusal::Status(status)) => tracing::debug!(%address, path, %status, "no reflection"),
                }
            }
            Ok(Reflection::Untold)
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| {
            let message = format!("the server at {address} does not tell what it offers within {PATIENCE:?}");
            Err(Fault::new(Code::Timeout, message))
        })
    }

    /// A server whose methods are all for tools tells nothing of what it is for.
    fn of(contract: Contract) -> Self {
        if contract.is_empty() { Reflection::Untold } else { Reflection::Told(contract) }
    }

    /// What tells this apart from what another server says; none if nobody was there to say anything.
    pub fn digest(&self) -> Option<Vec<u8>> {
        match self {
            Reflection::Told(contract) => Some(contract.digest()),
            Reflection::Untold => Some(Vec::new()),
            Reflection::Absent => None,
        }
    }
}

/// Why a server does not answer questions.
enum Refusal {
    /// It takes no connection.
    Absent,
    /// It does not speak gRPC.
    Foreign(String),
    /// It says no.
    Status(Status),
}

impl From<Status> for Refusal {
    /// What comes from the server itself has no other reason behind it.
    fn from(status: Status) -> Self {
        match std::error::Error::source(&status) {
            Some(source) => Refusal::Foreign(deepest(source)),
            None => Refusal::Status(status),
        }
    }
}

fn foreign(address: SocketAddr, why: &str) -> Fault {
    Fault::new(Code::Usage, format!("the program at {address} does not speak gRPC: {why}"))
        .help("if it speaks HTTP, offer it as that: --endpoint http://…")
        .help("if it wants TLS, have it listen without on loopback: links between nodes are encrypted")
}

/// A stream of questions and answers, one at a time.
struct Dialogue {
    ask: mpsc::Sender<ServerReflectionRequest>,
    answers: Streaming<ServerReflectionResponse>,
    /// The names of what it serves.
    services: Vec<String>,
}

impl Dialogue {
    /// Begins with the question what services there are: a server without reflection refuses it.
    async fn begin(address: SocketAddr, path: &'static str) -> Result<Self, Refusal> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"));
        let endpoint = endpoint.map_err(|error| Refusal::Foreign(deepest(&error)))?;
        let channel = endpoint.connect().await.map_err(|_| Refusal::Absent)?;
        let mut grpc: Grpc<Channel> = Grpc::new(channel).max_decoding_message_size(DESCRIPTORS_BYTES_MAX);
        grpc.ready().await.map_err(|error| Refusal::Foreign(deepest(&error)))?;
        let (mut ask, asked) = mpsc::channel(1);
        // Sent ahead of the call: some servers begin their answer with the first question only.
        let _ = ask.try_send(question(MessageRequest::ListServices(String::new())));
        let codec = ProtoCodec::<ServerReflectionRequest, ServerReflectionResponse>::default();
        let mut request = tonic::Request::new(asked);
        request.metadata_mut().insert(OF_NODE.0, MetadataValue::from_static(OF_NODE.1));
        let answers = grpc.streaming(request, PathAndQuery::from_static(path), codec).await?.into_inner();
        let mut dialogue = Dialogue { ask, answers, services: Vec::new() };
        if let MessageResponse::ListServicesResponse(list) = dialogue.answer().await? {
            let names = list.service.into_iter().map(|service| service.name);
            let own = |name: &String| !OF_ALL_SERVERS.iter().any(|prefix| name.starts_with(prefix));
            dialogue.services = names.filter(own).collect();
        }
        Ok(dialogue)
    }

    async fn answer(&mut self) -> Result<MessageResponse, Status> {
        let answer = self.answers.next().await.transpose()?;
        answer.and_then(|answer| answer.message_response).ok_or_else(|| Status::unavailable("no answer"))
    }

    /// The files that answer a question.
    async fn files(&mut self, about: MessageRequest) -> Result<Vec<FileDescriptorProto>, Fault> {
        let gone = |_| Fault::new(Code::Unavailable, "the server has ended its reflection");
        self.ask.send(question(about)).await.map_err(gone)?;
        match self.answer().await? {
            MessageResponse::FileDescriptorResponse(files) => {
                let files =
                    files.file_descriptor_proto.iter().map(|file| FileDescriptorProto::decode(&**file));
                files.collect::<Result<_, _>>().map_err(|error| nonsense(&error))
            }
            MessageResponse::ErrorResponse(error) => Err(nonsense(&error.error_message)),
            _ => Err(nonsense(&"it answers another question")),
        }
    }

    /// All that it offers, with the files that these import.
    async fn contract(mut self) -> Result<Contract, Fault> {
        let mut files = BTreeMap::new();
        let mut bytes = 0;
        let mut questions: Vec<MessageRequest> =
            self.services.iter().cloned().map(MessageRequest::FileContainingSymbol).collect();
        while let Some(about) = questions.pop() {
            for file in self.files(about).await? {
                bytes += file.encoded_len();
                files.insert(file.name().to_owned(), file);
            }
            if bytes > DESCRIPTORS_BYTES_MAX || files.len() > FILES_MAX {
                return Err(nonsense(&"that is too much"));
            }
            if questions.is_empty() {
                let imported: BTreeSet<&String> = files.values().flat_map(|file| &file.dependency).collect();
                let missing = imported.into_iter().filter(|name| !files.contains_key(*name));
                questions = missing.cloned().map(MessageRequest::FileByFilename).collect();
            }
        }
        let mut pool = DescriptorPool::new();
        pool.add_file_descriptor_protos(files.into_values()).map_err(|error| nonsense(&error))?;
        Contract::of(&pool, &self.services)
    }
}

fn question(about: MessageRequest) -> ServerReflectionRequest {
    ServerReflectionRequest { host: String::new(), message_request: Some(about) }
}

fn nonsense(why: &dyn std::fmt::Display) -> Fault {
    Fault::new(Code::Usage, format!("what the server tells of itself by reflection can't be used: {why}"))
        .help("give the descriptors when attaching, or turn its reflection off")
}
