//! The program `cairn`. Everything it does is in the library's `cli` room.

use std::process::ExitCode;

fn main() -> ExitCode {
    cairn::cli::run()
}
