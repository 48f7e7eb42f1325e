//! `micro-node SERVICE ENDPOINT --FIELD=VALUE`: the services of the mesh as commands.
//!
//! Commands of micro-node itself come first; `micro-node call` reaches a service whatever it is called. What the fields
//! are is read from the schema that the service tells, so each call asks for that before.

mod field;
mod line;
mod portrait;
mod request;

use super::{
    call,
    failure::Failure,
    globals::Globals,
    output::Output,
    session,
    stream::{self, Said},
};
use crate::request::{Schema, Spellings};
use field::Field;
use line::{Line, is_lines};
use micro_actors::{nearest, uncallable};
use micro_sdk::{
    client::{Node, Reply, ServiceDescription},
    wire::{Code, Endpoint, Fault, ServiceName},
};
use request::Target;
use serde_json::Value;
use std::{collections::BTreeSet, ffi::OsString};

/// What is called where a service is named and nothing else.
const METHOD_DEFAULT: &str = "call";

/// The fields of a request, as flags have them.
pub(super) fn fields(request: Schema<'_>) -> Vec<Field<'_>> {
    Field::all(request)
}

/// What came of it.
enum Answer {
    Help(String),
    Reply(Reply),
    /// It was shown as it came.
    Streamed,
}

/// Runs words of which the first is no command of micro-node: `commands` are those that there are.
pub(super) fn run(
    words: Vec<OsString>,
    commands: &[String],
    globals: &Globals,
    output: &Output,
) -> Result<(), Failure> {
    let line = Line::read(words)?;
    let near = nearest(&line.service, commands.iter().map(String::as_str));
    let meant = |fault: Fault| match near {
        Some(near) => fault.help(format!("or did you mean `micro-node {near}`?")),
        None => fault,
    };
    let Ok(service) = line.service.parse::<ServiceName>() else {
        let message = format!("no command is called {:?}, and no service can be", line.service);
        let fault = match near {
            Some(near) => Fault::new(Code::Usage, message).help(format!("did you mean `{near}`?")),
            None => Fault::new(Code::Usage, message),
        };
        return Err(fault.help("micro-node help lists the commands").into());
    };
    let answer = session::run(globals, async |node| {
        let described = match node.service(service.as_str()).await {
            Ok(described) => described,
            Err(fault) => return Err(undescribed(fault, &node, &line, near).await.into()),
        };
        answer(&node, &line, &described, output).await
    });
    match answer.map_err(|failure| match failure {
        Failure::Fault(fault) if fault.code == Code::Unreachable => meant(fault).into(),
        failure => failure,
    })? {
        Answer::Help(text) => output.text(&text),
        Answer::Reply(reply) => call::show(reply, output),
        Answer::Streamed => Ok(()),
    }
}

/// The request that words say, of the endpoint of a service that `micro-node call` names.
///
/// # Errors
/// If there is no such service or endpoint, or a word is none of its fields.
pub(super) async fn request(
    node: &Node,
    service: &str,
    endpoint: &str,
    words: Vec<String>,
) -> Result<Value, Failure> {
    let described = node.service(service).await?;
    let names: BTreeSet<&str> = described.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
    let spellings = Spellings::of(&described.name, &names);
    let (handler, method) = match endpoint.rsplit_once('.') {
        Some((handler, method)) => (Some(handler), method),
        None => (None, endpoint),
    };
    let Some(found) = found(&described, &spellings, handler, method) else {
        let endpoint = endpoint.split('.').map(str::to_owned).collect();
        let line = Line { service: described.name.clone(), endpoint, rest: Vec::new(), help: false };
        return Err(no_endpoint(&line, &described, &spellings).into());
    };
    let taken = read(&found.request_schema);
    let endpoint = spellings.shortest(&found.name);
    Target { service: &described.name, endpoint, schema: Schema::of(&taken) }.request(words)
}

/// The endpoint that is meant, however it is spelled.
fn found<'s>(
    service: &'s ServiceDescription,
    spellings: &Spellings,
    handler: Option<&str>,
    method: &str,
) -> Option<&'s Endpoint> {
    let name = spellings.find(handler, method)?;
    service.endpoints.iter().find(|endpoint| endpoint.name == name)
}

