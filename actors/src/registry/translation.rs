//! Calls with JSON of a server that takes protobuf, and the reverse: the node at which it is attached translates.

use super::channel::Channel;
use crate::{
    kit::Body,
    protobuf::{Contract, MESSAGE_BYTES_MAX, from_json, to_json},
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::{StreamExt, stream};
use http::{HeaderValue, Request, Response, header::CONTENT_TYPE, uri::PathAndQuery};
use http_body_util::{BodyExt, BodyStream, StreamBody};
use hyper::body::Frame;
use micro_sdk::{
    proto::RawCodec,
    wire::{Code, Fault, Head},
};
use prost_reflect::MethodDescriptor;
use std::sync::{Arc, OnceLock};
use tonic::{Code as TonicCode, Status};
use tower::service_fn;

/// What gRPC says for itself, and not to the other end.
const GRPC_PREFIX: &str = "grpc-";
/// What calls say that their messages are.
const JSON: &str = "application/grpc+json";
const PROTOBUF: &str = "application/grpc+proto";
/// What is before each message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// Whether the messages of a gRPC call are protobuf.
pub(super) fn is_protobuf(head: &Head) -> bool {
    let mut kinds = head.metadata.iter().filter(|(name, _)| CONTENT_TYPE == name.as_str());
    kinds.all(|(_, kind)| kind == "application/grpc" || kind.starts_with(PROTOBUF))
}

/// Calls a method of one request and one answer with JSON, and gives JSON.
///
/// # Errors
/// [`Code::NotFound`] if the contract has no such method, [`Code::Usage`] for JSON that is not its message, or what the
/// server answers.
pub(super) async fn to_protobuf(
    contract: &Contract,
    channel: &Channel,
    head: &Head,
    body: Bytes,
) -> Result<Bytes, Fault> {
    let method = contract.unary(&head.endpoint)?;
    let message = from_json(method.input(), &body)?;
    let mut head = head.clone();
    head.metadata.push((CONTENT_TYPE.to_string(), PROTOBUF.to_owned()));
    // tonic knows its own statuses only, which hold faults as they are.
    let server = service_fn(async |request: Request<tonic::body::Body>| {
        let body = request.into_body().map_err(Fault::from).boxed_unsync();
        let answer = channel.converse(&head, body).await.map_err(Status::from)?;
        Ok::<_, Status>(answer.map(|body| body.map_err(Status::from)))
    });
    let mut grpc = tonic::client::Grpc::new(server).max_decoding_message_size(MESSAGE_BYTES_MAX);
    grpc.ready().await?;
    // The channel knows the path by the head.
    let answer = grpc.unary(tonic::Request::new(message), PathAndQuery::from_static("/"), RawCodec).await;
    let answer = answer.map_err(|status| match is_too_long(&status) {
        true => wrong_answer(&head, status.message()),
        false => status.into(),
    });
    to_json(method.output(), answer?.into_inner()).map_err(|fault| wrong_answer(&head, &fault.message))
}

fn too_long() -> Fault {
    let message = format!("a message has more than the {MESSAGE_BYTES_MAX} bytes that are translated");
    Fault::new(Code::TooLarge, message)
}

/// Whether a message was longer than one that is taken apart may be. tonic has no other way to say so, and a server
/// that says the same of something else does not say it in these words.
fn is_too_long(status: &Status) -> bool {
    status.code() == TonicCode::OutOfRange && status.message().contains("decoded message length too large")
}

/// That the server answered what can't be an answer: the call was done.
fn wrong_answer(head: &Head, why: &str) -> Fault {
    Fault::new(Code::Failed, format!("the answer of {} is wrong: {why}", head.service)).effect_unknown()
}

/// Whether the messages of a gRPC call are JSON.
pub(super) fn is_json(head: &Head) -> bool {
    let mut kinds = head.metadata.iter().filter(|(name, _)| CONTENT_TYPE == name.as_str());
    kinds.any(|(_, kind)| kind.starts_with(JSON))
}

/// Begins a gRPC call whose messages are JSON of a server that takes protobuf: each is translated as it comes, and so
/// are those of the answer.
///
/// # Errors
/// [`Code::NotFound`] if the contract has no such method, [`Code::Usage`] if the first messages are none of it, or why
/// the call can't begin.
pub(super) async fn messages_to_protobuf(
    contract: &Contract,
    channel: &Channel,
    head: &Head,
    body: Body,
) -> Result<Response<Body>, Fault> {
    let method = contract.method(&head.endpoint)?;
    let (input, output) = (method.input(), method.output());
    let there = move |json: Bytes| from_json(input.clone(), &json);
    let back = move |message: Bytes| to_json(output.clone(), message);
    translated(channel, head, [PROTOBUF, JSON], body, there, back).await
}

/// The reverse: begins a gRPC call whose messages are protobuf of a server that takes JSON.
///
/// # Errors
/// As [`messages_to_protobuf`].
pub(super) async fn messages_to_json(
    contract: &Contract,
    channel: &Channel,
    head: &Head,
    body: Body,
) -> Result<Response<Body>, Fault> {
    let method = contract.method(&head.endpoint)?;
    let (input, output) = (method.input(), method.output());
    let there = move |message: Bytes| to_json(input.clone(), message);
    let back = move |json: Bytes| from_json(output.clone(), &json);
    translated(channel, head, [JSON, PROTOBUF], body, there, back).await
}

/// Begins a gRPC call with each message translated `there`, and `back` those of the answer; they are of these kinds.
async fn translated(
    channel: &Channel,
    head: &Head,
    [sent, answered]: [&'static str; 2],
    body: Body,
    there: impl Fn(Bytes) -> Result<Bytes, Fault> + Send + 'static,
    back: impl Fn(Bytes) -> Result<Bytes, Fault> + Send + 'static,
) -> Result<Response<Body>, Fault> {
    let mut head = json_head(head);
    head.metadata.push((CONTENT_TYPE.to_string(), sent.to_owned()));
    let wrong = Wrong::default();
    let spoil = wrong.clone();
    let body = each(body, there).map_err(move |fault| spoil.keep(fault)).boxed_unsync();
    let mut response = channel.converse(&head, body).await.map_err(|fault| wrong.or(fault))?;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(answered));
    Ok(response.map(|body| {
        let told = move |fault: Fault| match fault.code {
            // Of an answer that is no message, or too long, the caller is not to blame.
            Code::Usage | Code::TooLarge => wrong_answer(&head, &fault.message),
            _ => wrong.or(fault),
        };
        each(body, back).map_err(told).boxed_unsync()
    }))
}

/// Why the server was told no more, if the caller is to blame: to the connection with the server it only broke off.
#[derive(Clone, Default)]
struct Wrong(Arc<OnceLock<Fault>>);

impl Wrong {
    fn keep(&self, fault: Fault) -> Fault {
        // The first is the last: no message follows it.
        let _ = self.0.set(fault.clone());
        fault
    }

    /// What was wrong before all else, or `fault`.
    fn or(&self, fault: Fault) -> Fault {
        self.0.get().cloned().unwrap_or(fault)
    }
}

/// A body of gRPC with each of its messages made into another one. The first that can't be is its end.
fn each(body: Body, translate: impl Fn(Bytes) -> Result<Bytes, Fault> + Send + 'static) -> Body {
    let translating = Some((BodyStream::new(body), BytesMut::new(), translate));
    let frames = stream::unfold(translating, |state| async move {
        let (mut body, mut read, translate) = state?;
        loop {
            match take_message(&mut read).and_then(|message| message.map(&translate).transpose()) {
                Ok(Some(message)) => {
                    return Some((Ok(Frame::data(framed(&message))), Some((body, read, translate))));
                }
                Ok(None) => {}
                Err(fault) => return Some((Err(fault), None)),
            }
            match body.next().await?.map(Frame::into_data) {
                Ok(Ok(data)) => read.extend_from_slice(&data),
                Ok(Err(trailers)) => return Some((Ok(trailers), None)),
                Err(fault) => return Some((Err(fault), None)),
            }
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

/// The first message of what was read, once all of it is there (gRPC over HTTP/2, "Length-Prefixed-Message").
fn take_message(read: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
    let Some(prefix) = read.get(..PREFIX_BYTES) else { return Ok(None) };
    let length = u32::from_be_bytes(prefix[1..].try_into().expect("four bytes")) as usize;
    if prefix[0] != 0 {
        return Err(Fault::new(Code::Usage, "a message is compressed").help("send it as it is"));
    }
    if length > MESSAGE_BYTES_MAX {
        let message = format!("a message has {length} bytes: at most {MESSAGE_BYTES_MAX} are translated");
        return Err(Fault::new(Code::TooLarge, message));
    }
    if read.len() < PREFIX_BYTES + length {
        return Ok(None);
    }
    read.advance(PREFIX_BYTES);
    Ok(Some(read.split_to(length).freeze()))
}

fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("a message is far smaller"));
    frame.put_slice(message);
    frame.freeze()
}

/// The head of a call with other messages in place of this one.
pub(super) fn json_head(head: &Head) -> Head {
    let mut head = head.clone();
    head.metadata.retain(|(name, _)| CONTENT_TYPE != name.as_str() && !name.starts_with(GRPC_PREFIX));
    head
}

/// Answers a gRPC call with what `call` answers in JSON.
pub(super) async fn from_protobuf<F>(
    method: MethodDescriptor,
    call: impl FnOnce(Bytes) -> F + Send + 'static,
    body: Body,
) -> Response<Body>
where
    F: Future<Output = Result<Bytes, Fault>> + Send + 'static,
{
    let mut call = Some(call);
    let handler = service_fn(move |message: tonic::Request<Bytes>| {
        let (call, method) = (call.take(), method.clone());
        async move {
            let call = call.ok_or_else(|| Status::internal("a call has one request"))?;
            let json = to_json(method.input(), message.into_inner())?;
            let answer = from_json(method.output(), &call(json).await?).map_err(|fault| {
                let message = format!("the answer of {} is wrong: {}", method.full_name(), fault.message);
                Fault::new(Code::Failed, message).effect_unknown()
            })?;
            Ok(tonic::Response::new(answer))
        }
    });
    let mut grpc = tonic::server::Grpc::new(RawCodec).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let answer = grpc.unary(handler, Request::new(body)).await;
    let answer = match Status::from_header_map(answer.headers()) {
        Some(status) if is_too_long(&status) => Status::from(too_long()).into_http(),
        _ => answer,
    };
    answer.map(|body| body.map_err(Fault::from).boxed_unsync())
}
