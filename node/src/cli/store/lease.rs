//! `micro-node store lease`.

use super::{
    failure::Failure,
    globals::Globals,
    item::{left, rfc3339},
    output::Output,
    session,
    shape::{ItemShape, ListShape, Shapes},
    table::Table,
    unit,
};
use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;

/// Make leases: records that are tied to one end with it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node store lease grant 30s                      prints the lease
  micro-node store write worker-7 ready --lease 42
  micro-node store lease keep-alive 42                  until Ctrl-C
  micro-node store lease revoke 42                      and worker-7 is gone")]
pub(super) struct LeaseCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a lease and print it
    #[command(after_help = "\
Examples:
  micro-node store lease grant 30s
  micro-node store write worker-7 here --lease \"$(micro-node store lease grant 30s)\"")]
    Grant {
        /// How long it lives without being kept alive
        #[arg(value_name = "TIME", value_parser = unit::duration)]
        ttl: Duration,
    },
    /// List the leases that live, by age
    #[command(visible_alias = "ls")]
    #[command(after_help = "\
Examples:
  micro-node store lease list
  micro-node store lease list -o name")]
    List {},
    /// Keep a lease alive until Ctrl-C
    #[command(after_help = "\
Examples:
  micro-node store lease keep-alive 1042
  micro-node store lease keep-alive 1042 --once")]
    KeepAlive {
        /// The lease
        lease: u64,
        /// Only once
        #[arg(long)]
        once: bool,
    },
    /// End a lease with its records
    #[command(after_help = "\
Example:
  micro-node store lease revoke 1042")]
    Revoke {
        /// The lease
        lease: u64,
    },
}

/// A lease that was made.
#[derive(Serialize, JsonSchema)]
struct GrantItem {
    /// Its number.
    lease: u64,
}

/// A lease that was kept alive.
#[derive(Serialize, JsonSchema)]
struct KeptItem {
    /// Its number.
    lease: u64,
    /// How long it lives from then on without being kept alive, in milliseconds.
    ttl_ms: u64,
}

/// A lease that lives.
#[derive(Serialize, JsonSchema)]
struct LeaseItem {
    /// Its number.
    lease: u64,
    /// How long it lives without being kept alive, in milliseconds.
    ttl_ms: u64,
    /// When it ends unless it is kept alive: RFC 3339.
    expires: String,
}

/// What there is to say of the list.
#[derive(Serialize, JsonSchema)]
struct LeasesSummary {
    /// How many are listed.
    count: usize,
}

/// A lease that was ended.
#[derive(Serialize, JsonSchema)]
struct RevokeItem {
    /// Its number.
    lease: u64,
    /// How many records ended with it.
    deleted: u32,
}

const GRANT: ItemShape<GrantItem> = ItemShape::new("store-lease", &["store lease grant"]);
const KEPT: ItemShape<KeptItem> = ItemShape::new("store-kept", &["store lease keep-alive --once"]);
const LEASES: ListShape<LeaseItem, LeasesSummary> = ListShape::new("store-leases", &["store lease list"]);
const REVOKE: ItemShape<RevokeItem> = ItemShape::new("store-revoke", &["store lease revoke"]);

pub(super) const SHAPES: Shapes = &[&GRANT, &KEPT, &LEASES, &REVOKE];

impl LeaseCommand {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        match self.verb {
            Verb::Grant { ttl } => grant(ttl, globals, output),
            Verb::List {} => list(globals, output),
            Verb::KeepAlive { lease, once } => keep_alive(lease, once, globals, output),
            Verb::Revoke { lease } => revoke(lease, globals, output),
        }
    }
}

fn grant(ttl: Duration, globals: &Globals, output: &Output) -> Result<(), Failure> {
    let lease = session::run(globals, async |node| Ok(node.store().grant(ttl).await?))?;
    if output.json() {
        return output.item(&GRANT, &GrantItem { lease });
    }
    output.text(&lease.to_string())
}

fn list(globals: &Globals, output: &Output) -> Result<(), Failure> {
    let leases = session::run(globals, async |node| Ok(node.store().leases().await?))?;
    if output.json() {
        let items = leases.iter().map(|lease| LeaseItem {
            lease: lease.lease,
            ttl_ms: u64::try_from(lease.ttl.as_millis()).unwrap_or(u64::MAX),
            expires: rfc3339(lease.expires),
        });
        let items: Vec<_> = items.collect();
        let summary = LeasesSummary { count: items.len() };
        return output.items(&LEASES, &items, &summary);
    }
    let mut table = Table::new(["LEASE", "TTL", "ENDS IN"]);
    for lease in leases {
        let ends = unit::brief(left(lease.expires));
        table.row([lease.lease.to_string(), unit::brief(lease.ttl), ends]);
    }
    output.table(&table, "no leases: micro-node store lease grant TIME makes one")
}

fn keep_alive(lease: u64, once: bool, globals: &Globals, output: &Output) -> Result<(), Failure> {
    session::run(globals, async |node| {
        let kept = node.store().keep_alive(lease).await?;
        if once && output.json() {
            let ttl_ms = unit::whole_milliseconds(kept.ttl());
            return output.item(&KEPT, &KeptItem { lease, ttl_ms });
        }
        output.remark(&format!("lease {lease} lives for another {}", unit::brief(kept.ttl())));
        if once {
            return Ok(());
        }
        Err(kept.lost().await.into())
    })
}

fn revoke(lease: u64, globals: &Globals, output: &Output) -> Result<(), Failure> {
    let deleted = session::run(globals, async |node| Ok(node.store().revoke(lease).await?))?;
    if output.json() {
        return output.item(&REVOKE, &RevokeItem { lease, deleted });
    }
    output.remark(&format!("{deleted} records ended with it"));
    Ok(())
}
