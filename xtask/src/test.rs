use std::process::Command;

use crate::cargo::{cargo, has_nightly, nightly, target};
use crate::step::Step;
use crate::{bench, cluster, fuzz, helm};

/// A part of the tests that one can run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Area {
    /// Everything that needs no network: unit tests, properties, models, sanitizer, fuzzing, and
    /// the steering program in the kernel's test run.
    Unit,
    /// The load balancer end to end, in the lab.
    Lb,
    /// The gateway in a Kubernetes cluster, whose control plane is the real one.
    Kubernetes,
    /// The benchmark itself: does it work, and does it see what is slow?
    Bench,
}

/// The steps of one area, or of all.
pub fn steps(area: Option<Area>) -> Vec<Step> {
    match area {
        Some(Area::Unit) => unit(),
        Some(Area::Lb) => lb(),
        Some(Area::Bench) => bench::steps(),
        Some(Area::Kubernetes) => kubernetes(),
        None => [unit(), lb(), kubernetes(), bench::steps()].into_iter().flatten().collect(),
    }
}

fn unit() -> Vec<Step> {
    let no_nightly = (!has_nightly())
        .then(|| "no nightly toolchain here (rustup toolchain install nightly)".to_owned());
    let everything =
        cargo(&["test", "--workspace", "--exclude", "portreeve-tests", "--no-fail-fast"]);
    let lab = cargo(&["test", "--package", "portreeve-tests", "--lib", "--bins"]);
    vec![
        Step::tests("unit tests", everything),
        Step::tests("unit tests of the lab", lab),
        Step::tests("models of concurrency (loom)", loom()),
        Step::tests("unit tests of the data path under AddressSanitizer", sanitized())
            .unless(no_nightly.clone()),
        Step::call("fuzzing the data path for a minute", fuzz::run_all).unless(no_nightly),
    ]
}

/// They measure loss and times on a machine that may have two cores.
const ONE_BY_ONE: [&str; 3] = ["--", "--test-threads=1", "--show-output"];

fn lb() -> Vec<Step> {
    let build =
        cargo(&["build", "--package", "portreeve", "--package", "portreeve-tests", "--bins"]);
    let mut tests =
        cargo(&["test", "--package", "portreeve-tests", "--no-fail-fast", "--test", "lab"]);
    tests.args(["--test", "lb_*", "--test", "wrong_setups"]).args(ONE_BY_ONE);
    vec![
        Step::commands("build the appliance and the lab", vec![build]),
        Step::tests("end to end, in network namespaces", tests),
    ]
}

fn kubernetes() -> Vec<Step> {
    let build =
        cargo(&["build", "--package", "portreeve", "--package", "portreeve-tests", "--bins"]);
    let mut tests =
        cargo(&["test", "--package", "portreeve-tests", "--no-fail-fast", "--test", "k8s_*"]);
    tests.args(ONE_BY_ONE);
    // Without it the tests say where it should be.
    if let Ok(directory) = cluster::directory() {
        tests.env("PORTREEVE_CONTROL_PLANE", directory);
    }
    tests.env("PORTREEVE_HELM", helm::program());
    vec![
        Step::commands("build the appliance and the lab", vec![build]),
        Step::call("build a Kubernetes control plane", cluster::build),
        Step::call("build Helm", helm::build),
        Step::tests("end to end, in a cluster", tests),
    ]
}

/// Loom replaces the atomics of the whole crate, so it builds beside everything else. The search
/// is bounded as loom's authors advise: what three preemptions do not show is hardly ever there.
fn loom() -> Command {
    let mut command = cargo(&["test", "--package", "portreeve-dataplane", "--test", "loom_*"]);
    command.env("RUSTFLAGS", "--cfg loom").arg("--target-dir").arg(target().join("loom"));
    for (bound, value) in [("LOOM_MAX_PREEMPTIONS", "3"), ("LOOM_MAX_DURATION", "120")] {
        if std::env::var_os(bound).is_none() {
            command.env(bound, value);
        }
    }
    command
}

fn sanitized() -> Command {
    let mut command = nightly(&["test", "--package", "portreeve-dataplane", "--lib"]);
    // With a target named, build scripts and macros are built without the sanitizer.
    command.args(["--target", &fuzz::host()]);
    command.env("RUSTFLAGS", "-Zsanitizer=address");
    command.arg("--target-dir").arg(target().join("asan"));
    command
}
