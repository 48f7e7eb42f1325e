//! What a service is to the machinery that serves it. `#[service]` writes all of it.

use super::{Ctx, Inbox, Outbox};
use crate::wire::{Code, Endpoint, Fault, Streams};
use bytes::Bytes;
use futures::future::BoxFuture;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Serialize, de::DeserializeOwned};

/// A service: a name, and endpoints that take and give JSON. Written by `#[service]`; by hand where endpoints
/// are only known at run time.
pub trait Service: Send + Sync + 'static {
    /// What it is called by.
    fn name(&self) -> &str;

    /// Its own version.
    fn version(&self) -> &str;

    /// What it offers, each as `Handler.method`.
    fn endpoints(&self) -> Vec<Endpoint>;

    /// Answers one call of `endpoint`, one of [`Service::endpoints`], with JSON for JSON.
    ///
    /// Dropped, at any await, when the deadline passes or the caller goes away.
    ///
    /// # Errors
    /// The handler's own, and `Usage` if `body` is not what it takes.
    fn dispatch<'a>(
        &'a self,
        endpoint: &'a str,
        ctx: Ctx,
        body: Bytes,
    ) -> BoxFuture<'a, Result<Bytes, Fault>>;

    /// Answers one call of `endpoint`, of which the caller's side is a stream, or the service's, or both: reads what is
    /// said, and says the answers, in JSON, as they come. The caller has the last of them when this is over.
    ///
    /// Dropped as a [dispatch](Service::dispatch) is. A service without streams has nothing to do here.
    ///
    /// # Errors
    /// As a dispatch; what was answered before counts.
    fn converse<'a>(
        &'a self,
        endpoint: &'a str,
        ctx: Ctx,
        inbox: Inbox,
        outbox: Outbox,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        drop((ctx, inbox, outbox));
        let fault = unknown_endpoint(self, endpoint);
        Box::pin(async move { Err(fault) })
    }
}

/// What endpoints return: a result whose error converts into a [`Fault`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the result of an endpoint",
    label = "`Result<T>` is needed here, or `Result<T, E>` where `E: Into<Fault>`"
)]
pub trait Outcome {
    /// What a success gives.
    type Ok;

    /// The outcome with its error as a fault.
    ///
    /// # Errors
    /// If this was an error.
    fn into_result(self) -> Result<Self::Ok, Fault>;
}

impl<T, E: Into<Fault>> Outcome for Result<T, E> {
    type Ok = T;

    fn into_result(self) -> Result<T, Fault> {
        self.map_err(Into::into)
    }
}

/// The endpoint `name` that takes a `Request` and gives an `Answer`.
pub fn endpoint<Request: JsonSchema, Answer: Outcome<Ok: JsonSchema>>(name: &str, doc: &str) -> Endpoint {
    let taken = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    let given = SchemaSettings::draft2020_12().for_serialize().into_generator();
    Endpoint {
        name: name.to_owned(),
        request_schema: taken.into_root_schema_for::<Request>().as_value().to_string(),
        response_schema: given.into_root_schema_for::<Answer::Ok>().as_value().to_string(),
        doc: doc.to_owned(),
        routes: Vec::new(),
        streams: Streams::default(),
    }
}

/// Reads the request of `endpoint`. No body at all stands for a request without fields, or for `null`.
///
/// # Errors
/// `Usage`, with line and column.
pub fn decode<T: DeserializeOwned>(endpoint: &str, body: &[u8]) -> Result<T, Fault> {
    if body.is_empty()
        && let Ok(request) = serde_json::from_slice(b"null")
    {
        return Ok(request);
    }
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| {
        // serde_json's own text ends with line and column.
        let message = format!("the request is not what {endpoint} takes: {error}");
        Fault::new(Code::Usage, message)
            .help("`micro-node services` with its name shows the schema of its requests")
    })
}

/// Writes the answer.
///
/// # Errors
/// The outcome's own, and `Failed` if the answer can't be JSON.
pub fn encode<O: Outcome<Ok: Serialize>>(outcome: O) -> Result<Bytes, Fault> {
    let answer = outcome.into_result()?;
    let not = |error| Fault::new(Code::Failed, format!("the answer can't be JSON: {error}")).effect_unknown();
    serde_json::to_vec(&answer).map(Bytes::from).map_err(not)
}

/// The refusal of an endpoint that `service` has not, with those that it has.
pub fn unknown_endpoint<S: Service + ?Sized>(service: &S, endpoint: &str) -> Fault {
    let known: Vec<String> = service.endpoints().into_iter().map(|endpoint| endpoint.name).collect();
    let name = service.name();
    let fault = Fault::new(Code::NotFound, format!("service {name:?} has no endpoint {endpoint:?}"));
    let method = |name: &str| name.rsplit('.').next().map(str::to_ascii_lowercase);
    let near = known.iter().find(|known| method(known) == method(endpoint));
    let fault = match near {
        Some(near) => fault.help(format!("did you mean `{near}`?")),
        None => fault,
    };
    fault.help(format!("endpoints: {}", known.join(", ")))
}
