//! The chart, and the real Helm that renders it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Where `cargo xtask test kubernetes` has put what it built.
const VARIABLE: &str = "PORTREEVE_HELM";
const CHART: &str = "deploy/chart/portreeve";

/// A file of this repository.
#[must_use]
pub fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Helm.
#[derive(Debug)]
pub struct Helm(OsString);

impl Helm {
    /// Finds it.
    ///
    /// # Errors
    /// When it was not built; the message says how to.
    pub fn find() -> Result<Self> {
        let how = || format!("{VARIABLE} names no Helm: run `cargo xtask test kubernetes`");
        let program = std::env::var_os(VARIABLE).with_context(how)?;
        ensure!(Path::new(&program).exists(), how());
        Ok(Self(program))
    }

    /// The program itself.
    #[must_use]
    pub fn program(&self) -> &Path {
        Path::new(&self.0)
    }

    /// Looks for what is wrong with the chart.
    ///
    /// # Errors
    /// When there is anything.
    pub fn lint(&self) -> Result<()> {
        self.run(&["lint", "--strict"], &[]).map(drop)
    }

    /// Renders the chart for a release in `kube-system`, with further arguments of Helm's.
    ///
    /// # Errors
    /// When it cannot be rendered with these values.
    pub fn render(&self, release: &str, more: &[&str]) -> Result<String> {
        self.run(&["template", release, "--namespace=kube-system"], more)
    }

    fn run(&self, args: &[&str], more: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.0);
        command.args(args).arg(file(CHART)).args(more);
        let output = command.output().context("run Helm")?;
        let [out, err] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        ensure!(output.status.success(), "helm {} {}: {out}{err}", args.join(" "), more.join(" "));
        Ok(out)
    }
}
