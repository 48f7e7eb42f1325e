//! A status cut down to one node or one service.

use micro_actors::nearest;
use micro_sdk::wire::{
    Code, Fault,
    status::{NodeStatus, ServiceStatus, Status},
};

/// What of a status is about the node or the service that is called `name`; a node's id is a name of it too. Where a
/// node and a service have one name, it is about both.
///
/// # Errors
/// `NotFound` if there is neither.
pub(super) fn zoom(status: Status, name: &str) -> Result<Status, Fault> {
    let is_it = |node: &NodeStatus| node.name == name || node.id.to_string() == name;
    // A node that is gone and the one in its place may have one name.
    let found: Vec<NodeStatus> = status.nodes.iter().filter(|node| is_it(node)).cloned().collect();
    let service = status.services.iter().find(|service| service.name == name).cloned();
    if found.is_empty() && service.is_none() {
        return Err(unknown(&status, name));
    }
    let about = |text: &str| {
        let names = found.iter().map(|node| &node.name).chain(service.iter().map(|service| &service.name));
        names.into_iter().any(|name| names_it(text, name))
    };
    let nodes = status.nodes.into_iter().filter(|other| {
        let runs_it = service.as_ref().is_some_and(|service| service.nodes.contains(&other.name));
        runs_it || found.iter().any(|node| node.id == other.id)
    });
    let services = status.services.into_iter().filter(|other| {
        let runs_there = found.iter().any(|node| other.nodes.contains(&node.name));
        runs_there || service.as_ref().is_some_and(|service| service.name == other.name)
    });
    let (nodes, services): (Vec<_>, Vec<ServiceStatus>) = (nodes.collect(), services.collect());
    let mut consensus = status.consensus;
    consensus.replicas.retain(|replica| nodes.iter().any(|node| node.id == replica.node));
    let problems = status.problems.into_iter().filter(|problem| about(&problem.message));
    Ok(Status { nodes, services, consensus, problems: problems.collect(), ..status })
}

/// Whether `name` is a word of a text.
fn names_it(text: &str, name: &str) -> bool {
    let part_of_name = |char: char| char.is_alphanumeric() || char == '-' || char == '_';
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back().is_some_and(part_of_name);
        let behind = text[at + name.len()..].chars().next().is_some_and(part_of_name);
        !before && !behind
    })
}

fn unknown(status: &Status, name: &str) -> Fault {
    let nodes = status.nodes.iter().map(|node| node.name.as_str());
    let names = nodes.chain(status.services.iter().map(|service| service.name.as_str()));
    let fault = Fault::new(Code::NotFound, format!("no node and no service is called {name:?}"));
    let fault = match nearest(name, names) {
        Some(near) => fault.help(format!("did you mean `{near}`?")),
        None => fault,
    };
    fault.help("micro-node status shows all of them")
}

#[cfg(test)]
mod tests {
    use super::{super::sample, *};
    use micro_sdk::wire::{NodeId, status::Problem};

    fn names(status: &Status) -> (Vec<&str>, Vec<&str>) {
        let nodes = status.nodes.iter().map(|node| node.name.as_str()).collect();
        (nodes, status.services.iter().map(|service| service.name.as_str()).collect())
    }

    #[test]
    fn a_node_is_shown_with_what_runs_there_and_what_is_wrong_with_it() {
        for name in ["bravo", "000000000000000b"] {
            let bravo = zoom(sample(), name).expect("it is there");
            assert_eq!(names(&bravo), (vec!["bravo"], vec!["helloworld"]));
            assert_eq!(bravo.consensus.replicas[0].node, NodeId(0xb));
            assert!(bravo.problems.is_empty(), "{:?}", bravo.problems);
        }
        let charlie = zoom(sample(), "charlie").expect("it is there");
        assert_eq!(names(&charlie), (vec!["charlie"], vec![]));
        assert_eq!(charlie.problems.len(), 1);
    }

    #[test]
    fn a_service_is_shown_with_the_nodes_that_it_runs_on() {
        let mut status = sample();
        let of = |message: &str| Problem { message: message.to_owned(), ..status.problems[0].clone() };
        status.problems.extend([of("no instance of helloworld answers"), of("helloworld-2 is slow")]);
        let seen = zoom(status, "helloworld").expect("it is there");
        assert_eq!(names(&seen), (vec!["alpha", "bravo"], vec!["helloworld"]));
        let problems: Vec<_> = seen.problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(problems, ["no instance of helloworld answers"]);
    }

    #[test]
    fn who_is_not_there_is_said_with_who_may_be_meant() {
        let fault = zoom(sample(), "helloword").expect_err("nobody is called so");
        assert_eq!(fault.code, Code::NotFound);
        assert!(fault.help[0].contains("`helloworld`"), "{fault:?}");
    }
}
