//! What is wrong with the certificates that a node shows. Told by gossip, so that the status on every node shows it,
//! also where nobody told of these names.

use micro_sdk::wire::status::{Problem, Severity};
use std::collections::BTreeMap;

/// How much a node tells at most, in bytes: gossip's messages are small, and every node keeps it.
const TOLD_BYTES_MAX: usize = 1500;

/// What is wrong with the certificate for one domain, as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Trouble {
    /// The domain.
    pub domain: String,
    /// When the certificate that is shown ends, in seconds since 1970; 0 if none is.
    pub ends_s: u64,
    /// What is in the way of another; empty if an order is under way.
    pub why: String,
}

/// All of it, as it travels: a line for each, as many as there is room for.
pub(crate) fn told(all: &[Trouble]) -> String {
    let mut told = String::new();
    for Trouble { domain, ends_s, why } in all {
        let line = format!("{domain}\t{ends_s}\t{why}\n");
        if told.len() + line.len() > TOLD_BYTES_MAX {
            break;
        }
        told += &line;
    }
    told
}

fn heard(line: &str) -> Option<Trouble> {
    let mut parts = line.splitn(3, '\t');
    let (domain, ends_s, why) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
    Some(Trouble { domain: domain.to_owned(), ends_s, why: why.to_owned() })
}

/// What the status says of what nodes, by their names, have told: one problem for each domain, on whatever nodes.
pub(crate) fn problems<'a>(told: impl Iterator<Item = (String, &'a str)>, now_s: u64) -> Vec<Problem> {
    let mut domains: BTreeMap<String, (Trouble, Vec<String>)> = BTreeMap::new();
    for (node, text) in told {
        for trouble in text.lines().filter_map(heard) {
            let (worst, nodes) =
                domains.entry(trouble.domain.clone()).or_insert_with(|| (trouble.clone(), Vec::new()));
            // What ends first is worst; of these, the one that says why.
            if (trouble.ends_s, trouble.why.is_empty()) < (worst.ends_s, worst.why.is_empty()) {
                *worst = trouble;
            }
            nodes.push(node.clone());
        }
    }
    domains.into_values().map(|(worst, nodes)| problem(&worst, &nodes, now_s)).collect()
}

fn problem(Trouble { domain, ends_s, why }: &Trouble, nodes: &[String], now_s: u64) -> Problem {
    let on = nodes.join(", ");
    let because =
        if why.is_empty() { "one is being ordered".to_owned() } else { format!("the last order: {why}") };
    let (severity, message) = match ends_s.checked_sub(now_s) {
        _ if *ends_s == 0 => {
            let message = format!("the HTTP api of {on} has no certificate for {domain} yet: {because}");
            (if why.is_empty() { Severity::Warning } else { Severity::Critical }, message)
        }
        None | Some(0) => {
            let ago_s = now_s - ends_s;
            let message = format!("the certificate for {domain} on {on} ended {ago_s} s ago: {because}");
            (Severity::Critical, message)
        }
        Some(left_s) => {
            let message = format!(
                "the certificate for {domain} on {on} ends in {left_s} s, and was not renewed: {because}"
            );
            (Severity::Warning, message)
        }
    };
    let help = "it is ordered again by itself; the authority must reach the HTTP api at that name, port 443, and the node \
                must reach the authority: see the logs of these nodes";
    Problem { severity, message, help: help.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(domain: &str, ends_s: u64, why: &str) -> Trouble {
        Trouble { domain: domain.to_owned(), ends_s, why: why.to_owned() }
    }

    #[test]
    fn what_several_nodes_tell_of_a_domain_is_one_problem() {
        let alpha = told(&[trouble("a.example", 0, "no route\tto it"), trouble("b.example", 1100, "down")]);
        let bravo = told(&[trouble("a.example", 0, "")]);
        let told = [("alpha".to_owned(), &*alpha), ("bravo".to_owned(), &*bravo), ("charlie".to_owned(), "")];
        let problems = problems(told.into_iter(), 1000);
        let [first, second] = &problems[..] else { panic!("{problems:?}") };
        assert_eq!(first.severity, Severity::Critical);
        assert!(
            first.message.contains("alpha, bravo") && first.message.contains("no route\tto it"),
            "{first:?}"
        );
        assert_eq!(second.severity, Severity::Warning);
        assert!(second.message.contains("ends in 100 s"), "{second:?}");
    }

    #[test]
    fn it_is_worse_once_it_has_ended_or_never_began() {
        let one = |trouble: Trouble, now_s| {
            let told = told(&[trouble]);
            problems([("alpha".to_owned(), &*told)].into_iter(), now_s).remove(0)
        };
        assert_eq!(one(trouble("a.example", 900, "down"), 1000).severity, Severity::Critical);
        assert!(one(trouble("a.example", 900, "down"), 1000).message.contains("ended 100 s ago"));
        let begun = one(trouble("a.example", 0, ""), 1000);
        assert_eq!(begun.severity, Severity::Warning);
        assert!(begun.message.ends_with("yet: one is being ordered"), "{begun:?}");
    }

    #[test]
    fn no_more_is_told_than_there_is_room_for() {
        let many: Vec<Trouble> =
            (0..100).map(|n| trouble(&format!("{n}.example"), 0, &"x".repeat(300))).collect();
        let told = told(&many);
        assert!(told.len() <= TOLD_BYTES_MAX && told.lines().count() == 4, "{}", told.len());
        assert!(problems([("alpha".to_owned(), "garbled\nx\ty\tz\n")].into_iter(), 0).is_empty());
    }
}
