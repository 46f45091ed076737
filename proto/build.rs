//! Compiles `cairn/v1/*.proto` with protox, so that no `protoc` has to be installed.

use std::{env, error::Error, fs, path::PathBuf};

const FILES: [&str; 5] = [
    "cairn/v1/statement.proto",
    "cairn/v1/ledger.proto",
    "cairn/v1/exchange.proto",
    "cairn/v1/audit.proto",
    "cairn/v1/directory.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true).open_files(FILES)?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // Kept whole, comments and all: reflection serves it.
    fs::write(out.join("descriptor.bin"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    println!("cargo:rerun-if-changed=proto");
    Ok(())
}
