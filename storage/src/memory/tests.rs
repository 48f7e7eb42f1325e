use super::*;
use crate::{Batch, Family, LogMark, LogOp, LogRecord, conformance};
use bytes::Bytes;
use micro_sdk::wire::Job;
use std::{
    collections::VecDeque,
    sync::{Mutex, mpsc},
    task::{Context, Poll, Waker},
    time::Duration,
};

/// Runs jobs at once.
struct AtOnce;

impl Timer for AtOnce {
    fn after(&self, _: Duration, job: Job) {
        job();
    }
}

/// Keeps jobs until they are asked for.
#[derive(Default)]
struct OnDemand {
    jobs: Mutex<VecDeque<(Duration, Job)>>,
}

impl OnDemand {
    fn run_one(&self) -> Option<Duration> {
        let (delay, job) = self.jobs.lock().unwrap().pop_front()?;
        job();
        Some(delay)
    }

    fn run_all(&self) {
        while self.run_one().is_some() {}
    }
}

impl Timer for OnDemand {
    fn after(&self, delay: Duration, job: Job) {
        self.jobs.lock().unwrap().push_back((delay, job));
    }
}

/// A node on `disk` with a timer of its own, and what its completions said.
struct Node {
    storage: Storage,
    timer: Arc<OnDemand>,
    said: mpsc::Receiver<(u64, Result<(), StorageError>)>,
    done: mpsc::Sender<(u64, Result<(), StorageError>)>,
}

impl Node {
    fn on(disk: &Arc<MemoryDisk>) -> Self {
        let timer = Arc::new(OnDemand::default());
        let (done, said) = mpsc::channel();
        Node { storage: open(disk, timer.clone()).unwrap(), timer, said, done }
    }

    fn submit(&self, number: u64, op: LogOp) {
        let done = self.done.clone();
        self.storage.log.submit(op, Box::new(move |result| done.send((number, result)).unwrap()));
    }

    fn append(&self, index: u64) {
        let record = LogRecord { index, term: 1, leader: 1, kind: 0, body: Bytes::from_static(b"body") };
        self.submit(index, LogOp::Append(vec![record]));
    }

    fn acked(&self) -> Vec<u64> {
        self.said.try_iter().filter(|(_, result)| result.is_ok()).map(|(number, _)| number).collect()
    }

    fn end(&self) -> u64 {
        self.storage.log.range().unwrap().end
    }
}

#[test]
fn every_property_holds() {
    conformance::check(|| {
        let disks = [MemoryDisk::new(), MemoryDisk::new()];
        Box::new(move |disk| open(&disks[disk as usize], Arc::new(AtOnce)).unwrap())
    });
}

#[test]
fn operations_that_wait_together_share_a_sync_and_take_its_time() {
    let disk = MemoryDisk::new();
    disk.set_faults(Faults { sync_latency: Duration::from_millis(7), ..Faults::default() });
    let node = Node::on(&disk);
    for index in 0..5 {
        node.append(index);
    }
    assert_eq!((node.end(), node.acked()), (0, vec![]));
    assert_eq!(node.timer.run_one(), Some(Duration::from_millis(7)));
    assert_eq!((node.end(), node.acked()), (1, vec![0]), "the first was alone");
    node.timer.run_one();
    assert_eq!((node.end(), node.acked()), (5, vec![1, 2, 3, 4]), "the others went together");
    assert_eq!(node.timer.run_one(), None);
}

#[test]
fn a_crash_keeps_a_prefix_with_all_that_was_acknowledged() {
    let mut ends = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let disk = MemoryDisk::new();
        let node = Node::on(&disk);
        for index in 0..10 {
            node.append(index);
            if index == 4 {
                node.timer.run_all();
            }
        }
        assert_eq!(node.acked(), [0, 1, 2, 3, 4]);
        disk.crash(seed);
        assert!(node.storage.log.range().is_err(), "old handles are inert");
        node.append(5);
        node.timer.run_all();
        assert_eq!(node.said.try_iter().count(), 0, "old completions are never called");
        let again = Node::on(&disk);
        let end = again.end();
        assert_eq!(again.storage.log.read(0..99, 9999).unwrap().len() as u64, end);
        ends.insert(end);
        node.timer.run_all();
        again.append(end);
        again.timer.run_all();
        assert_eq!((again.end(), again.acked()), (end + 1, vec![end]));
    }
    assert_eq!(ends, (5..=10).collect());
}

