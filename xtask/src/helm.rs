//! The real Helm, built once into a cache: the chart is linted and rendered with it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cluster::{cache, go};
use crate::run::run;
use crate::step::Outcome;

/// The version that the chart is tested with.
const VERSION: &str = "v3.22.0";
/// What is built of its module.
const PACKAGE: &str = "helm.sh/helm/v3/cmd/helm";

fn directory() -> PathBuf {
    cache().join(format!("helm-{VERSION}"))
}

/// Where it is once it is built.
pub fn program() -> PathBuf {
    directory().join("helm")
}

/// Builds it, unless it is there. Where Go or its sources cannot be had it is left out, and the tests that
/// need it say so.
///
/// # Errors
/// When the cache cannot be written.
pub fn build() -> Result<Outcome> {
    if program().exists() {
        return Ok(Outcome::Passed);
    }
    // It gets its name when all of it is there.
    let unfinished = directory().with_extension("unfinished");
    std::fs::create_dir_all(&unfinished).context("make the cache")?;
    println!("Helm {VERSION} (the first time takes two minutes)");
    let installed = go().and_then(|go| {
        let mut command = Command::new(go);
        command.args(["install", "-trimpath", "-ldflags", "-s -w"]);
        command.arg(format!("{PACKAGE}@{VERSION}"));
        run(command.env("CGO_ENABLED", "0").env("GOBIN", &unfinished))
    });
    if let Err(error) = installed {
        return Ok(Outcome::Skipped(format!("{error:#}")));
    }
    std::fs::rename(&unfinished, directory()).context("name what was built")?;
    Ok(Outcome::Passed)
}
