//! Fuzz targets are plain programs on libFuzzer, so that nothing but a nightly compiler is needed
//! to build them: these are the flags that `cargo fuzz` would give.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::cargo::{nightly, root, target};
use crate::run::run;
use crate::step::Outcome;

const FLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1 -Cdebug-assertions -Zsanitizer=address --cfg fuzzing";
const SECONDS: u32 = 60;

/// Builds every target in `dataplane/fuzz` and runs each for a minute from its seed corpus.
///
/// # Errors
/// When a target does not build, or finds something.
pub fn run_all() -> Result<Outcome> {
    let crate_dir = root().join("dataplane/fuzz");
    let built = target().join("fuzz");
    let mut build = nightly(&["build", "--bins", "--target", &host()]);
    build.arg("--manifest-path").arg(crate_dir.join("Cargo.toml"));
    build.arg("--target-dir").arg(&built).env("RUSTFLAGS", FLAGS);
    run(&mut build)?;
    let targets = targets(&crate_dir.join("fuzz_targets"))?;
    ensure!(!targets.is_empty(), "there is no target in {}", crate_dir.display());
    for target in targets {
        let program = built.join(host()).join("debug").join(&target);
        run_one(&program, &built, &crate_dir.join("corpus").join(&target), &target)?;
    }
    Ok(Outcome::Passed)
}

fn run_one(program: &Path, built: &Path, seeds: &Path, target: &str) -> Result<()> {
    // libFuzzer writes what it finds into the first directory; the seeds stay as they are.
    let (found, artifacts) = (built.join("corpus").join(target), built.join("artifacts"));
    for dir in [&found, &artifacts] {
        std::fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    }
    let mut command = Command::new(program);
    command.arg(format!("-max_total_time={SECONDS}")).arg("-print_final_stats=1");
    command.arg(format!("-artifact_prefix={}/", artifacts.display())).arg(found);
    if seeds.is_dir() {
        command.arg(seeds);
    }
    run(&mut command)
        .with_context(|| format!("{target}; what made it fail lies in {}", artifacts.display()))
}

fn targets(dir: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))?;
    let name = |path: std::path::PathBuf| {
        let rust = path.extension().is_some_and(|extension| extension == "rs");
        rust.then(|| path.file_stem()?.to_str().map(str::to_owned)).flatten()
    };
    let mut names: Vec<_> = entries.filter_map(|entry| name(entry.ok()?.path())).collect();
    names.sort();
    Ok(names)
}

/// The target that this machine is.
pub fn host() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}
