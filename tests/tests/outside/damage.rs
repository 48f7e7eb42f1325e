//! Bits that are not what was written.

use micro_tests::torture::flip_each_file;

#[tokio::test]
async fn a_flipped_bit_in_any_file_is_refused_or_harmless_and_never_believed() -> anyhow::Result<()> {
    let flips = flip_each_file().await?;
    println!("{flips:#?}");
    let refused = |part: &str| flips.refused.iter().any(|file| file.to_string_lossy().contains(part));
    for part in ["identity", ".log", ".sst"] {
        assert!(refused(part), "a flipped bit in {part} was not noticed: {:?}", flips.served);
    }
    Ok(())
}
