//! Transactions have one order, which agrees with time: strict serializability, seen at lists to which they append.
//!
//! After Elle (Kingsbury, Alvaro, 2020): the longest that was read of a list tells the order of what was written to
//! it, so that each read tells which write it saw and which it did not. What must have come before what is a graph;
//! if it goes round in a circle, there is no order. Circles are named after Adya's anomalies ("Weak consistency", 1999):
//!
//! | name | what is seen |
//! |---|---|
//! | G1a | what was read was written by one who did nothing |
//! | G1b | what was read is half of what another wrote |
//! | G0 | writes go round |
//! | G1c | writes and reads of them go round |
//! | G-single | with one read of what was replaced, they go round |
//! | G2 | with several |
//!
//! With the order of time these are real-time anomalies of the same names.

mod graph;

use super::{Checker, Ending, Violation};
use crate::workload::{
    Outcome,
    append::{AppendTold, Step},
};
use graph::{Graph, Why};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

type Entry = crate::workload::Entry<Vec<Step>, AppendTold>;

/// Transactions on lists.
#[derive(Default)]
pub struct Serializability;

impl Checker for Serializability {
    fn name(&self) -> &'static str {
        "serializability"
    }

    fn conclude(&mut self, ending: &Ending) -> Result<(), Violation> {
        match check(&ending.journals.append.entries()) {
            Some(what) => Err(self.violation(what)),
            None => Ok(()),
        }
    }
}

/// A read as it was told: of which list, what it found, and how much of that was the reader's own.
struct Read<'a> {
    list: &'a str,
    found: &'a [u64],
    own: usize,
}

/// The reads of a transaction that was done.
fn reads(entry: &Entry) -> Vec<Read<'_>> {
    let Some(AppendTold::Committed(told)) = entry.done() else { return Vec::new() };
    let (mut told, mut appended, mut reads) = (told.iter(), BTreeMap::new(), Vec::new());
    for step in &entry.asked {
        match step {
            Step::Append(list, _) => *appended.entry(list.as_str()).or_insert(0) += 1,
            Step::Read(list) => {
                let Some(found) = told.next() else { break };
                let own = appended.get(list.as_str()).copied().unwrap_or(0);
                reads.push(Read { list, found, own });
            }
        }
    }
    reads
}

/// Who appended what.
struct Writers {
    /// By element: the transaction, and whether it is the last that it appended to that list.
    of: BTreeMap<u64, (usize, bool)>,
}

impl Writers {
    fn new(entries: &[Entry]) -> Self {
        let mut of = BTreeMap::new();
        for (number, entry) in entries.iter().enumerate() {
            let mut seen = BTreeSet::new();
            for step in entry.asked.iter().rev() {
                if let Step::Append(list, element) = step {
                    of.insert(*element, (number, seen.insert(list)));
                }
            }
        }
        Writers { of }
    }
}

/// Whether a transaction has certainly done nothing.
fn void(entry: &Entry) -> bool {
    matches!(entry.outcome, Outcome::Failed | Outcome::Refused | Outcome::Done(AppendTold::Aborted))
}

/// What is wrong with the transactions, if anything is.
fn check(entries: &[Entry]) -> Option<String> {
    let writers = Writers::new(entries);
    let mut longest: BTreeMap<&str, &[u64]> = BTreeMap::new();
    for (number, entry) in entries.iter().enumerate() {
        for read in reads(entry) {
            if let Some(what) = wrong_read(entries, &writers, number, &read) {
                return Some(format!("{what}, in {}", shown(entry)));
            }
            let known = longest.entry(read.list).or_default();
            let (short, long) =
                if known.len() < read.found.len() { (*known, read.found) } else { (read.found, *known) };
            if !long.starts_with(short) {
                return Some(format!("{} was read as {short:?} and as {long:?}", read.list));
            }
            *known = long;
        }
    }
    lost(entries, &longest).or_else(|| circle(entries, &writers, &longest))
}

/// What is wrong with one read by itself.
fn wrong_read(entries: &[Entry], writers: &Writers, reader: usize, read: &Read<'_>) -> Option<String> {
    let mut once = BTreeSet::new();
    for element in read.found {
        if !once.insert(element) {
            return Some(format!("{element} is twice in {}", read.list));
        }
        match writers.of.get(element) {
            None => return Some(format!("{element} in {} was appended by nobody", read.list)),
            Some((writer, _)) if void(&entries[*writer]) => {
                return Some(format!("G1a: {element} in {} is of {}", read.list, shown(&entries[*writer])));
            }
            Some(_) => {}
        }
    }
    let others = &read.found[..read.found.len().saturating_sub(read.own)];
    let (writer, is_last) = writers.of[others.last()?];
    (!is_last && writer != reader)
        .then(|| format!("G1b: {} ends in the midst of {}", read.list, shown(&entries[writer])))
}

