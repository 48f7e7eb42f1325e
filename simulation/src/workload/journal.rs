//! What the clients of one workload asked and what came of it, in simulated time.

use super::Tally;
use std::{cell::RefCell, rc::Rc, time::Duration};

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It was answered.
    Done(T),
    /// It was refused for a reason that the client has to expect, with nothing done.
    Refused,
    /// It failed with nothing done.
    Failed,
    /// Nobody knows: also of one whose client ended before it was told.
    Unknown,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Entry<A, T> {
    /// By which client.
    pub client: String,
    /// What was asked.
    pub asked: A,
    /// When.
    pub from: Duration,
    /// When it was answered; none when the client ended before.
    pub to: Option<Duration>,
    /// What came of it.
    pub outcome: Outcome<T>,
}

impl<A, T> Entry<A, T> {
    /// What it was answered, if it was.
    pub fn done(&self) -> Option<&T> {
        match &self.outcome {
            Outcome::Done(told) => Some(told),
            _ => None,
        }
    }

    /// Whether it may have happened, as far as its client knows.
    pub fn may_be_done(&self) -> bool {
        matches!(self.outcome, Outcome::Done(_) | Outcome::Unknown)
    }

    /// Whether it was over before the other began.
    pub fn precedes<B, U>(&self, other: &Entry<B, U>) -> bool {
        self.to.is_some_and(|to| to < other.from)
    }
}

/// All requests of one workload, in the order in which they were asked. Clones share it.
#[derive(Debug)]
pub struct Journal<A, T>(Rc<RefCell<Vec<Entry<A, T>>>>);

impl<A, T> Default for Journal<A, T> {
    fn default() -> Self {
        Journal(Rc::default())
    }
}

impl<A, T> Clone for Journal<A, T> {
    fn clone(&self) -> Self {
        Journal(self.0.clone())
    }
}

impl<A: Clone, T: Clone> Journal<A, T> {
    /// Notes that something is asked. Returns its place.
    pub fn ask(&self, client: &str, asked: A, from: Duration) -> usize {
        let mut entries = self.0.borrow_mut();
        let entry = Entry { client: client.to_owned(), asked, from, to: None, outcome: Outcome::Unknown };
        entries.push(entry);
        entries.len() - 1
    }

    /// Notes what came of it.
    pub fn tell(&self, place: usize, outcome: Outcome<T>, at: Duration) {
        let mut entries = self.0.borrow_mut();
        assert!(entries[place].to.is_none(), "a request is answered once");
        entries[place].to = Some(at);
        entries[place].outcome = outcome;
    }

    /// All so far.
    pub fn entries(&self) -> Vec<Entry<A, T>> {
        self.0.borrow().clone()
    }

    /// How many ended how.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for entry in self.0.borrow().iter() {
            match entry.outcome {
                Outcome::Done(_) | Outcome::Refused => tally.ok += 1,
                Outcome::Failed => tally.failed += 1,
                Outcome::Unknown => tally.unknown += 1,
            }
        }
        tally
    }
}
