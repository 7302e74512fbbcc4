//! Lays out the lab of the study log, runs the appliance in it, and shows it working. Started by
//! `cargo xtask demo`.

/// Where the lab lives, and how it is removed when it was kept.
mod place;
/// What the demo shows.
mod show;
/// The same lab, with a cluster that says what the appliance does.
mod kubernetes;

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use portreeve_tests::appliance::Appliance;
use portreeve_tests::cleanup::keep_everything;
use portreeve_tests::lab::LinkOptions;
use portreeve_tests::seed::SeedLab;

use crate::place::Place;

const CONFIG: &str = include_str!("../../../../configs/demo.toml");

/// The demo.
#[derive(Debug, Parser)]
struct Options {
    /// Leave the lab up.
    #[arg(long)]
    keep: bool,
    /// Have a Kubernetes cluster say what the appliance does.
    #[arg(long)]
    kubernetes: bool,
    /// Remove the lab that --keep left up.
    #[arg(long, conflicts_with = "keep")]
    clean: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "the demo needs root: it makes network namespaces and loads an XDP program"
    );
    if options.clean {
        place::remove_kept();
        return Ok(());
    }
    let place = if options.keep { Place::kept()? } else { Place::passing()? };
    if options.kubernetes {
        return kubernetes::run(place, options.keep);
    }
    let net = SeedLab::build(&place.lab, LinkOptions::default()).context("lay out the lab")?;
    show::picture();
    let appliance = Appliance::start_in(place.dir, &net.gateway, CONFIG)?;
    show::running(&appliance)?;
    let shown = show::all(&net, &appliance).with_context(|| {
        format!("the demo failed; portreeve's log ends with\n{}", appliance.log_tail())
    });
    if options.keep {
        // What went wrong can be looked into, too. After Ctrl-C this does not return.
        keep_everything();
        show::how_to_enter(&net, &appliance);
    }
    shown
}
