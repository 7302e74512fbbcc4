//! `portreeve-bench`: see [`portreeve_bench::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    portreeve_bench::cli::main()
}
