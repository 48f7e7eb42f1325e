//! What is wrong with the cluster, worst first: one rule, one function.

mod blobs;
mod group;
mod nodes;
#[cfg(test)]
mod sample;
mod services;

use crate::{
    acme,
    calls::Unwell,
    network::{card::Heard, status::View},
};
use micro_sdk::wire::{
    NodeId,
    status::{ConsensusStatus, NodeState, NodeStatus, Problem, Severity},
};

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
    let on = |unwell: &Unwell| name_of(unwell.instance.node, nodes);
    list.of_unwell_instances(&view.network.dispatch.calls().unwell(), &name_of(view.seen.node, nodes), on);
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
}

fn name_of(id: NodeId, nodes: &[NodeStatus]) -> String {
    let node = nodes.iter().find(|node| node.id == id);
    node.map_or_else(|| id.to_string(), |node| node.name.clone())
}
