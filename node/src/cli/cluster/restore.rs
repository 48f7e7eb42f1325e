//! `micro-node cluster restore`.

use super::{
    super::{
        data_dir,
        failure::Failure,
        input,
        output::Output,
        progress::Progress,
        secret,
        shape::{ItemShape, Shapes},
    },
    backup::{of_blobs, verify},
};
use crate::node;
use clap::Args;
use micro_actors::{auth::SealKey, config::Inherited};
use micro_sdk::wire::{Code, Fault};
use schemars::JsonSchema;
use serde::Serialize;
use std::{fs::File, io::BufReader, path::PathBuf};

/// Make a data directory from a backup, for the first node of a new mesh
///
/// The directory must not hold a node. Records keep their versions, and revisions go on behind those of the backup;
/// leases whose time is over end at the first start. The mesh gets a new id, and the nodes of the old one don't
/// belong to it: start a node in the directory, then let as many others join as you like.
///
/// A backup holds no keys. Secrets of the configuration can be read in the new mesh only with the seal key of the old
/// one: the file `files/seal.key` in the data directory of each of its voters. Keep a copy of it, and not where the
/// backups are: who has both can read the secrets.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node cluster restore latest.backup
  micro-node cluster restore latest.backup --data-dir ./restored && micro-node start --data-dir ./restored
  micro-node cluster restore latest.backup --seal-key @/var/lib/micro-node/files/seal.key --data-dir ./restored")]
pub(super) struct Restore {
    /// The backup
    file: PathBuf,

    /// The seal key of the mesh that was backed up, as @FILE or - for stdin
    #[arg(long, value_name = "@FILE|-", allow_hyphen_values = true)]
    seal_key: Option<String>,

    /// The data directory [default: $XDG_DATA_HOME/micro-node; for root /var/lib/micro-node]
    #[arg(long, env = "MICRO_NODE_DATA_DIR", value_name = "DIR", hide_env_values = true)]
    data_dir: Option<PathBuf>,
}

/// A data directory that was made of a backup.
#[derive(Serialize, JsonSchema)]
struct RestoreItem {
    /// The data directory.
    data_dir: PathBuf,
    /// The new mesh.
    cluster: String,
    /// Its first node.
    node: String,
    /// The mesh that was backed up.
    from_cluster: String,
    /// The last revision that was in the backup.
    revision: u64,
    /// The contents of blobs that lie in the data directory, each once; none if the backup was taken without.
    blobs: Option<u64>,
    /// The keys of secrets that the new mesh opens.
    secret_keys: u64,
}

const RESTORE: ItemShape<RestoreItem> = ItemShape::new("restore", &["cluster restore"]);

pub(super) const SHAPES: Shapes = &[&RESTORE];

impl Restore {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let data_dir = data_dir::choose(self.data_dir.as_deref())?;
        let seal_key = self.seal_key.as_deref().map(seal_key).transpose()?;
        // Read to its end first: a damaged one must not leave a directory behind.
        verify(&self.file, output)?;
        let file = File::open(&self.file).map_err(|error| {
            Fault::new(Code::Usage, format!("cannot read {}: {error}", self.file.display()))
        })?;
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let progress = Progress::bytes(output, "restoring", length);
        let restored =
            node::restore(&data_dir, BufReader::new(file), seal_key.as_ref(), |read| progress.at(read))?;
        drop(progress);
        let item = RestoreItem {
            data_dir,
            cluster: restored.cluster.to_string(),
            node: restored.node.to_string(),
            from_cluster: restored.facts.cluster.to_string(),
            revision: restored.facts.revision,
            blobs: restored.blobs.map(|blobs| blobs.blobs),
            secret_keys: restored.inherited.map_or(0, |inherited| inherited.keys),
        };
        if output.json() {
            return output.item(&RESTORE, &item);
        }
        output.remark(&format!(
            "restored into {}: mesh {}, with all of mesh {} up to revision {}, {}",
            item.data_dir.display(),
            item.cluster,
            item.from_cluster,
            item.revision,
            of_blobs(restored.blobs)
        ));
        output.remark(&of_secrets(restored.inherited));
        if restored.blobs.is_none() {
            output.remark(&format!(
                "put blobs anew, or copy what is in `blobs` of the old data directories into {}",
                item.data_dir.join("blobs").display()
            ));
        }
        output.remark(&format!("next: micro-node start --data-dir {}", item.data_dir.display()));
        Ok(())
    }
}

/// The seal key that `source` holds.
fn seal_key(source: &str) -> Result<SealKey, Failure> {
    let bytes = secret::file("--seal-key", source)?;
    let key = SealKey::from_bytes(&bytes).map_err(|error| {
        Fault::new(Code::Usage, format!("{}: {error}", input::name(source)))
            .help("it is the file `files/seal.key` in the data directory of each voter of the mesh that was backed up")
    });
    Ok(key?)
}

/// What a person is told of the secrets.
fn of_secrets(inherited: Option<Inherited>) -> String {
    match inherited {
        None => "a backup holds no keys: where there were secrets of the config, restore with `--seal-key`, or set them anew"
            .to_owned(),
        Some(Inherited { keys: 0, lost: 0 }) => "there were no secrets of the config".to_owned(),
        Some(Inherited { lost: 0, .. }) => "the secrets of the config can be read in the new mesh".to_owned(),
        Some(Inherited { lost, .. }) => {
            format!("of the keys of secrets, {lost} could not be opened in the old mesh either: set those secrets anew")
        }
    }
}
