//! What is wrong with the cluster, worst first: one rule, one function.

use crate::{
    acme,
    blob::{Health, Missing},
    network::{card::Heard, placement::vital_cloud, replicas::Replicas, status::View},
    spelling::named,
};
use micro_mesh::Place;
use micro_sdk::wire::{
    Namespace, NodeId, ServiceName,
    status::{CertificateStatus, ConsensusStatus, NodeState, NodeStatus, Problem, Role, Severity},
};
use std::{collections::BTreeSet, fmt::Write};

/// A node that has been up for this long and is not ready needs somebody to look at it.
const START_PATIENCE_S: u64 = 30;

/// The problems that `view` shows.
pub(crate) fn problems(view: &View<'_>, nodes: &[NodeStatus], consensus: &ConsensusStatus) -> Vec<Problem> {
    let mut list = Problems::default();
    list.of_the_group(view.seen.stopped.as_deref(), consensus, nodes);
    if view.seen.changing {
        list.add(
            Severity::Warning,
            "the voters are being changed: until that is done, majorities of the old and of the new ones are needed",
            "if it lasts, start the voters that are down",
        );
    }
    for node in nodes {
        list.of_a_node(node, consensus.quorum);
        list.of_a_certificate(node, view.now_s());
    }
    list.of_the_authority(view.succession().as_deref(), nodes);
    list.of_the_names(nodes);
    if let Some(replicas) = &view.replicas {
        list.of_the_replicas(replicas, consensus.leader, nodes);
    }
    list.of_the_voters(consensus.voters.len(), nodes.len());
    list.of_the_clouds(nodes);
    list.of_the_blobs(&view.blobs.0);
    list.of_drained_services(&view.registry.table().out_of_work());
    list.of_failing_services(&view.registry.table().ailing());
    let up = |node: NodeId| nodes.iter().any(|known| known.id == node && known.state != NodeState::Down);
    let told = view.members.iter().filter(|member| up(member.node) || Heard(member).is_damaged());
    for (node, missing) in &view.blobs.1 {
        list.of_missing_blobs(&name_of(*node, nodes), missing);
    }
    list.0.extend(told.flat_map(|member| Heard(member).problems()));
    let heard = view.members.iter().filter(|member| up(member.node)).map(Heard);
    let troubles: Vec<_> = heard.map(|heard| (heard.name(), heard.troubles().to_owned())).collect();
    list.0.extend(acme::problems(troubles.iter().map(|(node, told)| (node.clone(), &**told)), view.now_s()));
    list.0.sort_by_key(|problem| problem.severity);
    list.0
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, severity: Severity, message: impl Into<String>, help: &str) {
        self.0.push(Problem { severity, message: message.into(), help: help.to_owned() });
    }

    fn of_the_group(&mut self, stopped: Option<&str>, consensus: &ConsensusStatus, nodes: &[NodeStatus]) {
        let up =
            |voter: &&NodeId| nodes.iter().any(|node| node.id == **voter && node.state != NodeState::Down);
        let majority_up = consensus.voters.iter().filter(up).count() > consensus.voters.len() / 2;
        if let Some(why) = stopped {
            let help = "see the node's log, then start it again";
            self.add(Severity::Critical, format!("consensus has stopped on this node: {why}"), help);
        } else if !consensus.quorum && majority_up {
            self.add(
                Severity::Critical,
                "no leader just now: a majority of the voters is up and elects one; writes and linearizable reads wait",
                "look again in a few seconds; if it lasts, see the logs of the voters",
            );
        } else if !consensus.quorum {
            self.add(
                Severity::Critical,
                "no quorum: writes and linearizable reads wait until a majority of the voters is back",
                "start the voters that are down, or see why they can't be reached",
            );
        }
    }

    fn of_a_node(&mut self, node: &NodeStatus, quorum: bool) {
        let name = &node.name;
        if node.state == NodeState::Down {
            let voter = matches!(node.role, Role::Voter | Role::Leader);
            let severity = if voter && !quorum { Severity::Critical } else { Severity::Warning };
            let what = if voter { "voter" } else { "node" };
            let mut help = "start it again; its replica catches up by itself".to_owned();
            // Without a quorum nobody can be removed.
            if quorum {
                write!(help, ". If its host is lost: micro-node cluster remove {name}")
                    .expect("a String takes every write");
            }
            self.add(severity, format!("{what} {name} is down"), &help);
        }
        if node.state == NodeState::Starting
            && quorum
            && let Some(up_s) = node.uptime_s.filter(|up_s| *up_s > START_PATIENCE_S)
        {
            let message = format!(
                "node {name} has been up for {up_s} s and is not ready: it can't read what is committed"
            );
            self.add(Severity::Warning, message, "see its log");
        }
        for actor in node.actors.iter().flatten().filter(|actor| actor.restarts > 0) {
            let (actor, times) = (&actor.name, actor.restarts);
            let message = format!("actor {actor} on {name} was restarted {times} times after a panic");
            self.add(Severity::Warning, message, "see the log of that node: this is a defect of micro-node");
        }
    }

    /// A node that is up renews its certificate at two thirds of its life. One that has five sixths behind it could
    /// not.
    fn of_a_certificate(&mut self, node: &NodeStatus, now_s: u64) {
        let Some(CertificateStatus { issued_s, ends_s, .. }) = &node.certificate else { return };
        let late_s = issued_s + ends_s.saturating_sub(*issued_s) * 5 / 6;
        if node.state == NodeState::Down || now_s < late_s {
            // One that is down gets another when it comes back.
            return;
        }
        let name = &node.name;
        if now_s < *ends_s {
            let message =
                format!("the certificate of node {name} ends in {} s and was not renewed", ends_s - now_s);
            let help = "it needs a link to a voter that can open the mesh's authority: see its log, and that its clock is right";
            self.add(Severity::Warning, message, help);
        } else {
            let message = format!("the certificate of node {name} ended {} s ago", now_s - ends_s);
            let help =
                "it gets another by itself once it reaches a voter: see its log, and that its clock is right";
            self.add(Severity::Critical, message, help);
        }
    }

    /// While the mesh goes over to another authority, whoever has no certificate of it holds up the end.
    fn of_the_authority(&mut self, pin: Option<&str>, nodes: &[NodeStatus]) {
        let Some(pin) = pin else { return };
        let has_it = |node: &&NodeStatus| {
            node.certificate.as_ref().is_some_and(|certificate| certificate.authority == pin)
        };
        let members = nodes.iter().filter(|node| node.role != Role::None);
        let behind: Vec<&str> = members.filter(|node| !has_it(node)).map(|node| node.name.as_str()).collect();
        if behind.is_empty() {
            return;
        }
        let message = format!(
            "the mesh goes over to another authority, and believes the former one until these nodes have renewed: {}",
            behind.join(", ")
        );
        let help = "start those that are down; or leave them behind: `micro-node cluster ca rotate --finish \
                    --even-if-nodes-are-left-behind`";
        self.add(Severity::Info, message, help);
    }

    fn of_the_names(&mut self, nodes: &[NodeStatus]) {
        let mut names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        names.sort_unstable();
        let repeated = names.chunk_by(|a, b| a == b).filter(|same| same.len() > 1);
        for same in repeated {
            let message = format!("{} nodes have the name {}", same.len(), same[0]);
            let help = "start all but one of them with another --name, or remove those that are lost by their ids: \
                        micro-node cluster members";
            self.add(Severity::Warning, message, help);
        }
    }

    fn of_the_replicas(&mut self, replicas: &Replicas, leader: Option<NodeId>, nodes: &[NodeStatus]) {
        let name = |id: NodeId| name_of(id, nodes);
        for (node, had) in &replicas.reverted {
            let message = format!(
                "the disk of {} had lost log entries that it had acknowledged, up to {had}: they were copied to it again",
                name(*node)
            );
            let help =
                "don't trust that disk: reset the node on another one, and join again with a new token";
            self.add(Severity::Warning, message, help);
        }
        if let Some(file) = &replicas.damaged_snapshot {
            let leader = leader.map_or_else(|| "the leader".to_owned(), name);
            let message =
                format!("{file} on {leader} is not what was written: no replica can be brought up with it");
            let help = "if other voters are up, reset that node and join again with a new token";
            self.add(Severity::Critical, message, help);
        }
    }

    fn of_the_blobs(&mut self, health: &Health) {
        let Health { short, unreachable } = *health;
        if unreachable > 0 {
            let message = format!("{} can't be read: no node with a copy is up", blobs(unreachable));
            let help = "start those nodes: `micro-node blob list` names them; put a blob again for which it names none";
            self.add(Severity::Critical, message, help);
        }
        if short > 0 {
            let has = if short == 1 { "has" } else { "have" };
            let message = format!("{} {has} fewer copies than wanted", blobs(short));
            let help = "copies are made up by themselves where there is room; start the nodes that are down";
            self.add(Severity::Warning, message, help);
        }
    }

    fn of_drained_services(&mut self, services: &[(&Namespace, &ServiceName, Vec<String>)]) {
        for (namespace, service, nodes) in services {
            let (service, _) = named(namespace, service);
            let message = format!(
                "service {service} can't be called: it is on drained nodes only: {}",
                nodes.join(", ")
            );
            self.add(Severity::Warning, message, "put one to work again: `micro-node drain NAME --undo`");
        }
    }

    fn of_failing_services(&mut self, services: &[(&Namespace, &ServiceName, usize, usize, String)]) {
        for (namespace, service, failing, all, reason) in services {
            let (service, asked) = named(namespace, service);
            let message = match failing == all {
                true if *all == 1 => {
                    format!("service {service} can't be called: its only instance does not work: {reason}")
                }
                true => {
                    format!("service {service} can't be called: none of its {all} instances works: {reason}")
                }
                false => format!("{failing} of {all} instances of service {service} do not work: {reason}"),
            };
            let help = format!("see how each is: `micro-node services {asked}`");
            self.add(Severity::Warning, message, &help);
        }
    }

    fn of_missing_blobs(&mut self, node: &str, missing: &Missing) {
        let Missing { copies, lost } = *missing;
        if lost > 0 {
            let message = format!("no node has {} that should be on {node}", blobs(lost));
            let help = "put them again, or delete them; the log of that node names them, and its folder blobs/damaged has what was set aside";
            self.add(Severity::Critical, message, help);
        }
        let others = copies.saturating_sub(lost);
        if others > 0 {
            let message = format!("node {node} lacks its copy of {}", blobs(others));
            self.add(Severity::Warning, message, "they are fetched by themselves; if it lasts, see its log");
        }
    }

    fn of_the_voters(&mut self, voters: usize, nodes: usize) {
        if voters == 2 {
            self.add(
                Severity::Warning,
                "two voters: the loss of either stops writes",
                "add a node: `micro-node token create`",
            );
        } else if voters == 1 && nodes > 1 {
            self.add(
                Severity::Warning,
                "one voter: the loss of it stops writes, and with its disk all is lost",
                "voters go to three when three nodes have caught up",
            );
        }
    }

    /// A mesh in several clouds had better survive the loss of any one of them.
    fn of_the_clouds(&mut self, nodes: &[NodeStatus]) {
        let clouds: BTreeSet<&str> = nodes.iter().map(|node| node.cloud.as_str()).collect();
        let voters = nodes.iter().filter(|node| matches!(node.role, Role::Voter | Role::Leader));
        let places: Vec<Place> =
            voters.map(|node| Place { cloud: node.cloud.clone(), ..Place::default() }).collect();
        let Some(vital) = vital_cloud(places.iter()).filter(|cloud| !cloud.is_empty()) else { return };
        // Fewer voters have a warning of their own.
        if clouds.len() < 2 || places.len() < 3 {
            return;
        }
        let (all, there) = (places.len(), places.iter().filter(|place| place.cloud == vital).count());
        let message =
            format!("the loss of cloud {vital} would stop writes: {there} of {all} voters are there");
        let help = match clouds.len() {
            2 => "add a node in a third cloud: `micro-node token create`",
            _ => "voters are spread over clouds by themselves once a node in each has caught up",
        };
        self.add(Severity::Info, message, help);
    }
}

