//! Who gets a call.

use super::{
    super::{breaker::Outcome, outlook::Passage},
    *,
};
use crate::policy::BreakerPolicy;
use micro_sdk::wire::{Namespace, NodeId};
use std::collections::BTreeMap;

const MS: Duration = Duration::from_millis(1);

fn seat(id: InstanceId, version: &str, distance: Distance, way_ms: u32) -> Seat {
    let instance = Instance {
        id,
        namespace: Namespace::default(),
        service: "shop".parse().expect("a good name"),
        version: version.to_owned(),
        node: NodeId(id),
        endpoints: Vec::new(),
        routes: Vec::new(),
        streams: Vec::new(),
        metadata: BTreeMap::from([("track".to_owned(), format!("track-{version}"))]),
        health: micro_sdk::wire::Health::Passing,
    };
    let outlook = Arc::new(Outlook::new(Instant::now()));
    let place = Place { zone: format!("zone-{id}"), region: version.to_owned(), ..Place::default() };
    let traits = Arc::new(NodeTraits { name: format!("node-{id}"), place });
    Seat { instance: Arc::new(instance), traits, distance, way: way_ms * MS, outlook }
}

fn policy(document: &str) -> Policy {
    Policy::parse(document).expect("a good policy")
}

/// How many of a thousand calls each instance gets.
fn shares(seats: &[Seat], policy: &Policy, tried: &[InstanceId], now: Instant) -> BTreeMap<InstanceId, u32> {
    let mut shares = BTreeMap::new();
    for call in 0..1000_u64 {
        let chance = spread(&call.to_le_bytes(), 7);
        match Choice::new(seats, policy, None, chance).next(tried, spread(&chance.to_le_bytes(), 8), now) {
            Chosen::Seat(seat) => *shares.entry(seat.instance.id).or_default() += 1,
            Chosen::Open(_) | Chosen::None => {}
        }
    }
    shares
}

/// Notes answers that took so long.
fn answered(seat: &Seat, times: u32, took: Duration, outcome: Outcome) {
    let now = Instant::now();
    let passages: Vec<Passage> = (0..times).map(|_| seat.outlook.begin(now)).collect();
    for passage in passages {
        passage.end(outcome, &BreakerPolicy::default(), now + took);
    }
}

#[test]
fn the_nearest_get_all_calls_until_they_are_slow() {
    let seats =
        [seat(1, "1", Distance::Zone, 1), seat(2, "1", Distance::Zone, 1), seat(3, "1", Distance::Cloud, 20)];
    let (policy, now) = (policy("{}"), Instant::now());
    let near = shares(&seats, &policy, &[], now);
    assert!(near.len() == 2 && near.values().all(|share| *share > 200), "{near:?}");
    for near in &seats[..2] {
        answered(near, 50, 500 * MS, Outcome::Good);
    }
    answered(&seats[2], 50, 21 * MS, Outcome::Good);
    assert_eq!(shares(&seats, &policy, &[], now + 500 * MS), BTreeMap::from([(3, 1000)]), "they spill over");
    let near: Vec<InstanceId> = shares(&seats, &policy, &[3], now).into_keys().collect();
    assert_eq!(near, [1, 2], "slow is better than nobody");
    assert_eq!(shares(&seats, &policy, &[1, 2, 3], now), BTreeMap::new());
}

#[test]
fn of_two_the_one_with_less_in_work_is_taken() {
    let seats =
        [seat(1, "1", Distance::Zone, 1), seat(2, "1", Distance::Zone, 1), seat(3, "1", Distance::Zone, 1)];
    let now = Instant::now();
    let _busy: Vec<Passage> = (0..10).map(|_| seats[0].outlook.begin(now)).collect();
    let shares = shares(&seats, &policy("{}"), &[], now);
    assert!(!shares.contains_key(&1), "it loses against each of the others: {shares:?}");
    assert!(shares[&2] > 300 && shares[&3] > 300, "{shares:?}");
}

