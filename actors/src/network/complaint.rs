//! What a node finds wrong with itself and can't mend alone. Told by gossip, so that the status on every node shows it.

use micro_sdk::wire::status::{Problem, Severity};

/// One such thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Complaint {
    /// The key of the seal on the mesh's authority is lost or damaged: this node can admit nobody and renew nothing.
    SealKey,
}

/// The words under which they travel. One of a newer build is not known here, and still shown.
const SEAL_KEY: &str = "seal-key";

impl Complaint {
    /// As it travels.
    pub fn as_str(self) -> &'static str {
        match self {
            Complaint::SealKey => SEAL_KEY,
        }
    }

    /// What the status says of the `complaints` of the node called `node`, as they travelled.
    pub fn problems(node: &str, complaints: &str) -> Vec<Problem> {
        let complaints = complaints.split(',').filter(|complaint| !complaint.is_empty());
        let problem = |complaint| match complaint {
            SEAL_KEY => Problem {
                severity: Severity::Warning,
                message: format!(
                    "node {node} can't open the mesh's authority: the file `seal.key` in its data directory is \
                     missing or damaged"
                ),
                help:
                    "another voter with a good one gives it the key by itself; without any, restore the file \
                       from a copy, or no node can join and certificates expire"
                        .to_owned(),
            },
            other => Problem {
                severity: Severity::Warning,
                message: format!("node {node} has a problem that this version does not know: {other}"),
                help: "see the log of that node".to_owned(),
            },
        };
        complaints.map(problem).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_become_problems_also_those_of_newer_nodes() {
        assert_eq!(Complaint::problems("bravo", ""), []);
        let problems = Complaint::problems("bravo", "seal-key,flux");
        assert!(problems[0].message.contains("bravo") && problems[0].message.contains("seal.key"));
        assert!(problems[1].message.contains("flux") && problems.len() == 2);
    }
}
