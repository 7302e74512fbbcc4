use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cargo::{cargo, prepare, target};
use crate::run::run;
use crate::setup::is_root;
use crate::step::Step;

/// Builds the harness and what it measures as they are shipped, and becomes the harness, so that
/// Ctrl-C reaches the program that cleans up.
///
/// # Errors
/// When it does not build, or cannot be started.
pub fn run_bench(what: &str, args: &[String]) -> Result<()> {
    println!("building (the first time takes some minutes)");
    run(&mut build())?;
    let mut command = harness();
    prepare(command.arg(what).args(args));
    Err(command.exec()).context("start the harness")
}

/// The harness itself: packets flow, and what is slow on purpose shows as slow.
pub fn steps() -> Vec<Step> {
    let mut wire = harness();
    prepare(wire.args(["wire", "--smoke"]));
    let mut guard = harness();
    prepare(guard.arg("guard"));
    let mut memory = harness();
    let out = target().join("bench-smoke");
    prepare(memory.args(["memory", "--case", "established/ipv4/64/1m", "--rounds", "3", "--out"]));
    memory.arg(out);
    vec![
        Step::commands("build the harness", vec![build()]),
        Step::commands("instructions per packet", vec![guard]),
        Step::commands("the harness in memory", vec![memory]),
        Step::commands("the harness on the wire", vec![wire])
            .unless((!is_root()).then(|| "needs root: it makes network namespaces".to_owned())),
    ]
}

fn build() -> Command {
    cargo(&[
        "build",
        "--release",
        "--package",
        "portreeve",
        "--package",
        "portreeve-bench",
        "--bins",
    ])
}

fn harness() -> Command {
    Command::new(target().join("release/portreeve-bench"))
}
