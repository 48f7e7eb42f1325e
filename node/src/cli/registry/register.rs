//! `micro-node registry register`.

use super::{Failure, Globals, Output, Shapes, session};
use crate::cli::{
    service::{Company, Endpoint, Particulars},
    shape::ItemShape,
    unit,
};
use clap::Args;
use micro_sdk::{client::Registration, wire::ServiceName};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;

/// Offer a program of the asked node's host that somebody else runs
///
/// Given again with the same name and endpoint it prolongs what is there, or changes what is said differently.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node registry register --name shop --endpoint http://127.0.0.1:5000
  micro-node registry register --name shop --endpoint http://127.0.0.1:5000 --ttl 24h --metadata zone=b --version 1.4
  micro-node registry register --name shop --endpoint http://127.0.0.1:5000 --mount /market
  micro-node registry register --name till --endpoint grpc://127.0.0.1:6000 --health grpc --health-interval 2s")]
pub(super) struct Register {
    /// What it is called by
    #[arg(long, value_name = "NAME")]
    name: ServiceName,

    #[command(flatten)]
    offered: Particulars,

    /// How long it counts without another `register` or `report`: then it is failing, and after ten times as long gone
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = unit::duration)]
    ttl: Duration,
}

/// What was registered.
#[derive(Serialize, JsonSchema)]
struct RegisteredItem<'a> {
    /// The service.
    service: &'a str,
    /// The id of the instance.
    instance: &'a str,
    /// The name of its node.
    node: &'a str,
    /// The id of that node.
    node_id: &'a str,
    /// How soon to come again at the latest, in milliseconds.
    ttl_ms: u64,
}

const REGISTERED: ItemShape<RegisteredItem<'static>> =
    ItemShape::new("registry-registered", &["registry register"]);

pub(super) const SHAPES: Shapes = &[&REGISTERED];

impl Register {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let registration = self.registration()?;
        let registered =
            session::run(globals, async |node| Ok(node.registry().register(registration).await?))?;
        let ttl = registered.ttl;
        if output.json() {
            let item = RegisteredItem {
                service: self.name.as_str(),
                instance: &registered.instance,
                node: &registered.node_name,
                node_id: &registered.node,
                ttl_ms: u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX),
            };
            return output.item(&REGISTERED, &item);
        }
        output.detail(&format!("{} is registered on {} for {ttl:?}", self.name, registered.node_name));
        output.text(&registered.instance)
    }

    fn registration(&self) -> Result<Registration, Failure> {
        let name = self.name.as_str();
        let registration = match &self.offered.endpoint {
            Endpoint::Http(address) => Registration::http(name, *address),
            Endpoint::Grpc(address) => Registration::grpc(name, *address),
            endpoint @ (Endpoint::File(_) | Endpoint::Exec(_)) => {
                return Err(Failure::usage(format!(
                    "nobody would answer for {endpoint}: what is registered has nobody who stays\nuse `micro-node service`"
                )));
            }
        };
        let registration = self.offered.mounts()?.iter().fold(registration, Registration::mount);
        let mut registration = registration.version(&self.offered.service_version).ttl(self.ttl);
        for (name, value) in self.offered.metadata()? {
            registration = registration.metadata(name, value);
        }
        Ok(match self.offered.check(Company::Nobody)? {
            Some(check) => registration.health(&check),
            None => registration,
        })
    }
}