/// A schema. One that can't be read says nothing, as in the HTTP api.
fn read(schema: &str) -> Value {
    serde_json::from_str(schema).unwrap_or(Value::Bool(true))
}

async fn answer(
    node: &Node,
    line: &Line,
    service: &ServiceDescription,
    output: &Output,
) -> Result<Answer, Failure> {
    let names: BTreeSet<&str> = service.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
    let spellings = Spellings::of(&service.name, &names);
    let (handler, method) = match line.endpoint.as_slice() {
        [] if line.help => return Ok(Answer::Help(portrait::service(service, &spellings))),
        [] => (None, METHOD_DEFAULT),
        [method] => (None, method.as_str()),
        [handler, method, ..] => (Some(handler.as_str()), method.as_str()),
    };
    let Some(endpoint) = found(service, &spellings, handler, method) else {
        return Err(no_endpoint(line, service, &spellings).into());
    };
    let (taken, given) = (read(&endpoint.request_schema), read(&endpoint.response_schema));
    let target = Target {
        service: &service.name,
        endpoint: spellings.shortest(&endpoint.name),
        schema: Schema::of(&taken),
    };
    if line.help {
        return Ok(Answer::Help(portrait::endpoint(target, endpoint, Schema::of(&given))));
    }
    if endpoint.streams.any() {
        let said = match line.rest.as_slice() {
            // Who says many things says them on stdin.
            [] if endpoint.streams.client => Said::read("-")?,
            [lines] if endpoint.streams.client && is_lines(lines) => Said::read(lines)?,
            rest => Said::One(target.request(rest.to_vec())?),
        };
        stream::converse(node.stream(&service.name, &endpoint.name), said, output).await?;
        return Ok(Answer::Streamed);
    }
    let body = target.request(line.rest.clone())?;
    Ok(Answer::Reply(node.call(&service.name, &endpoint.name, body).reply().await?))
}

/// Why a service can't be had, for one who may have meant a command or another service.
async fn undescribed(fault: Fault, node: &Node, line: &Line, command: Option<&str>) -> Fault {
    match fault.code {
        Code::NotFound => {}
        Code::Denied => return fault.help("micro-node call SERVICE ENDPOINT JSON reads no schema"),
        _ => return fault,
    }
    let message =
        format!("no command is called {:?}, and no service in namespace {}", line.service, node.namespace());
    // Only for the hint: that it can't be told is nothing to tell.
    let services = node.services().await.unwrap_or_default();
    let names = services.iter().map(|service| service.name.as_str());
    let near = nearest(&line.service, names.chain(command));
    let fault = Fault::new(Code::NotFound, message);
    let fault = match near {
        Some(near) => fault.help(format!("did you mean `{near}`?")),
        None => fault,
    };
    fault.help("micro-node help lists the commands, and micro-node services the services")
}

fn no_endpoint(line: &Line, service: &ServiceDescription, spellings: &Spellings) -> Fault {
    let known = service.endpoints.iter();
    if let Some(fault) = known.filter_map(|endpoint| uncallable(&service.name, &endpoint.name)).next() {
        return fault;
    }
    let asked = match line.endpoint.is_empty() {
        true => METHOD_DEFAULT.to_owned(),
        false => line.endpoint.join("."),
    };
    let known: Vec<&str> =
        service.endpoints.iter().map(|endpoint| spellings.shortest(&endpoint.name)).collect();
    let message = format!("service {:?} has no endpoint {asked:?}", service.name);
    let mut fault = Fault::new(Code::NotFound, message);
    if let Some(field) = line.endpoint.iter().find(|word| word.contains('=')) {
        return fault.help(format!("a field of the request is written with two dashes: --{field}"));
    }
    if let Some(near) = nearest(&asked, known.iter().copied()) {
        fault = fault.help(format!("did you mean `micro-node {} {near}`?", service.name));
    }
    fault.help(format!("endpoints: {}", known.join(", ")))
}
