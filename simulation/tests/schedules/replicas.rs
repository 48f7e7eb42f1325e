//! What went wrong among replicas, their disks and their elections.

use super::holds;
use micro_simulation::{
    faults::{
        Move::{
            self, AwaitSnapshot, ClearDisk, CutLink, CutPower, FailState, FailSync, FillDisk, Isolate, Kill,
            MendLink, Pause, ReadAll, Rejoin, Remove, Replace, Resume, Rot, RotBlob, RotLog, Rotate, Start,
        },
        Moves,
        Who::{self, FormerLeader, Leader, Node},
    },
    options::Options,
    run::run_schedule,
    workload::Kind,
};
use std::time::Duration;

/// NATS, nats-server#7567: one host lost its power while two others stood still, and with what it had forgotten it made
/// a quorum with them that lost what was acknowledged.
#[test]
fn j_nats_7567_one_power_cut_and_two_pauses_lose_nothing() {
    holds(
        5,
        &[Kind::Set, Kind::Append],
        &[
            (4_000, Node(1), Pause),
            (4_000, Node(2), Pause),
            (6_000, Node(3), CutPower),
            (6_050, Node(1), Resume),
            (6_050, Node(2), Resume),
            (6_050, Node(4), Pause),
            (6_050, Node(5), Pause),
            (6_100, Node(3), Start),
            (12_000, Node(4), Resume),
            (12_000, Node(5), Resume),
        ],
    );
}

/// NATS, nats-server#7564: what was acknowledged was not on the disks yet when all lost their power.
#[test]
fn j_nats_7564_a_power_cut_of_all_loses_nothing() {
    const fn all(at: u64, what: Move) -> [(u64, Who, Move); 3] {
        [(at, Node(1), what), (at, Node(2), what), (at, Node(3), what)]
    }
    const MOVES: &[[(u64, Who, Move); 3]] = &[
        all(3_000, CutPower),
        all(3_200, Start),
        all(7_000, CutPower),
        all(7_020, Start),
        all(11_000, CutPower),
        all(12_000, Start),
    ];
    holds(3, &[Kind::Set, Kind::Queue], MOVES.as_flattened());
}

/// NATS, nats-server#7545: a partition, kills and a removal in quick succession lost what was acknowledged.
#[test]
fn j_nats_7545_a_removal_amid_a_partition_and_kills_loses_nothing() {
    holds(
        5,
        &[Kind::Set, Kind::Queue],
        &[
            (3_000, Node(1), Isolate),
            (4_000, Node(1), Kill),
            (4_000, Node(2), Kill),
            (4_000, Node(3), Kill),
            (4_200, Node(4), Remove),
            (5_000, Node(1), Start),
            (5_000, Node(2), Start),
            (5_500, Node(3), Start),
            (9_000, Node(1), Rejoin),
        ],
    );
}

/// etcd, etcd-io/etcd#14370: a cluster of one acknowledged before it had synced.
#[test]
fn e_14370_a_quorum_of_one_syncs_too() {
    holds(
        1,
        &[Kind::Set, Kind::Bank],
        &[
            (2_000, Node(1), CutPower),
            (2_050, Node(1), Start),
            (4_500, Node(1), CutPower),
            (4_550, Node(1), Start),
            (7_000, Node(1), Kill),
            (7_050, Node(1), Start),
        ],
    );
}

/// etcd, etcd-io/etcd#13766: how far the log was applied was written apart from the effects.
#[test]
fn e_13766_a_crash_while_entries_are_applied_applies_them_once() {
    holds(
        3,
        &[Kind::Queue, Kind::Bank, Kind::Append],
        &[
            (2_000, Node(1), CutPower),
            (2_100, Node(1), Start),
            (4_000, Node(2), CutPower),
            (4_100, Node(2), Start),
            (6_000, Node(3), Kill),
            (6_100, Node(3), Start),
            (8_000, Leader, CutPower),
            (8_100, FormerLeader, Start),
            // Once more while it recovers.
            (8_150, FormerLeader, CutPower),
            (8_300, FormerLeader, Start),
            (11_000, Leader, CutPower),
            (11_100, FormerLeader, Start),
        ],
    );
}