#[test]
fn a_crash_takes_the_state_back_to_some_write_since_the_flush() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let disk = MemoryDisk::new();
        let node = Node::on(&disk);
        for number in 0..8_u8 {
            let mut batch = Batch::default();
            batch.put(Family::Raft, "applied", vec![number]);
            batch.put(Family::Store, vec![number], "x");
            batch.delete(Family::Store, vec![number.wrapping_sub(2)]);
            node.storage.state.write(batch).unwrap();
            if number == 3 {
                node.storage.state.flush().unwrap();
            }
        }
        disk.crash(seed);
        let state = Node::on(&disk).storage.state;
        let number = state.get(Family::Raft, b"applied").unwrap().unwrap()[0];
        for key in 0..8 {
            let expected = key == number || key + 1 == number;
            assert_eq!(state.get(Family::Store, &[key]).unwrap().is_some(), expected, "whole batches only");
        }
        seen.insert(number);
    }
    assert_eq!(seen, (3..8).collect());
}

#[test]
fn after_a_failed_sync_every_write_fails_until_the_next_start() {
    for (full, sync_fails_next) in [(true, false), (false, true)] {
        let disk = MemoryDisk::new();
        let node = Node::on(&disk);
        node.append(0);
        node.timer.run_all();
        node.append(1);
        node.append(2);
        disk.set_faults(Faults { full, sync_fails_next, ..Faults::default() });
        node.timer.run_all();
        disk.set_faults(Faults::default());
        node.append(3);
        node.timer.run_all();
        let said: Vec<_> = node.said.try_iter().collect();
        assert_eq!(said.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert!(said[0].1.is_ok() && said[1..].iter().all(|(_, result)| result.is_err()));
        assert_eq!(said[1..].iter().all(|(_, r)| matches!(r, Err(StorageError::Full(_)))), full);
        assert_eq!(node.end(), 1);
        disk.crash(1);
        let again = Node::on(&disk);
        let end = again.end();
        assert!((1..=3).contains(&end));
        again.append(end);
        again.timer.run_all();
        assert_eq!(again.acked(), [end]);
    }
}

#[test]
fn a_state_that_was_not_kept_is_told_of_without_a_write() {
    let disk = MemoryDisk::new();
    let node = Node::on(&disk);
    let (state, fence) = (&node.storage.state, &node.storage.fence);
    state.write(Batch::default()).unwrap();
    state.probe().unwrap();
    disk.set_faults(Faults { full: true, ..Faults::default() });
    assert!(matches!(state.probe(), Err(StorageError::Full(_))), "a full disk has lost nothing");
    disk.set_faults(Faults { state_fails: true, ..Faults::default() });
    assert!(matches!(state.probe(), Err(StorageError::Io(_))));
    assert!(state.write(Batch::default()).is_err() && state.flush().is_err());
    let mut told = std::pin::pin!(fence.failed());
    let told = told.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(&told, Poll::Ready(why) if why.contains("a sync of the state has failed")), "{told:?}");
    let again = Node::on(&disk);
    again.storage.state.probe().unwrap();
}

#[test]
fn a_full_disk_refuses_and_reads_on() {
    let disk = MemoryDisk::new();
    let storage = Node::on(&disk).storage;
    storage.files.write("a", b"1").unwrap();
    disk.set_faults(Faults { full: true, ..Faults::default() });
    assert!(matches!(storage.files.write("a", b"2"), Err(StorageError::Full(_))));
    assert!(matches!(storage.state.write(Batch::default()), Err(StorageError::Full(_))));
    assert!(matches!(storage.snapshots.create("s"), Err(StorageError::Full(_))));
    assert_eq!(storage.files.read("a").unwrap(), Some(b"1".to_vec()));
}

