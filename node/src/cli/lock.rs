//! `micro-node lock`.

use super::{
    failure::Failure,
    globals::Globals,
    hold,
    output::Output,
    session,
    shape::{ItemShape, ListShape, Shapes},
    table::Table,
    unit,
};
use clap::Args;
use micro_sdk::{
    client::{HeldLock, LockGuard, Node},
    wire::{Code, Fault},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;

/// Where the program that is run finds the token.
const TOKEN_VARIABLE: &str = "MICRO_NODE_LOCK_TOKEN";

const EXAMPLES: &str = "\
Examples:
  micro-node lock nightly -- ./backup.sh                waits for its turn, runs it, and ends as it ends
  micro-node lock nightly --wait 5s -- ./backup.sh      exit code 7 if the lock is not free by then
  micro-node lock nightly                               prints the token, and holds the lock until Ctrl-C
  micro-node lock --list                                the locks that are held, and by whom
  micro-node lock nightly -- sh -c 'micro-node store write report done --fence nightly:$MICRO_NODE_LOCK_TOKEN'

Whoever waits, waits in line; should the store stand still for --ttl, at its end. A holder that dies, or can't reach \
the store for --ttl, has lost the lock: then COMMAND is ended, with exit code 8 here. What it writes with --fence is \
written only while the lock is held. If this process is killed, COMMAND is killed with it, but not what COMMAND has \
started.";

/// Run a command while holding a lock of the whole mesh
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Lock {
    /// The lock: any name
    #[arg(required_unless_present = "list")]
    name: Option<String>,

    /// List the locks that are held
    #[arg(long, conflicts_with_all = ["name", "wait", "command"])]
    list: bool,

    /// How long others wait after the holder has died: 1s at least
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = unit::duration)]
    ttl: Duration,

    /// How long to wait for the lock at most [default: as long as it takes]
    #[arg(long, value_name = "TIME", value_parser = unit::duration)]
    wait: Option<Duration>,

    /// The command to run, with MICRO_NODE_LOCK_TOKEN in its environment
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// A lock that is held.
#[derive(Serialize, JsonSchema)]
struct LockItem<'a> {
    /// The lock.
    name: &'a str,
    /// The token that it is held under: higher than those before.
    token: u64,
}

/// A lock that somebody holds.
#[derive(Serialize, JsonSchema)]
struct HeldItem<'a> {
    /// Its name.
    name: &'a str,
    /// What its holder shows of itself: of this command, the host and the process.
    holder: String,
    /// The token that it is held under.
    token: u64,
    /// How many wait for it.
    waiting: usize,
}

/// What there is to say of the locks.
#[derive(Serialize, JsonSchema)]
struct HeldSummary {
    /// How many are held.
    count: usize,
}

const LOCK: ItemShape<LockItem<'static>> = ItemShape::new("lock", &["lock"]);
const HELD: ListShape<HeldItem<'static>, HeldSummary> = ListShape::new("locks", &["lock --list"]);

pub(super) const SHAPES: Shapes = &[&LOCK, &HELD];

impl Lock {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let Some(name) = &self.name else { return list(globals, output) };
        let code = session::run_to_end(globals, async |node| {
            let mut signals = hold::signals()?;
            let guard = tokio::select! {
                biased;
                code = signals.next() => return Err(Failure::Signalled(code)),
                guard = self.acquire(&node, name) => guard?,
            };
            let token = guard.token();
            let lost = hold::lost(format!("the lock {name:?}"), guard.lost());
            let held = match self.command.is_empty() {
                true => {
                    show(name, token, output)?;
                    output.remark(&format!("{name} is held until Ctrl-C"));
                    hold::until_signal(&mut signals, lost).await
                }
                false => {
                    output.detail(&format!("{name} is held under token {token}"));
                    hold::run(&self.command, (TOKEN_VARIABLE, token), &mut signals, lost).await
                }
            };
            release(guard, output).await;
            held
        })?;
        if code == 0 { Ok(()) } else { Err(Failure::Signalled(code)) }
    }

    async fn acquire(&self, node: &Node, name: &str) -> Result<LockGuard, Failure> {
        if name.is_empty() {
            return Err(Fault::new(Code::Usage, "a lock has a name").into());
        }
        let lock = node.lock(name).ttl(self.ttl).value(session::whoami());
        Ok(match self.wait {
            Some(patience) => lock.acquire_within(patience).await?,
            None => lock.acquire().await?,
        })
    }
}

fn show(name: &str, token: u64, output: &Output) -> Result<(), Failure> {
    match output.json() {
        true => output.item(&LOCK, &LockItem { name, token }),
        false => output.text(&token.to_string()),
    }
}

fn list(globals: &Globals, output: &Output) -> Result<(), Failure> {
    let held = session::run(globals, async |node| Ok(node.locks().await?))?;
    let holder = |lock: &HeldLock| String::from_utf8_lossy(&lock.value).into_owned();
    if output.json() {
        let items = held.iter().map(|lock| HeldItem {
            name: &lock.name,
            holder: holder(lock),
            token: lock.token,
            waiting: lock.waiting,
        });
        let items: Vec<_> = items.collect();
        return output.items(&HELD, &items, &HeldSummary { count: items.len() });
    }
    let mut table = Table::new(["NAME", "HOLDER", "TOKEN", "WAITING"]);
    for lock in &held {
        table.row([lock.name.clone(), holder(lock), lock.token.to_string(), lock.waiting.to_string()]);
    }
    output.table(&table, "no lock is held")
}

/// Releases the lock. Should that fail, it ends with its time to live: a word is enough.
async fn release(guard: LockGuard, output: &Output) {
    if guard.is_lost() {
        return;
    }
    if let Err(fault) = guard.release().await {
        output.remark(&format!("the lock was not released, and ends by itself: {fault}"));
    }
}
