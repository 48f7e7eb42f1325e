//! `micro-node cluster restore`.

use super::{
    super::{data_dir, failure::Failure, output::Output, progress::Progress},
    backup::verify,
};
use crate::node;
use clap::Args;
use micro_sdk::wire::{Code, Fault};
use serde::Serialize;
use std::{fs::File, io::BufReader, path::PathBuf};

/// Make a data directory from a backup, for the first node of a new mesh
///
/// The directory must not hold a node. Records keep their versions, and revisions go on behind those of the backup;
/// leases whose time is over end at the first start. The mesh gets a new id, and the nodes of the old one don't
/// belong to it: start a node in the directory, then let as many others join as you like.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node cluster restore latest.backup
  micro-node cluster restore latest.backup --data-dir ./restored && micro-node start --data-dir ./restored")]
pub(super) struct Restore {
    /// The backup
    file: PathBuf,

    /// The data directory [default: $XDG_DATA_HOME/micro-node; for root /var/lib/micro-node]
    #[arg(long, env = "MICRO_NODE_DATA_DIR", value_name = "DIR", hide_env_values = true)]
    data_dir: Option<PathBuf>,
}

#[derive(Serialize)]
struct RestoreItem {
    data_dir: PathBuf,
    /// The new mesh.
    cluster: String,
    /// Its first node.
    node: String,
    /// The mesh that was backed up.
    from_cluster: String,
    revision: u64,
}

impl Restore {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let data_dir = data_dir::choose(self.data_dir.as_deref())?;
        // Read to its end first: a damaged one must not leave a directory behind.
        verify(&self.file, output)?;
        let file = File::open(&self.file).map_err(|error| {
            Fault::new(Code::Usage, format!("cannot read {}: {error}", self.file.display()))
        })?;
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let progress = Progress::bytes(output, "restoring", length);
        let restored = node::restore(&data_dir, BufReader::new(file), |read| progress.at(read))?;
        drop(progress);
        let item = RestoreItem {
            data_dir,
            cluster: restored.cluster.to_string(),
            node: restored.node.to_string(),
            from_cluster: restored.facts.cluster.to_string(),
            revision: restored.facts.revision,
        };
        if output.json() {
            return output.item("micro-node/restore/v1", &item);
        }
        output.remark(&format!(
            "restored into {}: mesh {}, with all of mesh {} up to revision {}",
            item.data_dir.display(),
            item.cluster,
            item.from_cluster,
            item.revision
        ));
        output.remark("a backup holds no keys and no bytes of blobs: where there were secrets of the config, set them anew");
        output.remark(&format!(
            "where there were blobs, put them anew, or copy what is in `blobs` of the old data directories into {}",
            item.data_dir.join("blobs").display()
        ));
        output.remark(&format!("next: micro-node start --data-dir {}", item.data_dir.display()));
        Ok(())
    }
}