/// etcd and Consul 2014, and etcd-io/etcd#20418: a leader that had lost its office, or was slow to learn it, answered
/// linearizable reads.
#[test]
fn e_20418_a_former_leader_answers_no_linearizable_read() {
    holds(
        3,
        &[Kind::Set, Kind::Bank],
        &[
            (2_000, Leader, Isolate),
            (6_000, FormerLeader, Rejoin),
            (8_000, Leader, Pause),
            (12_000, FormerLeader, Resume),
            (14_000, Leader, Isolate),
            (18_000, FormerLeader, Rejoin),
        ],
    );
}

/// openraft, databendlabs/openraft#1220: a candidate that lacked entries was taken for elected.
#[test]
fn or_1220_a_candidate_that_lacks_entries_is_not_elected() {
    holds(
        3,
        &[Kind::Set, Kind::Append],
        &[
            (2_000, Node(3), Isolate),
            (6_000, Node(1), CutPower),
            (6_000, Node(3), Rejoin),
            (6_100, Node(1), Start),
            (9_000, Node(1), Isolate),
            (12_000, Node(2), CutPower),
            (12_000, Node(1), Rejoin),
            (12_100, Node(2), Start),
        ],
    );
}

/// openraft#1808 and etcd-io/etcd#18055: a leader that had been away was brought up to date by a snapshot, and by
/// another right after it.
#[test]
fn or_1808_a_former_leader_takes_in_snapshots_one_after_another() {
    holds(
        3,
        &[Kind::Queue, Kind::Set, Kind::Watch],
        &[
            (2_000, Leader, Isolate),
            (14_000, FormerLeader, Rejoin),
            (14_000, FormerLeader, AwaitSnapshot),
            (14_010, FormerLeader, Isolate),
            (24_000, FormerLeader, Rejoin),
            (24_000, FormerLeader, AwaitSnapshot),
            (26_000, Leader, Isolate),
            (38_000, FormerLeader, Rejoin),
            (38_000, FormerLeader, AwaitSnapshot),
            (38_010, FormerLeader, CutPower),
            (38_110, FormerLeader, Start),
        ],
    );
}

/// Cloudflare's six hours of 2020: two nodes that did not hear each other, but both heard the third, elected for ever.
#[test]
fn cf_2020_a_broken_link_leaves_a_leader() {
    let report = holds(
        3,
        &[Kind::Set, Kind::Lock],
        &[
            (2_000, Node(1), CutLink(2)),
            (12_000, Node(1), MendLink(2)),
            (13_000, Node(2), CutLink(3)),
            (23_000, Node(2), MendLink(3)),
        ],
    );
    assert!(report.writes.ok > 4 * report.writes.failed, "most writes are served meanwhile\n{report}");
}

/// PostgreSQL's fsyncgate (Rebello and others, ATC 2020): after a failed sync the next one lies. So the node ends, that
/// one and no other, and comes back with what its disk has.
#[test]
fn fsyncgate_a_failed_sync_ends_that_node_and_no_other() {
    let report =
        holds(3, &[Kind::Set, Kind::Append], &[(3_000, Node(2), FailSync), (8_000, Node(3), FailSync)]);
    let lines = report.trace.text();
    for (node, starts) in [("n1", 1), ("n2", 2), ("n3", 2)] {
        let of = |what: &str| {
            lines.lines().filter(|line| line[11..].starts_with(&format!("{node:<6} {what}"))).count()
        };
        assert_eq!(of("start "), starts, "starts of {node}\n{report}");
        assert_eq!(of("ended: "), starts - 1, "ends of {node} with a fault\n{report}");
    }
}

/// Ganesan and others, "Redundancy does not imply fault tolerance" (FAST 2017): one flipped bit on one replica became a
/// wrong answer, spread to the others, or took the whole cluster down. Here the node that meets it ends, that one and
/// no other, and comes back with a state of another's.
#[test]
fn fast_2017_a_flipped_bit_ends_that_node_which_fetches_its_state_anew() {
    let report = holds(
        3,
        &[Kind::Set, Kind::Append, Kind::Bank],
        &[
            (3_000, Node(2), Rot),
            (4_000, Node(2), ReadAll),
            (12_000, Leader, Rot),
            (12_500, FormerLeader, ReadAll),
            // Found only after a power cut, and soon after it: one that was away for long is sent a snapshot, which
            // takes the place of a damaged state before anybody reads that.
            (20_000, Node(3), Rot),
            (20_000, Node(3), CutPower),
            (20_500, Node(3), Start),
            (21_500, Node(3), ReadAll),
        ],
    );
    let ends = report.trace.text().lines().filter(|line| line.contains("ended: ")).count();
    assert_eq!(ends, 3, "each ends once, and no other\n{report}");
    assert!(report.writes.ok > 4 * report.writes.failed, "most writes are served meanwhile\n{report}");
}

