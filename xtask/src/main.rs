//! How people work here: `cargo xtask demo | test | bench | ci | tidy | setup`.

/// Every system package, named once.
mod packages;
/// Which clang and llc to build with.
mod llvm;
/// Installs what is missing.
mod setup;
/// Cargo commands, all with one environment.
mod cargo;
/// Runs commands.
mod run;
/// Counts what passed, failed and was skipped.
mod tally;
/// Lists of things to check.
mod step;
/// The demo.
mod demo;
/// The tests, by area.
mod test;
/// The benchmarks.
mod bench;
/// The Kubernetes control plane for tests.
mod cluster;
/// Helm, for tests of the chart.
mod helm;
/// The plain manifests are what the chart gives.
mod manifests;
/// The fuzz targets.
mod fuzz;
/// Everything that must hold before a change lands.
mod ci;
/// Prebuilt tools.
mod tools;
/// The BPF objects are what their sources give.
mod bpf;
/// The shape rules that a machine can check.
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::setup::Purpose;
use crate::step::Step;
use crate::test::Area;

/// Builds, shows and checks Portreeve. Each command installs the system packages it lacks (on
/// Debian and Ubuntu, as root).
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
enum Command {
    /// Lay out a lab of network namespaces, run the appliance in it and show it working.
    Demo {
        /// Leave the lab up, and say how to enter it.
        #[arg(long)]
        keep: bool,
        /// Remove the lab that --keep left up.
        #[arg(long, conflicts_with = "keep")]
        clean: bool,
        /// Have a Kubernetes cluster say what the appliance does: a real one, which is built first.
        #[arg(long, conflicts_with = "clean")]
        kubernetes: bool,
    },
    /// Run every test, those that need root included, or those of one area.
    Test {
        /// The area; all of them when left out.
        area: Option<Area>,
    },
    /// Measure: `memory`, `wire`, and what compares runs. Arguments go to the harness, whose
    /// `--help` names them.
    Bench {
        /// What to measure.
        what: String,
        /// Arguments of the harness.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Check everything that must hold before a change lands.
    Ci,
    /// Check the shape rules that a machine can check.
    Tidy,
    /// Compile the programs in C into the objects that are checked in.
    Bpf,
    /// Render the plain manifests in `deploy/kubernetes/` from the chart.
    Manifests,
    /// Install the system packages that are missing, and do nothing else.
    Setup,
}

fn main() -> ExitCode {
    match run(Command::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<bool> {
    match command {
        Command::Demo { keep, clean, kubernetes } => {
            setup::ready(Purpose::Work)?;
            let flags = [(keep, "--keep"), (clean, "--clean"), (kubernetes, "--kubernetes")];
            let args: Vec<_> = flags.iter().filter(|flag| flag.0).map(|flag| flag.1).collect();
            demo::run_demo(&args)?;
            Ok(true)
        }
        Command::Test { area } => {
            setup::ready(Purpose::Work)?;
            Ok(all(test::steps(area)))
        }
        Command::Bench { what, args } => {
            let peers = what == "wire";
            setup::ready(if peers { Purpose::Bench } else { Purpose::Work })?;
            bench::run_bench(&what, &args).map(|()| true)
        }
        Command::Ci => {
            setup::ready(Purpose::Ci)?;
            Ok(all(ci::steps()))
        }
        Command::Tidy => tidy::check().map(|()| true),
        Command::Bpf => {
            setup::ready(Purpose::Ci)?;
            bpf::build().map(|()| true)
        }
        Command::Manifests => manifests::write().map(|()| true),
        Command::Setup => setup::ready(Purpose::Work).map(|()| true),
    }
}

fn all(steps: Vec<Step>) -> bool {
    step::run_all(steps).failed == 0
}
