//! `micro-node blob get`.

use super::{
    failure::Failure,
    globals::Globals,
    item::BlobItem,
    list::listing,
    output::Output,
    part::{Part, failed},
    progress::Progress,
    session,
    shape::{ItemShape, Shapes},
    unit::age,
};
use clap::Args;
use micro_sdk::{
    client::{Blob, Node},
    wire::{Code, Fault},
};
use ring::digest::{Context, SHA256};
use std::{
    io::{IsTerminal, Write, stdout},
    path::{Path, PathBuf},
    slice,
};

/// Get a blob, into a file or to stdout
///
/// A file has its name only once it is whole and has been compared with the hash of the blob.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node blob get images/logo.png ./logo.png
  micro-node blob get site.tar | tar x
  micro-node blob get log.txt --offset 1000 --length 500
  micro-node blob get images/logo.png --info            what it is and who has it")]
pub(super) struct Get {
    /// What it is called
    name: String,

    /// The file to write, also as @FILE, or - for stdout
    #[arg(default_value = "-")]
    file: String,

    /// Also if there is such a file: it is replaced once the new one is whole
    #[arg(long)]
    overwrite: bool,

    /// Only from this byte on
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    offset: u64,

    /// Only so many bytes
    #[arg(long, value_name = "BYTES")]
    length: Option<u64>,

    /// Take what the node itself knows of the blob, also without a quorum
    #[arg(long)]
    stale: bool,

    /// Only what it is, without its bytes
    #[arg(long, conflicts_with_all = ["file", "overwrite", "offset", "length", "stale"])]
    info: bool,
}

const GET: ItemShape<BlobItem<'static>> =
    ItemShape::new("blob-get", &["blob get --info", "blob get NAME FILE"]);

pub(super) const SHAPES: Shapes = &[&GET];

impl Get {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        if self.info {
            let blob = session::run(globals, async |node| Ok(node.blobs().head(&self.name).await?))?;
            if output.json() {
                return output.item(&GET, &BlobItem::from(&blob));
            }
            return output.table(&listing(slice::from_ref(&blob), true), "");
        }
        if self.file == "-" {
            let blob = session::run(globals, async |node| {
                self.stream(&node, output, &mut stdout().lock(), None).await
            })?;
            output.detail(&format!("sha256 {}", blob.hash));
            return Ok(());
        }
        let file = PathBuf::from(self.file.strip_prefix('@').unwrap_or(&self.file));
        if file.exists() && !self.overwrite {
            let message = format!("{} is there already", file.display());
            return Err(Fault::new(Code::Conflict, message).help("replace it with --overwrite").into());
        }
        let part = Part::create(&file)?;
        let blob = session::run(globals, async |node| {
            self.stream(&node, output, &mut &part.file, Some(&part.path)).await
        })?;
        part.sync()?;
        part.keep(&file)?;
        if output.json() {
            return output.item(&GET, &BlobItem::from(&blob));
        }
        output.remark(&format!("got {:?} into {}", self.name, file.display()));
        Ok(())
    }

    /// Writes the blob piece by piece. Of a whole one the hash is compared at the end.
    async fn stream(
        &self,
        node: &Node,
        output: &Output,
        to: &mut impl Write,
        path: Option<&Path>,
    ) -> Result<Blob, Failure> {
        let mut get = node.blobs().get(&self.name).from(self.offset);
        if let Some(length) = self.length {
            get = get.range(self.offset..self.offset.saturating_add(length));
        }
        let mut reader = if self.stale { get.stale() } else { get }.await?;
        if self.stale {
            output.remark(&age(reader.blob().age));
        }
        let total = reader.left();
        // A bar would run through what a terminal shows.
        let shown = path.is_some() || !stdout().is_terminal();
        let progress = shown.then(|| Progress::bytes(output, "getting", total));
        let mut digest = Context::new(&SHA256);
        let unwritten = |error: std::io::Error| match path {
            Some(path) => Failure::from(failed("write", path, &error)),
            None => Failure::of_stdout(&error),
        };
        while let Some(piece) = reader.next().await? {
            digest.update(&piece);
            to.write_all(&piece).map_err(unwritten)?;
            if let Some(progress) = &progress {
                progress.at(total - reader.left());
            }
        }
        to.flush().map_err(unwritten)?;
        let blob = reader.blob().clone();
        if total == blob.size && digest.finish().as_ref() != blob.hash.0 {
            let message = format!("what came is not what was put: its hash is not {}", blob.hash);
            return Err(Fault::new(Code::Failed, message)
                .help("get it again, or through another node")
                .into());
        }
        Ok(blob)
    }
}
