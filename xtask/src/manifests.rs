//! The manifests for those without Helm: the chart with its defaults, but for the roles, which the chart
//! takes from the plain manifests.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::cargo::root;
use crate::helm;
use crate::step::Outcome;

const CHART: &str = "deploy/chart/portreeve";
const MANIFEST: &str = "deploy/kubernetes/daemonset.yaml";
const HEAD: &str = "\
# The chart in deploy/chart/portreeve/ with its defaults, rendered by `cargo xtask manifests`. Apply rbac.yaml,
# and without Cilium crds/, before; ports and labels of nodes are for you to set. See docs/install.md.
";

/// Renders them into the tree.
///
/// # Errors
/// When Helm cannot be had, or does not render the chart.
pub fn write() -> Result<()> {
    if let Outcome::Skipped(why) = helm::build()? {
        anyhow::bail!("no Helm: {why}");
    }
    std::fs::write(path(), render()?).with_context(|| format!("write {MANIFEST}"))
}

/// Whether the tree has what the chart gives now; skipped where there is no Helm.
///
/// # Errors
/// When it has not.
pub fn check_equal() -> Result<Outcome> {
    if let Outcome::Skipped(why) = helm::build()? {
        return Ok(Outcome::Skipped(why));
    }
    let found = std::fs::read_to_string(path()).with_context(|| format!("read {MANIFEST}"))?;
    ensure!(found == render()?, "{MANIFEST} is not what the chart gives: cargo xtask manifests");
    Ok(Outcome::Passed)
}

fn path() -> PathBuf {
    root().join(MANIFEST)
}

fn render() -> Result<String> {
    let mut command = Command::new(helm::program());
    command.args(["template", "portreeve", CHART, "--namespace=kube-system"]);
    command.arg("--set=rbac.create=false").current_dir(root());
    let output = command.output().context("run Helm")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).context("what Helm renders")?;
    Ok(HEAD.to_owned() + &plain(&text))
}

/// Without what is only true of objects that Helm looks after.
fn plain(rendered: &str) -> String {
    let of_helm = |line: &&str| line.contains("managed-by: Helm") || line.starts_with("# Source: ");
    rendered
        .lines()
        .filter(|line| !of_helm(line))
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_helm_is_left() {
        let rendered = "---\n# Source: a/b.yaml\nlabels:\n  x/managed-by: Helm\n  y: z\n    \n";
        assert_eq!(plain(rendered), "---\nlabels:\n  y: z\n\n");
    }
}
