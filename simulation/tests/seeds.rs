//! Twenty seeds, three nodes, a minute of faults each.

use micro_simulation::{options::Options, run::run, workload::Kind};
use std::time::Duration;

macro_rules! seeds {
    ($($name:ident: $seed:literal),+ $(,)?) => {
        $(
            #[test]
            fn $name() {
                run(Options::new($seed)).expect_good();
            }
        )+
    };
}

seeds! {
    seed_1_holds: 1, seed_2_holds: 2, seed_3_holds: 3, seed_4_holds: 4, seed_5_holds: 5,
    seed_6_holds: 6, seed_7_holds: 7, seed_8_holds: 8, seed_9_holds: 9, seed_10_holds: 10,
    seed_11_holds: 11, seed_12_holds: 12, seed_13_holds: 13, seed_14_holds: 14, seed_15_holds: 15,
    seed_16_holds: 16, seed_17_holds: 17, seed_18_holds: 18, seed_19_holds: 19, seed_20_holds: 20,
}

/// A change with an idempotency key was done, its answer was lost, and the try that followed found no leader: the
/// client was told that nothing was done.
#[test]
fn a_try_that_did_nothing_says_nothing_of_the_one_before() {
    let workloads = Some(vec![Kind::Bank, Kind::Set, Kind::Append]);
    run(Options { workloads, ..Options::new(1) }).expect_good();
}

/// Raft ended on a leader while two proposals of one batch waited to be answered, and the second was looked for where
/// nothing was left to come, which is a panic.
#[test]
fn a_batch_whose_leader_ends_is_answered_as_unknown() {
    run(Options { storm: Duration::from_secs(30), ..Options::new(7) }).expect_good();
}

/// Blobs through a storm, whatever kinds of work the seeds above have drawn.
#[test]
fn blobs_keep_their_contents_and_their_copies() {
    for seed in 1..=3 {
        run(Options { workloads: Some(vec![Kind::Blob]), ..Options::new(seed) }).expect_good();
    }
}

/// Records that end by themselves through a storm, whatever kinds of work the seeds above have drawn.
#[test]
fn records_end_in_time_and_not_before() {
    for seed in 1..=3 {
        run(Options { workloads: Some(vec![Kind::Expiry, Kind::Lock]), ..Options::new(seed) }).expect_good();
    }
}

/// Logs that are cut by their bytes, long before they have as many entries as make a snapshot due; also while backups
/// are taken slowly.
#[test]
fn a_log_stays_short_however_large_its_entries_are() {
    for seed in 1..=2 {
        let workloads = Some(vec![Kind::Bank, Kind::Set, Kind::Backup]);
        run(Options { snapshot_bytes: 8 << 10, workloads, ..Options::new(seed) }).expect_good();
    }
}
