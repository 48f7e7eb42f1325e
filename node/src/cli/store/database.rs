//! A whole database: the records of all its tables, in the order of tables and keys.

use futures::{Stream, StreamExt, TryFutureExt, TryStreamExt, stream};
use micro_sdk::{
    client::{Node, Record, Store},
    wire::{Code, Fault},
};

/// A record with the table that it is in.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Placed {
    pub(super) table: String,
    pub(super) record: Record,
}

impl Placed {
    /// Where it stands in the order of a database.
    pub(super) fn place(&self) -> (&str, &str) {
        (&self.table, &self.record.key)
    }
}

/// A database of a mesh.
pub(super) struct Database {
    store: Store,
    name: String,
}

impl Database {
    pub(super) fn new(node: &Node, name: &str) -> Database {
        Database { store: node.store().database(name), name: name.to_owned() }
    }

    /// A table of it, whichever: for batches, which reach into all.
    pub(super) fn store(&self) -> Store {
        self.store.clone()
    }

    /// The revision of the moment.
    ///
    /// # Errors
    /// `Unavailable` without quorum; else as every request.
    pub(super) async fn revision(&self) -> Result<u64, Fault> {
        Ok(self.store.history().await?.revision)
    }

    /// All records as they were at `revision`. The stream ends with `Compacted` if the revision is compacted before all
    /// are read.
    ///
    /// # Errors
    /// `NotFound` if there were none: more often the name is wrong than a database is empty.
    pub(super) async fn at(
        &self,
        revision: u64,
    ) -> Result<impl Stream<Item = Result<Placed, Fault>> + use<>, Fault> {
        let overtaken = move |fault| overtaken(fault, revision);
        let tables = self.store.tables_at(revision).await.map_err(overtaken)?;
        if tables.is_empty() {
            let message = format!("database {:?} holds no record", self.name);
            let help = "micro-node store databases shows which ones do";
            return Err(Fault::new(Code::NotFound, message).help(help));
        }
        let store = self.store.clone();
        let records = move |table: String| {
            let records = store.clone().table(&table).list("").at(revision).scan();
            records.map_ok(move |record| Placed { table: table.clone(), record })
        };
        Ok(stream::iter(tables).map(records).flatten().map_err(overtaken))
    }

    /// All records as they are, each page when its turn comes: of no single moment, so that it can be changed meanwhile
    /// for as long as that takes, whatever becomes of the history.
    pub(super) fn now(&self) -> impl Stream<Item = Result<Placed, Fault>> + use<> {
        let store = self.store.clone();
        let tables = async move { store.tables().await };
        let store = self.store.clone();
        let records = move |table: String| {
            let records = pages(store.clone().table(&table));
            records.map_ok(move |record| Placed { table: table.clone(), record })
        };
        let tables = tables.map_ok(|tables| stream::iter(tables.into_iter().map(Ok))).try_flatten_stream();
        tables.map_ok(records).try_flatten()
    }
}

/// The records of a table, each page as of its own moment.
fn pages(table: Store) -> impl Stream<Item = Result<Record, Fault>> {
    let pages = stream::try_unfold(Some(String::new()), move |after| {
        let list = table.list("");
        async move {
            let Some(after) = after else { return Ok(None) };
            let page = list.after(after).await?;
            let next = page.records.last().filter(|_| page.more).map(|record| record.key.clone());
            Ok::<_, Fault>(Some((stream::iter(page.records.into_iter().map(Ok)), next)))
        }
    });
    pages.try_flatten()
}

/// Says what it means that the revision that is read was given up.
fn overtaken(fault: Fault, revision: u64) -> Fault {
    if fault.code != Code::Compacted {
        return fault;
    }
    let message = format!("the records of revision {revision} were given up before all were read");
    Fault::new(Code::Compacted, message)
        .help("run it again; if much is written, keep more history before: micro-node store history --help")
}