#[test]
fn each_route_gets_its_share_and_what_nobody_is_left_for_goes_to_the_others() {
    let seats = [
        seat(1, "1.0", Distance::Zone, 1),
        seat(2, "1.1", Distance::Zone, 1),
        seat(3, "2.0", Distance::Zone, 1),
    ];
    let (now, canary) =
        (Instant::now(), r#"{"route": [{"weight": 95, "version": "1.*"}, {"weight": 5, "version": "2.0"}]}"#);
    let canary = policy(canary);
    let split = shares(&seats, &canary, &[], now);
    assert!((30..=70).contains(&split[&3]), "{split:?}");
    assert!(shares(&seats, &canary, &[1, 2], now)[&3] == 1000);
    assert!(!shares(&seats[..2], &canary, &[], now).contains_key(&3), "nobody has that version");
    let label = policy(r#"{"route": [{"weight": 1, "labels": {"track": "track-2.0"}}]}"#);
    assert_eq!(shares(&seats, &label, &[], now), BTreeMap::from([(3, 1000)]));
}

#[test]
fn a_route_may_say_where_the_node_stands() {
    let seats = [
        seat(1, "1.0", Distance::Node, 0),
        seat(2, "1.1", Distance::Zone, 1),
        seat(3, "2.0", Distance::Zone, 1),
    ];
    let now = Instant::now();
    let shares = |route: &str, tried: &[InstanceId]| {
        let document = format!(r#"{{"route": [{{"weight": 1, {route}}}]}}"#);
        shares(&seats, &policy(&document), tried, now).into_keys().collect::<Vec<_>>()
    };
    assert_eq!(shares(r#""node": {"zone": "zone-3"}"#, &[]), [3]);
    assert_eq!(shares(r#""node": {"region": "1.*"}"#, &[]), [1], "the nearest of those");
    assert_eq!(shares(r#""node": {"name": "node-2"}, "version": "1.*"}, {"weight": 0"#, &[]), [2]);
    // Both have to be so; where none is, and where none is left, others are better than none.
    assert_eq!(shares(r#""node": {"name": "node-2"}, "version": "2.0""#, &[]), [1]);
    assert_eq!(shares(r#""node": {"zone": "zone-3"}"#, &[3]), [1]);
}

#[test]
fn calls_with_one_key_go_to_one_instance_and_few_move_when_one_goes() {
    let seats: Vec<Seat> = (1..=10).map(|id| seat(id, "1", Distance::Zone, 1)).collect();
    let (policy, now) = (policy(r#"{"sticky": "caller"}"#), Instant::now());
    let to = |key: u64, tried: &[InstanceId]| {
        let key = format!("user-{key}");
        match Choice::new(&seats, &policy, Some(&key), key.len() as u64).next(tried, 3, now) {
            Chosen::Seat(seat) => seat.instance.id,
            _ => panic!("all are well"),
        }
    };
    let before: Vec<InstanceId> = (0..1000).map(|key| to(key, &[])).collect();
    assert!((1..=10).all(|id| before.iter().filter(|to| **to == id).count() > 60), "they are spread");
    let moved = (0..1000_usize).filter(|key| to(*key as u64, &[4]) != before[*key]);
    assert!(moved.eq((0..1000).filter(|key| before[*key] == 4)), "only those of the one that is gone move");
}

#[test]
fn whoever_loses_its_calls_gets_none_and_is_tried_by_one() {
    let seats = [seat(1, "1", Distance::Zone, 1), seat(2, "1", Distance::Zone, 1)];
    let (policy, now) = (policy("{}"), Instant::now());
    answered(&seats[0], 5, MS, Outcome::Lost);
    assert_eq!(shares(&seats, &policy, &[], now).get(&1), None);
    let Chosen::Open(wait) = Choice::new(&seats, &policy, None, 1).next(&[2], 1, now) else {
        panic!("its circuit is open")
    };
    assert!(wait > 4900 * MS && wait < 5100 * MS, "{wait:?}");
    let later = now + Duration::from_secs(6);
    let Chosen::Seat(tried) = Choice::new(&seats, &policy, None, 1).next(&[], 1, later) else {
        panic!("it is tried")
    };
    assert_eq!(tried.instance.id, 1);
    let _trial = tried.outlook.begin(later);
    assert_eq!(shares(&seats, &policy, &[], later).get(&1), None, "one is enough");
}

#[test]
fn whoever_fails_most_of_its_calls_is_passed_over_unless_most_do() {
    let seats: Vec<Seat> = (1..=3).map(|id| seat(id, "1", Distance::Zone, 1)).collect();
    let (policy, now) = (policy("{}"), Instant::now());
    for seat in &seats {
        answered(seat, 30, MS, Outcome::Good);
    }
    answered(&seats[0], 60, MS, Outcome::Failed);
    assert_eq!(shares(&seats, &policy, &[], now).get(&1), None);
    for seat in &seats[1..] {
        answered(seat, 60, MS, Outcome::Failed);
    }
    assert!(shares(&seats, &policy, &[], now).contains_key(&1), "they all do: it is not that one");
}

#[test]
fn others_farther_away_are_tried_when_the_nearest_fails_all() {
    let far = (2..=3).map(|id| seat(id, "1", Distance::Region, 1));
    let seats: Vec<Seat> = [seat(1, "1", Distance::Node, 0)].into_iter().chain(far).collect();
    let (policy, now) = (policy("{}"), Instant::now());
    answered(&seats[0], 60, MS, Outcome::Failed);
    assert_eq!(shares(&seats, &policy, &[], now).get(&1), None);
    for seat in &seats[1..] {
        answered(seat, 5, MS, Outcome::Failed);
    }
    assert!(shares(&seats, &policy, &[], now).contains_key(&1), "they fail them too: it is the calls");
}
