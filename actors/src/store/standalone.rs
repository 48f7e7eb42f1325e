//! Records of a state that no group has begun with yet: one that a backup was restored to.

use crate::store::{Record, RecordRange, TablePath, row::Row, view::broken, walk::Walk};
use bytes::Bytes;
use micro_sdk::wire::Fault;
use micro_storage::{Batch, Family, Order, StateStore, StateView};

/// The records of `table`, by key.
///
/// # Errors
/// If the state can't be read.
pub fn records(state: &dyn StateStore, table: &TablePath) -> Result<Vec<Record>, Fault> {
    let record = |(state_key, row): (Bytes, Row)| table.record(&state_key, row);
    rows(state, table)?.into_iter().map(record).collect()
}

/// Gives records of `table` other values, as if they had always had them: `change` is told key and value, and returns
/// the new value, or none to leave it. Their versions stay, and nothing is told to watchers. So it is only for the
/// state that a group begins with: the replicas of one at work would differ from then on.
///
/// # Errors
/// Those of `change`, or if the disk fails. Nothing was changed then.
pub(crate) fn rewrite(
    state: &dyn StateStore,
    table: &TablePath,
    mut change: impl FnMut(&str, &[u8]) -> Result<Option<Vec<u8>>, Fault>,
) -> Result<(), Fault> {
    let mut batch = Batch::default();
    for (state_key, row) in rows(state, table)? {
        if let Some(value) = change(&table.key_of(&state_key)?, &row.value)? {
            let metadata = row.metadata().map_err(broken)?;
            batch.put(Family::Store, state_key, row.head.row(&metadata, &value));
        }
    }
    state.write(batch).and_then(|()| state.flush()).map_err(broken)
}

fn rows(state: &dyn StateStore, table: &TablePath) -> Result<Vec<(Bytes, Row)>, Fault> {
    let range = RecordRange::table(table.clone()).state_range();
    let read = |view: &dyn StateView| {
        let mut walk = Walk::new(view, range.clone(), Order::Ascending, None);
        std::iter::from_fn(|| walk.next().transpose()).collect()
    };
    let mut rows = Ok(Vec::new());
    state.view(&mut |view| rows = read(view)).map_err(broken)?;
    rows
}
