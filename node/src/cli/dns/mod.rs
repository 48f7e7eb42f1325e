//! `micro-node dns`: what the names of the mesh lead to.

mod query;
mod resolver;

use super::{
    failure::Failure,
    globals::Globals,
    output::Output,
    session,
    shape::{ListShape, Shapes},
    table::Table,
    unit,
};
use clap::{Args, Subcommand};

pub(super) use query::SHAPES;

const EXAMPLES: &str = "\
Examples:
  micro-node dns query helloworld.micro              where a program on this host reaches a service
  micro-node dns query helloworld.micro SRV          with its port
  micro-node dns query _grpc._tcp.helloworld.micro SRV
  dig @127.0.0.1 -p 8053 helloworld.micro SRV        the same with another's tool

Each node tells the names of the mesh at 127.0.0.1:8053, or where `start --dns` says: SERVICE.micro and \
SERVICE.NAMESPACE.micro for services, NODE.node.micro for nodes. To have all programs of a host use them, let its \
resolver ask there for `micro`.";

/// Look names of the mesh up, as programs do that know only DNS
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DnsCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Query(query::Query),
}

impl DnsCommand {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        match self.verb {
            Verb::Query(verb) => verb.run(globals, output),
        }
    }
}
