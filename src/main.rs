//! The program `cairn`. Everything it does is in the library's `cli` room.

use std::process::ExitCode;

/// What the system's own allocator costs when one thread frees what another took is measured in
/// `tests/bench/README.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cairn::cli::run()
}
