use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::{compare, guard, memory, pair, report, wire};

/// Measures what Portreeve can do, and proves it.
#[derive(Debug, Parser)]
#[command(name = "portreeve-bench", version)]
enum Command {
    /// The worker loop on simulated rings: nanoseconds per packet, memory, tables.
    Memory(memory::Options),
    /// Real packets through the appliance and its peers, in a lab of network namespaces.
    Wire(wire::Options),
    /// Compares two runs of one kind. Ends with 1 when a row became worse, with 2 on an error.
    Compare(compare::Options),
    /// Runs two programs in turn, round by round, in memory. Ends with 1 when the new one is slower.
    Pair(pair::Options),
    /// Counts instructions per packet and compares with what is checked in.
    Guard(guard::Options),
    /// Renders a run that was written as JSON once more.
    Report(report::Options),
}

/// How a comparison ends in which a row became worse.
const WORSE: u8 = 1;
/// How everything ends that could not be done.
const FAILED: u8 = 2;

/// The program `portreeve-bench`.
#[must_use]
pub fn main() -> ExitCode {
    finish(run(Command::parse()))
}

/// `cargo bench`: the in-memory half, with what cargo passes besides left aside.
#[must_use]
pub fn main_memory() -> ExitCode {
    let words = std::env::args().filter(|word| word != "--bench");
    finish(memory::run(&memory::Options::parse_from(words)).map(done))
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Memory(options) => memory::run(&options).map(done),
        Command::Wire(options) => wire::run(&options).map(done),
        Command::Compare(options) => compare::run(&options).map(judged),
        Command::Pair(options) => pair::run(&options).map(judged),
        Command::Guard(options) => guard::run(&options).map(done),
        Command::Report(options) => report::run(&options).map(done),
    }
}

fn done<T>(_: T) -> ExitCode {
    ExitCode::SUCCESS
}

fn judged(worse: bool) -> ExitCode {
    if worse { ExitCode::from(WORSE) } else { ExitCode::SUCCESS }
}

fn finish(result: Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(FAILED)
    })
}
