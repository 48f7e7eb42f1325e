//! Nodes in three clouds, as far from each other as those of people: which ways they go when links are cut and slow,
//! who leads, and how long reads and writes take. In America are the first and the fourth node, in Europe the second
//! and the fifth, in Asia the third.

use micro_simulation::{
    faults::{
        Move::{CutLink, CutOneWay, Kill, Lead, MendLink, Quick, Slow, Start, Unsteady},
        Moves,
        Who::Node,
    },
    figures::Figures,
    options::{Options, PlantedBug, Traffic},
    report::Report,
    run::run_schedule,
};
use std::time::Duration;

/// How long clients work on after the last move.
const REST: Duration = Duration::from_secs(12);

/// The host of the third cloud, from 0 on.
const ASIA: usize = 2;

fn run(nodes: usize, bug: Option<PlantedBug>, moves: Moves) -> Report {
    run_with(Options { nodes, planted_bug: bug, ..Options::new(1) }, moves)
}

fn run_with(options: Options, moves: Moves) -> Report {
    let last: u64 = moves.iter().map(|(at, ..)| *at).max().unwrap_or(0);
    run_for(Duration::from_millis(last) + REST, options, moves)
}

fn run_for(storm: Duration, options: Options, moves: Moves) -> Report {
    let (workloads, clouds) = (Some(Vec::new()), true);
    run_schedule(Options { storm, workloads, clouds, ..options }, moves)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Who led while clients worked, from when on.
fn leaders(report: &Report) -> Vec<(Duration, &str)> {
    let first = report.leaders.iter().rposition(|(at, _)| *at <= report.begun).unwrap_or(0);
    let leaders = report.leaders[first..].iter();
    leaders.map(|(at, name)| (at.saturating_sub(report.begun), name.as_str())).collect()
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

/// America and Asia are far from each other, and Europe has two gateways. One dies, and then the other one too: the far
/// links are what is left.
#[test]
fn traffic_moves_from_a_lost_gateway_to_another_and_then_to_what_is_left() {
    let options = Options { nodes: 5, gateways: vec![2, 5], ..Options::new(1) };
    let moves = &[
        (20_000, Node(1), Slow(3, 300)),
        (20_000, Node(4), Slow(3, 300)),
        (32_000, Node(2), Kill),
        (44_000, Node(5), Kill),
        (58_000, Node(2), Start),
        (58_000, Node(5), Start),
    ];
    run_with(options, moves).expect_good();
}

/// Only Europe reaches Asia, and one of its two hosts is a gateway, until it is lost.
const PAST_EUROPE: Moves = &[
    (20_000, Node(1), CutLink(3)),
    (20_000, Node(4), CutLink(3)),
    (32_000, Node(2), Kill),
    (46_000, Node(2), Start),
];

#[test]
fn a_gateway_is_gone_over_until_it_is_lost_and_then_another_host_of_its_cloud() {
    run_with(Options { nodes: 5, gateways: vec![2], ..Options::new(1) }, PAST_EUROPE).expect_good();
}

#[test]
fn gateways_that_do_not_tell_that_they_are_some_are_found() {
    // Told of none, nodes go over the first host of Europe.
    let bug = Some(PlantedBug::GatewaysUntold);
    let options = Options { nodes: 5, gateways: vec![5], planted_bug: bug, ..Options::new(1) };
    let report = run_with(options, &[(20_000, Node(1), CutLink(3)), (20_000, Node(4), CutLink(3))]);
    let violation = report.violations.first().expect("it is found");
    assert_eq!(violation.checker, "gateways", "another checker found it\n{report}");
}

/// Asia is reached over the second node alone, which passes on all that others load each other with, and calls.
#[test]
fn calls_get_through_over_a_relay_under_load() {
    let options = Options { nodes: 5, loads: vec![(4, 3), (3, 4), (5, 3)], ..Options::new(1) };
    let moves = &[
        (15_000, Node(1), CutLink(3)),
        (15_000, Node(4), CutLink(3)),
        (15_000, Node(5), CutLink(3)),
        (35_000, Node(5), MendLink(3)),
    ];
    let report = run_with(options, moves);
    report.expect_good();
    // What is lost in the seconds after a cut opens circuits, which then refuse more of it.
    assert!(report.loads.ok > 5 * (report.loads.failed + report.loads.unknown), "{report}");
    println!("{report}");
}

#[test]
fn calls_that_get_lost_on_relays_are_found() {
    let report = run(3, Some(PlantedBug::RelayedCallsLost), &[(15_000, Node(1), CutLink(3))]);
    let found = report.violations.iter().any(|violation| violation.checker == "reached nodes");
    assert!(found, "it is not found\n{report}");
}

#[test]
fn ways_that_are_kept_for_too_long_are_found() {
    let report = run(3, Some(PlantedBug::WaysKept), &[(15_000, Node(1), Slow(3, 300))]);
    let violation = report.violations.first().expect("it is found");
    assert_eq!(violation.checker, "best ways", "another checker found it\n{report}");
}

/// Callers in Asia write, and the leader is in America: it goes to Asia, once, and their writes take less time.
#[test]
fn the_leader_goes_where_most_writes_come_from_and_stays() {
    let options = Options { traffic: Traffic::From(ASIA), ..Options::new(1) };
    let report = run_for(seconds(480), options, &[]);
    assert!(report.violations.is_empty(), "{report}");
    let leaders = leaders(&report);
    let [(_, "n1"), (moved, "n3")] = leaders[..] else { panic!("{leaders:?}\n{report}") };
    assert!(moved >= seconds(120), "it moves for a burst: {moved:?}");
    let [before, after] = [(seconds(10), moved), (moved + seconds(10), seconds(480))]
        .map(|(from, to)| Figures::of(&report, from, to));
    println!("led from America, written in Asia:\n{before}\nled from Asia, written in Asia:\n{after}");
    let [before, after] = [before, after].map(|figures| figures.median_write("asia").expect("Asia writes"));
    assert!(after + Duration::from_millis(80) < before, "{before:?} before, {after:?} after");
}

/// An operator has put the leader where it is.
#[test]
fn the_leader_stays_where_an_operator_has_put_it() {
    let options = Options { traffic: Traffic::From(ASIA), ..Options::new(1) };
    let report = run_for(seconds(400), options, &[(5_000, Node(2), Lead)]);
    report.expect_good();
    let leaders = leaders(&report);
    assert!(matches!(leaders[..], [(_, "n1"), (_, "n2")]), "{leaders:?}\n{report}");
}

/// Moved by hand, as one would move that had no least term.
#[test]
fn a_leader_that_is_moved_to_and_fro_is_found() {
    let moves = &[(30_000, Node(2), Lead), (60_000, Node(1), Lead), (90_000, Node(2), Lead)];
    let report = run_for(seconds(120), Options::new(1), moves);
    let violation = report.violations.first().expect("it is found");
    assert_eq!(violation.checker, "steady leader", "another checker found it\n{report}");
}

/// Callers everywhere, a leader in America: how long reads and writes take from each cloud.
#[test]
fn callers_everywhere_move_nothing() {
    let report = run_for(seconds(300), Options::new(1), &[]);
    assert!(report.violations.is_empty(), "{report}");
    assert!(matches!(leaders(&report)[..], [(_, "n1")]), "{:?}\n{report}", report.leaders);
    let figures = Figures::of(&report, seconds(10), seconds(300));
    println!("led from America, written everywhere:\n{figures}");
}

/// The leader is 300 ms and more away from both others, and some datagrams are lost: it leads on, and is read from.
#[test]
fn a_slow_and_unsteady_cloud_costs_no_election() {
    let moves = &[
        (5_000, Node(3), Lead),
        (10_000, Node(3), Slow(1, 150)),
        (10_000, Node(3), Slow(2, 150)),
        (10_500, Node(3), Unsteady),
    ];
    let report = run_for(seconds(330), Options::new(1), moves);
    report.expect_good();
    let leaders = leaders(&report);
    assert!(matches!(leaders[..], [(_, "n1"), (_, "n3")]), "{leaders:?}\n{report}");
    println!("led from an unsteady cloud:\n{}", Figures::of(&report, seconds(20), seconds(330)));
}

/// Nobody writes, so that nothing but heartbeats confirms a leader that is far from all others: it is read from all the
/// same.
#[test]
fn a_far_leader_is_read_from_in_a_quiet_mesh() {
    let options = Options { traffic: Traffic::Reads, ..Options::new(1) };
    let report = run_for(seconds(40), options, &[(5_000, Node(3), Lead)]);
    assert!(report.violations.is_empty(), "{report}");
    assert!(report.reads.ok > 100 && report.reads.failed == 0, "{report}");
}

/// America is lost, with the leader and two of five voters: the other clouds go on.
#[test]
fn one_cloud_can_be_lost() {
    let moves = &[
        (10_000, Node(1), Kill),
        (10_000, Node(4), Kill),
        (60_000, Node(1), Start),
        (60_000, Node(4), Start),
    ];
    let report = run(5, None, moves);
    report.expect_good();
    for from in [20, 30, 40, 50] {
        let figures = Figures::of(&report, seconds(from), seconds(from + 10));
        let writes = ["europe", "asia"].map(|cloud| figures.writes(cloud));
        assert!(writes.iter().all(|writes| *writes > 0), "{writes:?} writes from {from} s on\n{report}");
    }
}
