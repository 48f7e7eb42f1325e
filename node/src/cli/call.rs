//! `micro-node call`.

use super::{
    callee::Callee,
    dynamic,
    failure::Failure,
    globals::Globals,
    hint, input,
    output::Output,
    session,
    shape::{ItemShape, Shapes},
    unit,
};
use clap::Args;
use micro_sdk::{client::Reply, wire::limits::BODY_BYTES_MAX};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  micro-node call helloworld call '{\"name\":\"Jane\"}'
  micro-node call helloworld call --name=Jane
  micro-node call helloworld Greeter.call @request.json
  micro-node call helloworld call '{}' --trace            how long it took, by which nodes
  echo '{\"name\":\"Jane\"}' | micro-node call helloworld call - -H x-tenant=acme --request-timeout 2s";

/// Call a service by name, wherever in the mesh it runs
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(override_usage = "micro-node call [OPTIONS] <SERVICE> <ENDPOINT> [BODY] [--FIELD=VALUE]...")]
pub(super) struct Call {
    #[command(flatten)]
    callee: Callee,

    /// The request: JSON, @FILE, or - for stdin [default: {}]
    body: Option<String>,

    /// Fields of the request, over those of the body: `micro-node SERVICE ENDPOINT --help` shows them. One that is
    /// called as an option of this command is goes behind `--`
    #[arg(last = true, value_name = "--FIELD=VALUE")]
    fields: Vec<String>,

    /// How long the service may take [default: that of --timeout]
    #[arg(long, alias = "request_timeout", value_name = "TIME", env = "MICRO_NODE_REQUEST_TIMEOUT",
          value_parser = unit::duration)]
    request_timeout: Option<Duration>,

    /// How often the node may try again, within the budget of the service's policy [default: that of the policy]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=9))]
    retries: Option<u8>,

    /// The instance that is to answer, and no other, as `micro-node services SERVICE` lists them
    #[arg(long, value_name = "ID")]
    instance: Option<String>,

    /// Say on stderr how long it took, which nodes took it on, the relays between them included, and its trace
    #[arg(long)]
    trace: bool,

    /// Makes a repeated call the same call: 1 to 32 hexadecimal digits
    #[arg(long, value_name = "KEY", value_parser = unit::key)]
    idempotency_key: Option<u128>,
}

/// What a service answered.
#[derive(Serialize, JsonSchema)]
struct CallItem {
    /// The answer.
    body: serde_json::Value,
    /// The node whose instance of it answered.
    node: String,
    /// The trace of the call.
    trace_id: String,
}

const CALL: ItemShape<CallItem> = ItemShape::new("call", &["call", "SERVICE ENDPOINT"]);

pub(super) const SHAPES: Shapes = &[&CALL];

impl Call {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let given = self.body.as_deref().unwrap_or("{}");
        let given = if self.fields.is_empty() { Some(input::json(given, BODY_BYTES_MAX)?) } else { None };
        let (reply, took) = session::run(globals, async |node| {
            let Callee { service, endpoint, .. } = &self.callee;
            let body = match given {
                Some(body) => body,
                None => {
                    let words = self.body.into_iter().chain(self.fields).collect();
                    let request = dynamic::request(&node, service.as_str(), endpoint, words).await;
                    request.map_err(|failure| match failure {
                        Failure::Fault(fault) => {
                            fault.help("micro-node call --help shows its options").into()
                        }
                        failure => failure,
                    })?
                }
            };
            let begun = Instant::now();
            let asked = self.callee.service.clone();
            let mut call = node.call(self.callee.service, self.callee.endpoint, body);
            for (name, value) in self.callee.headers {
                call = call.metadata(name, value);
            }
            if let Some(timeout) = self.request_timeout {
                call = call.timeout(timeout);
            }
            if let Some(retries) = self.retries {
                call = call.retry(retries);
            }
            if let Some(instance) = self.instance {
                call = call.instance(instance);
            }
            if let Some(key) = self.idempotency_key {
                call = call.idempotency_key(key);
            }
            match call.reply().await {
                Ok(reply) => Ok((reply, begun.elapsed())),
                Err(fault) => Err(hint::service(fault, &node, asked.as_str()).await.into()),
            }
        })?;
        if self.trace {
            output.remark(&trace(&reply, took));
        }
        show(reply, output)
    }
}

/// The way of a call that took so long in all, in a line.
fn trace(reply: &Reply, took: Duration) -> String {
    let milliseconds = |time: Duration| unit::milliseconds(time.as_secs_f64() * 1000.0);
    let (all, beyond) = (milliseconds(took), milliseconds(reply.took));
    let mut passed = reply.passed.clone();
    passed.dedup();
    format!("{all}: micro-node → {} ({beyond}), trace {}", passed.join(" → "), reply.trace_id)
}

/// Shows what a service answered.
pub(super) fn show(reply: Reply, output: &Output) -> Result<(), Failure> {
    if output.json() {
        let item = CallItem { body: reply.body, node: reply.node, trace_id: reply.trace_id };
        return output.item(&CALL, &item);
    }
    output.detail(&format!("answered by node {}, trace {}", reply.node, reply.trace_id));
    output.text(&reply.body.to_string())
}
