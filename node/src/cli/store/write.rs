//! `micro-node store write`.

use super::{
    Condition, Place,
    failure::Failure,
    globals::Globals,
    input,
    output::Output,
    session,
    shape::{ItemShape, Shapes},
    unit,
};
use clap::Args;
use micro_sdk::wire::limits::VALUE_BYTES_MAX;
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;

/// Write a record; it is acknowledged once a quorum has it on disk
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node store write greeting hello
  micro-node store write --table users id1 @jane.json
  micro-node store write session-7 open --expiry 24h
  micro-node store write report done --fence nightly:42    only while the lock nightly is held under token 42
  date | micro-node store write last-run - --meta by=cron")]
pub(super) struct Write {
    /// The key
    key: String,

    /// The value: itself, @FILE, or - for stdin; 1 MiB at most
    #[arg(allow_hyphen_values = true)]
    value: String,

    /// Only if there is no such record
    #[arg(long, conflicts_with = "if_version")]
    if_absent: bool,

    /// The record ends after this time, unless it is written again
    #[arg(long, value_name = "TIME", value_parser = unit::duration)]
    expiry: Option<Duration>,

    /// The record ends with this lease
    #[arg(long, value_name = "LEASE")]
    lease: Option<u64>,

    /// A text to note beside the value; may be given more than once
    #[arg(long = "meta", value_name = "KEY=VALUE", value_parser = unit::pair)]
    metadata: Vec<(String, String)>,

    #[command(flatten)]
    condition: Condition,
}

/// A record that was written.
#[derive(Serialize, JsonSchema)]
struct WriteItem {
    /// Its key.
    key: String,
    /// The revision that wrote it.
    version: u64,
}

const WRITE: ItemShape<WriteItem> = ItemShape::new("store-write", &["store write"]);

pub(super) const SHAPES: Shapes = &[&WRITE];

impl Write {
    pub(super) fn run(self, place: &Place, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let value = input::read(&self.value, VALUE_BYTES_MAX)?;
        let version = session::run(globals, async |node| {
            let mut put = place.store(&node).put(&self.key, value);
            let Condition { if_version, fence, lead, idempotency_key } = self.condition;
            if let Some(version) = if_version.or(self.if_absent.then_some(0)) {
                put = put.if_version(version);
            }
            if let Some(fence) = fence.or(lead) {
                put = put.fence(fence);
            }
            if let Some(key) = idempotency_key {
                put = put.idempotency_key(key);
            }
            put = put.ttl(self.expiry.unwrap_or_default()).lease(self.lease.unwrap_or_default());
            Ok(self.metadata.into_iter().fold(put, |put, (name, text)| put.metadata(name, text)).await?)
        })?;
        if output.json() {
            return output.item(&WRITE, &WriteItem { key: self.key, version });
        }
        output.detail(&format!("{} is at version {version}", self.key));
        Ok(())
    }
}
