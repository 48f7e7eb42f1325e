//! What a node tells the others about itself by gossip.

use crate::{Directory, network::Complaint, registry::NAME_KEY};
use jiff::Timestamp;
use micro_mesh::{Member, Mesh, Place};
use micro_sdk::wire::status::{ActorStatus, NodeState, Problem, Severity};
use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

// What the mesh itself tells of a node.
const CLOUD_KEY: &str = "cloud";
const REGION_KEY: &str = "region";
const ZONE_KEY: &str = "zone";
const VERSION_KEY: &str = "version";
// What is told here.
const STARTED_KEY: &str = "node/started";
const PHASE_KEY: &str = "node/phase";
const ACTORS_KEY: &str = "node/actors";
const COMPLAINTS_KEY: &str = "node/problems";
const DAMAGE_KEY: &str = "node/damage";
const ASIDE_KEY: &str = "node/aside";
const TROUBLES_KEY: &str = "node/certificates";
const API_KEY: &str = "node/api";
const STALE_CERTIFICATE_KEY: &str = "node/api-certificate";
/// The longest text about damage: gossip's messages are small, and every node keeps it.
const DAMAGE_BYTES_MAX: usize = 400;

/// What the platform services of a node are told about it, beside what its mesh knows.
#[derive(Clone, Debug)]
pub struct NodeCard {
    /// When its process started.
    pub started: SystemTime,
    /// How many voters the group should grow to.
    pub voters_wanted: usize,
    /// Where other hosts reach its HTTP api, which is inside TLS then; none if they don't.
    pub api: Option<SocketAddr>,
}

/// How far a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not ready yet.
    Starting,
    /// Serving.
    Ready,
    /// A member that is to do nothing for a while.
    Drained,
    /// On its way out.
    Leaving,
}

impl Phase {
    fn as_str(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Ready => "ready",
            Phase::Drained => "drained",
            Phase::Leaving => "leaving",
        }
    }
}

impl NodeCard {
    /// Tells the others when this node started, that it is starting, and where its HTTP api is.
    pub fn publish(&self, mesh: &Mesh) {
        let gossip = mesh.gossip();
        let started = self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        gossip.set(STARTED_KEY, started.as_secs().to_string());
        gossip.set(PHASE_KEY, Phase::Starting.as_str().to_owned());
        if let Some(api) = self.api {
            gossip.set(API_KEY, api.to_string());
        }
    }

    /// Tells the others how far this node is.
    pub fn publish_phase(mesh: &Mesh, phase: Phase) {
        mesh.gossip().set(PHASE_KEY, phase.as_str().to_owned());
    }

    /// Tells the others how often actors were restarted.
    pub(crate) fn publish_actors(mesh: &Mesh, directory: &Directory) {
        let actors = directory.actors();
        let texts: Vec<String> =
            actors.iter().map(|actor| format!("{}={}", actor.name, actor.restarts)).collect();
        mesh.gossip().set(ACTORS_KEY, texts.join(","));
    }

    /// Tells the others how this node's state is damaged; empty if it is not. They still know when it has ended.
    pub fn publish_damage(mesh: &Mesh, damage: &str) {
        mesh.gossip().set(DAMAGE_KEY, cut(damage).to_owned());
    }

    /// Tells the others which damaged states lie in this node's data directory; empty if none does.
    pub(crate) fn publish_aside(mesh: &Mesh, aside: &str) {
        mesh.gossip().set(ASIDE_KEY, cut(aside).to_owned());
    }

    /// Tells the others what is wrong with the certificates that this node's HTTP api shows.
    pub(crate) fn publish_troubles(mesh: &Mesh, troubles: &str) {
        mesh.gossip().set(TROUBLES_KEY, troubles.to_owned());
    }

    /// Tells the others since when and why this node can't take up the certificate of its HTTP api from its files, and
    /// shows what they held before; none if it can.
    pub(crate) fn publish_stale_certificate(mesh: &Mesh, stale: Option<(SystemTime, &str)>) {
        let told = stale.map(|(since, why)| {
            let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
            format!("{} {}", since.as_secs(), cut(why))
        });
        mesh.gossip().set(STALE_CERTIFICATE_KEY, told.unwrap_or_default());
    }

    /// Tells the others what is wrong with this node.
    pub(crate) fn publish_complaints(mesh: &Mesh, complaints: &[Complaint]) {
        let texts: Vec<&str> = complaints.iter().map(|complaint| complaint.as_str()).collect();
        mesh.gossip().set(COMPLAINTS_KEY, texts.join(","));
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(DAMAGE_BYTES_MAX)]
}

