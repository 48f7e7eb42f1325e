//! Watches, from the disk and live.

use super::{Bench, delete, everything, random::Chance, write};
use crate::store::{
    RecordRange, StoreMachine, TablePath, Watch, WatchEvent, command::StoreCommand, watchers::QUEUE_REVISIONS,
};
use futures::FutureExt;
use micro_sdk::wire::{Code, Fault};
use std::time::Duration;
use tokio::task::unconstrained;

/// All that is there without waiting.
fn drain(watch: &mut Watch) -> Vec<WatchEvent> {
    let mut events = Vec::new();
    // Unconstrained: or tokio says now and then that nothing is there, to let others go first.
    while let Some(event) = unconstrained(watch.next()).now_or_never() {
        events.push(event.expect("the watch goes on").expect("the watch goes on"));
    }
    events
}

fn revisions(events: &[WatchEvent]) -> Vec<u64> {
    let revision = |event: &WatchEvent| match event {
        WatchEvent::Changes { revision, .. } => *revision,
        WatchEvent::Mark { .. } => panic!("a mark came without time passing"),
    };
    events.iter().map(revision).collect()
}

async fn fault(watch: &mut Watch) -> Fault {
    loop {
        match watch.next().await {
            Some(Ok(_)) => {}
            Some(Err(fault)) => return fault,
            None => panic!("the watch ended without a reason"),
        }
    }
}

fn commands(chance: &mut Chance) -> Vec<StoreCommand> {
    let mut draw = || {
        let key = chance.one_of(&["a", "b", "c", "other"]);
        if chance.below(3) == 0 { delete(key) } else { write(key, &chance.below(9).to_string()) }
    };
    (0..4).map(|_| draw()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_watch_has_no_gap_and_no_repetition_whenever_it_is_read() {
    for seed in 1..=30 {
        let (mut bench, mut chance) = (Bench::new(), Chance(seed));
        let range = RecordRange { to: "c\0".to_owned(), ..everything() };
        let mut watch = bench.watch(range.clone(), 1);
        let mut seen = Vec::new();
        for _ in 0..300 {
            let commands = commands(&mut chance);
            // Looks come anywhere: within a batch, between writing and publishing, or not for a while.
            bench.batch_with(&commands, || {
                if chance.below(20) == 0 {
                    seen.extend(drain(&mut watch));
                }
            });
            if chance.below(20) == 0 {
                seen.extend(drain(&mut watch));
            }
            match chance.below(30) {
                0 => bench.machine.watchers().restored(bench.index),
                _ => bench.machine.watchers().publish(bench.index),
            }
            match chance.below(60) {
                // Ends, and goes on where it was.
                0 => watch = bench.watch(range.clone(), watch.next_revision()),
                1..10 => seen.extend(drain(&mut watch)),
                _ => {}
            }
        }
        seen.extend(drain(&mut watch));
        let from_disk = drain(&mut bench.watch(range, 1));
        assert!(from_disk.len() > 400 && revisions(&from_disk).is_sorted());
        assert_eq!(revisions(&seen), revisions(&from_disk), "seed {seed}");
        assert_eq!(seen, from_disk, "seed {seed}: live and from the disk it is the same");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_is_too_slow_is_told_where_to_go_on() {
    let mut bench = Bench::new();
    let mut watch = bench.watch(everything(), 1);
    assert!(drain(&mut watch).is_empty());
    bench.write("a", "1");
    assert_eq!(revisions(&drain(&mut watch)), [1]);
    let more = QUEUE_REVISIONS as u64 + 10;
    bench.write_often(more, "a");
    let mut seen = Vec::new();
    let fault = loop {
        match watch.next().await.expect("it ends with a reason") {
            Ok(event) => seen.push(event),
            Err(fault) => break fault,
        }
    };
    assert_eq!(revisions(&seen), (2..2 + QUEUE_REVISIONS as u64).collect::<Vec<_>>());
    assert_eq!(fault.code, Code::Unavailable);
    assert!(fault.help[0].contains(&watch.next_revision().to_string()), "{fault:?}");
    assert!(watch.next().await.is_none());
    let rest = drain(&mut bench.watch(everything(), watch.next_revision()));
    assert_eq!(revisions(&rest), (2 + QUEUE_REVISIONS as u64..=bench.index).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_was_compacted_ends_a_watch_and_names_the_revision() {
    let mut bench = Bench::new();
    bench.write_often(20, "a");
    let mut behind = bench.watch(everything(), 1);
    bench.apply(StoreCommand::Compact { revision: 12 });
    let fault = fault(&mut behind).await;
    assert_eq!(fault.code, Code::Compacted);
    assert!(fault.message.contains("revision 12"), "{fault}");
    assert!(behind.next().await.is_none());
    let events = drain(&mut bench.watch(everything(), 13));
    assert_eq!(revisions(&events), [13, 14, 15, 16, 17, 18, 19, 20]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_just_started_marks_what_its_disk_has_shown() {
    let mut bench = Bench::new();
    bench.write("a", "1");
    bench.write("a", "2");
    bench.machine = StoreMachine::default();
    let mut watch = bench.watch(RecordRange::key(TablePath::default(), "a"), 1);
    assert_eq!(revisions(&drain(&mut watch)), [1, 2]);
    assert_eq!(watch.next().await, Some(Ok(WatchEvent::Mark { revision: 2 })));
}

#[tokio::test(start_paused = true)]
async fn marks_come_when_nothing_else_does_and_never_ahead_of_it() {
    let mut bench = Bench::new();
    bench.write("a", "1");
    let mut watch = bench.watch(RecordRange::key(TablePath::default(), "a"), 1);
    assert_eq!(revisions(&drain(&mut watch)), [1]);
    let mark = |revision| Some(Ok(WatchEvent::Mark { revision }));
    assert_eq!(watch.next().await, mark(1));
    bench.write_often(5, "other");
    assert_eq!(watch.next().await, mark(6), "what is not in the range counts");
    assert_eq!(watch.next_revision(), 7);
    bench.batch_with(&[write("a", "2")], || {});
    assert_eq!(watch.next().await, mark(6), "what is not visible yet does not");
    bench.machine.watchers().publish(bench.index);
    assert_eq!(revisions(&drain(&mut watch)), [7]);
    assert_eq!(tokio::time::timeout(Duration::from_millis(900), watch.next()).await.ok(), None);
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_a_later_revision_waits_for_it() {
    let mut bench = Bench::new();
    let mut watch = bench.watch(everything(), 4);
    bench.write_often(3, "a");
    assert_eq!(drain(&mut watch), []);
    bench.write_often(3, "a");
    assert_eq!(revisions(&drain(&mut watch)), [4, 5, 6]);
}

#[tokio::test(start_paused = true)]
async fn watches_end_with_the_node() {
    let mut bench = Bench::new();
    bench.write("a", "1");
    let mut watch = bench.watch(everything(), 1);
    assert_eq!(revisions(&drain(&mut watch)), [1]);
    bench.machine.watchers().close();
    for watch in [&mut watch, &mut bench.watch(everything(), 1)] {
        let fault = fault(watch).await;
        assert_eq!(fault.code, Code::Unavailable);
        assert!(fault.message.contains("shutting down"), "{fault}");
    }
}
