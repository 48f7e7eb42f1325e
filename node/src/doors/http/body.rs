//! What a request hands to an endpoint, as JSON: a body of one of four kinds, with the query and the path's fields.
//!
//! A body of JSON without anything beside it is passed on byte by byte. Otherwise the fields of the path come before
//! those of the body, and those before the query's: the path is what was called.

use super::problem::Refusal;
use crate::{
    doors::grpc::BEGINNING_BYTES,
    request::{Fields, Given, Schema},
};
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, Method, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body_util::BodyExt;
use micro_sdk::wire::{Code, Fault, limits::BODY_BYTES_MAX};
use mime::Mime;
use serde_json::{Map, Value, value::RawValue};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// The kinds of bodies that are taken.
const TAKEN: &str = "application/json, application/x-www-form-urlencoded, multipart/form-data";
/// How much of bodies may be in memory at once, over all connections: sixteen of the largest, and far more than calls
/// in work have when they are small.
const HELD_BYTES_MAX: usize = 256 << 20;
/// What room is given out in: a body takes one at least.
const PAGE_BYTES: usize = 4 << 10;

/// A long body may take longer than its call, if it comes at least so fast: a mobile line does.
const BYTES_A_SECOND_MIN: usize = 128 << 10;

/// The room for bodies of all connections. Clones share it.
#[derive(Clone)]
pub(super) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Room(Arc::new(Semaphore::new(HELD_BYTES_MAX / PAGE_BYTES)))
    }
}

/// A body, and its room for as long as it is kept.
#[derive(Debug)]
pub(super) struct Held {
    /// The bytes.
    pub bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// The whole of a body. Of a long one, no more than its beginning is read unless `more` says so.
    ///
    /// # Errors
    /// What `more` says; 413 over the limit, 408 after `patience` or what a long body needs, 503 if too much is held
    /// already, 400 if it breaks off.
    pub async fn collect(
        &self,
        headers: &HeaderMap,
        body: Body,
        patience: Duration,
        more: impl FnOnce() -> Result<(), Fault>,
    ) -> Result<Held, Refusal> {
        let told = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if told.is_some_and(|told| told > BODY_BYTES_MAX) {
            return Err(Refusal::too_large("the body", BODY_BYTES_MAX));
        }
        let mut more = Some(more);
        if told.is_some_and(|told| told > BEGINNING_BYTES) {
            more.take().map_or(Ok(()), |more| more()).map_err(|fault| Refusal::from(fault).close())?;
        }
        let patience = patience.max(Duration::from_secs((told.unwrap_or(0) / BYTES_A_SECOND_MIN) as u64));
        match timeout(patience, self.gather(body, more)).await {
            Ok(held) => held,
            Err(_late) => {
                let message = format!("the body did not come within {patience:?}");
                Err(Refusal::of(StatusCode::REQUEST_TIMEOUT, message).close())
            }
        }
    }

    async fn gather(
        &self,
        mut body: Body,
        mut more: Option<impl FnOnce() -> Result<(), Fault>>,
    ) -> Result<Held, Refusal> {
        let (mut whole, mut first) = (BytesMut::new(), Bytes::new());
        let mut room: Option<OwnedSemaphorePermit> = None;
        while let Some(frame) = body.frame().await {
            let broke =
                |error| Refusal::of(StatusCode::BAD_REQUEST, format!("the body broke off: {error}")).close();
            let Ok(data) = frame.map_err(broke)?.into_data() else { continue };
            let length = first.len() + whole.len() + data.len();
            if length > BODY_BYTES_MAX {
                return Err(Refusal::too_large("the body", BODY_BYTES_MAX));
            }
            if length > BEGINNING_BYTES {
                more.take().map_or(Ok(()), |more| more()).map_err(|fault| Refusal::from(fault).close())?;
            }
            self.widen(&mut room, length)?;
            // Nearly all bodies come in one piece, which needs no copy.
            if first.is_empty() && whole.is_empty() {
                first = data;
                continue;
            }
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&data);
        }
        let bytes = if whole.is_empty() { first } else { whole.freeze() };
        Ok(Held { bytes, _room: room })
    }

    /// Makes `room` enough for `length` bytes.
    fn widen(&self, room: &mut Option<OwnedSemaphorePermit>, length: usize) -> Result<(), Refusal> {
        let pages = length.div_ceil(PAGE_BYTES);
        let more = pages.saturating_sub(room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        if more == 0 {
            return Ok(());
        }
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let taken = self.0.clone().try_acquire_many_owned(more).map_err(|_| {
            let message = format!("requests of more than {HELD_BYTES_MAX} bytes are in work here already");
            Refusal::from(Fault::new(Code::Unavailable, message)).close()
        })?;
        match room {
            Some(room) => room.merge(taken),
            None => *room = Some(taken),
        }
        Ok(())
    }
}

