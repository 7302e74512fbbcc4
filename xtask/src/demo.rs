use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::cargo::{cargo, prepare, target};
use crate::cluster;
use crate::run::run;
use crate::step::Outcome;

/// Builds the demo and becomes it, so that Ctrl-C reaches the program that cleans up.
///
/// # Errors
/// When it does not build, or cannot be started.
pub fn run_demo(args: &[&str]) -> Result<()> {
    println!("building (the first time takes a few minutes)");
    run(&mut cargo(&[
        "build",
        "--package",
        "portreeve",
        "--package",
        "portreeve-tests",
        "--bins",
    ]))?;
    let cluster = args.contains(&"--kubernetes").then(control_plane).transpose()?;
    let mut command = Command::new(target().join("debug/demo"));
    prepare(command.args(args));
    if args.contains(&"--keep") {
        command.env("LAB_KEPT", "1");
    }
    if let Some(directory) = cluster {
        command.env("PORTREEVE_CONTROL_PLANE", directory);
    }
    Err(command.exec()).context("start the demo")
}

/// Where the control plane is, which is built when it is not there yet.
fn control_plane() -> Result<PathBuf> {
    match cluster::build()? {
        Outcome::Skipped(why) => bail!("there is no Kubernetes control plane: {why}"),
        _ => cluster::directory(),
    }
}
