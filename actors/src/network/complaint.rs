//! What a node finds wrong with itself and can't mend alone. Told by gossip, so that the status on every node shows it.

use crate::network::NodeCard;
use micro_mesh::Mesh;
use micro_sdk::wire::status::{Problem, Severity};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

/// One such thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Complaint {
    /// The key of the seal on the mesh's authority is lost or damaged: this node can admit nobody and renew nothing.
    SealKey,
    /// The disk is nearly full: this node takes no writes.
    DiskFull,
    /// The node's certificate is due, and can't be renewed.
    Certificate,
    /// The audit log of this node is not as it was written, or can't be read.
    AuditLog,
}

/// The words under which they travel. One of a newer build is not known here, and still shown.
const SEAL_KEY: &str = "seal-key";
const DISK_FULL: &str = "disk-full";
const CERTIFICATE: &str = "certificate";
const AUDIT_LOG: &str = "audit-log";

impl Complaint {
    /// As it travels.
    pub fn as_str(self) -> &'static str {
        match self {
            Complaint::SealKey => SEAL_KEY,
            Complaint::DiskFull => DISK_FULL,
            Complaint::Certificate => CERTIFICATE,
            Complaint::AuditLog => AUDIT_LOG,
        }
    }

    /// What the status says of the `complaints` of the node called `node`, as they travelled.
    pub fn problems(node: &str, complaints: &str) -> Vec<Problem> {
        let complaints = complaints.split(',').filter(|complaint| !complaint.is_empty());
        let problem = |complaint| {
            match complaint {
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
            DISK_FULL => Problem {
                severity: Severity::Critical,
                message: format!("the disk of node {node} is nearly full: it takes no writes"),
                help: "free some space there, or give it more: it takes writes again by itself".to_owned(),
            },
            CERTIFICATE => Problem {
                severity: Severity::Warning,
                message: format!("node {node} can't renew its certificate, and loses its links when that ends"),
                help: "a voter must be up that node can reach and that can open the mesh's authority; the log of \
                       that node says what is in the way"
                    .to_owned(),
            },
            AUDIT_LOG => Problem {
                severity: Severity::Warning,
                message: format!("the audit log of node {node} is not as it was written, or can't be read"),
                help: format!(
                    "`micro-node audit verify --node {node}` names file and line: find out who or what changed it, and \
                     keep a copy of the folder `audit` of its data directory; it is told of until newer files have \
                     taken the place of those"
                ),
            },
            other => Problem {
                severity: Severity::Warning,
                message: format!("node {node} has a problem that this version does not know: {other}"),
                help: "see the log of that node".to_owned(),
            },
        }
        };
        complaints.map(problem).collect()
    }
}

/// All that one node complains of at present. Clones are the same.
#[derive(Clone)]
pub(crate) struct Complaints {
    mesh: Mesh,
    present: Arc<Mutex<BTreeSet<Complaint>>>,
}

impl Complaints {
    /// None, told through `mesh` when that changes.
    pub fn new(mesh: Mesh) -> Self {
        Complaints { mesh, present: Arc::default() }
    }

    /// Whether it is made at present.
    pub fn is(&self, complaint: Complaint) -> bool {
        self.present.lock().expect("no code panics while it holds the complaints").contains(&complaint)
    }

    /// Makes one, or takes it back.
    pub fn set(&self, complaint: Complaint, present: bool) {
        let mut all = self.present.lock().expect("no code panics while it holds the complaints");
        let changed = if present { all.insert(complaint) } else { all.remove(&complaint) };
        if changed {
            let all: Vec<Complaint> = all.iter().copied().collect();
            NodeCard::publish_complaints(&self.mesh, &all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_become_problems_also_those_of_newer_nodes() {
        assert_eq!(Complaint::problems("bravo", ""), []);
        let problems = Complaint::problems("bravo", "seal-key,flux,audit-log");
        assert!(problems[0].message.contains("bravo") && problems[0].message.contains("seal.key"));
        assert!(problems[1].message.contains("flux") && problems.len() == 3);
        assert!(problems[2].help.contains("audit verify --node bravo"), "{problems:?}");
    }
}
