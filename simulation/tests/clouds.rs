//! Nodes in three clouds, as far from each other as those of people: which ways they go when links are cut and slow.

use micro_simulation::{
    faults::{
        Move::{CutLink, CutOneWay, Kill, MendLink, Quick, Slow, Start},
        Moves,
        Who::Node,
    },
    options::{Options, PlantedBug},
    report::Report,
    run::run_schedule,
};
use std::time::Duration;

/// How long clients work on after the last move.
const REST: Duration = Duration::from_secs(12);

fn run(nodes: usize, bug: Option<PlantedBug>, moves: Moves) -> Report {
    let last: u64 = moves.iter().map(|(at, ..)| *at).max().unwrap_or(0);
    let storm = Duration::from_millis(last) + REST;
    let (workloads, clouds) = (Some(Vec::new()), true);
    run_schedule(Options { nodes, storm, workloads, clouds, planted_bug: bug, ..Options::new(1) }, moves)
}

/// The link between America and Asia is cut, all traffic goes over Europe, and then Europe is as slow.
#[test]
fn a_cut_link_between_clouds_is_gone_around() {
    run(
        3,
        None,
        &[
            (15_000, Node(1), CutLink(3)),
            (30_000, Node(1), MendLink(3)),
            (45_000, Node(1), Slow(3, 300)),
            (60_000, Node(1), Quick(3)),
        ],
    )
    .expect_good();
}

/// One direction of a link is lost: for calls it is as good as none.
#[test]
fn a_link_that_loses_one_way_is_gone_around() {
    run(3, None, &[(15_000, Node(1), CutOneWay(2)), (30_000, Node(1), MendLink(2))]).expect_good();
}

/// Of five nodes only the third reaches both sides; then each reaches its two neighbours alone.
#[test]
fn a_bridge_and_a_ring_hold_all_nodes_together() {
    run(
        5,
        None,
        &[
            (20_000, Node(1), CutLink(4)),
            (20_000, Node(1), CutLink(5)),
            (20_000, Node(2), CutLink(4)),
            (20_000, Node(2), CutLink(5)),
            (40_000, Node(1), MendLink(5)),
            (40_000, Node(1), CutLink(3)),
            (40_000, Node(3), CutLink(5)),
        ],
    )
    .expect_good();
}

/// The one node that reaches both sides dies and comes back.
#[test]
fn a_relay_that_is_lost_is_replaced_by_the_next_best() {
    run(5, None, &[(20_000, Node(1), CutLink(3)), (35_000, Node(2), Kill), (50_000, Node(2), Start)])
        .expect_good();
}

#[test]
fn ways_that_are_kept_for_too_long_are_found() {
    let report = run(3, Some(PlantedBug::WaysKept), &[(15_000, Node(1), Slow(3, 300))]);
    let violation = report.violations.first().expect("it is found");
    assert_eq!(violation.checker, "best ways", "another checker found it\n{report}");
}