/// Rebello and others, "Can applications recover from fsync failures?" (ATC 2020): what was to be made durable may be gone
/// though it can be read. Here the node that can't keep its state ends, comes back with what its log has, and nothing
/// is lost.
#[test]
fn atc_2020_a_state_that_is_not_kept_ends_that_node() {
    let report = holds(
        3,
        &[Kind::Set, Kind::Bank],
        &[
            (3_000, Node(2), FailState),
            (9_000, Leader, FailState),
            (9_500, Node(2), CutPower),
            (10_000, Node(2), Start),
        ],
    );
    let ends = report.trace.text().lines().filter(|line| line.contains("ended: ")).count();
    assert_eq!(ends, 2, "each ends once, and no other\n{report}");
}

/// Blobs rot, and nobody need read them: each node finds what has rotted on its disk, and has a good copy again.
#[test]
fn blobs_that_rot_are_found_without_a_reader() {
    // Apart by more than it takes to find one: no blob loses its last good copy.
    const MOVES: Moves = &[(8_000, Node(1), RotBlob), (22_000, Node(2), RotBlob), (36_000, Node(3), RotBlob)];
    let report = holds(3, &[Kind::Blob], MOVES);
    assert_eq!(report.fired.get("rot-blob"), Some(&3), "{report}");
}

/// NATS, nats-server#7549: a flipped bit in the files of a minority lost records from the middle of a stream. Here the
/// nodes end, fetch a whole state from others, and nothing is lost.
#[test]
fn j_nats_7549_flipped_bits_on_a_minority_lose_nothing() {
    let report = holds(
        5,
        &[Kind::Set, Kind::Append],
        &[
            (3_000, Node(2), Rot),
            (3_000, Node(2), Rot),
            (3_000, Node(2), Rot),
            (3_500, Node(4), Rot),
            (3_500, Node(4), Rot),
            (4_000, Node(2), ReadAll),
            (4_500, Node(4), ReadAll),
            // Once more, found only when the node is started after a power cut.
            (14_000, Node(2), Rot),
            (14_000, Node(2), CutPower),
            (14_500, Node(2), Start),
            (15_500, Node(2), ReadAll),
        ],
    );
    let lines = report.trace.text();
    let ends = |node: &str| {
        lines.lines().filter(|line| line[11..].starts_with(&format!("{node:<6} ended: "))).count()
    };
    for (node, count) in [("n1", 0), ("n2", 2), ("n3", 0), ("n4", 1), ("n5", 0)] {
        assert_eq!(ends(node), count, "ends of {node} with damage\n{report}");
    }
    assert!(report.writes.ok > 4 * report.writes.failed, "most writes are served meanwhile\n{report}");
}

/// The same with the log: what the damaged node has acknowledged may be gone with it, so it refuses to start, and its
/// place is another's.
#[test]
fn j_nats_7549_a_node_with_a_flipped_bit_in_its_log_never_comes_back() {
    let report = holds(
        3,
        &[Kind::Set, Kind::Append, Kind::Queue],
        &[
            (4_000, Node(2), Kill),
            (4_050, Node(2), RotLog),
            (4_100, Node(2), Start),
            (9_000, Node(2), Replace),
        ],
    );
    let lines = report.trace.text();
    let ends: Vec<&str> = lines.lines().filter(|line| line.contains("ended: ")).collect();
    let refused = |line: &&str| line[11..].starts_with("n2 ") && line.contains("of the log");
    assert!(ends.len() > 3 && ends.iter().all(refused), "each start is refused: {ends:?}\n{report}");
    let ready = |node: &str| lines.matches(&format!("{node:<6} ready as")).count();
    assert_eq!((ready("n2"), ready("n4")), (1, 1), "{report}");
    assert!(report.writes.ok > 4 * report.writes.failed, "most writes are served meanwhile\n{report}");
}

