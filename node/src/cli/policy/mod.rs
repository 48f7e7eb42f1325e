//! `micro-node policy`: what the nodes do with the calls of a service.

mod check;
mod delete;
mod document;
mod get;
mod list;
mod misfit;
mod rehearsal;
mod set;

use super::{failure::Failure, globals::Globals, output::Output, session, shape::Shapes};
use clap::{Args, Subcommand};

/// All that can be set, with what counts where it is not.
const DOCUMENT: &str = "\
Examples:
  micro-node policy set helloworld policy.toml --dry-run
  micro-node policy set helloworld policy.toml
  micro-node policy get helloworld
  micro-node policy check policy.toml

A policy, with all that can be set and what counts where it is not:
  timeout = \"10m\"               a call may take no longer (left out: what the caller gives it)
  idempotent = [\"Cart.list\"]    endpoints that may be done twice: tried again in doubt, and hedged
  sticky = \"header:user-id\"     calls with the same header, or \"caller\", go to the same instance

  [retry]                       what certainly did nothing, or may be done twice
  attempts = 3                  the first one included
  budget = 0.2                  of a caller's calls in the long run
  burst = 10                    and so many at once
  backoff = \"25ms\"              doubled with each, up to backoff_max, and a random part of it
  backoff_max = \"1s\"

  [hedge]                       a second instance is asked when the first takes longer than most
  enabled = true
  quantile = 0.95
  least = \"1ms\"                 never sooner

  [breaker]                     an instance gets no calls for a while
  failures = 5                  lost one after the other
  open = \"5s\"                   doubled each time that trying it fails, up to open_max
  open_max = \"1m\"
  failing = 0.5                 or if it fails so many of its calls, and the others do not
  least_calls = 20              of so many at least, in the last seconds
  ejected = 0.5                 but never more of the instances

  [limit]                       calls in work at once, in each instance
  most = 4096
  least = 16
  adaptive = true               fewer when they become slower

  [locality]                    this node, zone, region, cloud, others
  enabled = true
  spill = 3.0                   unless so many times slower than farther away
  least = \"5ms\"                 and by so much

  [[route]]                     shares of the calls; any number
  weight = 95
  version = \"1.*\"
  [[route]]
  weight = 5
  labels = { track = \"canary\" }   what the instances say of themselves (service --metadata)
  node = { region = \"eu-*\" }      where their nodes stand: cloud, region, zone; or the node's name";

/// Say what the nodes do with the calls of a service: retries, hedging, limits, versions
#[derive(Debug, Args)]
#[command(after_help = DOCUMENT)]
pub(super) struct PolicyCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Set(set::Set),
    Get(get::Get),
    List(list::List),
    Check(check::Check),
    Delete(delete::Delete),
}

pub(super) const SHAPES: &[Shapes] =
    &[set::SHAPES, get::SHAPES, list::SHAPES, check::SHAPES, delete::SHAPES, rehearsal::SHAPES];

impl PolicyCommand {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        match self.verb {
            Verb::Set(verb) => verb.run(globals, output),
            Verb::Get(verb) => verb.run(globals, output),
            Verb::List(verb) => verb.run(globals, output),
            Verb::Check(verb) => verb.run(globals, output),
            Verb::Delete(verb) => verb.run(globals, output),
        }
    }
}
