//! The search for an order: Wing and Gong's, with Lowe's memory of the configurations seen.

use std::{collections::HashSet, time::Duration};

/// Configurations visited before a key is given up as undecided. Reached by none of the histories tried; it
/// stands for a minute of search.
pub(super) const STEPS_MAX: u64 = 20_000_000;

/// What a key holds. 0 is nothing.
pub(super) type Value = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Put(Value),
    Swap { from: Value, to: Value },
    Get(Value),
}

impl Step {
    /// What the register holds after it, if it may happen at all.
    fn apply(self, held: Value) -> Option<Value> {
        match self {
            Step::Put(value) => Some(value),
            Step::Swap { from, to } => (held == from).then_some(to),
            Step::Get(value) => (held == value).then_some(held),
        }
    }
}

/// An operation that is to be placed. `to` is none for what may happen at any time after `from`, or never.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub step: Step,
    pub from: Duration,
    pub to: Option<Duration>,
}

/// Whether a history has an explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has.
    Linearizable,
    /// It has none. How many operations could be placed at best, and the last moment explained.
    Impossible {
        /// Operations placed at best.
        placed: usize,
        /// Operations in all.
        of: usize,
        /// When the first operation that fits nowhere was asked.
        at: Duration,
    },
    /// The search was given up.
    Undecided,
}

/// The search: events in the order of time, as a doubly linked list from which placed operations are taken
/// out.
pub(super) struct Search {
    calls: Vec<Call>,
    /// For each event its operation, and whether it is the asking.
    events: Vec<(usize, bool)>,
    next: Vec<usize>,
    previous: Vec<usize>,
    /// For each operation its asking and its answer in `events`.
    places: Vec<(usize, Option<usize>)>,
    /// Which operations are placed, a bit each.
    placed: Vec<u64>,
    held: Value,
    /// Operations with an answer that are not placed yet.
    open: usize,
}

/// The head of the list, before the first event.
const HEAD: usize = 0;

impl Search {
    pub fn new(calls: Vec<Call>) -> Self {
        // An answer at the same moment as an asking comes after it: the two are taken as concurrent.
        let mut moments: Vec<(Duration, bool, usize)> = Vec::new();
        for (index, call) in calls.iter().enumerate() {
            moments.push((call.from, false, index));
            moments.extend(call.to.map(|to| (to.max(call.from), true, index)));
        }
        moments.sort();
        let mut events = vec![(usize::MAX, false)];
        let mut places = vec![(0, None); calls.len()];
        for (_, answer, index) in moments {
            if answer {
                places[index].1 = Some(events.len());
            } else {
                places[index].0 = events.len();
            }
            events.push((index, !answer));
        }
        let count = events.len();
        let open = calls.iter().filter(|call| call.to.is_some()).count();
        Search {
            placed: vec![0; calls.len().div_ceil(64)],
            next: (1..=count).collect(),
            previous: (0..count + 1).map(|place| place.saturating_sub(1)).collect(),
            events,
            places,
            calls,
            held: 0,
            open,
        }
    }

    fn unlink(&mut self, event: usize) {
        let (before, after) = (self.previous[event], self.next[event]);
        self.next[before] = after;
        self.previous[after] = before;
    }

    fn relink(&mut self, event: usize) {
        let (before, after) = (self.previous[event], self.next[event]);
        self.next[before] = event;
        self.previous[after] = event;
    }

    /// Places `call` next: the register holds `held` after it.
    fn place(&mut self, call: usize, held: Value) {
        self.held = held;
        self.placed[call / 64] |= 1 << (call % 64);
        let (asked, told) = self.places[call];
        self.unlink(asked);
        if let Some(told) = told {
            self.unlink(told);
            self.open -= 1;
        }
    }

    /// Takes `call` back, after which the register holds what it held before.
    fn take_back(&mut self, call: usize, held: Value) {
        self.held = held;
        self.placed[call / 64] &= !(1 << (call % 64));
        let (asked, told) = self.places[call];
        if let Some(told) = told {
            self.relink(told);
            self.open += 1;
        }
        self.relink(asked);
    }

    pub fn run(mut self) -> Verdict {
        let end = self.events.len();
        let mut seen: HashSet<(Vec<u64>, Value)> = HashSet::new();
        let mut stack: Vec<(usize, Value)> = Vec::new();
        let (mut best, mut stuck_at) = (0, Duration::ZERO);
        let mut event = self.next[HEAD];
        for _ in 0..STEPS_MAX {
            if self.open == 0 {
                return Verdict::Linearizable;
            }
            let asking = event != end && self.events[event].1;
            if asking {
                let call = self.events[event].0;
                if let Some(held) = self.calls[call].step.apply(self.held) {
                    let before = self.held;
                    self.place(call, held);
                    if seen.insert((self.placed.clone(), self.held)) {
                        stack.push((call, before));
                        event = self.next[HEAD];
                        continue;
                    }
                    self.take_back(call, before);
                }
                event = self.next[event];
                continue;
            }
            // An operation was answered before it could be placed, or nothing is left to try: the last
            // choice was wrong.
            if stack.len() >= best && event != end {
                best = stack.len();
                stuck_at = self.calls[self.events[event].0].from;
            }
            let Some((call, held)) = stack.pop() else {
                return Verdict::Impossible { placed: best, of: self.calls.len(), at: stuck_at };
            };
            self.take_back(call, held);
            event = self.next[self.places[call].0];
        }
        Verdict::Undecided
    }
}
