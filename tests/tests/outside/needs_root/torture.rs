//! A little of what `./dev torture` does for long.

use micro_tests::torture::{FullDisk, PowerCut, SystemCall, What, fail_syncs_of_the_state};

/// Cuts of a node alone: a quorum of one is often forgotten.
const CUTS_OF_ONE: usize = 40;
/// Cuts of three nodes at once: none can help another.
const CUTS_OF_THREE: usize = 12;

#[tokio::test]
async fn forty_power_cuts_of_a_node_alone_lose_no_acknowledged_write() -> anyhow::Result<()> {
    let mut node = PowerCut::over(1).await?;
    for _ in 0..CUTS_OF_ONE {
        node.once().await?;
    }
    println!("{} writes were acknowledged", node.acknowledged());
    Ok(())
}

#[tokio::test]
async fn twelve_power_cuts_of_all_three_nodes_lose_no_acknowledged_write() -> anyhow::Result<()> {
    let mut mesh = PowerCut::over(3).await?;
    for _ in 0..CUTS_OF_THREE {
        mesh.once().await?;
    }
    println!("{} writes were acknowledged", mesh.acknowledged());
    Ok(())
}

/// The calls that put data, names and lengths on the disk.
const CALLS: [&str; 5] = ["pwrite64", "fdatasync", "fsync", "/^rename", "ftruncate"];

#[tokio::test]
async fn a_node_killed_at_any_step_to_the_disk_starts_again_with_all_that_it_acknowledged()
-> anyhow::Result<()> {
    let mut struck = 0;
    for name in CALLS {
        for number in [1, 2, 3, 5, 8] {
            struck += usize::from(SystemCall { name, number }.strikes(What::Killed).await?);
        }
    }
    assert!(struck > 8, "only {struck} calls came");
    Ok(())
}

#[tokio::test]
async fn a_write_or_sync_that_fails_ends_the_node_and_loses_nothing() -> anyhow::Result<()> {
    for name in ["pwrite64", "fdatasync"] {
        for number in [2, 4, 9] {
            let call = SystemCall { name, number };
            assert!(call.strikes(What::Fails).await?, "the node went on after {call:?} failed");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_sync_of_the_state_that_fails_ends_the_node_and_loses_nothing() -> anyhow::Result<()> {
    fail_syncs_of_the_state().await
}

#[tokio::test]
async fn a_disk_that_others_fill_costs_no_acknowledged_write() -> anyhow::Result<()> {
    let mut mesh = FullDisk::over(3).await?;
    for left in [40, 0] {
        mesh.once(left).await?;
    }
    println!("{} writes were acknowledged, {} nodes ended", mesh.acknowledged(), mesh.ended());
    Ok(())
}
