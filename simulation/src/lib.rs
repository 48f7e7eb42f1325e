//! The real node in a hostile, repeatable world.
//!
//! A run is a seed and a commit: the same pair gives the same bytes on the simulated wire. Nodes run in
//! virtual time on turmoil, each on a runtime of its own, so that a crash takes all its tasks. What is
//! simulated lies behind the seams: the UDP socket, the disks, the clock, chance and blocking work.
//! Everything above them is the production code.
//!
//! ```text
//!  run ──► world ──► host (one a machine): node on seams, socket, disk ──► workload: clients
//!   │        ▲                                                                 │
//!   │      faults (drawn by the storm)                                      history
//!   └──► watcher ──► sighting ──► checkers ◄────────────────────────────────────┘
//! ```

#[cfg(not(tokio_unstable))]
compile_error!(
    "the simulation needs tokio's seeded scheduler: --cfg tokio_unstable, which .cargo/config.toml sets and \
     RUSTFLAGS in the environment replaces; unset RUSTFLAGS"
);

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("the simulation catches Linux system calls on x86-64 or AArch64; build it there");

pub mod checkers;
mod clouds;
mod door;
mod echo;
pub mod faults;
pub mod figures;
pub mod gauge;
mod host;
pub mod interposer;
pub mod log;
pub mod machine;
mod operator;
pub mod options;
mod planted;
pub mod report;
pub mod run;
pub mod seams;
pub mod sighting;
pub mod socket;
pub mod trace;
pub mod watcher;
pub mod weather;
pub mod workload;
pub mod world;
