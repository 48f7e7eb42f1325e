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

    /// How many nodes should have a copy, as far as there are so many [default: as the node's setting blob-copies says,
    /// which is 3 if nobody changed it]
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
    /// How many there can be: as many as there should be, or as there are nodes if those are fewer.
    copies_possible: u32,
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

/// How many copies there are, in words. That there are fewer nodes is told to whoever `named` a number: it is no news
/// to others.
fn copies(put: &BlobPut, named: bool) -> String {
    let BlobPut { copies, copies_wanted: wanted, copies_possible: possible, .. } = *put;
    if copies >= wanted || (copies >= possible && !named) {
        return if copies == 1 { "one copy".to_owned() } else { format!("{copies} copies") };
    }
    let why = match possible {
        possible if copies < possible => "the others are being made".to_owned(),
        1 => "there is only one node".to_owned(),
        possible => format!("there are only {possible} nodes"),
    };
    format!("{copies} of {wanted} copies ({why})")
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
                copies_possible: put.copies_possible,
            };
            return output.item(&PUT, &item);
        }
        let size = unit::bytes(put.size);
        let copies = copies(&put, self.copies.is_some());
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

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::wire::BlobHash;

    #[test]
    fn copies_that_lack_are_told_with_the_reason() {
        let told = |copies, copies_wanted, copies_possible, named| {
            let hash = BlobHash([0; 32]);
            let put = BlobPut { version: 1, hash, size: 0, copies, copies_wanted, copies_possible };
            super::copies(&put, named)
        };
        assert_eq!(told(3, 3, 3, false), "3 copies");
        assert_eq!(told(3, 4, 3, true), "3 of 4 copies (there are only 3 nodes)");
        assert_eq!(told(1, 2, 1, true), "1 of 2 copies (there is only one node)");
        assert_eq!(told(1, 3, 1, false), "one copy", "nobody asked for three");
        assert_eq!(told(2, 3, 3, false), "2 of 3 copies (the others are being made)");
    }
}
