//! Clients that move money between a few accounts by transactions, and look at all of them at one moment.

use super::{Client, Journal, Outcome, Table};
use crate::{
    door::number,
    machine::{Phase, Shared},
};
use micro_actors::store::{
    Comparand, Record, RecordCompare, RecordOp, RecordRange, RecordResult, Relation, TransactRequest,
    WriteRequest,
};
use micro_sdk::wire::{Code, Fault};
use rand::Rng;
use std::rc::Rc;

/// Where the accounts lie.
const BANK: Table = Table("bank");
/// The accounts: few, so that transfers meet.
pub const ACCOUNTS: [&str; 5] = ["a0", "a1", "a2", "a3", "a4"];
/// What each account holds at first. Small, so that accounts get empty.
pub const OPENING: i64 = 20;
/// The longest pause between two requests.
const THINK_MS_MAX: u64 = 300;
/// How far back in revisions the past is looked at.
const PAST_MAX: u64 = 100;

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BankAsked {
    /// Fill all accounts, unless they are there.
    Open,
    /// Move money, if neither account has changed since it was read.
    Transfer {
        /// From this account.
        from: &'static str,
        /// To this one.
        to: &'static str,
        /// How much.
        amount: i64,
    },
    /// All accounts at one moment.
    Look(Look),
}

/// How all accounts are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// By a transaction.
    Transaction,
    /// By a list in pages.
    Pages,
    /// By a list of the past, in pages.
    Past {
        /// The revision.
        at: u64,
    },
}

/// What was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BankTold {
    /// Whether the comparisons held, so that it was done.
    Held(bool),
    /// The accounts.
    Balances {
        /// As of this revision.
        revision: u64,
        /// By name.
        accounts: Vec<(String, i64)>,
    },
}

/// Everything about the bank.
pub type BankJournal = Journal<BankAsked, BankTold>;

/// An account as a client has read it.
struct Account {
    name: &'static str,
    balance: i64,
    version: u64,
}

/// Works until the storm is over.
pub async fn run(mut client: Client, shared: Rc<Shared>) {
    let journal = &shared.journals.bank;
    let mut open = false;
    let mut newest = 0;
    while shared.phase.get() <= Phase::Storm {
        client.think(THINK_MS_MAX).await;
        if shared.phase.get() != Phase::Storm {
            continue;
        }
        if !open {
            let told = client.attempt(journal, BankAsked::Open, open_all(&client)).await;
            open = matches!(told, Outcome::Done(_));
        } else if client.rng.random_bool(0.6) {
            transfer(&mut client, journal).await;
        } else {
            let look = match client.rng.random_range(0..4) {
                0 => Look::Transaction,
                1 => Look::Past { at: newest - client.rng.random_range(0..=PAST_MAX.min(newest)) },
                _ => Look::Pages,
            };
            let told = client.attempt(journal, BankAsked::Look(look), look_at_all(&client, look)).await;
            if let Outcome::Done(BankTold::Balances { revision, .. }) = told {
                newest = revision.max(newest);
            }
        }
    }
}

/// Looks at all accounts once more, when nothing is asked any more.
pub async fn last(client: &Client, shared: &Shared) -> bool {
    let look = Look::Pages;
    let asked = client.attempt(&shared.journals.bank, BankAsked::Look(look), look_at_all(client, look));
    matches!(asked.await, Outcome::Done(_))
}

async fn open_all(client: &Client) -> Result<BankTold, Fault> {
    let compares = ACCOUNTS.iter().map(|name| RecordCompare::exists(BANK.path(), *name, false)).collect();
    let then = ACCOUNTS.iter().map(|name| balance(name, OPENING)).collect();
    let request = TransactRequest { compares, then, otherwise: Vec::new() };
    Ok(BankTold::Held(client.door.transact(request, None).await?.held))
}

fn balance(name: &str, balance: i64) -> RecordOp {
    RecordOp::Write(WriteRequest::new(BANK.path(), name, balance.to_string()))
}

async fn transfer(client: &mut Client, journal: &BankJournal) {
    let from = client.rng.random_range(0..ACCOUNTS.len());
    let to = (from + client.rng.random_range(1..ACCOUNTS.len())) % ACCOUNTS.len();
    // A read that fails is of no interest here: nobody concludes anything from it.
    let Ok([from, to]) = read_two(client, [ACCOUNTS[from], ACCOUNTS[to]]).await else { return };
    if from.balance == 0 {
        return;
    }
    let amount = client.rng.random_range(1..=from.balance);
    let by_value = client.rng.random_bool(0.3);
    let compares = [&from, &to].map(|account| match by_value {
        true => RecordCompare {
            table: BANK.path(),
            key: account.name.to_owned(),
            relation: Relation::Equal,
            with: Comparand::Value(account.balance.to_string().into_bytes()),
        },
        false => RecordCompare::version(BANK.path(), account.name, account.version),
    });
    let then = vec![balance(from.name, from.balance - amount), balance(to.name, to.balance + amount)];
    let request = TransactRequest { compares: compares.into(), then, otherwise: Vec::new() };
    let key = client.rng.random_bool(0.5).then(|| client.rng.random());
    let asked = BankAsked::Transfer { from: from.name, to: to.name, amount };
    let asking = async { Ok(BankTold::Held(client.door.transact(request, key).await?.held)) };
    client.attempt(journal, asked, asking).await;
}

async fn read_two(client: &Client, names: [&'static str; 2]) -> Result<[Account; 2], Fault> {
    let read = |name: &str| RecordOp::Read { table: BANK.path(), key: name.to_owned() };
    let request = TransactRequest { then: names.map(read).into(), ..TransactRequest::default() };
    let reply = client.door.transact(request, None).await?;
    let account = |name, result: Option<&RecordResult>| match result {
        Some(RecordResult::Read(Some(record))) => {
            Ok(Account { name, balance: number(&record.value.0)?, version: record.version })
        }
        other => Err(Fault::new(Code::NotFound, format!("no account {name}: {other:?}"))),
    };
    Ok([account(names[0], reply.results.first())?, account(names[1], reply.results.get(1))?])
}

async fn look_at_all(client: &Client, look: Look) -> Result<BankTold, Fault> {
    let (records, revision) = match look {
        Look::Pages => client.door.list_all(BANK, 2, None, false).await?,
        Look::Past { at } => client.door.list_all(BANK, 2, Some(at), false).await?,
        Look::Transaction => {
            let range = RecordRange { table: BANK.path(), ..RecordRange::default() };
            let then = vec![RecordOp::List { range, limit: 0 }];
            let request = TransactRequest { then, ..TransactRequest::default() };
            let mut reply = client.door.transact(request, None).await?;
            match reply.results.pop() {
                Some(RecordResult::Listed { records, .. }) => (records, reply.revision),
                other => return Err(Fault::new(Code::Internal, format!("a list was answered {other:?}"))),
            }
        }
    };
    let account = |record: Record| Ok((record.key, number(&record.value.0)?));
    let accounts = records.into_iter().map(account).collect::<Result<_, Fault>>()?;
    Ok(BankTold::Balances { revision, accounts })
}