#[test]
fn a_flipped_bit_is_seen() {
    for seed in 0..50 {
        let disk = MemoryDisk::new();
        let node = Node::on(&disk);
        assert_eq!(disk.flip_bit(seed), None);
        for index in 0..4 {
            node.append(index);
        }
        node.timer.run_all();
        let index = disk.flip_bit(seed).unwrap();
        let read = node.storage.log.read(index..index + 1, 9999);
        assert!(matches!(read, Err(StorageError::Corrupt { .. })), "{read:?}");
        assert!(node.storage.log.read(0..4, 9999).is_err());
        let opened = super::open(&disk, node.timer.clone());
        assert!(matches!(opened, Err(StorageError::Corrupt { .. })), "opened with a damaged log");
    }
}

#[test]
fn a_disk_that_acknowledges_too_early_loses_what_it_acknowledged() {
    let lost = (0..20).any(|seed| {
        let disk = MemoryDisk::new();
        disk.plant(PlantedBug::AckBeforeSync);
        let node = Node::on(&disk);
        disk.set_faults(Faults { sync_latency: Duration::from_secs(1), ..Faults::default() });
        node.append(0);
        node.timer.run_one();
        assert_eq!((node.acked(), node.end()), (vec![0], 0));
        disk.crash(seed);
        Node::on(&disk).end() == 0
    });
    assert!(lost);
}

#[test]
fn a_disk_that_forgets_votes_forgets_them_in_a_crash_only() {
    let disk = MemoryDisk::new();
    let vote = |node: &Node| node.storage.log.mark(LogMark::Vote).unwrap();
    let node = Node::on(&disk);
    node.submit(1, LogOp::Mark(LogMark::Vote, Bytes::from("1")));
    node.timer.run_all();
    disk.plant(PlantedBug::VoteNotPersisted);
    node.submit(2, LogOp::Mark(LogMark::Vote, Bytes::from("2")));
    node.timer.run_all();
    assert_eq!((node.acked(), vote(&node)), (vec![1, 2], Some(Bytes::from("2"))));
    disk.crash(3);
    assert_eq!(vote(&Node::on(&disk)), Some(Bytes::from("1")));
}

fn put_blob(storage: &Storage, content: &[u8]) -> crate::StoredBlob {
    let mut intake = storage.blobs.begin().unwrap();
    intake.write(content).unwrap();
    let stored = intake.seal().unwrap();
    intake.keep().unwrap();
    stored
}

#[test]
fn a_blob_survives_a_crash_unless_the_planted_bug_forgets_it() {
    for (bug, kept) in [(None, true), (Some(PlantedBug::BlobNotSynced), false)] {
        let disk = MemoryDisk::new();
        bug.into_iter().for_each(|bug| disk.plant(bug));
        let node = Node::on(&disk);
        let stored = put_blob(&node.storage, b"blob");
        assert!(node.storage.blobs.open(stored.hash).unwrap().is_some());
        disk.crash(1);
        assert!(node.storage.blobs.open(stored.hash).is_err(), "the handle is inert");
        let found = Node::on(&disk).storage.blobs.open(stored.hash).unwrap();
        assert_eq!(found.is_some(), kept);
    }
}

#[test]
fn a_flipped_bit_of_a_blob_is_seen() {
    let disk = MemoryDisk::new();
    let node = Node::on(&disk);
    assert_eq!(disk.flip_blob_bit(1), None);
    let stored = put_blob(&node.storage, b"blob");
    assert_eq!(disk.whole_blobs().len(), 1);
    assert_eq!(disk.flip_blob_bit(1), Some(stored.hash));
    let reader = node.storage.blobs.open(stored.hash).unwrap().unwrap();
    assert!(matches!(reader.chunk(0), Err(StorageError::Corrupt { .. })));
    assert!(disk.whole_blobs().is_empty());
}