/// An element that was acknowledged before a read began that does not show it.
fn lost(entries: &[Entry], longest: &BTreeMap<&str, &[u64]>) -> Option<String> {
    for entry in entries.iter().filter(|entry| matches!(entry.done(), Some(AppendTold::Committed(_)))) {
        for step in &entry.asked {
            let Step::Append(list, element) = step else { continue };
            if longest.get(list.as_str()).is_some_and(|longest| longest.contains(element)) {
                continue;
            }
            let later = entries.iter().filter(|later| entry.precedes(*later));
            let mut later = later.filter(|later| reads(later).iter().any(|read| read.list == list));
            if let Some(later) = later.next() {
                return Some(format!(
                    "{element} is lost from {list}: {} read it, after {}",
                    shown(later),
                    shown(entry)
                ));
            }
        }
    }
    None
}

/// A circle in what must have come before what.
fn circle(entries: &[Entry], writers: &Writers, longest: &BTreeMap<&str, &[u64]>) -> Option<String> {
    use Why::{ReadWrite, Time, WriteRead, WriteWrite};
    let mut graph = data(entries, writers, longest);
    let kinds = |graph: &Graph, time: &[Why], when: &str| {
        let with = |more: &[Why]| [more, time].concat();
        let named = [
            ("G0", graph.circle(&with(&[WriteWrite]), None)),
            ("G1c", graph.circle(&with(&[WriteWrite, WriteRead]), None)),
            ("G-single", graph.circle(&with(&[WriteWrite, WriteRead]), Some(ReadWrite))),
            ("G2", graph.circle(&with(&[WriteWrite, WriteRead, ReadWrite]), None)),
        ];
        named.into_iter().find_map(|(name, circle)| {
            let circle = circle?;
            let steps = circle.iter().filter(|(node, _)| *node < entries.len());
            let steps: Vec<String> =
                steps.map(|(node, why)| format!("\n    {} {why:?}", shown(&entries[*node]))).collect();
            Some(format!("{name}{when}: no order of these{}", steps.concat()))
        })
    };
    if let Some(what) = kinds(&graph, &[], "") {
        return Some(what);
    }
    add_time(&mut graph, entries);
    kinds(&graph, &[Time], " in real time")
}

/// What follows from what was read and written.
fn data(entries: &[Entry], writers: &Writers, longest: &BTreeMap<&str, &[u64]>) -> Graph {
    let mut graph = Graph::default();
    let writer = |element: &u64| writers.of[element].0;
    for list in longest.values() {
        for pair in list.windows(2) {
            graph.precedes(writer(&pair[0]), writer(&pair[1]), Why::WriteWrite);
        }
    }
    for (reader, entry) in entries.iter().enumerate() {
        for read in reads(entry) {
            let others = read.found.len().saturating_sub(read.own);
            if let Some(last) = read.found[..others].last() {
                graph.precedes(writer(last), reader, Why::WriteRead);
            }
            // With something of its own behind, it is the write that replaces what was read, and that is known already.
            if let Some(next) = longest[read.list].get(read.found.len()).filter(|_| read.own == 0) {
                graph.precedes(reader, writer(next), Why::ReadWrite);
            }
        }
    }
    graph
}

/// What follows from time. A chain of moments stands for it, each after all that was over by then, so that there are
/// not as many edges as pairs of transactions. Moments are the nodes behind the transactions.
fn add_time(graph: &mut Graph, entries: &[Entry]) {
    // What is not known to have been done, or may be done still, is over at no time.
    let over = entries.iter().enumerate().filter(|(_, entry)| entry.done().is_some());
    let mut over: Vec<(Duration, usize)> =
        over.filter_map(|(number, entry)| Some((entry.to?, number))).collect();
    over.sort_unstable();
    for (moment, (_, number)) in over.iter().enumerate() {
        graph.precedes(*number, entries.len() + moment, Why::Time);
        graph.precedes(entries.len() + moment, entries.len() + moment + 1, Why::Time);
    }
    for (number, entry) in entries.iter().enumerate() {
        let before = over.partition_point(|(to, _)| *to < entry.from);
        if before > 0 {
            graph.precedes(entries.len() + before - 1, number, Why::Time);
        }
    }
}

fn shown(entry: &Entry) -> String {
    let to = entry.to.map_or(f64::NAN, |to| to.as_secs_f64());
    let (client, from) = (&entry.client, entry.from.as_secs_f64());
    format!("[{client} {from:.6}-{to:.6} {:?} {:?}]", entry.asked, entry.outcome)
}

#[cfg(test)]
mod tests;
