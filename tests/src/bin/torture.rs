//! `./dev torture`: power cuts, kills at system calls, failing syncs, flipped bits and full disks, for as long as is
//! wanted.

#![allow(clippy::disallowed_methods, reason = "real processes live in real time, on the real disk")]

use clap::Parser;
use micro_tests::torture::{FullDisk, PowerCut, SystemCall, What, flip_each_file};
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

/// Does to real nodes what disks and kernels do at the worst moment. Needs root.
#[derive(Debug, Parser)]
#[command(name = "./dev torture")]
struct Arguments {
    /// How long, at least: the round that is under way is finished.
    #[arg(long, value_name = "N", default_value_t = 10)]
    minutes: u64,
}

/// Power cuts of one mesh in a row. A new mesh comes after that, so that the first minutes of a mesh are cut too.
const CUTS: usize = 50;
/// The calls that put data, names and lengths on the disk.
const CALLS: [&str; 6] = ["pwrite64", "fdatasync", "fsync", "/^rename", "ftruncate", "/^unlink"];

/// How many MiB others leave: nearly enough, what is soon used up, and nothing.
const LEFT: [u64; 6] = [100, 0, 40, 4, 16, 0];

/// What was done so far.
#[derive(Debug, Default)]
struct Tally {
    cuts: usize,
    acknowledged: usize,
    kills: usize,
    failed_syncs: usize,
    flips: usize,
    refused: usize,
    fills: usize,
    ended_full: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let until = Instant::now() + Duration::from_secs(60 * Arguments::parse().minutes);
    let mut tally = Tally::default();
    let mut round = 0;
    while Instant::now() < until {
        round += 1;
        if let Err(error) = run(round, until, &mut tally).await {
            eprintln!("✘ round {round}: {error:#}\n{tally:#?}");
            return ExitCode::FAILURE;
        }
        eprintln!("==> round {round}: {tally:?}");
    }
    println!("nothing was lost: {tally:#?}");
    ExitCode::SUCCESS
}

async fn run(round: usize, until: Instant, tally: &mut Tally) -> anyhow::Result<()> {
    for size in [1, 3] {
        let mut mesh = PowerCut::over(size).await?;
        for _ in 0..CUTS {
            if Instant::now() >= until {
                break;
            }
            mesh.once().await?;
            tally.cuts += 1;
        }
        tally.acknowledged += mesh.acknowledged();
    }
    for name in CALLS {
        let call = SystemCall { name, number: round };
        tally.kills += usize::from(call.strikes(What::Killed).await?);
    }
    let call = SystemCall { name: "fdatasync", number: round };
    tally.failed_syncs += usize::from(call.strikes(What::Fails).await?);
    let flips = flip_each_file().await?;
    tally.flips += flips.refused.len() + flips.served.len();
    tally.refused += flips.refused.len();
    for size in [1, 3] {
        let mut mesh = FullDisk::over(size).await?;
        for left in LEFT {
            mesh.once(left).await?;
            tally.fills += 1;
        }
        tally.acknowledged += mesh.acknowledged();
        tally.ended_full += mesh.ended();
    }
    Ok(())
}
