//! What disks and kernels do to a node at the worst moment, on real processes: `./dev torture` does it for long, the
//! tests a little of each.
//!
//! Most of it needs root: for a disk that can lose its power, and for system calls that fail.

mod bit_flip;
mod disk;
mod full_disk;
mod power_cut;
mod system_call;

pub use bit_flip::{Flips, flip_each_file, flip_log, flip_tables};
pub use disk::LoopDisk;
pub use full_disk::FullDisk;
pub use power_cut::PowerCut;
pub use system_call::{SystemCall, What, fail_syncs_of_the_state};
