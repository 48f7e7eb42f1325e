//! `micro-node registry`: who offers what; and programs that are offered by somebody who does not stay.

mod deregister;
mod found;
mod register;
mod report;

use super::{failure::Failure, globals::Globals, output::Output, services, session, shape::Shapes};
use clap::{Args, Subcommand};
use micro_sdk::wire::ServiceName;

const EXAMPLES: &str = "\
Examples:
  micro-node registry list                                                            as micro-node services
  micro-node registry get shop
  micro-node registry watch shop -o jsonl | jq -c '[.action, .instance.health.state]'
  micro-node registry register --name shop --endpoint http://127.0.0.1:5000 --ttl 5m  prints the id of the instance
  micro-node registry register --name shop --endpoint http://127.0.0.1:5000 --health reported
  micro-node registry report shop failing --reason 'disk full'
  micro-node registry deregister shop

What is registered is a program that runs already, on the host of the asked node. That node makes the check. Whoever \
has registered it comes again within its time to live, with the same `register` or with `report`: else it counts as \
failing, and after ten times as long it is gone, as when its node starts again. `micro-node service` stays and sees to that.";

/// See who offers what, and register programs that somebody else runs
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RegistryCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(List),
    Get(Get),
    Watch(Watch),
    Register(register::Register),
    Deregister(deregister::Deregister),
    Report(report::Report),
}

/// List the services of the mesh
#[derive(Debug, Args)]
#[command(visible_alias = "ls")]
#[command(after_help = "\
Examples:
  micro-node registry list
  micro-node registry list -o json | jq -r '.items[].name'")]
struct List {}

/// Show one service with its instances and the schemas of its endpoints
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node registry get helloworld
  micro-node registry get helloworld -o json | jq '.item.endpoints[0].request_schema'")]
struct Get {
    /// The service
    name: ServiceName,
}

/// Tell the instances that there are, and then what changes, line by line
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node registry watch
  micro-node registry watch helloworld --limit 1 -o jsonl")]
struct Watch {
    /// The service [default: all]
    name: Option<ServiceName>,

    /// End after this many lines
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

pub(super) const SHAPES: &[Shapes] = &[register::SHAPES, deregister::SHAPES, report::SHAPES];

impl RegistryCommand {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        match self.verb {
            Verb::List(_) => services::list(globals, output),
            Verb::Get(Get { name }) => services::show(&name, globals, output),
            Verb::Watch(Watch { name, limit }) => services::watch(name, limit, globals, output),
            Verb::Register(verb) => verb.run(globals, output),
            Verb::Deregister(verb) => verb.run(globals, output),
            Verb::Report(verb) => verb.run(globals, output),
        }
    }
}
