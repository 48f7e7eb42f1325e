//! What sets a database apart from another: a merge of two streams in the same order, record by record.

use super::{database::Placed, item::left};
use futures::{Stream, StreamExt, TryStreamExt, stream::LocalBoxStream};
use micro_sdk::{client::Record, wire::Fault};
use std::{
    cmp::Ordering,
    time::{Duration, SystemTime},
};

/// The expiries of two copies differ a little, since each is counted from the moment of its own write.
const EXPIRY_SLACK: Duration = Duration::from_secs(1);
/// They differ by as much as the clocks of the two meshes do, and to write a record anew would not mend that: each sync
/// would write it. So more is let pass for what lives long: one part in this many of what is left.
const EXPIRY_SLACK_PART: u32 = 10;
/// But no more than this: clocks that are further apart are to be set right, and a record whose life was prolonged has
/// to be copied.
const EXPIRY_SLACK_MAX: Duration = Duration::from_secs(60);

/// One record of the source, the target, or both.
#[derive(Debug, PartialEq)]
pub(super) enum Difference {
    /// The target has none, or this other one.
    Missing { placed: Placed, other: Option<Record> },
    /// Both have the same.
    Equal,
    /// Only the target has it.
    Surplus(Placed),
}

/// The differences between a source and a target. It holds a page of each at most.
pub(super) struct Differences<'a> {
    source: LocalBoxStream<'a, Result<Placed, Fault>>,
    target: LocalBoxStream<'a, Result<Placed, Fault>>,
    /// What was read and not compared yet.
    ours: Option<Placed>,
    theirs: Option<Placed>,
    /// How many records of the source were left out, since they end with leases.
    pub(super) leased: u64,
    /// How many were left out, since they have expired.
    pub(super) expired: u64,
}

impl<'a> Differences<'a> {
    /// Both streams are in the order of tables and keys.
    pub(super) fn new(
        source: impl Stream<Item = Result<Placed, Fault>> + 'a,
        target: impl Stream<Item = Result<Placed, Fault>> + 'a,
    ) -> Differences<'a> {
        Differences {
            source: source.fuse().boxed_local(),
            target: target.fuse().boxed_local(),
            ours: None,
            theirs: None,
            leased: 0,
            expired: 0,
        }
    }

    /// The next difference, or none at the end.
    ///
    /// # Errors
    /// Those of the streams.
    pub(super) async fn next(&mut self) -> Result<Option<Difference>, Fault> {
        if self.ours.is_none() {
            self.ours = self.next_of_source().await?;
        }
        if self.theirs.is_none() {
            self.theirs = self.target.try_next().await?;
        }
        let order = match (&self.ours, &self.theirs) {
            (None, None) => return Ok(None),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(ours), Some(theirs)) => ours.place().cmp(&theirs.place()),
        };
        let ours = self.ours.take_if(|_| order.is_le());
        let theirs = self.theirs.take_if(|_| order.is_ge());
        Ok(match (ours, theirs) {
            (Some(ours), Some(theirs)) if same(&ours.record, &theirs.record) => Some(Difference::Equal),
            (Some(placed), other) => {
                Some(Difference::Missing { placed, other: other.map(|placed| placed.record) })
            }
            (None, theirs) => theirs.map(Difference::Surplus),
        })
    }

    /// The next record of the source that can be copied.
    async fn next_of_source(&mut self) -> Result<Option<Placed>, Fault> {
        while let Some(placed) = self.source.try_next().await? {
            if placed.record.lease.is_some() {
                self.leased += 1;
            } else if placed.record.expires.is_some_and(|expires| left(expires).is_zero()) {
                self.expired += 1;
            } else {
                return Ok(Some(placed));
            }
        }
        Ok(None)
    }
}

/// Whether a copy would be what is there. What ends with a lease is not: the copy does not.
fn same(ours: &Record, theirs: &Record) -> bool {
    ours.value == theirs.value
        && ours.metadata == theirs.metadata
        && theirs.lease.is_none()
        && close(ours.expires, theirs.expires)
}

