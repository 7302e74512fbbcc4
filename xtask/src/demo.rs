use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cargo::{cargo, prepare, target};
use crate::run::run;

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
    let mut command = Command::new(target().join("debug/demo"));
    prepare(command.args(args));
    if args.contains(&"--keep") {
        command.env("LAB_KEPT", "1");
    }
    Err(command.exec()).context("start the demo")
}
