//! What is wrong with single nodes, with their certificates and their names.

use super::Problems;
use micro_sdk::wire::status::{CertificateStatus, NodeState, NodeStatus, Role, Severity};
use std::fmt::Write;

/// A node that has been up for this long and is not ready needs somebody to look at it.
const START_PATIENCE_S: u64 = 30;

impl Problems {
    pub(super) fn of_a_node(&mut self, node: &NodeStatus, quorum: bool) {
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
    pub(super) fn of_a_certificate(&mut self, node: &NodeStatus, now_s: u64) {
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
    pub(super) fn of_the_authority(&mut self, pin: Option<&str>, nodes: &[NodeStatus]) {
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

    pub(super) fn of_the_names(&mut self, nodes: &[NodeStatus]) {
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
}

#[cfg(test)]
mod tests {
    use super::{super::sample::node, *};

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
}
