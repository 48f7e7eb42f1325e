//! `micro-node policy get`.

use super::{Failure, Globals, Output, Shapes, session};
use crate::cli::{shape::ItemShape, unit};
use clap::Args;
use micro_sdk::{
    client::ServicePolicy,
    wire::{Code, Fault},
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// Show the policy of a service with all that it leaves out; or what counts where none is set
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node policy get helloworld
  micro-node policy get                                what counts where none is set
  micro-node policy get helloworld -o json")]
pub(super) struct Get {
    /// The service
    service: Option<String>,
}

/// The policy of a service.
#[derive(Serialize, JsonSchema)]
struct PolicyItem<'a> {
    /// The service; none for what counts where none is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    /// As it was set, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Value>,
    /// With all that it leaves out: what counts.
    effective: Value,
    /// The revision that it was set at.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    /// Who set it.
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<&'a str>,
    /// When (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
}

const POLICY: ItemShape<PolicyItem<'static>> = ItemShape::new("policy", &["policy get"]);

pub(super) const SHAPES: Shapes = &[&POLICY];

impl Get {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let service = self.service.as_deref();
        let policy = session::run(globals, async |node| Ok(node.policies().get(service).await?))?;
        let effective = read(&policy.effective)?;
        if output.json() {
            let document = policy.document.as_deref().map(read).transpose()?;
            return output.item(
                &POLICY,
                &PolicyItem {
                    service,
                    document,
                    effective,
                    revision: Some(policy.revision).filter(|revision| *revision > 0),
                    who: policy.who.as_deref(),
                    time: policy.time.map(unit::rfc3339),
                },
            );
        }
        output.remark(&origin(service, &policy));
        let text = toml::to_string_pretty(&effective).map_err(|error| unreadable(&error))?;
        output.text(text.trim_end())
    }
}

/// Where what is shown comes from.
fn origin(service: Option<&str>, policy: &ServicePolicy) -> String {
    match (service, &policy.who, policy.time) {
        (Some(_), Some(who), Some(time)) => {
            format!("set by {who} at {}, revision {}", unit::rfc3339(time), policy.revision)
        }
        (Some(service), ..) => format!("no policy is set for {service}: this is what counts"),
        (None, ..) => "this is what counts where no policy is set".to_owned(),
    }
}

fn read(json: &str) -> Result<Value, Failure> {
    serde_json::from_str(json).map_err(|error| unreadable(&error))
}

fn unreadable(error: &dyn std::fmt::Display) -> Failure {
    Fault::new(Code::Failed, format!("the policy that the node gave can't be shown: {error}")).into()
}
