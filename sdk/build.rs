//! Makes gRPC stubs from `proto/`, with protox in place of protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files =
        ["store", "registry", "node", "config", "blob", "auth"].map(|name| format!("micro/v1/{name}.proto"));
    let descriptors = protox::compile(files, ["proto"])?;
    let codec = "crate::proto::ProtoCodec";
    // Metadata is listed in the order of its names.
    let metadata = ["Record", "WriteRequest", "Operation.Write"];
    metadata
        .iter()
        .fold(tonic_prost_build::configure(), |config, message| {
            config.btree_map(format!(".micro.v1.{message}.metadata"))
        })
        .bytes(".micro.v1")
        .codec_path(codec)
        .compile_fds(descriptors)?;
    Ok(())
}
