//! What clients saw that never was: watches that went back or skipped, locks that two held, requests that were done
//! twice.

use super::holds;
use micro_simulation::{
    faults::{
        Move::{
            self, AwaitSnapshot, CutLink, CutOneWay, CutPower, Isolate, Kill, MendLink, Pause, Quick, Rejoin,
            Resume, Rot, Slow, Start,
        },
        Who::{self, FormerLeader, Leader, Node},
    },
    workload::Kind,
};

/// etcd, etcd-io/etcd#15271 and #17247: a watch that went on through another node, after a partition, told what it had
/// told before.
#[test]
fn e_15271_watches_go_neither_back_nor_twice_over_a_change_of_leaders() {
    holds(
        3,
        &[Kind::Watch, Kind::Bank],
        &[
            (2_000, Leader, Isolate),
            (4_500, FormerLeader, Rejoin),
            (6_000, Leader, Kill),
            (6_400, FormerLeader, Start),
            (8_000, Leader, Isolate),
            (10_500, FormerLeader, Rejoin),
        ],
    );
}

/// etcd, etcd-io/etcd#15220 and #17529: a mark of progress came before the events that it was said to be behind, and a
/// watcher that was slow lost some.
#[test]
fn e_15220_slow_replicas_mark_no_progress_that_they_have_not_told() {
    holds(
        3,
        &[Kind::Watch, Kind::Set],
        &[
            (1_500, Node(1), Slow(2, 150)),
            (1_500, Node(1), Slow(3, 250)),
            (5_000, Node(2), Pause),
            (7_000, Node(2), Resume),
            (8_000, Node(1), Quick(2)),
            (8_000, Node(1), Quick(3)),
        ],
    );
}

/// etcd, etcd-io/etcd#18089 and #20221: a watch from the revision up to which the history was given up lacked a
/// deletion, and one of a revision to come told of the past; here on a replica that has its state from a snapshot.
#[test]
fn e_18089_watches_on_a_replica_with_a_snapshot_lack_nothing() {
    holds(
        3,
        &[Kind::Watch, Kind::Queue],
        &[
            (1_500, Node(2), Isolate),
            (14_000, Node(2), Rejoin),
            (14_000, Node(2), AwaitSnapshot),
            (16_000, Node(3), Kill),
            (16_500, Node(3), Start),
        ],
    );
}

/// Jepsen's etcd 3.4.3: who held a lock did not any more after a pause, and another held it too. Tokens tell them
/// apart.
#[test]
fn j_etcd_lock_a_holder_that_stood_still_changes_nothing_any_more() {
    holds(
        3,
        &[Kind::Lock],
        &[
            (2_000, Leader, Pause),
            (6_500, FormerLeader, Resume),
            (8_000, Node(1), Pause),
            (8_000, Node(2), CutOneWay(3)),
            (12_000, Node(1), Resume),
            (12_000, Node(2), MendLink(3)),
        ],
    );
}

/// Jepsen's jetcd 0.8.2: a client that tried a transaction again had it done twice, or was told that it had failed and
/// it was done.
#[test]
fn j_jetcd_what_is_tried_again_is_done_once() {
    holds(
        5,
        &[Kind::Queue, Kind::Append, Kind::Work],
        &[
            (2_000, Leader, CutLink(1)),
            (2_000, Leader, CutLink(2)),
            (4_000, FormerLeader, MendLink(1)),
            (4_000, FormerLeader, MendLink(2)),
            (5_000, Leader, Kill),
            (5_300, FormerLeader, Start),
            (7_000, Leader, Pause),
            (9_500, FormerLeader, Resume),
        ],
    );
}

/// NATS, nats-server#6888: after some kills a stream was forgotten for ever.
#[test]
fn j_nats_6888_kills_in_a_row_forget_nothing() {
    const MOVES: &[(u64, Who, Move)] = &[
        (1_500, Node(1), Kill),
        (1_900, Node(1), Start),
        (2_600, Node(2), Kill),
        (3_000, Node(2), Start),
        (3_700, Node(3), Kill),
        (4_100, Node(3), Start),
        (4_800, Leader, Kill),
        (5_100, FormerLeader, Start),
        (5_600, Leader, Kill),
        (5_900, FormerLeader, Start),
        (6_400, Node(1), Kill),
        (6_400, Node(2), Kill),
        (6_800, Node(1), Start),
        (6_800, Node(2), Start),
    ];
    holds(3, &[Kind::Set, Kind::Config, Kind::Blob], MOVES);
}

/// NATS, nats-server#7556: what a damaged copy did not show was taken for deleted, and deleted everywhere. Here the
/// state of the leader is damaged just before another replica needs a copy of it.
#[test]
fn j_nats_7556_a_damaged_state_deletes_nothing_elsewhere() {
    holds(
        3,
        &[Kind::Set, Kind::Blob],
        &[
            (1_500, Node(2), Isolate),
            (13_900, Leader, Rot),
            (14_000, Node(2), Rejoin),
            (14_000, Node(2), AwaitSnapshot),
        ],
    );
}

/// openraft, databendlabs/openraft#1385: a leader came back with a log that lacked what it had synced, and led again by
/// the vote that it remembered.
#[test]
fn or_1385_a_leader_without_power_comes_back_with_all_that_it_synced() {
    holds(
        3,
        &[Kind::Set, Kind::Append],
        &[
            (2_000, Leader, CutPower),
            (2_020, FormerLeader, Start),
            (4_000, Leader, CutPower),
            (4_020, FormerLeader, Start),
            (6_000, Node(1), Pause),
            (6_000, Leader, CutPower),
            (6_050, FormerLeader, Start),
            (8_000, Node(1), Resume),
        ],
    );
}

/// etcd, etcd-io/etcd#14571: what an entry did depended on what only that node knew, so that replicas went apart. Here
/// entries of all kinds are applied by nodes that start at different times.
#[test]
fn e_14571_replicas_that_start_at_different_times_are_the_same() {
    holds(
        3,
        &[Kind::Expiry, Kind::Config, Kind::Lock, Kind::Backup],
        &[
            (1_500, Node(1), Kill),
            (3_500, Node(1), Start),
            (4_000, Node(2), CutPower),
            (6_000, Node(2), Start),
            (7_000, Node(3), Kill),
            (8_000, Node(3), Start),
        ],
    );
}