fn name_of(id: NodeId, nodes: &[NodeStatus]) -> String {
    let node = nodes.iter().find(|node| node.id == id);
    node.map_or_else(|| id.to_string(), |node| node.name.clone())
}

fn blobs(count: u64) -> String {
    if count == 1 { "1 blob".to_owned() } else { format!("{count} blobs") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::wire::status::TimingStatus;

    #[test]
    fn a_replica_that_lost_what_it_had_acknowledged_is_told() {
        let seen = micro_consensus::Observation {
            findings: vec![
                micro_consensus::Finding::LogReverted { node: NodeId(7), had: 120 },
                micro_consensus::Finding::SnapshotDamaged { file: "snapshots/x/state/1.sst".to_owned() },
            ],
            ..observation()
        };
        let mut list = Problems::default();
        list.of_the_replicas(&Replicas::seen_by_leader(&seen), Some(NodeId(1)), &[]);
        assert!(
            list.0[0].message.contains("up to 120") && list.0[0].message.contains(&NodeId(7).to_string())
        );
        assert_eq!(list.0[1].severity, Severity::Critical);
    }

    fn node(id: u64, name: &str, state: NodeState) -> NodeStatus {
        let text = String::new;
        NodeStatus {
            id: NodeId(id),
            name: name.to_owned(),
            state,
            role: Role::Voter,
            role_reason: None,
            cloud: text(),
            region: text(),
            zone: text(),
            address: text(),
            path: None,
            relays: Vec::new(),
            rtt_ms: None,
            version: text(),
            uptime_s: None,
            actors: None,
            certificate: None,
            gateway: false,
        }
    }

    #[test]
    fn an_election_is_told_from_a_lost_quorum() {
        let group = |states: [NodeState; 3]| {
            let nodes: Vec<NodeStatus> = (1..).zip(states).map(|(id, state)| node(id, "n", state)).collect();
            let voters = nodes.iter().map(|node| node.id).collect();
            let consensus = ConsensusStatus {
                quorum: false,
                leader: None,
                term: 1,
                commit: None,
                applied: None,
                voters,
                learners: Vec::new(),
                replicas: Vec::new(),
                timing: TimingStatus::default(),
            };
            let mut list = Problems::default();
            list.of_the_group(None, &consensus, &nodes);
            list.0.remove(0).message
        };
        assert!(
            group([NodeState::Ready, NodeState::Starting, NodeState::Down]).starts_with("no leader just now")
        );
        assert!(group([NodeState::Ready, NodeState::Down, NodeState::Down]).starts_with("no quorum"));
    }

    #[test]
    fn a_certificate_that_was_not_renewed_in_time_is_told_before_it_ends() {
        let told = |state, now_s| {
            let authority = String::new();
            let certificate = Some(CertificateStatus { authority, issued_s: 1000, ends_s: 1600 });
            let mut list = Problems::default();
            list.of_a_certificate(&NodeStatus { certificate, ..node(1, "a", state) }, now_s);
            list.0.pop().map(|problem| problem.severity)
        };
        assert_eq!(told(NodeState::Ready, 1499), None);
        assert_eq!(told(NodeState::Ready, 1500), Some(Severity::Warning));
        assert_eq!(told(NodeState::Ready, 1600), Some(Severity::Critical));
        assert_eq!(told(NodeState::Down, 1600), None);
    }

    #[test]
    fn who_holds_up_the_end_of_a_former_authority_is_told() {
        let certified = |id, name, authority: &str| NodeStatus {
            certificate: Some(CertificateStatus { authority: authority.to_owned(), issued_s: 0, ends_s: 9 }),
            ..node(id, name, NodeState::Ready)
        };
        let nodes =
            [certified(1, "alpha", "b"), certified(2, "bravo", "a"), node(3, "charlie", NodeState::Down)];
        let mut list = Problems::default();
        list.of_the_authority(Some("b"), &nodes);
        assert!(list.0[0].message.ends_with("renewed: bravo, charlie"), "{:?}", list.0);
        let mut list = Problems::default();
        list.of_the_authority(None, &nodes);
        list.of_the_authority(Some("b"), &nodes[..1]);
        assert!(list.0.is_empty());
    }

    #[test]
    fn nodes_of_one_name_are_told() {
        let nodes = [(1, "a"), (2, "b"), (3, "a")].map(|(id, name)| node(id, name, NodeState::Ready));
        let mut list = Problems::default();
        list.of_the_names(&nodes);
        assert_eq!(list.0.len(), 1);
        assert!(list.0[0].message.contains("2 nodes have the name a"), "{:?}", list.0);
    }

    #[test]
    fn blobs_that_are_lost_are_worse_than_those_with_few_copies() {
        let mut list = Problems::default();
        list.of_the_blobs(&Health { short: 1, unreachable: 2 });
        list.of_missing_blobs("a", &Missing { copies: 3, lost: 1 });
        list.0.sort_by_key(|problem| problem.severity);
        let told: Vec<(Severity, &str)> = list.0.iter().map(|one| (one.severity, &*one.message)).collect();
        let expected = [
            (Severity::Critical, "2 blobs can't be read: no node with a copy is up"),
            (Severity::Critical, "no node has 1 blob that should be on a"),
            (Severity::Warning, "1 blob has fewer copies than wanted"),
            (Severity::Warning, "node a lacks its copy of 2 blobs"),
        ];
        assert_eq!(told, expected);
        let mut well = Problems::default();
        well.of_the_blobs(&Health::default());
        assert!(well.0.is_empty());
    }

    fn observation() -> micro_consensus::Observation {
        micro_consensus::Observation {
            node: NodeId(1),
            term: 1,
            vote: (NodeId(1), true),
            leader: Some(NodeId(1)),
            leading: true,
            quorum_lost: false,
            last_log: Some(200),
            committed: None,
            applied: None,
            snapshot: None,
            purged: None,
            voters: [NodeId(1)].into(),
            learners: [].into(),
            addresses: Vec::new(),
            changing: false,
            replication: Vec::new(),
            pace: micro_consensus::Pace::default(),
            findings: Vec::new(),
            stopped: None,
        }
    }
}