/// Disks that are nearly full, of all nodes: nothing is written meanwhile, everything can be read, no node ends, and
/// writes are taken again when there is room.
#[test]
fn nearly_full_disks_refuse_writes_and_serve_reads() {
    const FULL_S: (f64, f64) = (5.0, 12.0);
    let report = holds(
        3,
        &[Kind::Set, Kind::Bank],
        &[
            (5_000, Node(1), FillDisk),
            (5_000, Node(2), FillDisk),
            (5_000, Node(3), FillDisk),
            (12_000, Node(1), ClearDisk),
            (12_000, Node(2), ClearDisk),
            (12_000, Node(3), ClearDisk),
        ],
    );
    let lines = report.trace.text();
    let at = |line: &str| line[..10].trim().parse::<f64>().expect("a line begins with its time");
    let begin = lines.lines().find(|line| line.contains("phase Storm")).map(at).expect("a storm");
    // A node looks at its disk five times a second, and a request may be under way for a moment.
    let full = |line: &&str| (FULL_S.0 + 1.0..FULL_S.1).contains(&(at(line) - begin));
    let count = |asked: &str, told: &str| {
        lines.lines().filter(full).filter(|line| line.contains(asked) && line.contains(told)).count()
    };
    assert_eq!(count(" Write {", "-> Done"), 0, "writes were taken\n{report}");
    assert!(count(" Write {", "-> Failed") > 20, "writes were refused\n{report}");
    assert!(count(" Read ", "-> Found") > 50, "reads were served\n{report}");
    assert!(!lines.contains("ended: "), "no node ends\n{report}");
    let after = lines.lines().filter(|line| at(line) - begin > FULL_S.1 + 1.0);
    assert!(
        after.filter(|line| line.contains(" Write {") && line.contains("-> Done")).count() > 20,
        "{report}"
    );
}

/// Certificates that count for so long only: each is renewed several times in a run.
const SHORT_LIFE: Duration = Duration::from_secs(12);

/// How often the authority was replaced, by what who asked for it was told: also where the answer was lost, and the
/// next one says that it is being replaced already.
fn rotations(told: &[&str]) -> usize {
    let (mut made, mut uncertain) = (0, false);
    for line in told {
        let found = uncertain && line.contains("is being replaced already");
        made += usize::from(found || line.contains("rotation: made at"));
        uncertain = line.contains("[unknown]") || uncertain && !found;
    }
    made
}

/// Certificates end and are renewed while nodes are cut off, killed and without power for longer than they count, and
/// the authority is replaced twice meanwhile, once with a node that hears of it only when it is back. All agree on one
/// in the end, none goes on with a certificate that has ended, and nothing is lost.
#[test]
fn certificates_are_renewed_and_the_authority_replaced_whatever_happens() {
    const MOVES: Moves = &[
        (3_000, Node(2), Isolate),
        (20_000, Node(2), Rejoin),
        (24_000, Node(3), CutPower),
        (25_000, Node(1), Rotate),
        (27_000, Leader, Kill),
        (28_000, FormerLeader, Start),
        (44_000, Node(3), Start),
        (56_000, Leader, Isolate),
        (56_500, Node(1), Rotate),
        (60_000, FormerLeader, Rejoin),
        (64_000, Node(1), CutPower),
        (64_000, Node(2), CutPower),
        (64_000, Node(3), CutPower),
        (80_000, Node(1), Start),
        (80_000, Node(2), Start),
        (80_000, Node(3), Start),
    ];
    let storm = Duration::from_secs(90);
    let workloads = Some(vec![Kind::Set, Kind::Bank]);
    let options = Options { storm, workloads, certificate_life: SHORT_LIFE, ..Options::new(1) };
    let report = run_schedule(options, MOVES);
    report.expect_good();
    let lines = report.trace.text();
    let told: Vec<&str> = lines.lines().filter(|line| line.contains("rotation: ")).collect();
    assert_eq!(rotations(&told), 2, "the authority was replaced twice: {told:#?}\n{report}");
    assert!(report.writes.ok > report.writes.failed, "most writes are served meanwhile\n{report}");
}
