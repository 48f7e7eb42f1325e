//! The checkers see what they are there to see: a bug put in on purpose is found.

use micro_simulation::{
    faults::{Move, Who},
    options::{Options, PlantedBug},
    run::{run, run_schedule},
    workload::Kind,
};
use std::time::Duration;

/// Seeds tried before a bug counts as not found. Each runs in this process: their traces are not compared.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=8;

/// Runs seeds with `bug` until something is found, by one of these checkers at least. A run that can't end well may be
/// told as such first.
#[track_caller]
fn finds(bug: PlantedBug, checkers: &[&str]) {
    finds_with(bug, &[], checkers);
}

/// The same with these kinds of work.
#[track_caller]
fn finds_with(bug: PlantedBug, kinds: &[Kind], checkers: &[&str]) {
    for seed in SEEDS {
        let workloads = Some(kinds.to_vec());
        let report = run(Options { planted_bug: Some(bug), workloads, ..Options::new(seed) });
        if !report.violations.is_empty() {
            let found = report.violations.iter().any(|violation| checkers.contains(&violation.checker));
            assert!(found, "another checker found it\n{report}");
            assert!(report.to_string().contains(&format!("--planted-bug {bug}")), "{report}");
            return;
        }
    }
    panic!("none of the seeds {SEEDS:?} found {bug}");
}

#[test]
fn a_certificate_that_is_never_renewed_is_found() {
    let options = Options {
        planted_bug: Some(PlantedBug::RenewalsSkipped),
        workloads: Some(Vec::new()),
        certificate_life: Duration::from_secs(12),
        storm: Duration::from_secs(30),
        ..Options::new(1)
    };
    let report = run_schedule(options, &[]);
    let violation = report.violations.first().expect("it is found");
    assert_eq!(violation.checker, "certificates", "another checker found it\n{report}");
}

#[test]
fn a_log_that_acknowledges_before_it_syncs_is_found() {
    finds(PlantedBug::AckBeforeSync, &["committed on a quorum"]);
}

#[test]
fn a_node_that_forgets_its_vote_is_found() {
    finds(PlantedBug::VoteNotPersisted, &["votes are kept"]);
}

#[test]
fn a_leader_that_reads_without_asking_the_quorum_is_found() {
    finds(PlantedBug::ReadWithoutQuorum, &["linearizability"]);
}

#[test]
fn a_stale_read_sold_as_linearizable_is_found() {
    finds(PlantedBug::StaleReads, &["linearizability"]);
}

#[test]
fn a_transaction_that_does_not_compare_is_found() {
    finds_with(PlantedBug::ComparesIgnored, &[Kind::Bank], &["the bank's balance"]);
}

#[test]
fn a_list_whose_pages_show_several_moments_is_found() {
    finds_with(PlantedBug::TornPages, &[Kind::Bank], &["the bank's balance"]);
}

#[test]
fn a_page_that_shows_what_came_later_is_found() {
    finds_with(PlantedBug::TornPages, &[Kind::Set], &["the elements of the set"]);
}

#[test]
fn a_transaction_that_compares_what_it_writes_only_is_found() {
    finds_with(PlantedBug::ReadsNotCompared, &[Kind::Append], &["serializability"]);
}

#[test]
fn a_lost_update_is_found() {
    finds_with(PlantedBug::ComparesIgnored, &[Kind::Append], &["serializability"]);
}

#[test]
fn a_retry_without_its_idempotency_key_is_found() {
    finds_with(PlantedBug::KeysDropped, &[Kind::Queue], &["repeated requests are done once"]);
}

#[test]
fn a_holder_that_does_not_look_at_its_fence_is_found() {
    finds_with(PlantedBug::FenceNotChecked, &[Kind::Lock], &["fences and leases"]);
}

#[test]
fn a_tree_that_is_read_changed_and_written_back_is_found() {
    finds_with(PlantedBug::WholeTreeWritten, &[Kind::Config], &["the configuration"]);
}

#[test]
fn a_watch_that_drops_an_event_when_it_goes_on_is_found() {
    finds_with(PlantedBug::WatchSkips, &[Kind::Watch], &["watches"]);
}

#[test]
fn a_watch_that_repeats_an_event_is_found() {
    finds_with(PlantedBug::WatchRepeats, &[Kind::Watch], &["watches"]);
}

#[test]
fn a_failed_sync_that_is_taken_for_a_good_one_is_found() {
    finds(PlantedBug::SyncErrorSwallowed, &["committed on a quorum"]);
}

#[test]
fn a_snapshot_without_outcomes_is_found() {
    let checkers = ["state machine safety", "repeated requests are done once", "equal replicas"];
    finds_with(PlantedBug::OutcomesLostInSnapshots, &[Kind::Queue], &checkers);
}

#[test]
fn an_applied_index_apart_from_the_effects_is_found() {
    finds_with(PlantedBug::AppliedIndexApart, &[Kind::Queue], &["state machine safety"]);
}

#[test]
fn a_blob_that_is_acknowledged_before_it_is_synced_is_found() {
    finds_with(PlantedBug::BlobNotSynced, &[Kind::Blob], &["the contents of blobs"]);
}

