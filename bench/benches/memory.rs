//! `cargo bench`: the in-memory half of the harness.

use std::process::ExitCode;

fn main() -> ExitCode {
    portreeve_bench::cli::main_memory()
}
