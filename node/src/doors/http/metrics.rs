//! `/metrics`: what this node counts and sees, as Prometheus reads it (exposition format 0.0.4).
//!
//! It names no service, no namespace and no key, since nobody is asked who they are.

use crate::{
    doors::tally::{DoorName, LATENCY_US, Reason, Tally},
    node::Local,
};
use micro_actors::calls::Counted;
use std::{
    fmt::{Display, Write},
    time::SystemTime,
};

/// What the text is.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The kinds of metrics.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A text that grows by one metric after the other.
#[derive(Default)]
struct Exposition(String);

impl Exposition {
    fn metric(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        // Values of labels are words of ours: nothing in them has to be escaped.
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        match labels.is_empty() {
            true => self.line(format_args!("{name} {value}")),
            false => self.line(format_args!("{name}{{{}}} {value}", labels.join(","))),
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.metric(name, Kind::Gauge, help);
        self.sample(name, &[], value);
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a String takes every write");
    }
}

/// All metrics of a node.
pub(super) fn expose(local: &Local, tally: &Tally) -> String {
    let mut text = Exposition::default();
    text.metric("micro_node_info", Kind::Gauge, "The version of the node; always 1.");
    text.sample("micro_node_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.gauge(
        "micro_node_uptime_seconds",
        "How long the doors have been open.",
        tally.uptime().as_secs_f64(),
    );
    doors(&mut text, tally);
    calls(&mut text, local);
    audit(&mut text, local);
    certificates(&mut text, local);
    group(&mut text, local);
    text.0
}

fn doors(text: &mut Exposition, tally: &Tally) {
    const OPEN: &str = "micro_node_door_connections";
    text.metric(OPEN, Kind::Gauge, "Connections that are open.");
    for door in DoorName::ALL {
        text.sample(OPEN, &[("door", door.as_str())], tally.connections(door).open());
    }
    const TAKEN: &str = "micro_node_door_accepted_total";
    text.metric(TAKEN, Kind::Counter, "Connections that were taken.");
    for door in DoorName::ALL {
        let taken = tally.connections(door).taken.load(std::sync::atomic::Ordering::Relaxed);
        text.sample(TAKEN, &[("door", door.as_str())], taken);
    }
    const REFUSED: &str = "micro_node_door_refused_total";
    text.metric(REFUSED, Kind::Counter, "What was refused before anything was done for it, by reason.");
    for door in DoorName::ALL {
        for reason in Reason::ALL {
            let labels = [("door", door.as_str()), ("reason", reason.as_str())];
            text.sample(REFUSED, &labels, tally.refusals(door, reason));
        }
    }
    const ANSWERS: &str = "micro_node_http_requests_total";
    text.metric(ANSWERS, Kind::Counter, "Requests that the HTTP api has answered, by status.");
    for (status, count) in tally.statuses() {
        text.sample(ANSWERS, &[("door", "api"), ("code", &status.to_string())], count);
    }
    const RESOLVED: &str = "micro_node_dns_answers_total";
    text.metric(
        RESOLVED,
        Kind::Counter,
        "Queries that the DNS door has answered, by the number of the code.",
    );
    for (rcode, count) in tally.rcodes() {
        text.sample(RESOLVED, &[("code", &rcode.to_string())], count);
    }
    const LATENCY: &str = "micro_node_http_request_duration_seconds";
    text.metric(LATENCY, Kind::Histogram, "The time from the head of a request to the head of its answer.");
    let (counts, sum) = tally.latencies();
    let bounds = LATENCY_US.iter().map(|us| (*us as f64 / 1e6).to_string()).chain(["+Inf".to_owned()]);
    for (bound, count) in bounds.zip(&counts) {
        text.sample(&format!("{LATENCY}_bucket"), &[("le", &bound)], count);
    }
    text.sample(&format!("{LATENCY}_sum"), &[], sum.as_secs_f64());
    text.sample(&format!("{LATENCY}_count"), &[], counts.last().unwrap_or(&0));
}

/// What was done for callers of services.
fn calls(text: &mut Exposition, local: &Local) {
    const CALLS: &str = "micro_node_service_calls_total";
    text.metric(CALLS, Kind::Counter, "Calls of services that came in here, and what was done for them.");
    for (counted, event) in Counted::ALL {
        text.sample(CALLS, &[("event", event)], local.count_calls(counted));
    }
}

fn audit(text: &mut Exposition, local: &Local) {
    let (written, dropped) = local.audit_counts();
    const WRITTEN: &str = "micro_node_audit_entries_total";
    text.metric(WRITTEN, Kind::Counter, "Entries that were written to the audit log.");
    text.sample(WRITTEN, &[], written);
    const DROPPED: &str = "micro_node_audit_dropped_total";
    text.metric(
        DROPPED,
        Kind::Counter,
        "Entries of the audit log that came too fast, or that the disk did not take.",
    );
    text.sample(DROPPED, &[], dropped);
}

/// What the mesh orders for this api. No domain is named: whoever knows one may ask for its certificate.
fn certificates(text: &mut Exposition, local: &Local) {
    let Some(showcase) = local.showcase() else { return };
    let ends = showcase.ends().and_then(|ends| ends.duration_since(SystemTime::UNIX_EPOCH).ok());
    text.gauge(
        "micro_node_acme_certificate_end_timestamp_seconds",
        "When the first of the ordered certificates ends, in seconds since 1970; 0 while one is missing.",
        ends.unwrap_or_default().as_secs(),
    );
    const FAILED: &str = "micro_node_acme_failures_total";
    text.metric(FAILED, Kind::Counter, "Orders of certificates that have failed on this node.");
    text.sample(FAILED, &[], showcase.failures());
}

fn group(text: &mut Exposition, local: &Local) {
    let seen = local.observe();
    text.gauge("micro_node_raft_term", "The current term.", seen.term);
    let led = seen.leading && !seen.quorum_lost;
    text.gauge("micro_node_raft_leading", "1 if this node leads, as far as it knows.", u8::from(led));
    let known = seen.leader.is_some() && !seen.quorum_lost;
    text.gauge("micro_node_raft_leader_known", "1 if this node knows a leader.", u8::from(known));
    let pace = seen.pace;
    text.gauge(
        "micro_node_raft_election_timeout_seconds",
        "The shortest silence of its leader after which a voter stands for election.",
        pace.silence_min.as_secs_f64(),
    );
    text.gauge(
        "micro_node_raft_heartbeat_seconds",
        "How often a leader shows that it lives.",
        pace.heartbeat.as_secs_f64(),
    );
    let index =
        |position: Option<micro_consensus::LogPosition>| position.map_or(0, |position| position.index);
    text.gauge("micro_node_raft_last_log_index", "The last entry in the log.", seen.last_log.unwrap_or(0));
    text.gauge(
        "micro_node_raft_committed_index",
        "The last entry known to be committed.",
        index(seen.committed),
    );
    text.gauge("micro_node_raft_applied_index", "The last entry that was applied.", index(seen.applied));
    text.gauge("micro_node_raft_snapshot_index", "The last entry in the snapshot.", index(seen.snapshot));
    const MEMBERS: &str = "micro_node_raft_members";
    text.metric(MEMBERS, Kind::Gauge, "Members of the group, by role.");
    text.sample(MEMBERS, &[("role", "voter")], seen.voters.len());
    text.sample(MEMBERS, &[("role", "learner")], seen.learners.len());
    text.gauge("micro_node_mesh_links", "Links to other nodes that are up.", local.links_up());
    let ends = local.certificate_ends().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    text.gauge(
        "micro_node_certificate_end_timestamp_seconds",
        "When the certificate ends that this node shows to others, in seconds since 1970.",
        ends.as_secs(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_text_is_what_prometheus_reads() {
        let tally = Tally::new();
        tally.answered(200, std::time::Duration::from_millis(2));
        tally.resolved(3);
        let mut text = Exposition::default();
        doors(&mut text, &tally);
        for line in [
            "# TYPE micro_node_http_requests_total counter",
            "micro_node_http_requests_total{door=\"api\",code=\"200\"} 1",
            "micro_node_http_request_duration_seconds_bucket{le=\"0.001\"} 0",
            "micro_node_http_request_duration_seconds_bucket{le=\"0.0025\"} 1",
            "micro_node_http_request_duration_seconds_bucket{le=\"+Inf\"} 1",
            "micro_node_http_request_duration_seconds_sum 0.002",
            "micro_node_http_request_duration_seconds_count 1",
            "micro_node_door_connections{door=\"proxy\"} 0",
            "micro_node_door_connections{door=\"dns\"} 0",
            "micro_node_dns_answers_total{code=\"3\"} 1",
            "micro_node_door_refused_total{door=\"api\",reason=\"late\"} 0",
        ] {
            assert!(text.0.lines().any(|found| found == line), "{line} is not in\n{}", text.0);
        }
        assert!(text.0.ends_with('\n'));
    }
}