#[test]
fn a_state_that_is_served_in_spite_of_its_damage_is_found() {
    finds_with(
        PlantedBug::RotUnseen,
        &[Kind::Bank, Kind::Append],
        &["state machine safety", "linearizability", "liveness", "no panics"],
    );
}

#[test]
fn a_damaged_log_of_which_the_beginning_is_used_is_found() {
    // What is acknowledged while one node is away is on the damaged disk and on one that is gone for a while. Without
    // power, what the damaged one had done with its log is lost too: it has nothing but the log to go by.
    let checked = |planted_bug| {
        let workloads = Some(vec![Kind::Set, Kind::Append]);
        let options = Options { planted_bug, workloads, ..Options::new(1) };
        run_schedule(
            options,
            &[
                (3_000, Who::Node(3), Move::Isolate),
                (7_000, Who::Node(2), Move::CutPower),
                (7_010, Who::Node(2), Move::RotLog),
                (7_020, Who::Node(1), Move::Kill),
                (7_100, Who::Node(3), Move::Rejoin),
                (7_200, Who::Node(2), Move::Start),
                (12_000, Who::Node(1), Move::Start),
                (16_000, Who::Node(2), Move::Replace),
            ],
        )
    };
    checked(None).expect_good();
    let report = checked(Some(PlantedBug::DamagedLogCut));
    let found = report.violations.first().map(|violation| violation.checker);
    let checkers = ["committed on a quorum", "leader completeness", "committed entries stay"];
    assert!(found.is_some_and(|checker| checkers.contains(&checker)), "{report}");
}

#[test]
fn a_transaction_that_does_both_of_its_lists_is_found() {
    finds_with(PlantedBug::ElseDoneToo, &[Kind::Set], &["the elements of the set"]);
}

#[test]
fn a_node_that_writes_on_until_its_disk_is_full_is_found() {
    // Long enough for what clients write to fill what is left.
    let checked = |planted_bug| {
        let workloads = Some(vec![Kind::Bank, Kind::Set, Kind::Queue]);
        let options = Options { planted_bug, workloads, ..Options::new(1) };
        run_schedule(options, &[(2_000, Who::Node(1), Move::FillDisk)])
    };
    checked(None).expect_good();
    let report = checked(Some(PlantedBug::RoomUnseen));
    let found = report.violations.first().map(|violation| violation.checker);
    assert_eq!(found, Some("liveness"), "the node ended, and its disk is full\n{report}");
}

#[test]
fn a_replica_that_ends_records_by_its_own_clock_is_found() {
    let checkers = ["records that end", "state machine safety", "equal replicas"];
    finds_with(PlantedBug::ExpiryByOwnClock, &[Kind::Expiry], &checkers);
}

#[test]
fn a_record_that_ends_although_it_was_renewed_is_found() {
    // How entries are batched differs from replica to replica, and with it which rows stay.
    finds_with(PlantedBug::RenewalsForgotten, &[Kind::Expiry], &["records that end", "state machine safety"]);
}

#[test]
fn a_lease_that_ends_although_it_was_kept_alive_is_found() {
    finds_with(PlantedBug::RenewalsForgotten, &[Kind::Lock], &["fences and leases", "state machine safety"]);
}

#[test]
fn a_lease_that_ends_early_is_found() {
    // How entries are batched differs from replica to replica, and with it what is seen to end soon.
    finds_with(PlantedBug::LeasesEndEarly, &[Kind::Lock], &["fences and leases", "state machine safety"]);
}

#[test]
fn a_call_that_is_done_twice_because_it_was_tried_again_is_found() {
    finds_with(PlantedBug::AllTriedAgain, &[Kind::Work], &["calls"]);
}

#[test]
fn a_backup_of_an_old_copy_is_found() {
    finds_with(PlantedBug::OldCopies, &[Kind::Backup], &["backups"]);
}

#[test]
fn a_backup_without_the_blobs_is_found() {
    finds_with(PlantedBug::BlobsNotBackedUp, &[Kind::Backup], &["backups"]);
}

#[test]
fn a_log_that_is_bounded_by_its_entries_only_is_found() {
    let bug = Some(PlantedBug::LogBytesUnbounded);
    let workloads = Some(vec![Kind::Bank, Kind::Set, Kind::Watch]);
    let options = Options { planted_bug: bug, snapshot_bytes: 8 << 10, workloads, ..Options::new(1) };
    let report = run(options);
    let violation = report.violations.first().expect("it is found");
    assert_eq!(violation.checker, "bounded log", "another checker found it\n{report}");
}

#[test]
fn a_snapshot_that_waits_for_who_reads_the_one_before_is_found() {
    let bug = Some(PlantedBug::ReadersHoldUp);
    let workloads = Some(vec![Kind::Bank, Kind::Set, Kind::Backup]);
    let options = Options { planted_bug: bug, snapshot_bytes: 8 << 10, workloads, ..Options::new(1) };
    let report = run(options);
    let violation = report.violations.first().expect("it is found");
    let finders = ["bounded log", "backups"];
    assert!(finders.contains(&violation.checker), "another checker found it\n{report}");
}
