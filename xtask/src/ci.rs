use std::process::Command;

use anyhow::Result;

use crate::cargo::{cargo, prepare};
use crate::run::run;
use crate::step::{Outcome, Step};
use crate::tools::{DENY, SHEAR};
use crate::{test, tidy};

/// Everything that must hold before a change lands: first what needs no run, then every test.
pub fn steps() -> Vec<Step> {
    let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    let clippy = ["clippy", "--workspace", "--all-targets", "--no-deps", "--", "-D", "warnings"];
    let mut steps = vec![
        Step::commands("formatting", vec![cargo(&["fmt", "--all", "--check"])]),
        Step::call("shape (tidy)", || tidy::check().map(|()| Outcome::Passed)),
        Step::commands("clippy", vec![cargo(&clippy)]),
        Step::commands("documentation", vec![doc]),
        Step::call("unused dependencies", || passes(SHEAR.command(&[])?)),
        Step::call("licences, bans, sources", || {
            passes(DENY.command(&[
                "--locked",
                "check",
                "--hide-inclusion-graph",
                "licenses",
                "bans",
                "sources",
            ])?)
        }),
        Step::call("advisories", advisories),
        Step::call("the steering object is what its source gives", || {
            crate::bpf::check_equal().map(|()| Outcome::Passed)
        }),
        Step::call("the plain manifests are what the chart gives", crate::manifests::check_equal),
    ];
    steps.extend(test::steps(None));
    steps
}

fn passes(mut command: Command) -> Result<Outcome> {
    run(&mut command).map(|()| Outcome::Passed)
}

/// The advisories are a git repository of others: where it cannot be had, nothing is checked.
fn advisories() -> Result<Outcome> {
    let limit = ["--kill-after=5", "60"];
    let deny = DENY.command(&["fetch", "db"])?;
    let mut fetch = Command::new("timeout");
    fetch.args(limit).arg(deny.get_program()).args(deny.get_args());
    prepare(&mut fetch);
    fetch.env("GIT_TERMINAL_PROMPT", "0");
    match run(&mut fetch) {
        Ok(()) => passes(DENY.command(&["check", "--disable-fetch", "advisories"])?),
        Err(error) => {
            Ok(Outcome::Skipped(format!("the advisory database is out of reach: {error}")))
        }
    }
}
