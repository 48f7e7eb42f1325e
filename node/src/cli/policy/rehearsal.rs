//! What a policy would have made of the calls of the last minutes, for people.

use super::{Failure, Output, Shapes};
use crate::cli::{shape::ItemShape, unit};
use micro_sdk::client::PolicyRehearsal;
use schemars::JsonSchema;
use serde::Serialize;

/// What a policy would have made of the calls of the last minutes.
#[derive(Serialize, JsonSchema)]
pub(super) struct RehearsalItem<'a> {
    /// The service.
    service: &'a str,
    /// Its calls of the last minutes that are known of.
    calls: u64,
    /// Over how many milliseconds they came.
    covers_ms: u64,
    /// Those that failed, as things were.
    failed: u64,
    /// Answered ones that would have taken longer than they may.
    timed_out: u64,
    /// Failed ones that would have been tried again.
    tried_again: u64,
    /// Failed ones for whose further attempts there would have been no budget.
    out_of_budget: u64,
    /// Answered ones that needed more attempts than they would have had.
    given_up: u64,
    /// Those of which a second instance would have been asked.
    hedged: u64,
    /// Those of which one was.
    hedged_before: u64,
    /// Those that came when more were in work than there may be.
    shed: u64,
    /// The calls by version.
    versions: Vec<VersionItem<'a>>,
    /// The nodes that told of calls.
    nodes: u32,
    /// The names of nodes that did not answer.
    silent: &'a [String],
}

/// The calls that a version got, and would get.
#[derive(Serialize, JsonSchema)]
struct VersionItem<'a> {
    /// The version.
    version: &'a str,
    /// How many it got.
    before: u64,
    /// How many it would get.
    after: u64,
}

const REHEARSAL: ItemShape<RehearsalItem<'static>> =
    ItemShape::new("policy-rehearsal", &["policy set --dry-run", "policy check --service SERVICE"]);

pub(super) const SHAPES: Shapes = &[&REHEARSAL];

/// Shows it.
pub(super) fn show(service: &str, told: &PolicyRehearsal, output: &Output) -> Result<(), Failure> {
    if output.json() {
        return output.item(&REHEARSAL, &item(service, told));
    }
    for name in &told.silent {
        output.remark(&format!("node {name} did not tell of its calls"));
    }
    for line in lines(service, told) {
        output.text(&line)?;
    }
    Ok(())
}

fn item<'a>(service: &'a str, told: &'a PolicyRehearsal) -> RehearsalItem<'a> {
    let version = |(version, (before, after)): (&'a String, &(u64, u64))| VersionItem {
        version,
        before: *before,
        after: *after,
    };
    RehearsalItem {
        service,
        calls: told.calls,
        covers_ms: u64::try_from(told.covers.as_millis()).unwrap_or(u64::MAX),
        failed: told.failed,
        timed_out: told.timed_out,
        tried_again: told.tried_again,
        out_of_budget: told.out_of_budget,
        given_up: told.given_up,
        hedged: told.hedged,
        hedged_before: told.hedged_before,
        shed: told.shed,
        versions: told.versions.iter().map(version).collect(),
        nodes: told.nodes,
        silent: &told.silent,
    }
}

/// What there is to say: of what would not have happened, nothing.
fn lines(service: &str, told: &PolicyRehearsal) -> Vec<String> {
    if told.calls == 0 {
        return vec![format!(
            "{service} was not called in the last minutes: nothing can be said of this policy"
        )];
    }
    let calls = |count: u64| if count == 1 { "1 call".to_owned() } else { format!("{count} calls") };
    let span = unit::span(told.covers.as_secs().max(1));
    let mut lines = vec![format!(
        "{} of {service} in the last {span}, {} of them failed. With this policy:",
        calls(told.calls),
        told.failed
    )];
    let mut say = |count: u64, what: &str| {
        if count > 0 {
            lines.push(format!("  {} {what}", calls(count)));
        }
    };
    say(told.tried_again, "that failed would have been tried again");
    say(told.out_of_budget, "that failed would have had no budget to be tried again");
    say(told.given_up, "would have failed that needed more attempts than this gives");
    say(told.timed_out, "would have been cut off that took longer than this gives");
    say(told.hedged, "would have been asked of a second instance");
    say(told.shed, "would have been refused because too many were in work");
    for (version, (before, after)) in &told.versions {
        if before != after {
            lines.push(format!("  version {version} would have got {} instead of {before}", calls(*after)));
        }
    }
    if lines.len() == 1 {
        lines.push("  nothing would have been different".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeMap, time::Duration};

    #[test]
    fn only_what_would_have_been_different_is_told() {
        assert_eq!(lines("shop", &PolicyRehearsal::default()).len(), 1);
        let as_it_is =
            PolicyRehearsal { calls: 5, covers: Duration::from_secs(90), ..PolicyRehearsal::default() };
        let told = lines("shop", &as_it_is);
        assert_eq!(told[0], "5 calls of shop in the last 1m30s, 0 of them failed. With this policy:");
        assert_eq!(told[1], "  nothing would have been different");
        let versions = BTreeMap::from([("1".to_owned(), (5, 4)), ("2".to_owned(), (0, 1))]);
        let told = lines("shop", &PolicyRehearsal { timed_out: 1, versions, ..as_it_is });
        assert_eq!(
            told[1..],
            [
                "  1 call would have been cut off that took longer than this gives",
                "  version 1 would have got 4 calls instead of 5",
                "  version 2 would have got 1 call instead of 0",
            ]
        );
    }
}