fn close(one: Option<SystemTime>, other: Option<SystemTime>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            let apart = one.duration_since(other).unwrap_or_else(|error| error.duration());
            apart <= (left(one) / EXPIRY_SLACK_PART).clamp(EXPIRY_SLACK, EXPIRY_SLACK_MAX)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use micro_sdk::wire::Code;
    use std::collections::BTreeMap;

    /// A record from `TABLE/KEY=VALUE`.
    fn placed(text: &str) -> Placed {
        let (place, value) = text.split_once('=').expect("it has a value");
        let (table, key) = place.split_once('/').expect("it has a table");
        let value = value.as_bytes().to_vec().into();
        Placed { table: table.to_owned(), record: Record { key: key.to_owned(), value, ..Record::default() } }
    }

    fn stream_of(records: Vec<Placed>) -> impl Stream<Item = Result<Placed, Fault>> {
        stream::iter(records.into_iter().map(Ok))
    }

    /// The differences in signs: + to be written, ~ to be written over another, = equal, - surplus.
    async fn signs(mut differences: Differences<'_>) -> Vec<String> {
        let mut signs = Vec::new();
        while let Some(difference) = differences.next().await.expect("nothing fails") {
            signs.push(match difference {
                Difference::Missing { placed, other: None } => format!("+{}", placed.record.key),
                Difference::Missing { placed, other: Some(_) } => format!("~{}", placed.record.key),
                Difference::Equal => "=".to_owned(),
                Difference::Surplus(placed) => format!("-{}", placed.record.key),
            });
        }
        signs
    }

    #[tokio::test]
    async fn two_streams_are_merged_in_the_order_of_tables_and_keys() {
        let cases: [(&[&str], &[&str], &[&str]); 7] = [
            (&[], &[], &[]),
            (&["t/a=1"], &[], &["+a"]),
            (&[], &["t/a=1"], &["-a"]),
            (&["t/a=1", "t/b=2"], &["t/a=1", "t/b=3"], &["=", "~b"]),
            (&["t/b=1", "t/d=1"], &["t/a=1", "t/b=1", "t/c=1", "t/e=1"], &["-a", "=", "-c", "+d", "-e"]),
            // By table first: the same key in another table is another record.
            (&["t/z=1", "u/a=1"], &["t/a=1", "u/a=1", "u/z=1"], &["-a", "+z", "=", "-z"]),
            (&["s/a=1"], &["t/a=1"], &["+a", "-a"]),
        ];
        for (source, target, expected) in cases {
            let side = |texts: &[&str]| stream_of(texts.iter().map(|text| placed(text)).collect());
            let found = signs(Differences::new(side(source), side(target))).await;
            assert_eq!(found, expected, "{source:?} {target:?}");
        }
    }

    #[tokio::test]
    async fn records_are_equal_in_value_metadata_and_nearly_in_expiry() {
        let soon = SystemTime::now() + Duration::from_secs(60);
        let expiring = |ms| Some(soon + Duration::from_millis(ms));
        let soon_ms = |ms| Some(SystemTime::now() + Duration::from_millis(ms));
        let plain = placed("t/a=1").record;
        let noted =
            Record { metadata: BTreeMap::from([("by".to_owned(), "me".to_owned())]), ..plain.clone() };
        let ends = |expires| Record { expires, ..plain.clone() };
        let leased = Record { lease: Some(7), ..plain.clone() };
        let newer = Record { version: 9, created: 9, ..plain.clone() };
        for (ours, theirs, equal) in [
            (&plain, &newer, true),
            (&noted, &plain, false),
            (&plain, &noted, false),
            (&noted, &noted, true),
            (&ends(expiring(0)), &plain, false),
            (&plain, &ends(expiring(0)), false),
            (&ends(expiring(0)), &ends(expiring(1000)), true),
            (&ends(expiring(1000)), &ends(expiring(0)), true),
            (&ends(expiring(0)), &ends(expiring(5_000)), true),
            (&ends(expiring(0)), &ends(expiring(6_001)), false),
            (&ends(expiring(3_600_000)), &ends(expiring(3_659_000)), true),
            (&ends(expiring(3_600_000)), &ends(expiring(3_661_000)), false),
            (&ends(soon_ms(2_000)), &ends(soon_ms(3_500)), false),
            (&plain, &leased, false),
        ] {
            assert_eq!(same(ours, theirs), equal, "{ours:?} {theirs:?}");
        }
    }

    #[tokio::test]
    async fn what_ends_with_a_lease_or_has_ended_is_left_out() {
        let mut source = vec![placed("t/a=1"), placed("t/b=1"), placed("t/c=1")];
        source[0].record.lease = Some(7);
        source[1].record.expires = Some(SystemTime::now());
        let target = vec![placed("t/b=1")];
        let mut differences = Differences::new(stream_of(source), stream_of(target));
        let mut found = Vec::new();
        while let Some(difference) = differences.next().await.expect("nothing fails") {
            found.push(difference);
        }
        let missing = Difference::Missing { placed: placed("t/c=1"), other: None };
        assert_eq!(found, [Difference::Surplus(placed("t/b=1")), missing]);
        assert_eq!((differences.leased, differences.expired), (1, 1));
    }

    #[tokio::test]
    async fn a_failure_of_either_side_ends_it() {
        let broken = || stream::iter([Ok(placed("t/a=1")), Err(Fault::new(Code::Compacted, "compacted"))]);
        let whole = || stream_of(vec![placed("t/a=1"), placed("t/b=1")]);
        for mut differences in [Differences::new(broken(), whole()), Differences::new(whole(), broken())] {
            assert_eq!(differences.next().await, Ok(Some(Difference::Equal)));
            assert_eq!(differences.next().await.expect_err("one side failed").code, Code::Compacted);
        }
    }
}
