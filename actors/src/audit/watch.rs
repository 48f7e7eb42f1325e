//! A node reads its own audit log through now and then: damage that is found only by whoever looks for it is found too
//! late to ask anybody about.

use super::AuditLog;
use crate::network::{Complaint, Complaints};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// How long after the start it is read for the first time: a node that starts has more urgent things to read.
const FIRST: Duration = Duration::from_secs(3);
/// How often then. To hash the 64 MiB that are kept by default takes some tenths of a second of one core.
const EVERY: Duration = Duration::from_secs(6 * 3600);

/// What reads the log of this node.
pub(crate) struct AuditWatch {
    pub log: Arc<dyn AuditLog>,
    pub complaints: Complaints,
}

impl AuditWatch {
    /// Does it until it is dropped.
    pub async fn run(self) {
        sleep(FIRST).await;
        loop {
            self.look().await;
            sleep(EVERY).await;
        }
    }

    async fn look(&self) {
        match self.log.verify(None).await {
            Ok(reading) => {
                for (file, line, why) in &reading.breaks {
                    tracing::error!(file, line, why, "the audit log is not as it was written");
                }
                self.complaints.set(Complaint::AuditLog, !reading.breaks.is_empty());
            }
            Err(fault) => {
                tracing::error!(%fault, "the audit log can't be read");
                self.complaints.set(Complaint::AuditLog, true);
            }
        }
    }
}