/// What stands beside a body.
pub(super) struct Beside<'r> {
    /// The query, as it is in the target.
    pub query: Option<&'r str>,
    /// The fields of the path, by name.
    pub captured: &'r [(String, String)],
    /// What the endpoint takes, if that is known.
    pub schema: Option<Schema<'r>>,
}

/// The kind of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// JSON, or nothing was said.
    Json,
    /// Fields of a form; from programs that do not say what they send, JSON.
    Form,
    /// Fields and files, with the boundary between them.
    Multipart(String),
}

impl Kind {
    /// What the headers say.
    ///
    /// # Errors
    /// 415 for what is not taken.
    pub fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
        if let Some(encoding) = encodings.find(|encoding| *encoding != "identity") {
            return Err(Refusal::encoding(format!("a body that is encoded as {encoding:?} is not taken")));
        }
        let Some(given) = headers.get(CONTENT_TYPE) else { return Ok(Kind::Json) };
        // What nearly all say.
        if given == "application/json" {
            return Ok(Kind::Json);
        }
        let refused = || Refusal::media_type(format!("a body of the kind {given:?} is not taken"), TAKEN);
        let kind: Mime = given.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(refused)?;
        match (kind.type_().as_str(), kind.subtype().as_str()) {
            ("application", "json") => Ok(Kind::Json),
            ("application", _) if kind.suffix().is_some_and(|suffix| suffix == "json") => Ok(Kind::Json),
            ("application", "x-www-form-urlencoded") => Ok(Kind::Form),
            ("multipart", "form-data") => {
                let boundary = kind.get_param("boundary").map(|boundary| boundary.as_str().to_owned());
                boundary.map(Kind::Multipart).ok_or_else(|| {
                    Refusal::of(StatusCode::BAD_REQUEST, "the multipart form does not say its boundary")
                })
            }
            _ => Err(refused()),
        }
    }
}

/// Whether a method carries a body that means something (RFC 9110, 9.3).
pub(super) fn has_body(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::DELETE)
}

/// The JSON that a request hands to an endpoint. Nothing at all is `{}`.
///
/// # Errors
/// 400 for what can't be read.
pub(super) async fn input(kind: Kind, body: Bytes, beside: Beside<'_>) -> Result<Bytes, Refusal> {
    let query = beside.query.filter(|query| !query.is_empty());
    let alone = query.is_none() && beside.captured.is_empty();
    let json = kind == Kind::Json || (kind == Kind::Form && looks_like_json(&body));
    if json && alone {
        return Ok(json_text(body)?);
    }
    let mut object = Map::new();
    if let Some(query) = query {
        let mut fields = Fields::new(beside.schema);
        fields.add_encoded(query.as_bytes())?;
        object = fields.into_object();
    }
    if json && !body.is_empty() {
        let Value::Object(given) = parsed(&body)? else {
            return Err(Refusal::of(StatusCode::BAD_REQUEST, "a body beside other fields is a JSON object"));
        };
        object.extend(given);
    } else if kind == Kind::Form {
        let mut fields = Fields::new(beside.schema);
        fields.add_encoded(&body)?;
        object = fields.over(object);
    } else if let Kind::Multipart(boundary) = kind {
        object = Box::pin(parts(boundary, body, beside.schema)).await?.over(object);
    }
    let mut captured = Fields::new(beside.schema);
    for (name, text) in beside.captured {
        captured.add(name, Given::Text(text.clone()))?;
    }
    Ok(Value::Object(captured.over(object)).to_string().into())
}

/// A form never begins so: it writes these letters as escapes.
fn looks_like_json(body: &[u8]) -> bool {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    matches!(first, Some(b'{' | b'['))
}

/// A body that is JSON; an empty one means `{}`.
pub(in crate::doors) fn json_text(body: Bytes) -> Result<Bytes, Fault> {
    if body.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    match serde_json::from_slice::<&RawValue>(&body) {
        Ok(_) => Ok(body),
        Err(error) => Err(not_json(&error)),
    }
}

/// A body that is JSON, read.
///
/// # Errors
/// [`Code::Usage`] if it is none.
pub(super) fn parsed(body: &[u8]) -> Result<Value, Fault> {
    serde_json::from_slice(body).map_err(|error| not_json(&error))
}

fn not_json(error: &serde_json::Error) -> Fault {
    Fault::new(Code::Usage, format!("the body is not JSON: {error}")).help("write it as {\"name\": \"Jane\"}")
}

