//! What must have come before what, and whether that goes round in a circle.

use std::collections::{BTreeMap, VecDeque};

/// Why one transaction comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It wrote what the other wrote next.
    WriteWrite,
    /// It wrote what the other read.
    WriteRead,
    /// It read what the other replaced.
    ReadWrite,
    /// It was over when the other began.
    Time,
}

/// A graph of transactions. Nodes are numbers.
#[derive(Default)]
pub struct Graph {
    edges: BTreeMap<usize, BTreeMap<usize, Why>>,
}

impl Graph {
    /// One node comes before another. Of several reasons the first in the order of [`Why`] counts.
    pub fn precedes(&mut self, from: usize, to: usize, why: Why) {
        if from != to {
            let known = self.edges.entry(from).or_default().entry(to).or_insert(why);
            *known = why.min(*known);
        }
    }

    fn next(&self, node: usize, allowed: &[Why]) -> impl Iterator<Item = (usize, Why)> {
        let edges = self.edges.get(&node).into_iter().flatten();
        edges.filter(|(_, why)| allowed.contains(why)).map(|(to, why)| (*to, *why))
    }

    /// The shortest way from one node to another over edges of these kinds.
    fn way(&self, from: usize, to: usize, allowed: &[Why]) -> Option<Vec<(usize, Why)>> {
        let mut came: BTreeMap<usize, (usize, Why)> = BTreeMap::new();
        let mut open = VecDeque::from([from]);
        while let Some(node) = open.pop_front() {
            for (next, why) in self.next(node, allowed) {
                if next == to {
                    let mut way = vec![(node, why)];
                    while way[0].0 != from {
                        way.insert(0, came[&way[0].0]);
                    }
                    return Some(way);
                }
                if next != from && !came.contains_key(&next) {
                    came.insert(next, (node, why));
                    open.push_back(next);
                }
            }
        }
        None
    }

    /// A circle of edges of the kinds `allowed`, with exactly one of the kind `once`, if one is given: its nodes, each
    /// with why it comes before the next.
    pub fn circle(&self, allowed: &[Why], once: Option<Why>) -> Option<Vec<(usize, Why)>> {
        let all: Vec<Why> = allowed.iter().copied().chain(once).collect();
        for component in self.components(&all) {
            for node in component {
                let circle = match once {
                    None => self.way(node, node, allowed),
                    Some(once) => self.next(node, &[once]).find_map(|(next, why)| {
                        let mut circle = vec![(node, why)];
                        circle.extend(self.way(next, node, allowed)?);
                        Some(circle)
                    }),
                };
                if circle.is_some() {
                    return circle;
                }
            }
        }
        None
    }

    /// The sets of more than one node in which each can be reached from each, by Tarjan ("Depth-first search and linear
    /// graph algorithms", 1972), without recursion: a history is longer than a stack is deep.
    fn components(&self, allowed: &[Why]) -> Vec<Vec<usize>> {
        let mut search = Search::default();
        for root in self.edges.keys() {
            if search.number.contains_key(root) {
                continue;
            }
            let mut work = vec![search.enter(*root, self.next(*root, allowed).map(|(to, _)| to).collect())];
            while let Some((node, mut next)) = work.pop() {
                match next.pop() {
                    Some(to) if !search.number.contains_key(&to) => {
                        work.push((node, next));
                        work.push(search.enter(to, self.next(to, allowed).map(|(to, _)| to).collect()));
                    }
                    Some(to) => {
                        search.meet(node, to);
                        work.push((node, next));
                    }
                    None => {
                        search.leave(node);
                        if let Some((parent, _)) = work.last() {
                            search.low_of(*parent, search.low[&node]);
                        }
                    }
                }
            }
        }
        search.found
    }
}

#[derive(Default)]
struct Search {
    number: BTreeMap<usize, usize>,
    low: BTreeMap<usize, usize>,
    stack: Vec<usize>,
    found: Vec<Vec<usize>>,
}

impl Search {
    fn enter(&mut self, node: usize, next: Vec<usize>) -> (usize, Vec<usize>) {
        let number = self.number.len();
        self.number.insert(node, number);
        self.low.insert(node, number);
        self.stack.push(node);
        (node, next)
    }

    fn low_of(&mut self, node: usize, low: usize) {
        let known = self.low.entry(node).or_insert(low);
        *known = low.min(*known);
    }

    fn meet(&mut self, node: usize, to: usize) {
        // One that was left for good belongs to another component, and its low says so.
        if self.low[&to] != usize::MAX {
            self.low_of(node, self.number[&to]);
        }
    }

    fn leave(&mut self, node: usize) {
        if self.low[&node] != self.number[&node] {
            return;
        }
        let mut component = Vec::new();
        while let Some(member) = self.stack.pop() {
            self.low.insert(member, usize::MAX);
            component.push(member);
            if member == node {
                break;
            }
        }
        if component.len() > 1 {
            self.found.push(component);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Why::{ReadWrite, Time, WriteRead, WriteWrite};

    fn graph(edges: &[(usize, usize, Why)]) -> Graph {
        let mut graph = Graph::default();
        edges.iter().for_each(|(from, to, why)| graph.precedes(*from, *to, *why));
        graph
    }

    #[test]
    fn circles_are_found_by_what_they_are_made_of() {
        let row = graph(&[(1, 2, WriteWrite), (2, 3, WriteRead), (1, 3, Time), (4, 4, Time)]);
        assert_eq!(row.circle(&[WriteWrite, WriteRead, ReadWrite, Time], None), None);
        let circle = graph(&[(1, 2, WriteWrite), (2, 3, WriteRead), (3, 1, ReadWrite), (3, 4, Time)]);
        assert_eq!(circle.circle(&[WriteWrite, WriteRead], None), None);
        let found = circle.circle(&[WriteWrite, WriteRead], Some(ReadWrite)).expect("there is one");
        assert_eq!(found, [(3, ReadWrite), (1, WriteWrite), (2, WriteRead)]);
        assert_eq!(
            circle.circle(&[WriteWrite, WriteRead, ReadWrite], None).map(|found| found.len()),
            Some(3)
        );
    }

    #[test]
    fn one_that_leads_into_a_circle_is_not_in_it() {
        let graph =
            graph(&[(1, 2, Time), (2, 3, Time), (3, 2, Time), (3, 4, Time), (0, 1, Time), (4, 5, Time)]);
        let mut components = graph.components(&[Time]);
        components.iter_mut().for_each(|component| component.sort_unstable());
        assert_eq!(components, [[2, 3]]);
    }
}
