use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::program::search_path;

/// Runs `ip` with these arguments and returns what it printed.
///
/// # Errors
/// When `ip` cannot be started or says no; the message carries its words.
pub fn ip(args: &[&str]) -> Result<String> {
    run(args, "")
}

/// Runs a batch of `ip` commands, one a line, inside the namespace `netns`; the first that fails
/// ends the batch.
///
/// # Errors
/// When `ip` cannot be started or says no.
pub fn ip_batch(netns: &str, lines: &str) -> Result<()> {
    run(&["-n", netns, "-batch", "-"], lines).map(drop)
}

fn run(args: &[&str], input: &str) -> Result<String> {
    let mut child = Command::new("ip")
        .args(args)
        .env("PATH", search_path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("start ip (package iproute2)")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).context("write to ip")?;
    }
    let output = child.wait_with_output().context("wait for ip")?;
    ensure!(
        output.status.success(),
        "ip {} {input}: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