/// The parts of a multipart form (RFC 7578). The body is within the limit already.
async fn parts<'s>(boundary: String, body: Bytes, schema: Option<Schema<'s>>) -> Result<Fields<'s>, Refusal> {
    let bad = |error: multer::Error| {
        Refusal::of(StatusCode::BAD_REQUEST, format!("the multipart form can't be read: {error}"))
    };
    let stream = futures::stream::once(async move { Ok::<_, Infallible>(body) });
    let mut form = multer::Multipart::new(stream, boundary);
    let mut fields = Fields::new(schema);
    while let Some(part) = form.next_field().await.map_err(bad)? {
        let name = part.name().map(str::to_owned);
        let name =
            name.ok_or_else(|| Refusal::of(StatusCode::BAD_REQUEST, "a part of the form has no name"))?;
        let given = match part.file_name().is_some() {
            true => Given::File(part.bytes().await.map_err(bad)?),
            false => Given::Text(part.text().await.map_err(bad)?),
        };
        fields.add(&name, given)?;
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use serde_json::json;

    fn kind(content_type: &'static str) -> Result<Kind, Refusal> {
        Kind::of(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]))
    }

    #[test]
    fn kinds_of_bodies_are_told_apart() {
        for (given, expected) in [
            ("application/json", Kind::Json),
            ("application/json; charset=utf-8", Kind::Json),
            ("Application/JSON", Kind::Json),
            ("application/problem+json", Kind::Json),
            ("application/x-www-form-urlencoded", Kind::Form),
            ("multipart/form-data; boundary=x", Kind::Multipart("x".to_owned())),
        ] {
            assert_eq!(kind(given).ok(), Some(expected), "{given}");
        }
        for given in
            ["text/plain", "application/xml", "", "json", "application/octet-stream", "multipart/form-data"]
        {
            assert!(kind(given).is_err(), "{given}");
        }
        let packed = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
        assert!(Kind::of(&packed).is_err());
    }

    async fn read(kind: Kind, body: &str, query: &str, captured: &[(&str, &str)]) -> Result<Value, Refusal> {
        let schema =
            json!({"type": "object", "properties": {"age": {"type": "integer"}, "id": {"type": "integer"}}});
        let captured: Vec<_> = captured.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        let query = Some(query);
        let beside = Beside { query, captured: &captured, schema: Some(Schema::of(&schema)) };
        let bytes = input(kind, Bytes::copy_from_slice(body.as_bytes()), beside).await?;
        Ok(serde_json::from_slice(&bytes).expect("it is JSON"))
    }

    #[tokio::test]
    async fn path_body_and_query_become_one_object() {
        for (kind, body, query, captured, expected) in [
            (Kind::Json, "", "", &[][..], json!({})),
            (Kind::Json, "[1]", "", &[], json!([1])),
            (Kind::Json, r#"{"age":1}"#, "age=2&x=y", &[], json!({"age": 1, "x": "y"})),
            (Kind::Json, r#"{"id":1}"#, "", &[("id", "7")], json!({"id": 7})),
            (Kind::Json, "", "age=3", &[("id", "7")], json!({"age": 3, "id": 7})),
            (Kind::Form, "age=4&name=J", "age=5", &[], json!({"age": 4, "name": "J"})),
            (Kind::Form, r#"{"age":1}"#, "", &[], json!({"age": 1})),
            (Kind::Form, "", "", &[], json!({})),
        ] {
            let found = read(kind, body, query, captured).await.ok();
            assert_eq!(found, Some(expected), "{body} {query}");
        }
        for (kind, body, query, captured) in [
            (Kind::Json, "{not json", "", &[][..]),
            (Kind::Json, "[1]", "age=1", &[]),
            (Kind::Json, "", "age=x", &[]),
            (Kind::Json, "", "", &[("id", "x")]),
            (Kind::Form, "age=x", "", &[]),
            (Kind::Multipart("b".to_owned()), "no parts", "", &[]),
        ] {
            assert!(read(kind, body, query, captured).await.is_err(), "{body} {query}");
        }
    }

    #[tokio::test]
    async fn multipart_forms_carry_texts_and_files() {
        let form = "--b\r\ncontent-disposition: form-data; name=\"age\"\r\n\r\n7\r\n\
                    --b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nab\r\n--b--\r\n";
        let found = read(Kind::Multipart("b".to_owned()), form, "", &[]).await.ok();
        assert_eq!(found, Some(json!({"age": 7, "file": "YWI="})));
    }

    #[tokio::test]
    async fn room_is_bounded_and_given_back() {
        let room = Room::default();
        let collect = |bytes: usize| {
            let (room, headers) = (room.clone(), HeaderMap::new());
            async move {
                room.collect(&headers, Body::from(vec![b' '; bytes]), Duration::from_secs(1), || Ok(())).await
            }
        };
        assert!(collect(BODY_BYTES_MAX + 1).await.is_err());
        let mut held = Vec::new();
        for _ in 0..HELD_BYTES_MAX / BODY_BYTES_MAX {
            held.push(collect(BODY_BYTES_MAX).await.expect("there is room"));
        }
        assert!(collect(1).await.is_err());
        held.pop();
        assert_eq!(collect(1).await.expect("there is room again").bytes.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let never = Body::from_stream(futures::stream::pending::<Result<Bytes, Infallible>>());
        let refusal =
            Room::default().collect(&HeaderMap::new(), never, Duration::from_secs(1), || Ok(())).await;
        assert!(format!("{:?}", refusal.err()).contains("408"));
    }
}
