use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::{memory, wire};

/// Measures what Portreeve can do, and proves it.
#[derive(Debug, Parser)]
#[command(name = "portreeve-bench", version)]
enum Command {
    /// The worker loop on simulated rings: nanoseconds per packet, memory, tables.
    Memory(memory::Options),
    /// Real packets through the appliance and its peers, in a lab of network namespaces.
    Wire(wire::Options),
}

/// The program `portreeve-bench`.
#[must_use]
pub fn main() -> ExitCode {
    finish(run(Command::parse()))
}

/// `cargo bench`: the in-memory half, with what cargo passes besides left aside.
#[must_use]
pub fn main_memory() -> ExitCode {
    let words = std::env::args().filter(|word| word != "--bench");
    finish(memory::run(&memory::Options::parse_from(words)).map(drop))
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Memory(options) => memory::run(&options).map(drop),
        Command::Wire(options) => wire::run(&options).map(drop),
    }
}

fn finish(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