fn damaged(node: &str, damage: &str) -> Problem {
    Problem {
        severity: Severity::Critical,
        message: format!(
            "the state of node {node} is damaged, and nothing is read from it any more: {damage}"
        ),
        help: "that node ends; started again, it fetches its state from another node".to_owned(),
    }
}

fn replaced(node: &str, aside: &str) -> Problem {
    Problem {
        severity: Severity::Warning,
        message: format!(
            "the state of node {node} was damaged, and was fetched anew from another node: {aside}"
        ),
        help: "see whether its disk is healthy; then remove what is damaged from its data directory"
            .to_owned(),
    }
}

/// What [`NodeCard::publish_stale_certificate`] has told; none if it can't be read.
fn stale_certificate(node: &str, told: &str) -> Option<Problem> {
    let (since, why) = told.split_once(' ')?;
    let since = Timestamp::from_second(since.parse().ok()?).ok()?;
    Some(Problem {
        severity: Severity::Warning,
        message: format!(
            "node {node} can't take up the certificate of its HTTP api since {since}, and shows the one from before: {why}"
        ),
        help: "put the right file there, and it is taken up within seconds; until then the former certificate is \
               shown, also when it has ended, and the node would not start again"
            .to_owned(),
    })
}

/// What a node told of itself.
pub(crate) struct Heard<'a>(pub &'a Member);

impl Heard<'_> {
    fn value(&self, key: &str) -> Option<&str> {
        self.0.values.get(key).map(String::as_str)
    }

    pub fn name(&self) -> String {
        self.value(NAME_KEY).map_or_else(|| self.0.node.to_string(), str::to_owned)
    }

    pub fn place(&self) -> Place {
        let value = |key| self.value(key).unwrap_or("").to_owned();
        Place { cloud: value(CLOUD_KEY), region: value(REGION_KEY), zone: value(ZONE_KEY) }
    }

    /// Where other hosts reach its HTTP api, if they do.
    pub fn api(&self) -> Option<SocketAddr> {
        self.value(API_KEY)?.parse().ok()
    }

    pub fn version(&self) -> String {
        self.value(VERSION_KEY).unwrap_or("").to_owned()
    }

    pub fn uptime_s(&self, now: SystemTime) -> Option<u64> {
        let started = Duration::from_secs(self.value(STARTED_KEY)?.parse().ok()?);
        now.duration_since(SystemTime::UNIX_EPOCH + started).ok().map(|uptime| uptime.as_secs())
    }

    pub fn state(&self) -> NodeState {
        match self.value(PHASE_KEY) {
            _ if !self.0.alive => NodeState::Down,
            Some("ready") => NodeState::Ready,
            Some("drained") => NodeState::Drained,
            Some("leaving") => NodeState::Leaving,
            _ => NodeState::Starting,
        }
    }

    pub fn actors(&self) -> Option<Vec<ActorStatus>> {
        let status = |text: &str| {
            let (name, restarts) = text.split_once('=')?;
            Some(ActorStatus { name: name.to_owned(), restarts: restarts.parse().ok()? })
        };
        Some(self.value(ACTORS_KEY)?.split(',').filter_map(status).collect())
    }

    pub fn complains_of(&self, complaint: Complaint) -> bool {
        self.value(COMPLAINTS_KEY).is_some_and(|told| told.split(',').any(|word| word == complaint.as_str()))
    }

    /// Whether its state is damaged: it ends then, so that this is of interest when it is down.
    pub fn is_damaged(&self) -> bool {
        self.value(DAMAGE_KEY).is_some_and(|damage| !damage.is_empty())
    }

    /// What is wrong with the certificates that its HTTP api shows, as it travelled.
    pub fn troubles(&self) -> &str {
        self.value(TROUBLES_KEY).unwrap_or("")
    }

    pub fn problems(&self) -> Vec<Problem> {
        let (name, told) = (self.name(), |key| self.value(key).filter(|text| !text.is_empty()));
        let mut problems = Complaint::problems(&name, self.value(COMPLAINTS_KEY).unwrap_or(""));
        problems.extend(told(DAMAGE_KEY).map(|damage| damaged(&name, damage)));
        problems.extend(told(STALE_CERTIFICATE_KEY).and_then(|told| stale_certificate(&name, told)));
        problems.extend(told(ASIDE_KEY).map(|aside| replaced(&name, aside)));
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_not_taken_up_is_told_with_why_and_since_when() {
        let told = stale_certificate("bravo", "86400 the file /etc/x.pem can't be used: no base64");
        let told = told.expect("it can be read");
        assert!(told.message.starts_with("node bravo can't take up"), "{told:?}");
        assert!(told.message.contains("since 1970-01-02T00:00:00Z") && told.message.ends_with("no base64"));
        assert_eq!(stale_certificate("bravo", "soon x"), None);
    }
}
