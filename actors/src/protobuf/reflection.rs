//! Asks a server of gRPC what it offers (gRPC Server Reflection Protocol, v1 and v1alpha, whose messages are the same).

use super::contract::{Contract, DESCRIPTORS_BYTES_MAX};
use crate::registry::OF_NODE;
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

/// What the server at a loopback address offers; `None` if it does not speak gRPC, or tells nobody.
///
/// # Errors
/// [`Code::Usage`] if what it tells can't be, or is too much; [`Code::Timeout`] if it takes too long.
pub async fn reflected(address: SocketAddr) -> Result<Option<Contract>, Fault> {
    let asked = async {
        for path in PATHS {
            match Dialogue::begin(address, path).await {
                Ok(dialogue) => return dialogue.contract().await.map(Some),
                Err(status) => tracing::debug!(%address, path, %status, "no reflection"),
            }
        }
        Ok(None)
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| {
        let message = format!("the server at {address} does not tell what it offers within {PATIENCE:?}");
        Err(Fault::new(Code::Timeout, message))
    })
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
    async fn begin(address: SocketAddr, path: &'static str) -> Result<Self, Status> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| Status::internal(error.to_string()))?;
        let channel = endpoint.connect().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let mut grpc: Grpc<Channel> = Grpc::new(channel).max_decoding_message_size(DESCRIPTORS_BYTES_MAX);
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
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
