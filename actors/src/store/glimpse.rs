//! The records of several tables at one moment: how the platform's own services read what they keep.

use crate::store::{
    ListOrder, Record, RecordRange, StoreService, TablePath,
    row::Row,
    view::{Replica, broken},
    walk::Walk,
};
use micro_sdk::wire::Fault;
use micro_storage::{Family, Order, StateView};
use tokio::time::Instant;

/// One moment of all records.
pub(crate) struct Glimpse<'a> {
    view: &'a dyn StateView,
}

impl Glimpse<'_> {
    /// One record, if it is there.
    ///
    /// # Errors
    /// If the state can't be read.
    pub fn record(&self, table: &TablePath, key: &str) -> Result<Option<Record>, Fault> {
        let row = self.view.get(Family::Store, &table.state_key(key)).map_err(broken)?;
        let row = row.map(Row::read).transpose().map_err(broken)?;
        row.map(|row| Record::of(key.to_owned(), row)).transpose()
    }

    /// The records of a range in order, for as long as `each` returns true. It has no bound of its own.
    ///
    /// # Errors
    /// If the state can't be read, and those of `each`.
    pub fn records(
        &self,
        range: &RecordRange,
        order: ListOrder,
        mut each: impl FnMut(Record) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        let order = match order {
            ListOrder::Ascending => Order::Ascending,
            ListOrder::Descending => Order::Descending,
        };
        let mut walk = Walk::new(self.view, range.state_range(), order, None);
        while let Some((key, row)) = walk.next()? {
            if !each(range.table.record(&key, row)?)? {
                break;
            }
        }
        Ok(())
    }
}

impl StoreService {
    /// Looks at the records at one moment, on another thread: a linearizable one, unless the caller takes this replica
    /// as it is.
    ///
    /// # Errors
    /// Those of `look`, why the reading can't be made linearizable, or if the state can't be read.
    pub(crate) async fn glimpse<T: Send + 'static>(
        &self,
        stale: bool,
        deadline: Instant,
        look: impl FnOnce(&Glimpse<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        Ok(self.dated_glimpse(stale, deadline, look).await?.0)
    }

    /// The same, and of a look at the replica as it is, how many milliseconds ago that was known to be current.
    ///
    /// # Errors
    /// As [`glimpse`](Self::glimpse).
    pub(crate) async fn dated_glimpse<T: Send + 'static>(
        &self,
        stale: bool,
        deadline: Instant,
        look: impl FnOnce(&Glimpse<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<(T, Option<u64>), Fault> {
        let age_ms = self.current(stale, deadline).await?;
        Ok((self.replica.glimpse(look).await?, age_ms))
    }
}

impl Replica {
    /// Looks at the records at one moment, on another thread.
    ///
    /// # Errors
    /// Those of `look`, or if the state can't be read.
    pub async fn glimpse<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Glimpse<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        self.look_aside(move |view| look(&Glimpse { view })).await
    }
}
