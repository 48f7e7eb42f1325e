//! How a database becomes a copy of another: only what differs is written, so that a repetition goes on where the one
//! before has ended.

use super::{
    database::{Database, Placed},
    difference::{Difference, Differences},
    output::Output,
    writer::{Change, Unwritten, Writer, size},
};
use futures::Stream;
use micro_sdk::wire::Fault;
use schemars::JsonSchema;
use serde::Serialize;

/// A copy that is to be made.
pub(super) struct Copy<'a> {
    pub(super) target: Database,
    /// Whether records that only the target has are deleted.
    pub(super) replace: bool,
    /// Whether it is only counted what would be done.
    pub(super) dry_run: bool,
    pub(super) output: &'a Output,
}

/// What a copy did, or would do.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct CopyItem {
    /// The database that was copied into.
    pub(super) database: String,
    /// Whether it was only counted.
    pub(super) dry_run: bool,
    /// How many records were written.
    pub(super) written: u64,
    /// How many were the same already.
    pub(super) equal: u64,
    /// How many were deleted.
    pub(super) deleted: u64,
    /// How many are in the target only, and stay there.
    pub(super) kept: u64,
    /// How many had expired, and so were not written.
    pub(super) expired: u64,
    /// How many were left out, since they end with leases.
    pub(super) left_out: u64,
}

impl Copy<'_> {
    /// Copies the records of `source`, which come in the order of tables and keys.
    ///
    /// # Errors
    /// Those of the source, and those of a write. What was written before stays.
    pub(super) async fn run(
        &self,
        source: impl Stream<Item = Result<Placed, Fault>>,
    ) -> Result<CopyItem, Fault> {
        let mut differences = Differences::new(source, self.target.now());
        let mut writer = Writer::new(self.target.store(), self.output);
        let mut item = CopyItem { dry_run: self.dry_run, ..CopyItem::default() };
        let copied = self.copy(&mut differences, &mut writer, &mut item).await;
        copied.map_err(|fault| match (self.dry_run, writer.written + writer.deleted) {
            (true, _) | (_, 0) => fault,
            (false, done) => fault.help(format!(
                "{done} records were changed before: run it again, and it goes on with the others"
            )),
        })?;
        if !self.dry_run {
            (item.written, item.deleted) = (writer.written, writer.deleted);
        }
        item.expired = differences.expired + writer.expired;
        item.left_out = differences.leased;
        Ok(item)
    }

    async fn copy(
        &self,
        differences: &mut Differences<'_>,
        writer: &mut Writer<'_, ()>,
        item: &mut CopyItem,
    ) -> Result<(), Fault> {
        let unwritten = |Unwritten { fault, .. }: Unwritten<()>| fault;
        while let Some(difference) = differences.next().await? {
            let change = match difference {
                Difference::Missing { placed, other } => {
                    item.written += 1;
                    Change::Put { placed, replaced: other.as_ref().map_or(0, size) }
                }
                Difference::Equal => {
                    item.equal += 1;
                    continue;
                }
                // One that ends with a lease belongs to who holds it.
                Difference::Surplus(placed) if self.replace && placed.record.lease.is_none() => {
                    item.deleted += 1;
                    Change::Delete(placed)
                }
                Difference::Surplus(_) => {
                    item.kept += 1;
                    continue;
                }
            };
            if !self.dry_run {
                writer.push((), change).await.map_err(unwritten)?;
            }
        }
        writer.flush().await.map_err(unwritten)
    }
}

impl CopyItem {
    /// Tells a person what was done, or would be.
    pub(super) fn tell(&self, output: &Output) {
        let CopyItem { written, equal, deleted, kept, .. } = self;
        let done = match self.dry_run {
            true => format!("{written} would be written and {deleted} deleted; {equal} are equal already"),
            false => format!("{written} written, {deleted} deleted; {equal} were equal already"),
        };
        output.remark(&format!("database {:?}: {done}", self.database));
        for (count, what) in [
            (*kept, "are in this database only, and stay"),
            (self.expired, "had expired"),
            (self.left_out, "were left out, since they end with leases"),
        ] {
            if count > 0 {
                output.remark(&format!("{count} {what}"));
            }
        }
    }
}
