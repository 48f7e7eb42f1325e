//! `micro-node blob put`.

use super::{
    failure::Failure,
    globals::Globals,
    output::Output,
    part::failed,
    progress::Progress,
    session,
    shape::{ItemShape, Shapes},
    unit,
};
use bytes::Bytes;
use clap::Args;
use micro_sdk::{
    client::{BlobPut, Node, PutBlob},
    wire::{Code, Fault},
};
use ring::digest::{Context, SHA256};
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// What is read and sent at once.
const PIECE_BYTES: usize = 256 << 10;

/// Put a file under a name; what was there is replaced once the new one is durable on several disks
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node blob put images/logo.png ./logo.png --type image/png --public
  tar c ./site | micro-node blob put site.tar -
  micro-node blob put report.pdf @report.pdf --if-absent --copies 2")]
pub(super) struct Put {
    /// What it is called: up to 512 bytes, such as images/logo.png
    name: String,

    /// The file, also as @FILE, or - for stdin
    file: String,

    /// What it is, such as image/png
    #[arg(long = "type", value_name = "TYPE", default_value = "", hide_default_value = true)]
    content_type: String,

    /// Let anybody on this host read it, at /-/blob/NAMESPACE/NAME of the HTTP api
    #[arg(long)]
    public: bool,

    /// How many nodes should have a copy [default: 3, or as many as there are]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=9))]
    copies: Option<u32>,

    /// Only if there is no blob of this name
    #[arg(long, conflicts_with = "if_version")]
    if_absent: bool,

    /// Only if the blob of this name has this version
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,

    /// Makes a repeated put the same put: 1 to 32 hexadecimal digits
    #[arg(long, value_name = "KEY", value_parser = unit::key)]
    idempotency_key: Option<u128>,
}

/// A blob that was put.
#[derive(Serialize, JsonSchema)]
struct PutItem<'a> {
    /// What it is called.
    name: &'a str,
    /// Its version.
    version: u64,
    /// SHA-256, as `sha256sum` shows it.
    hash: String,
    /// In bytes.
    size: u64,
    /// How many copies there are; more are made if more are wanted.
    copies: u32,
    /// How many copies there should be.
    copies_wanted: u32,
}

const PUT: ItemShape<PutItem<'static>> = ItemShape::new("blob-put", &["blob put"]);

pub(super) const SHAPES: Shapes = &[&PUT];

/// Where the bytes come from.
struct Source {
    name: String,
    read: Box<dyn Read>,
    /// Not known of a pipe.
    size: Option<u64>,
}

impl Source {
    fn open(file: &str) -> Result<Source, Failure> {
        if file == "-" {
            return Ok(Source { name: "stdin".to_owned(), read: Box::new(io::stdin()), size: None });
        }
        let path = Path::new(file.strip_prefix('@').unwrap_or(file));
        let unreadable = |error: io::Error| {
            Fault::new(Code::Usage, format!("cannot read {}: {error}", path.display()))
                .help("a file is named as it is or as @FILE; - stands for stdin")
        };
        let opened = File::open(path).map_err(unreadable)?;
        let meta = opened.metadata().map_err(unreadable)?;
        if meta.is_dir() {
            let fault = Fault::new(Code::Usage, format!("{} is a directory", path.display()));
            return Err(fault.help("tar c DIRECTORY | micro-node blob put NAME -").into());
        }
        let size = meta.is_file().then_some(meta.len());
        Ok(Source { name: path.display().to_string(), read: Box::new(opened), size })
    }
}

impl Put {
    fn asked(&self, node: &Node, size: Option<u64>) -> PutBlob {
        let mut put = node.blobs().put(&self.name, Bytes::new()).content_type(&self.content_type);
        if self.public {
            put = put.public();
        }
        if let Some(copies) = self.copies {
            put = put.copies(copies);
        }
        if let Some(size) = size {
            put = put.size(size);
        }
        if let Some(key) = self.idempotency_key {
            put = put.idempotency_key(key);
        }
        match (self.if_absent, self.if_version) {
            (true, _) => put.if_absent(),
            (false, Some(version)) => put.if_version(version),
            (false, None) => put,
        }
    }

    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let source = Source::open(&self.file)?;
        let put = session::run(globals, async |node| self.send(&node, source, output).await)?;
        if output.json() {
            let item = PutItem {
                name: &self.name,
                version: put.version,
                hash: put.hash.to_string(),
                size: put.size,
                copies: put.copies,
                copies_wanted: put.copies_wanted,
            };
            return output.item(&PUT, &item);
        }
        let size = unit::bytes(put.size);
        let copies = match put.copies {
            1 => "one copy".to_owned(),
            copies => format!("{copies} copies"),
        };
        output.remark(&format!("put {:?}: {size}, {copies}, version {}", self.name, put.version));
        output.detail(&format!("sha256 {}", put.hash));
        Ok(())
    }

    async fn send(&self, node: &Node, mut source: Source, output: &Output) -> Result<BlobPut, Failure> {
        let mut upload = self.asked(node, source.size).stream().await?;
        let progress = match source.size {
            Some(size) => Progress::bytes(output, "putting", size),
            None => Progress::unknown(output, "putting"),
        };
        let (mut digest, mut sent) = (Context::new(&SHA256), 0);
        loop {
            let mut piece = vec![0; PIECE_BYTES];
            let count = source
                .read
                .read(&mut piece)
                .map_err(|error| failed("read", Path::new(&source.name), &error))?;
            if count == 0 {
                break;
            }
            piece.truncate(count);
            digest.update(&piece);
            upload.write(piece).await?;
            sent += count as u64;
            progress.at(sent);
        }
        let put = upload.finish().await?;
        if digest.finish().as_ref() != put.hash.0 {
            let message = format!("what the node keeps is not what was sent: it has hash {}", put.hash);
            return Err(Fault::new(Code::Failed, message).help("put it again").into());
        }
        Ok(put)
    }
}
