//! Makes gRPC stubs from `proto/`, with protox in place of protoc.

use protox::prost::Message;
use std::{env, fs, path::Path};

#[expect(clippy::disallowed_methods, reason = "a build has no storage; cargo makes what is missing again")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = ["store", "registry", "node", "config", "blob", "auth", "audit", "policy"]
        .map(|name| format!("micro/v1/{name}.proto"));
    let descriptors = protox::compile(files, ["proto"])?;
    // For those who make something else of them than stubs.
    fs::write(Path::new(&env::var("OUT_DIR")?).join("micro.v1.descriptors"), descriptors.encode_to_vec())?;
    let codec = "crate::proto::ProtoCodec";
    // Metadata is listed in the order of its names.
    let metadata = ["Record", "WriteRequest", "Operation.Write", "AttachRequest", "Instance"];
    metadata
        .iter()
        .fold(tonic_prost_build::configure(), |config, message| {
            config.btree_map(format!(".micro.v1.{message}.metadata"))
        })
        .bytes(".micro.v1")
        .codec_path(codec)
        // The node has a method of this name, and channels are made by the client.
        .build_transport(false)
        .compile_fds(descriptors)?;
    Ok(())
}
