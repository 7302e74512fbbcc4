//! `portreeve-bench`: see [`portreeve_bench::cli`].

use std::process::ExitCode;

use portreeve_bench::allocations::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    portreeve_bench::cli::main()
}
